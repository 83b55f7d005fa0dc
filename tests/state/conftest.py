"""Each kind of store, and a Redis of this file's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.state import Store
from tests.state.places import KINDS, Place
from tests.support.redis_server import RedisServer, redis_server


@pytest.fixture(scope="module")
def running() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def redis(running: RedisServer) -> RedisServer:
    """A server with nothing in it."""
    running.empty()
    return running


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    place = Place(request.param, tmp_path, request.getfixturevalue("redis") if request.param == "redis" else None)
    yield place
    place.close()


@pytest.fixture
def state(place: Place) -> Store:
    return place.open()
