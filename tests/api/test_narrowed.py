"""A revoke of hosts alone resets a call's connections, and leaves the call running without them."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import CallResult, Sandbox
from sandbox.host.outcome import Ending
from tests.api.conftest import policy, recorded, until
from tests.host.gateway import upstream
from tests.support.guests import guest

pytestmark = pytest.mark.asyncio(loop_scope="package")


class Stalling:
    """A server that begins an answer and then waits to be told to go on."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.requests = 0
        self.cut = threading.Event()
        self.server = upstream.start(self._answer)

    def _answer(self, sock: socket.socket) -> None:
        upstream.read_head(sock)
        self.requests += 1
        sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
        self.asked.release()
        sock.settimeout(10)
        try:
            if not sock.recv(1):
                self.cut.set()
        except OSError:
            self.cut.set()

    @property
    def where(self) -> dict[str, Any]:
        return {"cidr": "127.0.0.1/32", "ports": [self.server.port], "protocols": ["http"]}


@pytest.fixture
def stalling() -> Iterator[Stalling]:
    server = Stalling()
    yield server
    server.server.close()


def asking(sandbox: Sandbox, server: Stalling) -> asyncio.Task[CallResult]:
    request = {"method": "GET", "scheme": "http", "authority": f"127.0.0.1:{server.server.port}", "path": "/", "headers": []}
    return asyncio.create_task(sandbox.call("escape_network__request", {**request, "body": ""}))


async def test_a_revoke_of_hosts_alone_cuts_the_connection_and_the_call_goes_on(
    sandbox: Sandbox, home: Path, stalling: Stalling
) -> None:
    await sandbox.load(guest("escape_network"))
    grant = await sandbox.grant_network_permission("escape_network", **stalling.where)
    call = asking(sandbox, stalling)
    await until(lambda: stalling.asked.acquire(blocking=False))
    receipt = await sandbox.revoke(grant.id)
    result = await call
    assert result.outcome.ok, "it was not killed"
    assert result.outcome.value["complete"] is False
    assert stalling.cut.wait(5), "the other end has seen it too"
    (reset,) = receipt.stopped
    assert (reset.connections_only, reset.tool) == (True, "escape_network__request")
    assert reset.ms < 2_000
    assert recorded(home, "worker_killed") == []
    (revoked,) = recorded(home, "permission_revoked")
    assert revoked["detail"]["receipt"]["stopped"][0]["connections_only"] is True
    again = await asking(sandbox, stalling)
    assert again.body is not None
    assert again.body["code"] == "network_access_denied"
    assert stalling.requests == 1


async def test_what_a_call_asks_for_after_the_revoke_is_refused(sandbox: Sandbox, stalling: Stalling) -> None:
    await sandbox.load(guest("escape_network"))
    grant = await sandbox.grant_network_permission("escape_network", **stalling.where)
    where = {"authority": f"127.0.0.1:{stalling.server.port}", "times": 4}
    call = asyncio.create_task(sandbox.call("escape_network__one-after-the-other", where))
    await until(lambda: stalling.asked.acquire(blocking=False))
    await sandbox.revoke(grant.id)
    result = await call
    assert result.outcome.ok
    assert len(result.outcome.value) == 4, "it went on to its end"
    assert {denial.code.value for denial in result.outcome.denials} == {"network_access_denied"}
    assert len(result.outcome.denials) >= 3
    assert stalling.requests == 1, "nothing has left"


async def test_a_narrowed_worker_runs_no_other_call(sandbox: Sandbox, stalling: Stalling, tmp_path: Path) -> None:
    """A deny came and went: the next call has the template of the first, and must not get the worker whose rules are narrower."""
    ports = f"{{cidr: 127.0.0.1/32, ports: [{stalling.server.port}], protocols: [http]}}"
    await sandbox.load(guest("escape_network"), policy=policy(tmp_path, f"{{network: {{allow: [{ports}]}}}}"))
    call = asking(sandbox, stalling)
    await until(lambda: stalling.asked.acquire(blocking=False))
    deny = await sandbox.grant_network_permission("escape_network", cidr="127.0.0.1/32", effect="deny")
    assert (await call).outcome.ok
    await sandbox.revoke(deny.id)
    call = asking(sandbox, stalling)
    await until(lambda: stalling.asked.acquire(blocking=False))
    assert stalling.requests == 2
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


async def test_a_host_that_stays_allowed_is_asked_again_after_the_cut(
    sandbox: Sandbox, stalling: Stalling, tmp_path: Path
) -> None:
    other = Stalling()
    ports = f"{{cidr: 127.0.0.1/32, ports: [{other.server.port}], protocols: [http]}}"
    await sandbox.load(guest("escape_network"), policy=policy(tmp_path, f"{{network: {{allow: [{ports}]}}}}"))
    grant = await sandbox.grant_network_permission("escape_network", **stalling.where)
    call = asking(sandbox, stalling)
    await until(lambda: stalling.asked.acquire(blocking=False))
    await sandbox.revoke(grant.id)
    assert (await call).outcome.ok
    call = asking(sandbox, other)
    await until(lambda: other.asked.acquire(blocking=False))
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    other.server.close()


async def test_a_revoke_of_a_file_beside_a_host_stops_the_call(sandbox: Sandbox, stalling: Stalling, folder: Path) -> None:
    await sandbox.load(guest("escape_network"))
    await sandbox.grant_network_permission("escape_network", **stalling.where)
    grant = await sandbox.grant_storage_permission("escape_network", f"fs://{folder}/**", ["read"])
    call = asking(sandbox, stalling)
    await until(lambda: stalling.asked.acquire(blocking=False))
    (stopped,) = (await sandbox.revoke(grant.id)).stopped
    assert not stopped.connections_only
    assert (await call).outcome.ending is Ending.REVOKED


async def test_where_the_gateway_does_not_say_that_it_is_so_the_call_is_stopped(sandbox: Sandbox, stalling: Stalling) -> None:
    await sandbox.load(guest("escape_network"))
    grant = await sandbox.grant_network_permission("escape_network", **stalling.where)
    call = asking(sandbox, stalling)
    await until(lambda: stalling.asked.acquire(blocking=False))
    assert sandbox._host is not None
    sandbox._host._outward._attached.clear()
    (stopped,) = (await sandbox.revoke(grant.id)).stopped
    assert not stopped.connections_only
    assert (await call).outcome.ending is Ending.REVOKED
