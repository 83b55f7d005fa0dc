"""The calls that run or wait, and every order that reaches one from outside: stop it, hold it up, let it go on.

Decides nothing about why: whoever orders says that. The first order to end a call is the one that counts, also where the call
has no worker yet: then it never begins.

Rule: on the event loop's thread alone; an order about a call that does not run changes nothing.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.host.ending import stopped
from sandbox.host.outcome import Denial, Outcome
from sandbox.host.process import Worker
from sandbox.host.suspension import Suspension, Why
from sandbox.template.template import WasiTemplate


@dataclass(frozen=True, slots=True)
class RunningCall:
    """A call that runs or waits; `started` is of the event loop's clock."""

    call_id: str
    template: WasiTemplate
    started: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """A call that was stopped, and how long it took from the order until its process was dead.

    With `connections_only` it runs on, and that long it took until its connections were cut.
    """

    call_id: str
    ms: float
    connections_only: bool = False


@dataclass(slots=True)
class Running:
    """One call, from the moment that the host takes it until its outcome."""

    template: WasiTemplate
    started: float
    worker: Worker | None = None
    begun: float | None = None
    """When a worker first took it, of the event loop's clock."""
    stopped_for: str | None = None
    """What it was ordered to end for: an `Ending`, or a limit by its name."""
    because: str = ""
    suspension: Suspension | None = None
    """What holds it up, once something has."""
    stored: list[tuple[int, int]] = field(default_factory=list)
    """What the trees of the template held when it began."""
    done: dict[str, Any] | None = None
    """Its worker's last word."""
    ask: Callable[[Denial], Awaitable[str | None]] | None = None
    """Has a person asked about what a rule keeps back; None where nobody can be asked."""
    keep: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    """Answers what it asks of the values that its component keeps; None where it keeps none."""

    @property
    def stopped(self) -> Outcome | None:
        """The outcome of a call that was told to end before it began."""
        return None if self.stopped_for is None else stopped(self.stopped_for, self.because)

    async def may_begin(self) -> None:
        """Wait until nothing holds it back."""
        if self.suspension is not None:
            await self.suspension.lifted()

    def begins(self) -> None:
        """What holds it holds its worker from now on."""
        if self.suspension is not None and self.worker is not None:
            self.suspension.begin(self.worker)

    def leaves(self) -> None:
        """It has ended in its worker, which whatever held the call must not hold any more."""
        if self.suspension is not None:
            self.suspension.end()


class RunningCalls(dict[str, Running]):
    """Every call of one host, by its id. `reset(worker)` cuts the connections of one that is killed."""

    def __init__(self, reset: Callable[[Worker], None]) -> None:
        super().__init__()
        self._reset = reset
        self.kills = 0

    def end(self, call_id: str) -> None:
        """A call is over."""
        running = self.pop(call_id)
        if running.suspension is not None:
            running.suspension.close()

    async def stop(self, call_ids: Sequence[str], reason: str, because: str = "") -> tuple[Stopped, ...]:
        """Have these calls end, and wait until their workers are dead."""
        found = [call_id for call_id in call_ids if call_id in self]
        return tuple(await asyncio.gather(*(self._stop(call_id, reason, because) for call_id in found)))

    def pause(self, call_id: str, why: Why, within_s: float) -> bool:
        """Hold a call up for this reason, for so many seconds at most: then it is ended. Whether it runs."""
        running = self.get(call_id)
        if running is None or running.stopped_for is not None:
            return False
        if running.suspension is None:
            running.suspension = Suspension(functools.partial(self._held_too_long, call_id))
            running.begins()
        running.suspension.pause(why, within_s)
        return True

    def resume(self, call_id: str, why: Why) -> bool:
        """Hold a call for this reason no more; whether it was held for it."""
        running = self.get(call_id)
        return running is not None and running.suspension is not None and running.suspension.resume(why)

    def paused(self) -> dict[str, frozenset[Why]]:
        """The calls that are held up, and what each is held for."""
        held = ((call_id, one.suspension) for call_id, one in self.items())
        return {call_id: suspension.reasons for call_id, suspension in held if suspension is not None and suspension.reasons}

    def held(self) -> dict[str, int]:
        """How many calls a signal suspends, and how many are parked until a person answers."""
        held = tuple(self.paused().values())
        return {"suspended": sum(Why.SIGNAL in why for why in held), "parked": sum(Why.QUESTION in why for why in held)}

    def _held_too_long(self, call_id: str, why: Why) -> None:
        self._order(self[call_id], "suspend_timeout", f"it was held up for too long ({why.value.replace('_', ' ')})")

    def _order(self, running: Running, reason: str, because: str) -> None:
        if running.stopped_for is None:
            running.stopped_for, running.because = reason, because
        if running.worker is not None:
            running.worker.kill(reason, because)
            self._reset(running.worker)
            self.kills += 1
        elif running.suspension is not None:
            running.suspension.close()  # it waits no longer for its beginning: there is none

    async def _stop(self, call_id: str, reason: str, because: str) -> Stopped:
        ordered = asyncio.get_running_loop().time()
        running = self[call_id]
        self._order(running, reason, because)
        if running.worker is None:
            return Stopped(call_id, 0.0)
        died = await asyncio.shield(running.worker.dead)
        return Stopped(call_id, round((died - ordered) * 1000, 3))
