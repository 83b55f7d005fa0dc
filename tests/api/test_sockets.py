"""A component in Rust speaks with a real Redis: every step denied until somebody grants it, each with the command that does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox import Sandbox
from tests.support.guests import guest
from tests.support.redis_server import RedisServer, redis_server

pytestmark = pytest.mark.asyncio(loop_scope="package")
TOOL = "rust_dials__converse"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A server on loopback."""
    with redis_server(options=(), tcp=True) as server:
        yield server


async def test_each_refusal_leads_to_the_next_grant(sandbox: Sandbox, redis: RedisServer) -> None:
    """The name, then the address that it leads to: what is private is not told to the guest, nor to the client."""
    await sandbox.load(guest("rust_dials"))
    asked: dict[str, Any] = {"name": "localhost", "port": redis.port, "lines": ["PING", "SET a 1", "INCR a"]}
    tcp: dict[str, Any] = {"ports": [redis.port], "protocols": ["tcp"]}
    first = await sandbox.call(TOOL, asked)
    assert first.outcome.value == "PermissionDenied: lookup: error 1"
    assert first.body is not None
    assert first.body["help"].startswith(
        "say which port `localhost` may be connected to: `sandbox permission grant rust_dials network"
    )
    await sandbox.grant_network_permission("rust_dials", "localhost", **tcp)
    second = await sandbox.call(TOOL, asked)
    assert second.body is not None
    assert second.body["help"] == "`localhost` leads to an address that is not public: the policy needs a `cidr` rule for it too"
    assert "127.0.0.1" not in str(second.body)
    assert second.outcome.denials[-1].private["address"] in ("127.0.0.1", "::1")
    for cidr in ("127.0.0.1/32", "::1/128"):
        await sandbox.grant_network_permission("rust_dials", cidr=cidr, **tcp)
    third = await sandbox.call(TOOL, asked)
    assert third.outcome.value == ["+PONG", "+OK", ":2"]
    assert (third.outcome.usage.requests, third.outcome.usage.denials) == (2, 0), "a lookup and a connection"


async def test_an_error_of_the_server_is_an_answer(sandbox: Sandbox, redis: RedisServer) -> None:
    await sandbox.load(guest("rust_dials"))
    await sandbox.grant_network_permission("rust_dials", cidr="127.0.0.1/32", ports=[redis.port], protocols=["tcp"])
    asked = {"name": "127.0.0.1", "port": redis.port, "lines": ["PING"] * 500 + ["NONSENSE"]}
    heard = (await sandbox.call(TOOL, asked)).outcome.value
    assert heard[:500] == ["+PONG"] * 500
    assert heard[500].startswith("-ERR unknown command")
