"""Ask the record of a host that is open.

Decides nothing: what answers a question is `sandbox.audit.query`'s, who may ask it the edge's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.audit.keys import Keys
from sandbox.audit.query import AuditPage, AuditQuery, ask
from sandbox.audit.tail import tail
from sandbox.state import Home
from sandbox.state.recorded import record_keys

ANYTHING = AuditQuery()


class Auditing:
    """The record, of an open host."""

    _home: Home
    _environment: Mapping[str, str]

    def audit(self, query: AuditQuery = ANYTHING) -> AuditPage:
        """A page of the record. Raises SandboxError for a cursor that is none, HostUnavailable for what cannot be read."""
        return ask(self._home.audit, query, self._reading())

    def recent(self, count: int, keeps: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """The last `count` records that `keeps` takes, the oldest first; of a long record its last few MiB are looked at."""
        return tail(self._home.audit, count, keeps, self._reading())

    def _reading(self) -> Keys:
        self._require_open()
        return record_keys(self._home, self._environment)

    def _require_open(self) -> None:
        raise NotImplementedError
