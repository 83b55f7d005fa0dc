"""SIGKILL at any moment: what was acknowledged is there afterwards, and the store is ours."""

from __future__ import annotations

import os
import random
import select
import signal
import time
from functools import partial

import pytest

from sandbox.state.redis import tables
from tests.state.places import SHARED, Place, forked
from tests.state.test_store import NOW, add, grant

KILLS = 16
LONGEST_S = 0.02


def granting(place: Place, first: int, told: int) -> None:
    """Grant without end, and tell each grant that is acknowledged."""
    state = place.open(f"home-{first % 3}")
    for number in range(first, first + 1_000):
        add(state, grant(number))
        os.write(told, number.to_bytes(4, "big"))


def killed_while_granting(place: Place, first: int, after_s: float) -> list[int]:
    """The grants that a process acknowledged before it was killed; the first one is waited for."""
    reading, writing = os.pipe()
    pid = forked(partial(granting, place, first, writing))
    os.close(writing)
    ready, _, _ = select.select([reading], [], [], 20)
    assert ready, "nothing was granted"
    time.sleep(after_s)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    return [int.from_bytes(told[at : at + 4], "big") for at in range(0, len(told), 4)]


@pytest.mark.parametrize("place", SHARED, indirect=True)
def test_kill_9_at_any_moment_loses_no_acknowledged_grant(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also not those of the processes before, and at most the one that was under way is there without having been told."""
    monkeypatch.setattr(tables, "LOCK_MS", 50)
    chosen, acknowledged = random.Random(5), set[int]()
    for kill in range(KILLS):
        acknowledged |= set(killed_while_granting(place, kill * 1_000, chosen.uniform(0, LONGEST_S)))
    held = {int(one.id.removeprefix("g-"), 16) for one in place.open().grants(NOW)}
    assert acknowledged <= held
    assert len(held - acknowledged) <= KILLS
    assert len(acknowledged) > KILLS


@pytest.mark.parametrize("place", ["redis"], indirect=True)
def test_a_server_that_is_killed_at_any_moment_has_what_it_acknowledged(place: Place) -> None:
    """The Redis server dies while a process grants; started again on its files, it has every grant that was acknowledged."""
    assert place.server is not None
    chosen, acknowledged = random.Random(7), set[int]()
    for kill in range(KILLS // 4):
        reading, writing = os.pipe()
        pid = forked(partial(granting, place, kill * 1_000, writing))
        os.close(writing)
        assert select.select([reading], [], [], 20)[0], "nothing was granted"
        time.sleep(chosen.uniform(0, LONGEST_S))
        place.server.kill()
        os.waitpid(pid, 0)
        with os.fdopen(reading, "rb") as pipe:
            while number := pipe.read(4):
                acknowledged.add(int.from_bytes(number, "big"))
        place.server.start()
    held = {int(one.id.removeprefix("g-"), 16) for one in place.open().grants(NOW)}
    assert acknowledged <= held
    assert len(held - acknowledged) <= KILLS
