"""Who waits for a worker gets one, whatever became of the others; a worker without a way out runs no further call."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from typing import Any

import pytest

from sandbox.host.outcome import Outcome
from sandbox.template.template import Effect, NetworkRule, WasiTemplate
from tests.host.gateway import upstream
from tests.host.processes.driver import Caller, limits, processes
from tests.support.guests import guest as path


async def test_who_waits_is_told_when_a_worker_in_the_making_is_given_up(start: Any) -> None:
    """The caller went away while the zygote of the fuel variant was still starting: its room is free again."""
    call = await start(max_workers=1, spares=0)
    counted = limits(fuel=10_000_000)
    await call("traps", "fine", number=1)
    first = asyncio.create_task(call("traps", "fine", limits=counted, number=2))
    async with asyncio.timeout(10):
        while len(processes("sandbox.host.zygote")) < 2:
            await asyncio.sleep(0.005)
    second = asyncio.create_task(call("traps", "fine", limits=counted, number=3))
    async with asyncio.timeout(10):
        while not call.host.metrics()["waiting"]:
            await asyncio.sleep(0.005)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    async with asyncio.timeout(20):
        assert (await second).value == 3


async def test_the_component_that_was_called_longest_ago_gives_way(start: Any) -> None:
    """Two may be held: the third takes the place of the one that was idle longest, and not of the one that was made first."""
    call = await start(max_workers=2, spares=0)
    for guest, function, arguments in (
        ("traps", "fine", {"number": 1}),
        ("escape_environment", "look", {}),
        ("traps", "fine", {"number": 2}),
        ("prints", "print", {"text": "x"}),
    ):
        assert (await call(guest, function, **arguments)).ok
    held = {key.template.component for key in call.host._pool._idle.values()}
    loaded = {name: (await call.host.load(path(name))).digest for name in ("traps", "escape_environment", "prints")}
    assert held == {loaded["traps"], loaded["prints"]}


async def test_a_worker_that_outlived_its_gateway_runs_no_further_call(call: Caller) -> None:
    """The gateway dies while a request is on the way: that request fails, the next call has a way out again."""
    go_on, asked = threading.Event(), threading.Event()

    def answer(sock: socket.socket) -> None:
        if b"/slow" in upstream.read_head(sock):
            asked.set()
            go_on.wait(10)
        sock.sendall(upstream.answer(b"hello"))

    server = upstream.start(answer)
    try:
        slow = asyncio.create_task(request(call, server.port, "/slow"))
        await asyncio.to_thread(asked.wait, 10)
        (gateway,) = processes("sandbox.host.gateway")
        os.kill(gateway, signal.SIGKILL)
        assert (await slow).value == "answer: HTTP-protocol-error"
        assert (await request(call, server.port, "/")).value["body"] == "hello"
    finally:
        go_on.set()
        server.close()


async def request(call: Caller, port: int, path: str) -> Outcome:
    """A request to this machine, which a rule names."""
    rule = NetworkRule(Effect.ALLOW, None, "127.0.0.1/32", ((port, port),), ("http",), None, None, "policy.yaml:1:1")
    parts: dict[str, Any] = {
        "method": "GET",
        "scheme": "http",
        "authority": f"127.0.0.1:{port}",
        "path": path,
        "headers": [],
        "body": "",
    }
    return await call("escape_network", "request", template=WasiTemplate(network=(rule,)), **parts)
