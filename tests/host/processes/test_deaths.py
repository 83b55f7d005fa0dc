"""What dies is replaced, what is stopped is dead, and nothing of it stays behind."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from sandbox.host.outcome import Ending
from tests.host.processes.driver import Caller, children, command, limits, processes, workers, zombies

SLEEP = limits(wall_time_ms=60_000)


async def begun(call: Caller, count: int = 1) -> None:
    """Wait until that many calls are in their workers."""
    async with asyncio.timeout(20):
        while sum(one.worker is not None for one in call.host._running.values()) < count:
            await asyncio.sleep(0.01)


def sleeping(call: Caller, call_id: str) -> asyncio.Task[Any]:
    """A call that sleeps a minute."""
    return asyncio.create_task(call("exhaust_sleep", "sleep", limits=SLEEP, call_id=call_id, milliseconds=60_000))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
async def test_a_crash_is_contained(call: Caller, number: signal.Signals) -> None:
    """PY-07: the call ends as crashed, the next one runs in a fresh worker."""
    task = sleeping(call, "doomed")
    await begun(call)
    victims = set(workers())
    while not task.done():
        # The engine's handler lets the first SIGSEGV that is none of wasm's pass, the next one kills.
        for worker in victims & set(workers()):
            os.kill(worker, number)
        await asyncio.sleep(0.02)
    outcome = await task
    assert (outcome.ending, outcome.message) == (Ending.CRASHED, "the tool crashed")
    assert call.host.metrics()["crashes"] == 1
    assert (await call("traps", "fine", number=3)).value == 3


async def test_a_component_that_keeps_crashing_is_not_called(start: Any) -> None:
    """The refusal says for how long; other components are called."""
    call: Caller = await start(crashes=2, crash_pause_s=30.0)
    for number in range(2):
        task = sleeping(call, f"doomed-{number}")
        await begun(call)
        for worker in workers():
            os.kill(worker, signal.SIGKILL)
        assert (await task).ending is Ending.CRASHED
    refused = await call("exhaust_sleep", "sleep", milliseconds=1)
    assert refused.ending is Ending.UNAVAILABLE
    assert "is not called for another" in refused.message
    assert (await call("traps", "fine", number=3)).value == 3


async def test_calls_in_flight_crash_with_their_zygote_and_it_is_started_again(call: Caller) -> None:
    """Its workers die with it; nobody reports their ends."""
    task = sleeping(call, "doomed")
    await begun(call)
    orphans = workers()
    (zygote,) = processes("sandbox.host.zygote")
    os.kill(zygote, signal.SIGKILL)
    assert (await task).ending is Ending.CRASHED
    assert (await call("traps", "fine", number=3)).value == 3
    assert call.host.metrics()["zygote_restarts"] == 1
    assert not any("sandbox.host.zygote" in _command_if_there(orphan) for orphan in orphans)


def _command_if_there(pid: int) -> str:
    try:
        return command(pid)
    except FileNotFoundError:
        return ""


async def test_a_revoked_call_is_dead_when_stop_returns(call: Caller) -> None:
    """The receipt says how long it took; calls that were not named go on."""
    one, other = sleeping(call, "one"), sleeping(call, "other")
    await begun(call, 2)
    before = set(workers())
    (receipt,) = await call.host.stop(["one", "no-such-call"], Ending.REVOKED)
    assert receipt.call_id == "one"
    assert 0 < receipt.ms < 1_000
    assert len(before - set(workers())) == 1
    assert (await one).ending is Ending.REVOKED
    assert not other.done()
    await call.host.stop(["other"], Ending.CANCELLED)
    assert (await other).ending is Ending.CANCELLED


async def test_a_call_that_waits_is_stopped_before_it_begins(call: Caller) -> None:
    """It has no process to kill; it must not start afterwards either."""
    alone = limits(concurrency=1, wall_time_ms=60_000)
    first = asyncio.create_task(call("exhaust_sleep", "sleep", limits=alone, call_id="a", milliseconds=60_000))
    await begun(call)
    second = asyncio.create_task(call("exhaust_sleep", "sleep", limits=alone, call_id="b", milliseconds=1))
    async with asyncio.timeout(10):
        while len(call.host.running()) < 2:
            await asyncio.sleep(0.01)
    await call.host.stop(["b", "a"], Ending.REVOKED)
    assert (await first).ending is Ending.REVOKED
    assert (await second).ending is Ending.REVOKED


async def test_a_cancelled_call_kills_its_worker(call: Caller) -> None:
    """Nothing of it runs on."""
    task = sleeping(call, "unwanted")
    await begun(call)
    before = set(workers())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10):
        while before <= set(workers()):
            await asyncio.sleep(0.01)
    assert call.host.running() == ()
    assert (await call("traps", "fine", number=3)).value == 3


async def test_fifty_timeouts_leave_nothing_behind(call: Caller) -> None:
    """RES-16: no zombie, no descriptor, no process more."""
    short = limits(wall_time_ms=20)
    await call("exhaust_sleep", "sleep", limits=short, milliseconds=60_000)
    await call("traps", "fine", number=1)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        assert (await call("exhaust_sleep", "sleep", limits=short, milliseconds=60_000)).ending is Ending.LIMIT
    assert (await call("traps", "fine", number=1)).value == 1
    (zygote,) = processes("sandbox.host.zygote")
    # A spare that is on its way has six descriptors of the server's.
    assert len(os.listdir("/proc/self/fd")) <= before + 14
    assert not list(zombies(os.getpid()))
    assert len(children(zygote)) <= 6
    assert len(os.listdir(f"/proc/{zygote}/fd")) <= 20


async def test_closing_ends_every_process_and_every_call(start: Any) -> None:
    """The calls that run end as unavailable."""
    others = set(children(os.getpid()))
    call = await start()
    task = sleeping(call, "late")
    await begun(call)
    before = set(children(os.getpid())) - others
    assert before
    await call.host.close()
    assert (await task).ending is Ending.UNAVAILABLE
    assert not {pid for pid in before if Path(f"/proc/{pid}").exists() and "sandbox.host" in command(pid)}


async def test_a_dead_idle_worker_is_replaced(call: Caller) -> None:
    """Nobody was calling it: nobody is told."""
    await call("traps", "fine", number=1)
    for worker in workers():
        os.kill(worker, signal.SIGKILL)
    async with asyncio.timeout(10):
        while call.host.metrics()["idle"]:
            await asyncio.sleep(0.01)
    assert (await call("traps", "fine", number=2)).value == 2
    assert call.host.metrics()["crashes"] == 0


async def test_retiring_a_component_ends_its_idle_workers(call: Caller) -> None:
    """After its policy has changed."""
    await call("traps", "fine", number=1)
    await call("prints", "print", text="x")
    component = await call.host.load(Path("tests/guests/traps/traps.wasm").absolute())
    assert await call.host.retire(component.digest) == 1
    assert await call.host.retire(component.digest) == 0
    assert call.host.metrics()["idle"] == 1


async def test_the_worker_that_was_idle_longest_gives_way(start: Any) -> None:
    """More components than workers are no reason to refuse."""
    call: Caller = await start(max_workers=2)
    for name, function in [("traps", "fine"), ("exhaust_cpu", "work"), ("every_type", "echo-u32")]:
        argument = {"fine": "number", "work": "rounds", "echo-u32": "x"}[function]
        assert (await call(name, function, **{argument: 1})).ending is Ending.RETURNED
    assert call.host.metrics()["taken"] <= 2
