"""A clock that never runs backwards, over restarts too: what has expired stays expired.

Decides what time it is for grants and records. Rules: the wall clock sets it forward; where the wall clock is set back, time
goes on from the latest moment ever seen, by the monotonic clock. The latest moment is kept in the store (`Store.advance`).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sandbox.admission.request import new_request_id
from sandbox.audit import AuditLog, Event, EventType, Redactor

SET_BACK_S = 60.0
"""A wall clock that far behind the latest moment ever seen is worth an alert."""


class Clock:
    """Seconds since 1970 that only grow. `seen` is the latest moment that was stored."""

    def __init__(
        self, seen: float, *, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall, self._monotonic = wall, monotonic
        self.set_back_by = max(0.0, seen - wall())
        """How far the wall clock was behind the latest stored moment at the start."""
        self._base, self._since = max(wall(), seen), monotonic()

    def __call__(self) -> float:
        """Now."""
        elapsed = self._monotonic() - self._since
        now = max(self._wall(), self._base + elapsed)
        self._base, self._since = now, self._since + elapsed
        return now


def record_a_clock_set_back(clock: Clock, log: AuditLog) -> None:
    """Put it on record where the clock was behind at the start: whoever set it back may have wanted what had expired."""
    if clock.set_back_by > SET_BACK_S:
        reason = "the clock is behind the latest moment that was seen here; time goes on from there"
        told = {"seconds": round(clock.set_back_by)}
        log.append(Event(EventType.SECURITY_ALERT, new_request_id(), reason=reason, detail=told), Redactor(), sync=True)
