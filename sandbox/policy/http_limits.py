"""What the requests of one policy line may use, in numbers, and whether one line's limits let through all that another's do.

Values and one comparison. The gateway counts by them (`sandbox.host.gateway.uses`); a document writes them as `limits`
(`sandbox.policy.entries`).
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.policy.units import show_requests, show_size, show_time

NAMES = ("requests", "connections", "request_bytes", "response_bytes", "timeout")
"""As a document writes them."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What the requests of one policy line may use; None where nobody wrote it.

    `requests` in any `seconds`, and `connections` at a time, count for all calls of the component; bytes and time are of each
    request. `origin` is the line that wrote them: whatever rules come of it are counted together.
    """

    origin: str
    requests: int | None = None
    seconds: int = 1
    connections: int | None = None
    request_bytes: int | None = None
    response_bytes: int | None = None
    timeout_ms: int | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """Each limit as a policy writes it: `requests 60/min`."""
        shown = (
            None if self.requests is None else f"requests {show_requests(self.requests, self.seconds)}",
            None if self.connections is None else f"connections {self.connections} at a time",
            None if self.request_bytes is None else f"request_bytes {show_size(self.request_bytes)}",
            None if self.response_bytes is None else f"response_bytes {show_size(self.response_bytes)}",
            None if self.timeout_ms is None else f"timeout {show_time(self.timeout_ms)}",
        )
        return tuple(each for each in shown if each is not None)


def stricter(wide: tuple[HttpLimits, ...], narrow: tuple[HttpLimits, ...]) -> str | None:
    """The first limit by which lines under `wide` may be held where lines under `narrow` are not; None where there is none."""
    for at, name in enumerate(NAMES):
        held = [bound for one in narrow if (bound := _bounds(one)[at]) is not None]
        for one in wide:
            bound = _bounds(one)[at]
            if bound is not None and not any(all(a <= b for a, b in zip(other, bound, strict=True)) for other in held):
                return name
    return None


def _bounds(limits: HttpLimits) -> tuple[tuple[int, ...] | None, ...]:
    """Each limit as numbers, smaller ones are stricter: so many in a longer time are fewer."""
    rate = None if limits.requests is None else (limits.requests, -limits.seconds)
    rest = (limits.connections, limits.request_bytes, limits.response_bytes, limits.timeout_ms)
    return (rate, *(None if one is None else (one,) for one in rest))
