"""The parts that decide something without any process: frames, turns, the breaker, endings."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from typing import Any

import pytest

from sandbox.errors import Code
from sandbox.host import wire
from sandbox.host.breaker import Breaker
from sandbox.host.channel import Channel
from sandbox.host.ending import outcome_of
from sandbox.host.outcome import Ending
from sandbox.host.output import Output
from sandbox.host.process import Ended, Worker, wires
from sandbox.host.turns import QueueFull, Turns
from sandbox.template.template import Limits
from sandbox.wit.types import Digest

ONE = Digest("1" * 64)


def channel(sock: socket.socket, limit: int = 1000) -> tuple[Channel, list[dict[str, Any]], asyncio.Event]:
    frames: list[dict[str, Any]] = []
    closed = asyncio.Event()

    def keep(message: dict[str, Any], descriptors: list[int]) -> None:
        frames.append({**message, "got": len(descriptors)})
        for fd in descriptors:
            os.close(fd)

    return Channel(sock, keep, closed.set, limit=limit), frames, closed


@pytest.mark.parametrize(
    "data",
    [
        wire.HEADER.pack(1001) + b"x" * 1001,
        wire.HEADER.pack(0xFFFFFFFF),
        wire.HEADER.pack(4) + b"nope",
        wire.HEADER.pack(2) + b"[]",
        wire.encode({"deep": 1})[:-1] + b"]",
        wire.encode({"fds": 3}),
        wire.encode({"fds": -1}),
        wire.HEADER.pack(900) + b"[" * 900,
    ],
)
async def test_a_peer_that_breaks_the_framing_is_closed(data: bytes) -> None:
    """Over the limit, no JSON, no object, descriptors that did not come."""
    ours, theirs = socket.socketpair()
    with theirs:
        opened, frames, closed = channel(ours)
        theirs.sendall(data)
        async with asyncio.timeout(5):
            await closed.wait()
        assert frames == []
        assert opened.closed


async def test_frames_arrive_whole_in_order_and_with_their_own_descriptors() -> None:
    """However the bytes are cut; one read may bring the next frame's descriptors."""
    ours, theirs = socket.socketpair()
    with theirs:
        opened, frames, _ = channel(ours)
        for byte in wire.encode({"n": 1}):
            theirs.send(bytes([byte]))
        theirs.send(wire.encode({"n": 2}))
        wire.send(theirs, wire.encode({"n": 3, "fds": 2}), (0, 1))
        theirs.send(wire.encode({"n": 4}))
        async with asyncio.timeout(5):
            while len(frames) < 4:
                await asyncio.sleep(0)
        assert [(frame["n"], frame["got"]) for frame in frames] == [(1, 0), (2, 0), (3, 2), (4, 0)]
        opened.close()


async def test_what_does_not_fit_is_sent_later_with_its_descriptors() -> None:
    """The sender may close its own at once."""
    ours, theirs = socket.socketpair()
    opened, _, _ = channel(ours)
    opened.send({"text": "x" * 3_000_000})
    reading, writing = os.pipe()
    opened.send({"pipe": True}, (writing,))
    os.close(writing)
    first = await asyncio.to_thread(wire.receive, theirs, 4_000_000)
    second = await asyncio.to_thread(wire.receive, theirs)
    assert first is not None
    assert second is not None
    assert len(first[0]["text"]) == 3_000_000
    (received,) = second[1]
    os.write(received, b"through")
    assert os.read(reading, 10) == b"through"
    for fd in (received, reading):
        os.close(fd)
    opened.close()
    theirs.close()


async def test_turns_are_first_come_first_served_and_the_queue_is_bounded() -> None:
    turns = Turns(longest=2)
    order: list[int] = []
    gate = asyncio.Event()

    async def one(number: int) -> None:
        async with turns.turn("key", 1):
            order.append(number)
            await gate.wait()

    tasks = [asyncio.create_task(one(number)) for number in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFull):
        await one(9)
    tasks[1].cancel()
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [0, 2]
    assert turns.waiting == 0
    async with asyncio.timeout(1):
        await one(5)


async def test_a_waiting_call_is_cancelled_at_the_very_moment_of_its_turn() -> None:
    """Its turn is handed on before it hears that it is cancelled: it ends as cancelled, and the next one goes on."""
    turns = Turns(longest=9)
    order: list[int] = []
    gates = {number: asyncio.Event() for number in range(4)}

    async def one(number: int) -> None:
        async with turns.turn("key", 1):
            order.append(number)
            await gates[number].wait()

    tasks = [asyncio.create_task(one(number)) for number in range(4)]
    await asyncio.sleep(0)
    gates[0].set()
    tasks[1].cancel()
    for gate in gates.values():
        gate.set()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [type(None), asyncio.CancelledError, type(None), type(None)]
    assert order == [0, 2, 3]


async def test_a_worker_that_is_not_needed_any_more_before_its_fork_is_heard_of_is_killed() -> None:
    """On a busy machine it may even have served a call by then: nobody else would end it."""
    with subprocess.Popen(["sleep", "60"]) as process:
        ours, theirs = wires()
        worker = Worker(1, ours, lambda _: None)
        worker.kill_quietly()
        assert not worker.alive
        worker.spawned(os.pidfd_open(process.pid))
        assert await asyncio.to_thread(process.wait, 20) == -signal.SIGKILL
        worker.exited(-signal.SIGKILL, 0.0)
        await asyncio.wait_for(worker.dead, 20)
        for fd in theirs:
            os.close(fd)


def test_the_breaker_opens_after_so_many_crashes_in_a_window() -> None:
    breaker = Breaker(crashes=3, window_s=60, pause_s=30)
    for at in (0, 100, 110):
        breaker.crashed(ONE, at)
    assert breaker.refused_for(ONE, 110) == 0, "the first was too long ago"
    breaker.crashed(ONE, 120)
    assert breaker.refused_for(ONE, 121) == 29
    assert breaker.refused_for(Digest("2" * 64), 121) == 0
    assert breaker.refused_for(ONE, 150) == 0
    breaker.crashed(ONE, 151)
    assert breaker.refused_for(ONE, 151) == 30, "one more crash within the window, and the pause begins again"


@pytest.mark.parametrize(
    ("ended", "ending", "limit"),
    [
        (Ended(status=-9), Ending.CRASHED, None),
        (Ended(status=None), Ending.CRASHED, None),
        (Ended(status=0), Ending.CRASHED, None),
        (Ended(status=-27), Ending.LIMIT, "cpu_time"),
        (Ended(status=-24), Ending.LIMIT, "cpu_time"),
        (Ended(status=-9, killed_for="wall_time"), Ending.LIMIT, "wall_time"),
        (Ended(status=-9, killed_for="revoked"), Ending.REVOKED, None),
        (Ended(status=-6, failed_allocation=1 << 30), Ending.LIMIT, "output"),
        (Ended(status=-6, failed_allocation=1 << 20), Ending.LIMIT, "memory"),
        (Ended(done={}), Ending.CRASHED, None),
        (Ended(done={"ending": "admitted", "message": "", "limit": None}), Ending.CRASHED, None),
    ],
)
def test_a_death_means_what_it_was_ordered_for_or_by_which_signal(ended: Ended, ending: Ending, limit: str | None) -> None:
    outcome = outcome_of(ended, Limits())
    assert (outcome.ending, outcome.limit) == (ending, limit)
    assert outcome.value is None


def test_a_denial_that_cannot_be_read_is_told_all_the_same() -> None:
    """A worker that was taken over may say anything."""
    outcome = outcome_of(Ended(denials=[{"code": "??"}, [], "no"], status=-9), Limits())  # type: ignore[list-item]
    assert [denial.code for denial in outcome.denials] == [Code.CRASHED] * 3


async def test_output_beyond_its_cap_is_drained_and_counted() -> None:
    reading, writing = os.pipe()
    output = Output(reading, asyncio.get_running_loop())
    os.write(writing, b"between two calls")
    output.end()
    output.begin(5)
    os.write(writing, "ä".encode() * 30_000)
    assert output.end() == "ää� … [59995 bytes cut]".replace(" …", "…")
    output.begin(5)
    assert output.end() == ""
    output.close()
    os.close(writing)
