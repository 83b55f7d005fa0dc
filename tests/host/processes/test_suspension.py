"""A call that is held up: its process stands, its deadline stands, and neither for ever."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from sandbox.host.outcome import Ending
from sandbox.host.suspension import Why
from tests.host.processes.driver import Caller, limits, workers


async def until(said: Any) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(20):
        while not said():
            await asyncio.sleep(0.005)


def states() -> set[str]:
    """What the kernel says of each worker: S asleep, R running, T stopped."""
    return {Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in workers()}


def spinning(call: Caller, wall_ms: int, call_id: str = "one", cpu_ms: int = 60_000) -> asyncio.Task[Any]:
    """A call that burns its processor until something ends it."""
    bounds = limits(wall_time_ms=wall_ms, cpu_time_ms=cpu_ms)
    return asyncio.create_task(call("exhaust_cpu", "spin", limits=bounds, call_id=call_id))


def begun(call: Caller) -> bool:
    return any(one.worker is not None for one in call.host._running.values())


async def test_a_call_that_is_held_too_long_is_ended(call: Caller) -> None:
    """The outcome names the limit; nothing of the process stays."""
    task = spinning(call, 60_000)
    await until(lambda: begun(call))
    assert call.host.pause("one", Why.SIGNAL, within_s=0.2)
    outcome = await asyncio.wait_for(task, 10)
    assert (outcome.ending, outcome.limit) == (Ending.LIMIT, "suspend_timeout")
    assert outcome.message == "it was held up for too long (signal)"


async def test_a_suspended_call_is_killed_at_once(call: Caller) -> None:
    """A stopped process dies like any other."""
    task = spinning(call, 60_000)
    await until(lambda: begun(call))
    call.host.pause("one", Why.SIGNAL, within_s=60)
    await until(lambda: "T" in states())
    await call.host.stop(["one"], Ending.KILLED, "no more of it")
    outcome = await asyncio.wait_for(task, 10)
    assert (outcome.ending, outcome.message) == (Ending.KILLED, "no more of it")


async def test_the_deadline_of_a_suspended_call_stands_still(call: Caller) -> None:
    """Suspended for longer than its wall time, it is alive; going on, it has what was left of it, and no more."""
    task = spinning(call, 400)
    await until(lambda: begun(call))
    assert call.host.pause("one", Why.SIGNAL, within_s=60)
    assert call.host.paused() == {"one": {Why.SIGNAL}}
    await until(lambda: "T" in states())
    await asyncio.sleep(0.8)
    assert not task.done()
    assert call.host.resume("one", Why.SIGNAL)
    outcome = await asyncio.wait_for(task, 10)
    assert (outcome.ending, outcome.limit) == (Ending.LIMIT, "wall_time")
    assert 350 < outcome.usage.wall_ms < 900, "the time in which it stood counts for nothing"


async def test_a_parked_call_keeps_its_process(call: Caller) -> None:
    """It waits by itself, in a gate: only its deadline stands."""
    task = asyncio.create_task(call("exhaust_sleep", "sleep", limits=limits(wall_time_ms=200), call_id="one", milliseconds=600))
    await until(lambda: begun(call))
    call.host.pause("one", Why.QUESTION, within_s=60)
    assert (await asyncio.wait_for(task, 10)).ok
    assert "T" not in states()


async def test_a_call_below_its_share_has_no_more_time_than_others(call: Caller) -> None:
    """A smaller share of the processor makes it slower; its wall time goes on."""
    task = spinning(call, 300)
    await until(lambda: begun(call))
    call.host.pause("one", Why.CPU_SHARE, within_s=60)
    await until(lambda: "T" in states())
    outcome = await asyncio.wait_for(task, 10)
    assert (outcome.ending, outcome.limit) == (Ending.LIMIT, "wall_time")


async def test_what_holds_it_for_two_reasons_goes_on_when_none_is_left(call: Caller) -> None:
    """Neither of them knows of the other."""
    task = spinning(call, 60_000)
    await until(lambda: begun(call))
    call.host.pause("one", Why.SIGNAL, within_s=60)
    call.host.pause("one", Why.CPU_SHARE, within_s=60)
    assert call.host.resume("one", Why.CPU_SHARE)
    await until(lambda: "T" in states())
    assert not call.host.resume("one", Why.CPU_SHARE), "it is not held for that any more"
    call.host.resume("one", Why.SIGNAL)
    await until(lambda: "T" not in states())
    await call.host.stop(["one"])
    await task


@pytest.mark.parametrize("ends", [True, False])
async def test_a_call_that_waits_for_its_turn_does_not_begin_while_it_is_held(call: Caller, ends: bool) -> None:
    """Let go it runs; ended it never did."""
    alone = limits(concurrency=1, wall_time_ms=60_000)
    first = asyncio.create_task(call("exhaust_sleep", "sleep", limits=alone, call_id="a", milliseconds=60_000))
    await until(lambda: begun(call))
    second = asyncio.create_task(call("exhaust_sleep", "sleep", limits=alone, call_id="b", milliseconds=1))
    await until(lambda: len(call.host.running()) == 2)
    call.host.pause("b", Why.SIGNAL, within_s=60)
    await call.host.stop(["a"])
    await first
    await asyncio.sleep(0.1)
    assert not second.done()
    assert call.host._running["b"].worker is None
    if ends:
        await call.host.stop(["b"], Ending.KILLED)
    else:
        call.host.resume("b", Why.SIGNAL)
    assert (await asyncio.wait_for(second, 10)).ending is (Ending.KILLED if ends else Ending.RETURNED)


async def test_a_worker_whose_call_ended_while_it_was_held_serves_the_next(call: Caller) -> None:
    """A result may be on its way already when its process is stopped; nobody lets it go again then."""
    await call("traps", "fine", number=0)
    before = workers()
    for number in range(3):
        task = asyncio.create_task(call("traps", "fine", number=number, call_id=f"n{number}"))
        while not begun(call):
            await asyncio.sleep(0)
        time.sleep(0.05)
        call.host.pause(f"n{number}", Why.CPU_SHARE, within_s=60)
        assert (await asyncio.wait_for(task, 10)).value == number
    assert call.host.paused() == {}
    assert set(before) <= set(workers()), "it was the same worker"


async def test_nothing_is_held_that_does_not_run(call: Caller) -> None:
    """An order about a call that is over changes nothing."""
    assert not call.host.pause("over", Why.SIGNAL, within_s=1)
    assert not call.host.resume("over", Why.SIGNAL)
