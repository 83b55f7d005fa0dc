"""`cpu: 500m`: a call gets no more than its share of a core, and is otherwise a call like any other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.host.share import PERIOD_S
from sandbox.policy.load import load_policy
from tests.attacks.stage import Stage, policy, staged, value

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("share")) as stage:
        yield stage


async def test_a_call_uses_its_share_of_the_time_and_no_more(stage: Stage) -> None:
    """200 ms of CPU at a fifth of a core take about a second; looking late costs the call, not the share."""
    await stage.load("exhaust_cpu", policy(limits="cpu: 200m, cpu_time: 200ms"))
    result = await stage.call("exhaust_cpu__spin")
    assert (result.outcome.ending, result.outcome.limit) == ("limit", "cpu_time")
    used = result.outcome.usage
    assert used.cpu_ms / (used.wall_ms + 1000 * PERIOD_S) <= 0.25
    assert used.wall_ms < 4000
    (held,) = result.outcome.denials
    assert (held.code, held.target, held.reason) == (
        "resource_limit_exceeded",
        {"resource": "cpu", "limit": 200},
        "it is held to 200m of a core",
    )


async def test_waiting_is_wall_time(stage: Stage) -> None:
    await stage.load("exhaust_cpu", policy(limits="cpu: 50m, wall_time: 500ms"))
    result = await stage.call("exhaust_cpu__spin")
    assert (result.outcome.ending, result.outcome.limit) == ("limit", "wall_time")
    assert result.outcome.usage.cpu_ms < 150


async def test_a_call_that_is_held_can_be_cancelled_and_revoked(stage: Stage) -> None:
    """SIGKILL reaches a stopped process; nothing waits for its turn."""
    await stage.load("exhaust_cpu", policy(limits="cpu: 10m, wall_time: 30s"))
    calls = [asyncio.create_task(stage.call("exhaust_cpu__spin")) for _ in range(2)]
    await asyncio.sleep(0.3)
    began = time.monotonic()
    calls[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls[0]
    await stage.sandbox.update_component_policy(
        "exhaust_cpu", load_policy(policy(limits="cpu: 10m, wall_time: 1s"), file="p.yaml")
    )
    assert (await calls[1]).outcome.ending == "revoked"
    assert time.monotonic() - began < 15
    await stage.neighbour_is_well()


async def test_a_worker_that_was_held_serves_the_next_call(stage: Stage) -> None:
    """A call that was held and ends by itself leaves nothing stopped; one that is short is not held at all."""
    await stage.load("exhaust_cpu", policy(limits="cpu: 100m"))
    kills = stage.sandbox.metrics()["kills"]
    for rounds, held in ((400_000_000, True), (10, False), (400_000_000, True), (10, False)):
        result = await stage.call("exhaust_cpu__work", rounds=str(rounds))
        assert value(result) is not None
        assert bool(result.outcome.denials) is held, result.outcome
    assert stage.sandbox.metrics()["kills"] == kills


async def test_a_whole_core_and_more_hold_nothing_up(stage: Stage) -> None:
    await stage.load("exhaust_cpu", policy(limits="cpu: 2000m, cpu_time: 300ms"))
    result = await stage.call("exhaust_cpu__spin")
    assert result.outcome.denials == ()
