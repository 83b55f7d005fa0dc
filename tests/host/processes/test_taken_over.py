"""A worker that native code has taken over says whatever it likes: the server keeps little of it, and ends it."""

from __future__ import annotations

import asyncio
import json
import math
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from sandbox.errors import Code
from sandbox.host import wire
from sandbox.host.ending import outcome_of
from sandbox.host.outcome import Ending
from sandbox.host.process import Ended, Worker, wires
from sandbox.template.template import Limits


@dataclass
class Taken:
    """The server's end of a worker, and the attacker's end of its socket and pipes. There is no process to be killed."""

    worker: Worker
    control: socket.socket
    pipes: tuple[int, ...]
    deaths: list[Worker] = field(default_factory=list)

    def says(self, message: dict[str, Any]) -> None:
        self.control.sendall(wire.encode_text(json.dumps(message)))


@pytest.fixture
async def taken() -> AsyncIterator[Taken]:
    """A worker in the middle of a call."""
    ours, theirs = wires()
    deaths: list[Worker] = []
    worker = Worker(1, ours, deaths.append)
    yield Taken(worker, socket.socket(fileno=theirs[0]), theirs[1:], deaths)
    if not worker.dead.done():
        worker.exited(None, None)
    for fd in theirs[1:]:
        os.close(fd)


def begin(taken: Taken) -> asyncio.Future[Ended]:
    return taken.worker.begin(b"", wall_ms=60_000, stdio_bytes=100, output_bytes=1 << 20)


DONE = {"ending": "returned", "message": "", "limit": None, "last": True, "preparing": False, "life_cpu_ms": 1.0}


async def test_denials_of_any_length_are_told_and_not_kept(taken: Taken) -> None:
    """A hundred megabytes of them would outlive the call, in the store and the record."""
    call = begin(taken)
    body = {"code": "network_access_denied", "target": {"host": "x" * (1 << 20)}, "reason": "", "origin": None, "private": {}}
    taken.control.setblocking(True)
    for _ in range(5):
        await asyncio.to_thread(taken.says, {"denial": body})
    await asyncio.to_thread(taken.says, {"done": {**DONE, "usage": {}}, "value": None})
    ended = await asyncio.wait_for(call, 5)
    assert ended.denials == [None] * 5
    assert [denial.code for denial in outcome_of(ended, Limits()).denials] == [Code.CRASHED] * 5
    taken.control.close()


@pytest.mark.parametrize(
    "message",
    [
        {"done": {**DONE, "life_cpu_ms": "soon"}},
        {"done": {"ending": "returned"}},
        {"ready": {}, "cpu_ms": None},
        {"ready": {}},
    ],
)
async def test_what_no_worker_says_is_no_error_of_the_server(taken: Taken, message: dict[str, Any]) -> None:
    """The event loop hears of nothing; the worker is ended like one that went away."""
    begin(taken)
    failures: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))
    taken.says(message)
    await asyncio.sleep(0.05)
    assert failures == []
    taken.control.close()


@pytest.mark.parametrize("number", [math.nan, math.inf, 1e300, "many", [], -(10**30), True, None])
async def test_numbers_that_no_record_could_hold_count_as_none(number: Any) -> None:
    """An outcome is recorded whatever a worker says that it used."""
    names = ("cpu_ms", "peak_memory_bytes", "output_bytes", "requests", "fuel", "denials")
    outcome = outcome_of(Ended(done={**DONE, "usage": dict.fromkeys(names, number)}), Limits())
    assert outcome.ending is Ending.RETURNED
    assert all(value is None or 0 <= value <= 1 for value in (getattr(outcome.usage, name) for name in names))


async def test_descriptors_that_nobody_asked_for_end_the_worker(taken: Taken) -> None:
    """They would fill the server's own table, and nothing could be opened any more."""
    begin(taken)
    before = len(os.listdir("/proc/self/fd"))
    taken.control.sendall(wire.HEADER.pack(1 << 20))
    for _ in range(100):
        try:
            socket.send_fds(taken.control, [b"x"], [taken.control.fileno()] * wire.MAX_DESCRIPTORS)
        except OSError:
            break
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    assert len(os.listdir("/proc/self/fd")) <= before + wire.MAX_DESCRIPTORS
    assert not taken.worker.alive
    taken.control.close()


async def test_output_between_two_calls_belongs_to_neither(taken: Taken) -> None:
    """What lies in the pipe when a call begins was not written by it."""
    stdout = taken.pipes[1]
    os.write(stdout, b"late words of the call before")
    call = begin(taken)
    os.write(stdout, b"its own")
    taken.says({"done": {**DONE, "usage": {}}, "value": None})
    assert (await asyncio.wait_for(call, 5)).stdout == "its own"
    taken.control.close()
