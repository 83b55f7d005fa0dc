"""The next instance is made while a worker is idle, where the guest allows it, and is like any other."""

from __future__ import annotations

import asyncio
import itertools

from sandbox.template.template import WasiTemplate
from tests.host.processes.driver import Caller, admit
from tests.support.components import python_component


async def test_a_guest_that_calls_wasi_while_it_is_made_is_not_prepared(call: Caller) -> None:
    """A C library's initialiser does; its worker ends, nobody notices, and it is not tried again."""
    for _ in range(4):
        assert (await call("libc_reads", "variable", name="X")).value is None
    metrics = call.host.metrics()
    assert metrics["crashes"] == 0
    assert len(call.host._unpreparable) == 1
    component = next(iter(call.host._unpreparable))
    assert component in call.host._components


async def test_random_numbers_differ_between_calls_and_workers(call: Caller) -> None:
    """RND-01: prepared or not, before and after a respawn."""
    samples = [str((await call("exhaust_random", "sample")).value) for _ in range(3)]
    await call.host.retire((await call.host.load(_guest("exhaust_random"))).digest)
    samples += [str((await call("exhaust_random", "sample")).value) for _ in range(3)]
    assert len(set(samples)) == 6


async def test_calls_after_the_first_are_served_by_the_same_worker(call: Caller) -> None:
    """A prepared instance needs no new process."""
    await call("traps", "fine", number=1)
    for number in range(5):
        assert (await call("traps", "fine", number=number)).value == number
    assert call.host.metrics()["taken"] == 1


async def test_a_large_guest_called_again_and_again_gets_a_second_worker(call: Caller) -> None:
    """One answers while the other cleans up; more than two only calls at the same time get."""
    component = await call.host.load(python_component())
    export = next(one for one in component.world.exports if one.name == "evaluate")
    template = WasiTemplate(component=component.digest)

    async def evaluate(number: int) -> None:
        outcome = await call.host.invoke(admit(component), template, export, {"code": "1+1"}, call_id=str(number))
        assert outcome.value == "2\n"

    async with asyncio.timeout(60):
        numbers = itertools.count()
        while call.host.metrics()["taken"] < 2:
            await evaluate(next(numbers))
        for _ in range(20):
            await evaluate(next(numbers))
    assert call.host.metrics()["taken"] == 2


def _guest(name: str) -> object:
    from tests.support.guests import guest

    return guest(name)
