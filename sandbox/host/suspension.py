"""What holds a running call up, and how long that may last: the one way in which a call is paused and goes on.

Decides, from the reasons a call is held for at this moment, whether its process is stopped and whether its `wall_time` stands
still; and that no reason holds it for longer than it was given. `cpu_time` needs nothing: a process that does not run uses none.

| reason | the process | its wall time |
|---|---|---|
| `SIGNAL`: somebody suspended it | stopped | stands still |
| `QUESTION`: it waits in a gate until a person answers | waits by itself | stands still |
| `CPU_SHARE`: it has used its share of this moment | stopped | goes on: a smaller share is a slower tool |

Rules: reasons do not count against each other: a call goes on when none is left. A call that is held before it has a worker
does not begin. One that is held for too long is ended by whoever holds the host (`gave_up`). On the event loop's thread alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol


class Why(StrEnum):
    """A reason to hold a call up."""

    SIGNAL = "signal"
    QUESTION = "question"
    CPU_SHARE = "cpu_share"


_STOPS = frozenset({Why.SIGNAL, Why.CPU_SHARE})
_STANDS = frozenset({Why.SIGNAL, Why.QUESTION})


class WallTime:
    """The wall time of one call, from now on: `reached(*told)` is called when it is used up. It can stand still meanwhile."""

    __slots__ = ("_left", "_loop", "_reached", "_since", "_timer", "_told", "_used")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, reached: Callable[..., None], *told: object) -> None:
        self._loop, self._left, self._used = loop, seconds, 0.0
        self._reached, self._told = reached, told
        self._since = loop.time()
        self._timer: asyncio.TimerHandle | None = loop.call_later(seconds, reached, *told)

    @property
    def used(self) -> float:
        """The seconds that counted so far."""
        return self._used if self._timer is None else self._used + self._loop.time() - self._since

    def stand(self) -> None:
        """Count no time from now on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            passed = self._loop.time() - self._since
            self._used, self._left = self._used + passed, max(0.0, self._left - passed)

    def go(self) -> None:
        """Count again, with what is left."""
        if self._timer is None:
            self._since = self._loop.time()
            self._timer = self._loop.call_later(self._left, self._reached, *self._told)

    def end(self) -> float:
        """Be reached no more; the seconds that counted."""
        self.stand()
        return self._used


class Held(Protocol):
    """What is held: `sandbox.host.process.Worker`."""

    def hold(self, *, stopped: bool, standing: bool) -> None:
        """Have its process stopped or going, its wall time standing or counting; said twice, it stays so."""


class Suspension:
    """Why one call is held, and its worker while it has one. `gave_up(why)` is called when a reason has lasted too long."""

    __slots__ = ("_gave_up", "_held", "_lifted", "_loop", "_until")

    def __init__(self, gave_up: Callable[[Why], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._gave_up = gave_up
        self._until: dict[Why, asyncio.TimerHandle] = {}
        self._held: Held | None = None
        self._lifted: list[asyncio.Future[None]] = []

    @property
    def reasons(self) -> frozenset[Why]:
        """What holds it up now."""
        return frozenset(self._until)

    def begin(self, held: Held) -> None:
        """The call runs in this worker from now on; what holds it already holds at once."""
        self._held = held
        self._apply()

    def end(self) -> None:
        """The call is over, or has left its worker: the worker goes on, whatever held the call."""
        held, self._held = self._held, None
        if held is not None:
            held.hold(stopped=False, standing=False)

    def close(self) -> None:
        """Hold a call no more that has no worker: it never had one, or has left it."""
        for timer in self._until.values():
            timer.cancel()
        self._until.clear()
        self._wake()

    def pause(self, why: Why, within_s: float) -> None:
        """Hold the call for this reason too, at most so many seconds from now; again, it is from now."""
        if (timer := self._until.pop(why, None)) is not None:
            timer.cancel()
        self._until[why] = self._loop.call_later(within_s, self._gave_up, why)
        self._apply()

    def resume(self, why: Why) -> bool:
        """Let go of this reason; whether it held the call."""
        timer = self._until.pop(why, None)
        if timer is None:
            return False
        timer.cancel()
        self._apply()
        return True

    async def lifted(self) -> None:
        """Wait until nothing keeps the call from beginning."""
        while self._stopped:
            turn = self._loop.create_future()
            self._lifted.append(turn)
            await turn

    @property
    def _stopped(self) -> bool:
        return not _STOPS.isdisjoint(self._until)

    def _apply(self) -> None:
        if self._held is not None:
            self._held.hold(stopped=self._stopped, standing=not _STANDS.isdisjoint(self._until))
        if not self._stopped:
            self._wake()

    def _wake(self) -> None:
        waiting, self._lifted = self._lifted, []
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)
