"""Stop calling a component that keeps crashing its worker.

Decides when a component is refused, and for how long: after `crashes` of them within `window_s`, for `pause_s`. With a window
longer than the pause, the first crash after the pause begins it again.

Pure: the time is a parameter, in seconds of a monotonic clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from sandbox.wit.types import Digest

_COMPONENTS = 10_000


@dataclass(slots=True)
class _Record:
    crashes: deque[float] = field(default_factory=deque)
    open_until: float = 0.0


class Breaker:
    """The crashes of every component of one host."""

    def __init__(self, *, crashes: int, window_s: float, pause_s: float) -> None:
        self._allowed = crashes
        self._window_s = window_s
        self._pause_s = pause_s
        self._records: dict[Digest, _Record] = {}

    def refused_for(self, digest: Digest, now: float) -> float:
        """How many seconds the component is still refused for; 0 where it may be called."""
        record = self._records.get(digest)
        return 0.0 if record is None else max(0.0, record.open_until - now)

    def crashed(self, digest: Digest, now: float) -> None:
        """A call of the component crashed its worker."""
        if len(self._records) >= _COMPONENTS:
            self._records.pop(next(iter(self._records)))
        record = self._records.setdefault(digest, _Record())
        record.crashes.append(now)
        while record.crashes[0] < now - self._window_s:
            record.crashes.popleft()
        if len(record.crashes) >= self._allowed:
            record.open_until = now + self._pause_s
