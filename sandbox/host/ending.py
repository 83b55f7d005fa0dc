"""From what a worker left behind to the `Outcome` that leaves the host.

Decides what a death means: an ordered kill is what it was ordered for, a signal of the kernel's timers is that limit, every
other end without a `done` is a crash. Pure.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterable
from math import isfinite
from typing import Any

from sandbox.errors import Code
from sandbox.host.outcome import KINDS, Denial, Ending, Outcome, Usage
from sandbox.host.process import Ended
from sandbox.host.units import spell
from sandbox.template.template import Limits

_BY_CPU = (-signal.SIGPROF, -signal.SIGXCPU)
_CRASHED = "the tool crashed"
_ELEMENT_BYTES = 48
_COUNTABLE = 1 << 63

_ENDINGS = frozenset(Ending)
_ORDERED = {
    Ending.REVOKED: "the call was stopped: a permission that it ran under was taken away",
    Ending.CANCELLED: "the call was cancelled",
    Ending.KILLED: "the call was killed",
    Ending.UNAVAILABLE: "the host is closing",
}


class CalledOff(asyncio.CancelledError):
    """A call whose caller went away while it ran, and what it had done by then: nobody waits for it, the record does."""

    def __init__(self, outcome: Outcome, *said: object) -> None:
        # Whoever cancelled may know its cancellation by what it said.
        super().__init__(*said)
        self.outcome = outcome


def outcome_of(ended: Ended, limits: Limits, events: Iterable[dict[str, Any]] = ()) -> Outcome:
    """What became of a call, with what the gateway saw of it."""
    seen = list(events)
    ending, message, limit, value = _ending(ended, limits)
    return Outcome(
        ending=ending,
        value=value,
        message=message,
        limit=limit,
        denials=(*map(read_denial, ended.denials), *_gateway_denials(seen)),
        stdout=ended.stdout,
        stderr=ended.stderr,
        usage=_usage(ended, seen),
    )


def unavailable(message: str) -> Outcome:
    """The outcome of a call that never began."""
    return Outcome(Ending.UNAVAILABLE, message=message)


def stopped(reason: str, because: str = "") -> Outcome:
    """The outcome of a call that was stopped before it began: for an ending, or for a limit by its name."""
    ending, message, limit = _stopped(reason, because)
    return Outcome(ending, message=message, limit=limit)


def _stopped(reason: str, because: str) -> tuple[Ending, str, str | None]:
    if reason not in _ENDINGS:
        return Ending.LIMIT, because or f"`{reason}` was reached", reason
    ending = Ending(reason)
    return ending, because or _ORDERED.get(ending, "the call was stopped"), None


def _ending(ended: Ended, limits: Limits) -> tuple[Ending, str, str | None, Any]:
    if ended.killed_for == "wall_time":
        return Ending.LIMIT, spell(limits, "wall_time_ms"), "wall_time", None
    if ended.killed_for is not None:
        return *_stopped(ended.killed_for, ended.because), None
    if ended.done is None:
        if ended.status in _BY_CPU:
            return Ending.LIMIT, spell(limits, "cpu_time_ms"), "cpu_time", None
        if ended.failed_allocation is not None:
            return _out_of_memory(ended.failed_allocation, limits)
        return Ending.CRASHED, _CRASHED, None, None
    done = ended.done
    try:
        return Ending(done["ending"]), str(done["message"]), done["limit"], ended.value
    except (KeyError, ValueError):
        # A worker that says what no worker says has been taken over, or is broken.
        return Ending.CRASHED, _CRASHED, None, None


def _out_of_memory(asked: int, limits: Limits) -> tuple[Ending, str, str | None, Any]:
    """Which limit a failed allocation of the engine's own means.

    It takes at most `_ELEMENT_BYTES` for each element of a list on its way out, and an element is a byte of output at least:
    one allocation for more elements than that is a result that is too large.
    """
    if asked // _ELEMENT_BYTES > limits.output_bytes:
        return Ending.LIMIT, spell(limits, "output_bytes"), "output", None
    said = f"the call's values do not fit beside the tool's memory: {spell(limits, 'memory_bytes')}"
    return Ending.LIMIT, said, "memory", None


def _usage(ended: Ended, events: list[dict[str, Any]]) -> Usage:
    found = ended.done.get("usage") if ended.done is not None else None
    used = found if isinstance(found, dict) else {}
    gateway = sum(1 for _ in _gateway_denials(events)) if events else 0
    return Usage(
        wall_ms=round(ended.wall_ms, 3),
        cpu_ms=round(_number(used, "cpu_ms") or ended.cpu_ms or 0.0, 3),
        peak_memory_bytes=int(_number(used, "peak_memory_bytes")),
        output_bytes=int(_number(used, "output_bytes")),
        requests=max(int(_number(used, "requests")), len(events)),
        bytes_sent=_sum(events, "bytes_out"),
        bytes_received=_sum(events, "bytes_in"),
        fuel=None if used.get("fuel") is None else int(_number(used, "fuel")),
        denials=max(int(_number(used, "denials")), len(ended.denials)) + gateway,
        checks=_checks(used, gateway),
    )


def _checks(used: dict[str, Any], by_gateway: int) -> dict[str, tuple[int, int]]:
    """What a worker told of its gates' checks, as far as it can be read; what the gateway refused, a gate had allowed."""
    checks = used.get("checks")
    told = checks if isinstance(checks, dict) else {}
    found: dict[str, tuple[int, int]] = {}
    for kind in KINDS if told else ():
        match told.get(kind):
            case [int() as allowed, int() as refused] if 0 <= allowed <= _COUNTABLE and 0 <= refused <= _COUNTABLE:
                found[kind] = (allowed, refused)
    if by_gateway:
        allowed, refused = found.get("network", (by_gateway, 0))
        found["network"] = (max(0, allowed - by_gateway), refused + by_gateway)
    return found


def _sum(events: list[dict[str, Any]], name: str) -> int:
    return sum(int(event.get(name) or 0) for event in events) if events else 0


def _number(used: dict[str, Any], name: str) -> float:
    """A number that a worker told; 0 where it is none, as no record could hold it."""
    found = used.get(name)
    return found if isinstance(found, int | float) and isfinite(found) and abs(found) <= _COUNTABLE else 0


def read_denial(body: Any) -> Denial:
    """A worker's denial. What cannot be read is told as a denial of its own, not dropped: something was refused."""
    try:
        return Denial(Code(body["code"]), dict(body["target"]), str(body["reason"]), body["origin"], dict(body["private"]))
    except (KeyError, TypeError, ValueError):
        return Denial(Code.CRASHED, {}, "the worker reported a denial that cannot be read")


def _gateway_denials(events: list[dict[str, Any]]) -> Iterable[Denial]:
    for event in events:
        if event.get("decision") == "deny":
            target = {name: event.get(name) for name in ("scheme", "host", "port", "method", "path")}
            if (operation := event.get("operation")) is not None:
                # Of a socket; a lookup has no port.
                port = event.get("port") or None
                target = {"scheme": event.get("scheme"), "host": event.get("host"), "port": port, "operation": operation}
            if event.get("secret") is not None:
                target["secret"] = event["secret"]
            reason = str(event.get("reason") or "the gateway refused it")
            yield Denial(Code.NETWORK_ACCESS_DENIED, target, reason, event.get("origin"), {"address": event.get("address")})
        elif event.get("decision") == "cap":
            # The guest saw a reset, which says nothing: this says what was reached.
            cap = {"resource": event.get("resource"), "limit": event.get("limit")}
            reason = str(event.get("reason") or "a cap of the gateway was reached")
            yield Denial(Code.RESOURCE_LIMIT_EXCEEDED, cap, reason, event.get("origin"))
