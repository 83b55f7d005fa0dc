"""Hold a call to its share of a core (`cpu: 500m`) while it runs: its process is stopped when it has used its part of a moment.

Decides when a call pauses and goes on; `sandbox.host.suspension` does it, beside whatever else holds the call up. The rule is the
kernel's own for a control group (`cpu.max`): so much CPU time in each 100 ms, and then nothing until the next begins.

Rules: what was used beyond the part, because somebody looked too late, is owed and waited for; what was not used is not saved up;
the wall time goes on, since a smaller share is a slower tool; a call without a share is never looked at.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, Protocol

from sandbox.errors import Code
from sandbox.policy.units import show_cpu
from sandbox.template.template import Limits

PERIOD_S = 0.1
TOLD_S = 0.1
"""A call that was held back for less is not worth a word."""
_SOONEST_S = 0.002
_BEYOND_S = 60.0
"""A pause ends by itself; one that lasts so much longer belongs to a host that stands still."""


class Runs(Protocol):
    """The process of the call: `sandbox.host.process.Worker`."""

    def cpu_s(self) -> float | None:
        """The CPU time that it has used since it was forked; None once it is gone."""

    def tell(self, denial: dict[str, Any]) -> None:
        """Add a denial to those of the call that it runs."""


class Share:
    """The share of the call that `process` runs from now on, until `close`. `pause(within_s)` and `resume()` hold it up."""

    def __init__(self, limits: Limits, process: Runs, pause: Callable[[float], object], resume: Callable[[], object]) -> None:
        assert limits.cpu_share is not None
        self._limits, self._process, self._pause, self._resume = limits, process, pause, resume
        self._part_s = PERIOD_S * limits.cpu_share / 1000
        self._left_s = self._part_s
        self._loop = asyncio.get_running_loop()
        self._period_ends = self._loop.time() + PERIOD_S
        self._used_s = process.cpu_s() or 0.0
        self._paused = False
        self._held_s = 0.0
        self._timer = self._loop.call_later(self._part_s, self._look)

    def close(self) -> None:
        """The call has ended."""
        self._timer.cancel()

    def _look(self) -> None:
        used = self._process.cpu_s()
        if used is None:
            return
        now = self._loop.time()
        self._left_s -= used - self._used_s
        self._used_s = used
        if now >= self._period_ends:
            periods = 1 + math.floor((now - self._period_ends) / PERIOD_S)
            self._period_ends += periods * PERIOD_S
            self._left_s = min(self._part_s, self._left_s + periods * self._part_s)
        if self._left_s > 0:
            self._go_on()
            self._timer = self._loop.call_later(max(self._left_s, _SOONEST_S), self._look)
        else:
            # With the end of this period comes one part, with each one after it another.
            more = math.floor(-self._left_s / self._part_s)
            self._hold(self._period_ends + more * PERIOD_S - now)

    def _hold(self, wait_s: float) -> None:
        self._paused = True
        self._pause(wait_s + _BEYOND_S)
        told, self._held_s = self._held_s > TOLD_S, self._held_s + wait_s
        if self._held_s > TOLD_S and not told:
            self._process.tell(_held_back(self._limits))
        self._timer = self._loop.call_later(wait_s, self._look)

    def _go_on(self) -> None:
        if self._paused:
            self._paused = False
            self._resume()


def _held_back(limits: Limits) -> dict[str, Any]:
    """As a worker would say it."""
    assert limits.cpu_share is not None
    return {
        "code": Code.RESOURCE_LIMIT_EXCEEDED.value,
        "target": {"resource": "cpu", "limit": limits.cpu_share},
        "reason": f"it is held to {show_cpu(limits.cpu_share)} of a core",
        "origin": limits.origin("cpu_share"),
        "private": {},
    }
