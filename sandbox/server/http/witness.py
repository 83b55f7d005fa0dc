"""Note in the record who came with which token's name, and who came with none that is good.

Decides how often. Rules: an identity is noted once, when it first comes, and not with every request; of the failures so many in a
minute are noted each for itself, and the others as one number when the minute is over, since anybody can send wrong tokens for as
long as they like (AUD-07); a token stands in no record, nor any part of one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sandbox.admission import Subject
from sandbox.errors import HostUnavailable
from sandbox.server.http.identity import Identity, Why

MOST_FAILURES = 20
MINUTE = 60.0
_log = logging.getLogger(__name__)


class Record(Protocol):
    """What of `Sandbox` a witness needs: `sandbox.changes.authentications`."""

    def authenticated(self, who: Subject, detail: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Record that somebody came. Raises HostUnavailable."""

    def not_authenticated(self, reason: str, detail: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Record that somebody was not let in. Raises HostUnavailable."""


@dataclass(slots=True)
class Witness:
    """Notes for one server."""

    record: Record
    _failures: int = 0
    _further: dict[str, int] = field(default_factory=dict)
    _ending: asyncio.TimerHandle | None = None

    def accepted(self, identity: Identity, metadata: Mapping[str, Any]) -> None:
        """Note an identity, the first time that it comes. Raises HostUnavailable."""
        if not identity.noted:
            detail = {} if identity.issuer is None else {"issuer": identity.issuer}
            self.record.authenticated(identity.who, detail, metadata)
            identity.noted = True

    def refused(self, why: Why, metadata: Mapping[str, Any]) -> None:
        """Note a token that stands for nobody, or count it."""
        if self._ending is None:
            self._ending = asyncio.get_running_loop().call_later(MINUTE, self.close)
        self._failures += 1
        if self._failures <= MOST_FAILURES:
            return self._note(why.value, {}, metadata)
        self._further[why.value] = self._further.get(why.value, 0) + 1
        return None

    def close(self) -> None:
        """End the minute: note how many more there were."""
        if self._ending is not None:
            self._ending.cancel()
        further, self._further, self._failures, self._ending = self._further, {}, 0, None
        if further:
            self._note("flood", {"further": further, "seconds": MINUTE}, {})

    def _note(self, reason: str, detail: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        try:
            self.record.not_authenticated(reason, detail, metadata)
        except HostUnavailable as error:
            # Nobody is let in by that; who comes with a good token is told.
            _log.error("a refused token is not on record: %s", error)
