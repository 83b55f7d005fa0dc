"""Ways to take more than a call may have."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from sandbox.host.outcome import Ending
from sandbox.result import CallResult
from tests.attacks.stage import Stage, children, ended, limited, policy, staged, value

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_memory_ends_at_its_limit(stage: Stage) -> None:
    """RES-01: growing fails in the guest; nothing is killed."""

    def check(result: CallResult) -> None:
        assert 32 << 20 < int(value(result)) <= 64 << 20

    await stage.load("exhaust_memory", policy(limits="memory: 64Mi"))
    await stage.contained("exhaust_memory__grow", check)


async def test_many_memories_share_one_limit(stage: Stage) -> None:
    """RES-01: three instances with four memories each take one share, and what the worker itself may need beside it."""
    own = 48 << 20

    def check(result: CallResult) -> None:
        assert result.outcome.ending in {Ending.RETURNED, Ending.TRAPPED, Ending.LIMIT}
        if result.outcome.ok:
            assert value(result) << 16 <= (64 << 20) + own

    await stage.load("exhaust_memories", policy(limits="memory: 64Mi, output: 4Ki"))
    await stage.contained("exhaust_memories__grow", check)


async def test_tables_are_bounded(stage: Stage) -> None:
    """RES-03: a table lies outside of linear memory."""

    def check(result: CallResult) -> None:
        if result.outcome.ok:
            assert value(result) < 10**7

    await stage.load("exhaust_table", policy(limits="memory: 64Mi"))
    await stage.contained("exhaust_table__grow", check, step=1_000_000)
    assert value(await stage.call("exhaust_table__grow-once", elements=1_000_000_000)) == -1


async def test_a_thousand_tables_are_refused(stage: Stage) -> None:
    """RES-03."""
    await stage.load("exhaust_tables", policy(limits="memory: 64Mi"))
    await stage.contained("exhaust_tables__count", ended(Ending.TRAPPED, Ending.LIMIT))


async def test_a_hundred_calls_at_once_all_end(stage: Stage) -> None:
    """RES-04: more than may run wait their turn."""
    await stage.load("exhaust_memory", policy(limits="memory: 64Mi, concurrency: 4, wall_time: 60s"))
    results = await asyncio.gather(*(stage.call("exhaust_memory__grow") for _ in range(100)))
    assert {result.outcome.ending for result in results} == {Ending.RETURNED}
    await stage.neighbour_is_well()


@pytest.mark.parametrize(
    ("guest", "function", "arguments"),
    [("exhaust_cpu", "spin", {}), ("exhaust_fill", "fill", {"bytes": 32 << 20}), ("exhaust_random", "loop", {})],
)
async def test_an_endless_loop_ends_at_the_limit(stage: Stage, guest: str, function: str, arguments: dict[str, int]) -> None:
    """RES-05, RES-08: in the guest, in one instruction, in a call of the host."""
    await stage.load(guest, policy(limits="memory: 192Mi, cpu_time: 500ms, wall_time: 10s"))
    began = time.monotonic()
    await stage.contained(f"{guest}__{function}", limited("cpu_time"), repeats=4, **arguments)
    assert time.monotonic() - began < 40


async def test_an_endless_loop_without_a_processor_limit_ends_at_the_wall(stage: Stage) -> None:
    """RES-05: whichever limit comes first."""
    await stage.load("exhaust_cpu", policy(limits="cpu_time: 60s, wall_time: 500ms"))
    await stage.contained("exhaust_cpu__spin", limited("wall_time"), within_s=1.2, repeats=4)


@pytest.mark.parametrize("function", ["pollables", "fields"])
async def test_handles_are_bounded(stage: Stage, function: str) -> None:
    """RES-07: each is memory of the worker, which has its own bound."""

    def check(result: CallResult) -> None:
        assert result.outcome.ending in {Ending.RETURNED, Ending.TRAPPED, Ending.LIMIT, Ending.CRASHED}
        assert result.outcome.usage.peak_memory_bytes < 1 << 30

    await stage.load("exhaust_handles", policy(limits="memory: 64Mi, cpu_time: 3s"))
    await stage.contained(f"exhaust_handles__{function}", check, within_s=10, repeats=2, most=4_000_000_000)


async def test_a_terabyte_of_random_bytes_is_an_error(stage: Stage) -> None:
    """RES-08."""
    await stage.load("exhaust_random", policy(limits="memory: 64Mi, cpu_time: 2s"))
    endings = ended(Ending.TRAPPED, Ending.LIMIT, Ending.CRASHED)
    await stage.contained("exhaust_random__once", endings, within_s=4, repeats=4, bytes=str(1 << 40))


async def test_a_flood_of_output_is_drained_and_cut(stage: Stage) -> None:
    """RES-09: the guest is not stalled, and no more is kept than the limit says."""

    def check(result: CallResult) -> None:
        assert int(value(result)) == 2 * (8 << 20) // 4096
        for text in (result.outcome.stdout, result.outcome.stderr):
            assert 1000 < len(text) <= (64 << 10) + 200
            assert text != "x" * len(text), "nothing says that it was cut"

    await stage.load("exhaust_stdio", policy(limits="stdio: 64Ki"))
    await stage.contained("exhaust_stdio__flood", check, repeats=6, bytes=str(8 << 20))


async def test_writes_of_nothing_and_no_flush_do_no_harm(stage: Stage) -> None:
    """RES-09."""
    await stage.load("exhaust_stdio", policy(limits="stdio: 64Ki, cpu_time: 5s"))
    assert int(value(await stage.call("exhaust_stdio__write-nothing", times=20_000))) == 20_000

    def check(result: CallResult) -> None:
        assert result.outcome.stdout in {"left behind", ""}

    await stage.contained("exhaust_stdio__leave-unflushed", check)


async def test_a_sleeping_call_is_killed_at_its_deadline(stage: Stage) -> None:
    """RES-12: no instruction of the guest runs meanwhile; its place is free again."""
    await stage.load("exhaust_sleep", policy(limits="wall_time: 500ms, concurrency: 1"))
    await stage.contained("exhaust_sleep__sleep", limited("wall_time"), within_s=0.9, repeats=6, milliseconds="60000")
    assert int(value(await stage.call("exhaust_sleep__sleep", milliseconds="1"))) >= 1


async def test_standard_input_is_empty_and_blocks_nobody(stage: Stage) -> None:
    """RES-12: it is not the server's, which carries the protocol."""

    def check(result: CallResult) -> None:
        assert int(value(result)) == 0

    await stage.load("exhaust_sleep")
    await stage.contained("exhaust_sleep__read-stdin", check)


@pytest.mark.parametrize(("function", "size"), [("text", 8 << 20), ("bytes", 1 << 20), ("items", 1 << 17)])
async def test_a_result_ends_at_its_limit(stage: Stage, function: str, size: int) -> None:
    """A result is counted while it is read, in its JSON form."""
    await stage.load("exhaust_output", policy(limits="output: 64Ki, memory: 128Mi"))
    arguments = {"count" if function == "items" else "bytes": size}
    await stage.contained(f"exhaust_output__{function}", limited("output"), repeats=6, **arguments)


@pytest.mark.parametrize(("function", "size"), [("text", 100 << 20), ("bytes", 64 << 20), ("items", 8 << 20)])
async def test_an_absurd_result_ends_before_it_is_copied(stage: Stage, function: str, size: int) -> None:
    """The engine bounds what it lifts out of a guest; the call ends, and the worker does not grow without end."""
    await stage.load("exhaust_output", policy(limits="output: 64Ki, memory: 128Mi"))
    arguments = {"count" if function == "items" else "bytes": size}
    await stage.contained(f"exhaust_output__{function}", ended(Ending.LIMIT, Ending.TRAPPED), repeats=4, **arguments)


async def timeouts(folder: Path, count: int) -> None:
    """That many deadlines in a row leave no process and no descriptor behind."""
    async with staged(folder) as stage:
        await stage.load("exhaust_sleep", policy(limits="wall_time: 20ms"))
        for _ in range(10):
            await stage.call("exhaust_sleep__sleep", milliseconds="60000")
        await stage.settled()
        before = stage.traces()
        for _ in range(count):
            await stage.call("exhaust_sleep__sleep", milliseconds="60000")
        await stage.settled()
        after = stage.traces()
        states = [Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] for pid in children(os.getpid())]
    assert "Z" not in states
    assert after.descriptors <= before.descriptors
    assert after.processes <= before.processes
    assert after.memory < before.memory + (24 << 20)


async def test_timeouts_in_a_row_leave_nothing(tmp_path: Path) -> None:
    """RES-16."""
    await timeouts(tmp_path, 40)


@pytest.mark.soak
async def test_a_thousand_timeouts_leave_nothing(tmp_path: Path) -> None:
    """RES-16."""
    await timeouts(tmp_path, 1000)


async def test_no_two_workers_draw_the_same(tmp_path: Path) -> None:
    """RND-01: bytes and seed differ between workers of one parent, and before and after a respawn."""
    drawn = []
    async with staged(tmp_path) as stage:
        await stage.load("exhaust_random", policy(limits="concurrency: 4, cpu_time: 200ms"))
        drawn += await asyncio.gather(*(stage.call("exhaust_random__sample") for _ in range(8)))
        await stage.call("exhaust_random__loop")
        drawn += [await stage.call("exhaust_random__sample") for _ in range(2)]
    samples = [value(result) for result in drawn]
    assert len({str(sample[0]) for sample in samples}) == len(samples)
    assert len({str(sample[1:]) for sample in samples}) == len(samples)
