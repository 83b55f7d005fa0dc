"""What the requests of one component have used of each policy line's `limits`, over all its calls and workers.

Decides whether a request may begin, and holds it to the sizes and the time of the line that it goes under. Which lines allow a
request, the rules say (`sandbox.template.network`).

Rules: lines add up, so a request goes under the first one that has room, and is counted there; all limits of that line, those of
the ceiling's line above it too, have room or it does not begin; `requests` hold in every window of their length, not from one
full minute to the next; a request that ended still counts as made. Counts live as long as the gateway does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from sandbox.host.gateway.caps import Caps
from sandbox.host.gateway.refusal import Limited
from sandbox.host.gateway.resolver import Lookups
from sandbox.policy.units import show_requests
from sandbox.template.template import HttpLimits

_TOO_MANY_REQUESTS = 429


@dataclass(slots=True)
class _Used:
    """Of one line: when its requests of the last window began, and how many are on the way."""

    began: deque[float] = field(default_factory=deque)
    seconds: int = 1
    on_the_way: int = 0

    def forget_before(self, now: float) -> None:
        while self.began and self.began[0] <= now - self.seconds:
            self.began.popleft()


@dataclass(frozen=True, slots=True)
class Taken:
    """A request that was counted, and the limits that it goes under. `release` it once, at its end."""

    limits: tuple[HttpLimits, ...]

    def caps(self, most: Caps) -> Caps:
        """The host's caps, lowered to the sizes of the limits."""
        for name in ("request_bytes", "response_bytes"):
            bounds = [bound for one in self.limits if (bound := getattr(one, name)) is not None]
            most = replace(most, **{name: min(bounds)}) if bounds and min(bounds) < getattr(most, name) else most
        return most

    @property
    def timeout_ms(self) -> int | None:
        """How long the whole request may take."""
        return min((one.timeout_ms for one in self.limits if one.timeout_ms is not None), default=None)

    def origin(self, name: str, value: int) -> str | None:
        """The line that says so; None where it is the host's own cap."""
        return next((one.origin for one in self.limits if getattr(one, name) == value), None)


class Uses:
    """The counts of one component, by line, and its lookups."""

    def __init__(self) -> None:
        self.lookups = Lookups()
        self._lines: dict[str, _Used] = {}

    def take(self, choices: Sequence[tuple[HttpLimits, ...]], now: float) -> Taken:
        """Count a request that any of `choices` may let through; no choices mean no limits. Raises `Limited`."""
        refused: Limited | None = None
        for limits in choices:
            found = self._full(limits, now)
            if found is None:
                for one in limits:
                    self._count(one, now)
                return Taken(limits)
            refused = refused or found
        if refused is not None:
            raise refused
        return Taken(())

    def release(self, taken: Taken) -> None:
        """A request has ended."""
        for one in taken.limits:
            self._lines[one.origin].on_the_way -= 1

    def idle(self, now: float) -> bool:
        """Whether nothing here would refuse anything: then it may be forgotten."""
        for used in self._lines.values():
            used.forget_before(now)
        return not self.lookups.running and not any(used.began or used.on_the_way for used in self._lines.values())

    def _full(self, limits: Iterable[HttpLimits], now: float) -> Limited | None:
        """The limit that has no room, as the refusal."""
        for one in limits:
            used = self._used(one)
            if one.connections is not None and used.on_the_way >= one.connections:
                reason = f"`connections` is reached: {one.connections} at a time"
                return Limited(reason, "connections", one.connections, one.origin, status=_TOO_MANY_REQUESTS)
            used.forget_before(now)
            if one.requests is not None and len(used.began) >= one.requests:
                wait = used.began[-one.requests] + one.seconds - now
                reason = f"`requests` is reached: {show_requests(one.requests, one.seconds)}"
                return Limited(reason, "requests", one.requests, one.origin, status=_TOO_MANY_REQUESTS, retry_after_s=wait)
        return None

    def _count(self, one: HttpLimits, now: float) -> None:
        used = self._used(one)
        used.on_the_way += 1
        if one.requests is not None:
            used.began.append(now)

    def _used(self, one: HttpLimits) -> _Used:
        used = self._lines.setdefault(one.origin, _Used())
        used.seconds = max(used.seconds, one.seconds)
        return used
