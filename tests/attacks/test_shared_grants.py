"""Ways to a permission that nobody gave, where grants are kept on a Redis server that others may write to."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.api import Sandbox
from sandbox.errors import HostUnavailable
from sandbox.host.outcome import Ending
from sandbox.state.redis.tables import META, PREFIX
from tests.attacks.stage import NEIGHBOUR, Stage, policy, staged, value
from tests.support.redis_server import RedisServer, redis_server

SLEEP = "exhaust_sleep__sleep"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest_asyncio.fixture
async def own(tmp_path: Path, redis: RedisServer) -> AsyncIterator[Stage]:
    redis.empty()
    async with staged(tmp_path, state=redis.url) as stage:
        yield stage


def edit(redis: RedisServer, table: str, old: str, new: str) -> None:
    """Write over the rows of a table, and have every server look."""
    with redis.client() as client:
        rows = client.hgetall(f"{PREFIX}:rows:{table}")
        assert any(old in text.decode() for text in rows.values())
        for number, text in rows.items():
            client.hset(f"{PREFIX}:rows:{table}", number, text.decode().replace(old, new))
        client.delete(f"{PREFIX}:log")
        client.hincrby(META, "head", 1)
        client.hset(META, "floor", client.hget(META, "head"))
        client.publish(f"{PREFIX}:changed", "")


async def test_an_edited_store_takes_everything_away_within_a_second(own: Stage, redis: RedisServer, tmp_path: Path) -> None:
    """GRT-04: running calls too; the record says so; a person starts anew."""
    (tmp_path / "d").mkdir()
    await own.load("exhaust_sleep", policy(limits="wall_time: 20s"))
    await own.sandbox.grant_storage_permission("exhaust_sleep", f"fs://{tmp_path}/d/**", ["read"], max_uses=100)
    call = asyncio.create_task(own.sandbox.call(SLEEP, {"milliseconds": "15000"}))
    await own.running()
    edit(redis, "grants", ", 100, ", ", 900, ")
    began = time.monotonic()
    assert (await call).outcome.ending is Ending.REVOKED
    assert time.monotonic() - began < 8
    with pytest.raises(HostUnavailable, match="changed by something else"):
        await own.sandbox.grant_storage_permission("exhaust_sleep", f"fs://{tmp_path}/d/**", ["read"])
    with pytest.raises(HostUnavailable, match="changed by something else"):
        own.sandbox.grants()
    assert value(await own.sandbox.call(NEIGHBOUR, {"number": 7})) == 7, "what was granted nothing goes on"
    assert {one["severity"] for one in own.records() if one["event"] == "security_alert"} == {"critical"}
    _, forgotten = await own.sandbox.reset_everything()
    assert forgotten == ("grants",)
    await own.sandbox.grant_storage_permission("exhaust_sleep", f"fs://{tmp_path}/d/**", ["read"])


async def test_a_store_put_back_from_a_copy_brings_no_grant_back(own: Stage, redis: RedisServer, tmp_path: Path) -> None:
    """GRT-04: the grant was revoked; a copy of the server's data that still has it is noticed as one."""
    await own.load("exhaust_sleep", policy())
    grant = await own.sandbox.grant_storage_permission("exhaust_sleep", f"fs://{tmp_path}/d/**", ["read"])
    with redis.client() as client:
        copy = {key: client.dump(key) for key in client.keys("*")}
        await own.sandbox.revoke(grant.id)
        client.flushall()
        for key, kept in copy.items():
            client.restore(key, 0, kept)
    with pytest.raises(HostUnavailable, match="an old copy"):
        own.sandbox.grants()
    await own.sandbox.close()
    async with Sandbox(own.home, state=redis.url) as later:
        with pytest.raises(HostUnavailable, match="an old copy"):
            later.grants()


async def test_a_clock_that_is_set_back_revives_no_grant(own: Stage, redis: RedisServer, tmp_path: Path) -> None:
    """GRT-04: on the wall, and in the store; time goes on from the latest moment that this home has seen."""
    await own.load("exhaust_sleep", policy())
    await own.sandbox.grant_storage_permission("exhaust_sleep", f"fs://{tmp_path}/d/**", ["read"], expires_in=3600)
    own.sandbox._store.advance(time.time() + 7200)
    await own.sandbox.close()
    with redis.client() as client:
        for number, text in client.hgetall(f"{PREFIX}:rows:numbers").items():
            if json.loads(text)[0] == "latest":
                client.hset(f"{PREFIX}:rows:numbers", number, '["latest", 0.0]')
    async with Sandbox(own.home, state=redis.url) as later:
        assert later.grants() == ()
    assert [one["severity"] for one in own.records() if one["event"] == "security_alert"] == ["critical"]


async def test_another_host_whose_clock_is_behind_revives_no_grant(own: Stage, redis: RedisServer, tmp_path: Path) -> None:
    """ADM-05: a second home on the same server goes on from the latest moment that any of them reached."""
    await own.load("exhaust_sleep", policy())
    await own.sandbox.grant_storage_permission("exhaust_sleep", f"fs://{tmp_path}/d/**", ["read"], expires_in=3600)
    own.sandbox._store.advance(time.time() + 7200)
    async with Sandbox(tmp_path / "other", state=redis.url) as other:
        assert other.grants() == ()
