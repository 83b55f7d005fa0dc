"""Each limit ends what exceeds it, says its name, its value and its policy line, and leaves the host as it was."""

from __future__ import annotations

import pytest

from sandbox.host.outcome import Ending, Outcome
from tests.host.processes.driver import LINE, Caller, limits

MIB = 1 << 20


def ended_by(outcome: Outcome, limit: str, value: str) -> None:
    """The outcome is that limit, with its value and line."""
    assert (outcome.ending, outcome.limit) == (Ending.LIMIT, limit)
    assert value in outcome.message
    assert LINE in outcome.message
    assert "\n" not in outcome.message


async def lives(call: Caller) -> None:
    """Another tenant's call succeeds."""
    assert (await call("traps", "fine", number=7)).value == 7


async def test_a_loop_without_end_is_ended_by_cpu_time(call: Caller) -> None:
    """RES-05: `loop br 0`."""
    outcome = await call("exhaust_cpu", "spin", limits=limits(cpu_time_ms=200))
    ended_by(outcome, "cpu_time", "`cpu_time` of 200ms was reached")
    assert 150 <= outcome.usage.cpu_ms < 1_000
    await lives(call)


async def test_one_long_instruction_is_ended_by_cpu_time(call: Caller) -> None:
    """RES-05: a bulk fill has no place where the engine would look at a deadline."""
    ended_by(await call("exhaust_fill", "fill", limits=limits(cpu_time_ms=200), bytes=32 * MIB), "cpu_time", "200ms")
    await lives(call)


async def test_cpu_spent_in_the_host_counts(call: Caller) -> None:
    """RES-08, RES-13: random bytes are made by the host, 64 MiB at a time."""
    ended_by(await call("exhaust_random", "loop", limits=limits(cpu_time_ms=300)), "cpu_time", "300ms")


async def test_a_sleeping_guest_is_ended_by_wall_time(call: Caller) -> None:
    """RES-12: it uses no CPU, and no epoch reaches it."""
    outcome = await call("exhaust_sleep", "sleep", limits=limits(wall_time_ms=1_000), milliseconds=60_000)
    ended_by(outcome, "wall_time", "`wall_time` of 1s was reached")
    assert 1_000 <= outcome.usage.wall_ms < 2_500
    await lives(call)


async def test_a_start_function_that_loops_is_ended_too(call: Caller) -> None:
    """WASM-09: loading runs nothing; calling runs it under the call's limits."""
    ended_by(await call("start_loops", "fine", limits=limits(cpu_time_ms=200)), "cpu_time", "200ms")


async def test_memory_does_not_grow_beyond_its_limit(call: Caller) -> None:
    """RES-01: growing fails in the guest, which goes on."""
    outcome = await call("exhaust_memory", "grow", limits=limits(memory_bytes=16 * MIB))
    assert outcome.ending is Ending.RETURNED
    assert 14 * MIB < int(outcome.value) <= 16 * MIB
    assert 14 * MIB < outcome.usage.peak_memory_bytes < 18 * MIB
    assert (await call("exhaust_memory", "grow-once", limits=limits(memory_bytes=16 * MIB), bytes=1 << 30)).value == 0


async def test_many_memories_are_held_together(call: Caller) -> None:
    """RES-04: twelve memories of 256 MiB each would be 3 GiB; the worker's own limit holds the sum."""
    outcome = await call("exhaust_memories", "grow", limits=limits(memory_bytes=256 * MIB, cpu_time_ms=60_000))
    assert outcome.ending is Ending.RETURNED
    assert outcome.usage.peak_memory_bytes < 256 * MIB + 128 * MIB
    await lives(call)


async def test_a_component_that_needs_more_memory_to_start_says_so(call: Caller) -> None:
    """Its memory has a minimum above the limit."""
    component = b'(component (core module $m (memory 32) (func (export "f"))) (core instance $i (instantiate $m))'
    component += b' (func (export "f") (canon lift (core func $i "f"))))'
    ended_by(await call(assembled(component), "f", limits=limits(memory_bytes=MIB)), "memory", "`memory` of 1Mi")


async def test_a_trap_with_memory_nearly_used_up_names_the_limit(call: Caller) -> None:
    """A guest's failed growth is not reported, so what is known is said: nearly used up."""
    core = b"(loop $m (br_if $m (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable"
    component = b'(component (core module $m (memory 1) (func (export "f") ' + core + b")) (core instance $i (instantiate $m))"
    component += b' (func (export "f") (canon lift (core func $i "f"))))'
    outcome = await call(assembled(component), "f", limits=limits(memory_bytes=8 * MIB))
    ended_by(outcome, "memory", "the memory limit of 8Mi was nearly used up")
    assert "`unreachable` was executed" in outcome.message


async def test_tables_are_bounded(call: Caller) -> None:
    """RES-03: a table bomb, and a thousand tables."""
    assert (await call("exhaust_table", "grow-once", elements=10**9)).value == -1
    many = await call("exhaust_tables", "count")
    assert many.ending is Ending.LIMIT
    assert "more instances, tables or memories" in many.message
    await lives(call)


async def test_handles_are_bounded(call: Caller) -> None:
    """RES-07."""
    outcome = await call("exhaust_handles", "pollables", most=10_000_000)
    assert (outcome.ending, outcome.message) == (Ending.TRAPPED, "the tool trapped: it holds too many handles")
    await lives(call)


@pytest.mark.parametrize(("function", "argument"), [("text", "bytes"), ("bytes", "bytes"), ("items", "count")])
@pytest.mark.parametrize("amount", [1 << 17, 1 << 21, 1 << 22])
async def test_a_result_that_is_too_large_is_the_output_limit(call: Caller, function: str, argument: str, amount: int) -> None:
    """Also where the engine itself gets no memory to take it out of the guest."""
    outcome = await call("exhaust_output", function, limits=limits(output_bytes=1 << 16), **{argument: amount})
    ended_by(outcome, "output", "`output` of 64Ki was reached")
    await lives(call)


async def test_a_result_within_its_limit_arrives_whole(call: Caller) -> None:
    """Raw bytes just below the limit, which the engine takes 64 times as much memory for."""
    outcome = await call("exhaust_output", "bytes", limits=limits(memory_bytes=8 * MIB, output_bytes=MIB), bytes=780_000)
    assert outcome.ending is Ending.RETURNED
    assert len(outcome.value) == 1_040_000


async def test_fuel_is_counted_and_ends_a_call(call: Caller) -> None:
    """The variant of the engine that counts is used only for who asks for it."""
    frugal = await call("exhaust_cpu", "work", limits=limits(fuel=1_000_000), rounds=1_000)
    assert frugal.usage.fuel is not None
    assert 1_000 < frugal.usage.fuel < 1_000_000
    ended_by(await call("exhaust_cpu", "work", limits=limits(fuel=10_000), rounds=10**9), "fuel", "`fuel` of 10000 was reached")
    assert (await call("exhaust_cpu", "work", rounds=10)).usage.fuel is None


async def test_output_streams_are_cut_with_a_marker_and_never_stall_the_guest(call: Caller) -> None:
    """RES-09: 32 MB to each; the guest's writes all succeed."""
    outcome = await call("exhaust_stdio", "flood", limits=limits(stdio_bytes=4096), bytes=32 * MIB)
    assert outcome.ending is Ending.RETURNED
    for text in (outcome.stdout, outcome.stderr):
        assert text.startswith("x" * 4096)
        assert text.endswith(f"… [{32 * MIB - 4096} bytes cut]")
    assert (await call("exhaust_stdio", "write-nothing", times=100_000)).ending is Ending.RETURNED
    assert (await call("exhaust_stdio", "leave-unflushed")).stdout == "left behind"


async def test_more_random_bytes_than_there_are_is_a_trap(call: Caller) -> None:
    """RES-08: 2^40 bytes at once."""
    outcome = await call("exhaust_random", "once", bytes=1 << 40)
    assert (outcome.ending, outcome.message) == (
        Ending.TRAPPED,
        "the tool trapped: it asked for more at once than the host gives",
    )


def assembled(text: bytes) -> bytes:
    """A component from its text; only a test may."""
    from wasmtime import wat2wasm

    return bytes(wat2wasm(text))
