"""The admission document in force: read when the host opens, and again as soon as its file is another one.

Decides which document holds; what it says is `sandbox.admission`'s. Rules: a host does not open under a document that is refused;
while it runs, one that is refused, or gone, changes nothing: the last good one holds, and the record says so, once.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.admission import Authorizer, new_request_id
from sandbox.audit import AuditLog, Event, EventType, Redactor
from sandbox.audit.terms import terms_of
from sandbox.errors import HostUnavailable, PolicyError

if TYPE_CHECKING:
    from sandbox.admission.document.models import AdmissionDocument

HANDLED = frozenset({"retention", "log_level"})
"""Obligations that this host meets by itself, by how it keeps its record."""
_Signature = tuple[int, int, int, int] | None
_LOG = logging.getLogger(__name__)


class Admitting:
    """Keeps an authorizer at the document that is named: a document, a file, the name of one that ships, or none.

    `changed` is called when another document holds. Raises PolicyError for one that is refused.
    """

    def __init__(
        self,
        named: AdmissionDocument | Path | str | None,
        log: AuditLog,
        *,
        clock: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self.authorizer = Authorizer(handles=HANDLED, clock=clock)
        self._file = named if isinstance(named, Path) else None
        self._name = str(named) if isinstance(named, str | Path) else "a document of the application's"
        self._log, self._changed = log, changed
        self._seen = _signature(self._file)
        self._reading = asyncio.Lock()
        if named is not None:
            self.authorizer.replace(_read(named) if isinstance(named, Path) else named)
            log.hold(terms_of(self.authorizer))
            self._record(EventType.POLICY_LOADED)

    def before(self, refresh: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """`refresh`, and a look at the file before it, where there is one."""
        if self._file is None:
            return refresh

        async def both() -> None:
            await self.refresh()
            await refresh()

        return both

    async def refresh(self) -> None:
        """Take another document in force where the file holds one."""
        if self._file is None or _signature(self._file) == self._seen:
            return
        async with self._reading:
            seen = _signature(self._file)
            if seen == self._seen:
                return
            try:
                document = await asyncio.to_thread(_read, self._file)
                self._log.hold(terms_of(Authorizer(document, handles=HANDLED)))
            except (PolicyError, HostUnavailable) as error:
                _LOG.error("the admission document is refused, and the last good one holds: %s", error)
                self._record(EventType.POLICY_REFUSED, reason=str(error))
            else:
                self.authorizer.replace(document)
                self._record(EventType.POLICY_UPDATED)
                self._changed()
            self._seen = seen

    def _record(self, kind: EventType, *, reason: str | None = None) -> None:
        ruleset = self.authorizer.ruleset
        digest = "" if ruleset is None else ruleset.document.digest
        detail = {"admission": self._name, "in_force": digest}
        self._log.append(Event(kind, new_request_id(), reason=reason, detail=detail), Redactor())


def _read(file: Path) -> AdmissionDocument:
    # Imported where there is a document: a host without one must not wait for the engine of its patterns.
    from sandbox.admission.document.load import load_admission_file

    return load_admission_file(file)


def _signature(file: Path | None) -> _Signature:
    """What tells one state of a file from another; None where there is none."""
    if file is None:
        return None
    try:
        found = os.lstat(file)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
