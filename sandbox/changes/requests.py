"""The part of `Sandbox` that keeps on record what is asked of the host itself, from outside: the attempt, its end, its refusal.

Decides nothing: who may ask what is the edge's and the document's. All records of one request have one id. Rule: what changes
something is on record before it is done; what is refused is on record with who asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.admission import Authorizer, CallRequest, Subject, new_request_id
from sandbox.admission.scoped import lacking
from sandbox.audit import AuditLog, Event, EventType, Redactor
from sandbox.audit.asked import asked
from sandbox.changes.attempts import secrets_in
from sandbox.dispatch import Dispatch
from sandbox.errors import SandboxError
from sandbox.in_force.admitting import Admitting


@dataclass(frozen=True, slots=True)
class Requested:
    """One request to the host: what is asked (`operation`), of what (`target`), by whom."""

    log: AuditLog
    request: CallRequest
    operation: str
    target: str

    @property
    def id(self) -> str:
        """The id that its records have."""
        return self.request.request_id

    def started(self, arguments: Mapping[str, Any] | None) -> None:
        """Record that it is about to be done. Raises HostUnavailable: then it is not."""
        known = dict(arguments or {})
        self._write(EventType.REQUEST_START, Redactor(_secrets_in(known)), arguments=known)

    def ended(self, status: int) -> None:
        """Record that it was done."""
        self._write(EventType.REQUEST_END, Redactor(), detail={"status": status})

    def refused(self, error: SandboxError, status: int) -> None:
        """Record that it was not done, and why."""
        told: dict[str, Any] = {"code": error.code.value, "reason": error.message, "decision": "deny"}
        self._write(EventType.REQUEST_ERROR, Redactor(), **told, detail={"status": status})

    def _write(self, kind: EventType, redactor: Redactor, *, detail: Mapping[str, Any] | None = None, **told: Any) -> None:
        where = {"operation": self.operation, "target": self.target}
        # Whoever is refused must not fill the disk.
        write = self.log.refused if kind is EventType.REQUEST_ERROR else self.log.append
        write(Event(kind, **asked(self.request), detail={**where, **(detail or {})}, **told), redactor)


class Requests:
    """What `Sandbox` offers to an edge that is asked for more than calls."""

    _admitting: Admitting
    _dispatch: Dispatch

    def _authorizer(self) -> Authorizer:
        raise NotImplementedError

    async def lacking(self, subject: Subject, scopes: Iterable[str]) -> tuple[str, ...]:
        """Of these scopes those that the subject has not, by the document as it is now."""
        await self._admitting.refresh()
        return lacking(self._authorizer(), subject, scopes)

    def requested(self, operation: str, target: str, subject: Subject, metadata: Mapping[str, Any]) -> Requested:
        """Somebody's request, to be put on record."""
        request = CallRequest(new_request_id(), subject, metadata=metadata)
        return Requested(self._dispatch.recording.log, request, operation, target)


def _secrets_in(arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What of a body must not be recorded: the value of a variable that is granted."""
    entry = arguments.get("entry")
    return secrets_in(entry) if isinstance(entry, Mapping) else []
