"""GRT-04 on a Redis server: what something else did to the store there is noticed, and then nothing in it is relied on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis as client_of

from sandbox.state import Assignment, Stop, Store
from sandbox.state.authentic import StoreChangedError
from sandbox.state.redis.tables import KEYS, META, PREFIX
from sandbox.state.schema import connect_memory
from tests.state.places import Place
from tests.state.test_authentic import COMPONENT
from tests.state.test_store import NOW, add, grant
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.parametrize("place", ["redis"], indirect=True)

Edit = Callable[[client_of.Redis], object]


def rows(table: str) -> str:
    return f"{PREFIX}:rows:{table}"


def with_column(table: str, column: str, change: Callable[[Any], Any]) -> Edit:
    """Another value in a column of every row of a table."""
    names = [row["name"] for row in connect_memory().execute(f"PRAGMA table_info({table})")]

    def edit(client: client_of.Redis) -> None:
        for number, text in client.hgetall(rows(table)).items():
            columns = json.loads(text)
            columns[names.index(column)] = change(columns[names.index(column)])
            client.hset(rows(table), number, json.dumps(columns))

    return edit


def one_more(client: client_of.Redis) -> None:
    columns = json.loads(client.hget(rows("grants"), "1") or "")
    client.hset(rows("grants"), "77", json.dumps(["g-3", *columns[1:]]))


def no_row(client: client_of.Redis) -> None:
    client.hset(rows("grants"), "78", "[1]")


def numbers(name: str, value: float) -> Edit:
    def edit(client: client_of.Redis) -> None:
        for number, text in client.hgetall(rows("numbers")).items():
            if json.loads(text)[0] == name:
                client.hset(rows("numbers"), number, json.dumps([name, value]))

    return edit


WAYS: dict[str, Edit] = {
    "a wider entry": with_column("grants", "entry", lambda _: '{"uri": "fs:///**", "access": ["read"]}'),
    "another component": with_column("grants", "component", lambda _: "other"),
    "no expiry": with_column("grants", "expires_at", lambda _: None),
    "a later expiry": with_column("grants", "expires_at", lambda at: at and at + 1_000),
    "more uses": with_column("grants", "max_uses", lambda most: most and 1_000),
    "a deny in place of an allow": with_column("grants", "effect", lambda _: "deny"),
    "a grant less": lambda client: client.hdel(rows("grants"), "2"),
    "no grants": lambda client: client.delete(rows("grants")),
    "a grant more": one_more,
    "a row that is none": no_row,
    "another policy": with_column("components", "policy_text", lambda _: 'version: "2.0"'),
    "another role": with_column("roles", "role", lambda _: "admin"),
    "no stop": lambda client: client.delete(rows("stops")),
    "no codes": lambda client: client.delete(rows("seals")),
    "no numbers": lambda client: client.delete(rows("numbers")),
    "an older number": numbers("version", 1.0),
    "a higher number": numbers("version", 99.0),
    "emptied": lambda client: client.flushall(),
    "cut": lambda client: client.delete(*(key for key in KEYS if key != META)),
}


@pytest.fixture
def kept(place: Place, state: Store) -> Place:
    """A server with a store of some changes."""
    state.put_component(COMPONENT)
    add(state, grant(1, expires_at=NOW + 100), grant(2, max_uses=3))
    state.assign_role(Assignment("user-123", "viewer", "ann", NOW))
    state.stop(Stop("session-1", "ann", "", NOW))
    return place


def edited(redis: RedisServer, way: str) -> None:
    with redis.client() as client:
        WAYS[way](client)


@pytest.mark.parametrize("way", WAYS)
def test_a_store_that_something_else_changed_is_not_read_and_not_written(kept: Place, redis: RedisServer, way: str) -> None:
    edited(redis, way)
    state = kept.open()
    uses: tuple[Callable[[], object], ...] = (
        lambda: state.grants(NOW),
        lambda: state.grant("g-00000001"),
        lambda: state.component("files"),
        lambda: state.roles_of("user-123"),
        lambda: state.stopped("session-1"),
        lambda: state.take_uses(["g-00000002"], NOW),
        lambda: add(state, grant(9)),
        lambda: state.end_grant("g-00000001", NOW, "revoked"),
        lambda: state.resume("session-1", NOW),
    )
    for use in uses:
        with pytest.raises(StoreChangedError):
            use()


@pytest.mark.parametrize("way", ["a wider entry", "a row that is none", "no codes", "no numbers", "emptied", "cut"])
def test_a_person_can_start_anew_and_every_server_goes_on_from_there(kept: Place, redis: RedisServer, way: str) -> None:
    edited(redis, way)
    state, running = kept.open(), kept.opened[0]
    assert state.start_anew(NOW)
    assert state.grants(NOW) == ()
    add(state, grant(9))
    # One that was emptied is another store from then on: who has the old one open keeps to that, which gives nothing.
    others = (kept.open(), kept.open("another"), *(() if way == "emptied" else (running,)))
    for number, store in enumerate(others, 10):
        assert [one.id for one in store.grants(NOW)] == [f"g-{each:08x}" for each in range(9, number)]
        add(store, grant(number))


def test_what_something_else_writes_gives_a_running_server_nothing(kept: Place, redis: RedisServer) -> None:
    """It is not told of it; where it is made to look, it notices."""
    state = kept.opened[0]
    edited(redis, "a grant more")
    assert [one.id for one in state.grants(NOW)] == ["g-00000001", "g-00000002"]
    with redis.client() as client:
        client.hincrby(META, "head", 1)
        client.zadd(f"{PREFIX}:log", {"2:77": int(client.hget(META, "head") or 0)})
    with pytest.raises(StoreChangedError):
        state.grants(NOW)


def test_time_goes_on_from_the_latest_moment_whatever_the_store_says(kept: Place, redis: RedisServer) -> None:
    """Set back there and on the wall, a grant that had expired would hold again."""
    kept.opened[0].advance(NOW + 5_000)
    with redis.client() as client:
        numbers("latest", 0.0)(client)
    assert kept.open().latest() == NOW + 5_000
