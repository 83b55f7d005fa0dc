"""The counts of usage: the same facts of every store."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.admission.spending.counting import USED_UP, Change, Claim, Full, Gate, Shut, Spent, Taken, UsageStore
from sandbox.errors import HostUnavailable
from sandbox.state import Home, state_of
from sandbox.state.usage import SqliteUsage, open_usage
from tests.state.places import SHARED, Place
from tests.support.redis_server import RedisServer, redis_server

NOW = 1_800_000_000_000
PROCESSES, TRIES = 10, 10
KEYS = [f"key {number}" for number in range(100)]


@pytest.fixture
def store(place: Place) -> Iterator[UsageStore]:
    opened = counts(place.url, place.folder)
    yield opened
    opened.close()


def counts(state: str, folder: Path) -> UsageStore:
    """The counts at a place, as another process would open them."""
    return open_usage(state_of(state), Home.open(folder / "home", {}), {})


def take(store: UsageStore, *claims: Claim, gates: tuple[Gate, ...] = (), now_ms: int = NOW) -> Taken | Full | Shut:
    return store.take(claims, gates, now_ms)


def held(store: UsageStore, key: str, slot: int = 1, span: int = 1) -> int:
    return store.held([Claim(key, slot, 0, span=span)])[0]


def tries(state: str, folder: Path, begin: Any, taken: Any) -> None:
    """One process of several: its tries for the last one of something, and how many of them had it."""
    store = counts(state, folder)
    begin.wait()
    taken.put(sum(isinstance(take(store, Claim("budget", 1, 1, 1)), Taken) for _ in range(TRIES)))


def test_a_claim_beyond_the_limit_is_refused_and_takes_nothing(store: UsageStore) -> None:
    assert isinstance(take(store, Claim("a", 1, 7, 10)), Taken)
    assert take(store, Claim("a", 1, 4, 10)) == Full({0: {1: 7}})
    assert held(store, "a") == 7
    assert take(store, Claim("a", 1, 3, 10)) == Taken((1,), (10,))


def test_one_claim_without_room_refuses_all_and_each_of_those_is_named(store: UsageStore) -> None:
    take(store, Claim("b", 1, 5), Claim("c", 1, 5))
    refused = take(store, Claim("a", 1, 1, 10), Claim("b", 1, 1, 5), Claim("c", 1, 1, 5))
    assert refused == Full({1: {1: 5}, 2: {1: 5}})
    assert held(store, "a") == 0


def test_a_claim_of_nothing_finds_whether_anything_was_counted(store: UsageStore) -> None:
    """How labels that must not meet are held apart."""
    never = Claim("label/talks", 0, 0, 0)
    assert isinstance(take(store, never, Claim("label/reads", 0, 1)), Taken)
    assert isinstance(take(store, Claim("label/reads", 0, 0, 0), Claim("label/talks", 0, 1)), Full)


def test_the_next_slot_begins_anew_and_the_one_before_it_is_forgotten(store: UsageStore) -> None:
    take(store, Claim("a", 1, 10, 10))
    assert take(store, Claim("a", 2, 10, 10)) == Taken((2,), (10,))
    assert held(store, "a", 2, span=9) == 10


def test_a_clock_that_was_set_back_opens_nothing(store: UsageStore) -> None:
    """A counter is judged at the latest slot that it has had."""
    take(store, Claim("a", 20, 5, 10))
    assert take(store, Claim("a", 19, 3, 10)) == Taken((20,), (8,))
    assert take(store, Claim("a", 19, 3, 10)) == Full({0: {20: 8}})
    assert take(store, Claim("a", 20, 3, 10)) == Full({0: {20: 8}})
    assert held(store, "a", 19) == 8


def test_a_span_adds_up_its_slots_and_no_older_one(store: UsageStore) -> None:
    for slot in (1, 2, 3):
        take(store, Claim("a", slot, 1, 10, span=3))
    assert take(store, Claim("a", 3, 8, 10, span=3)) == Full({0: {1: 1, 2: 1, 3: 1}})
    assert take(store, Claim("a", 4, 8, 10, span=3)) == Taken((4,), (10,))


def test_amounts_are_exact_up_to_a_milliard_in_millionths(store: UsageStore) -> None:
    most = 10**15
    assert isinstance(take(store, Claim("a", 1, most - 1, most)), Taken)
    assert isinstance(take(store, Claim("a", 1, 2, most)), Full)
    assert take(store, Claim("a", 1, 1, most)) == Taken((1,), (most,))


def test_a_change_holds_whatever_the_limit_is(store: UsageStore) -> None:
    take(store, Claim("a", 1, 5, 5))
    assert store.add([Change("a", 1, 3), Change("b", 1, -2)], NOW) == (8, -2)
    assert held(store, "a") == 8


def test_a_change_of_an_earlier_slot_leaves_the_later_one_alone(store: UsageStore) -> None:
    """A call that began yesterday is settled yesterday."""
    take(store, Claim("a", 2, 1, 5))
    store.add([Change("a", 1, 4)], NOW)
    assert held(store, "a", 2) == 1


def test_a_gate_that_is_shut_refuses_until_it_is_opened(store: UsageStore) -> None:
    shut = Shut("run/1", None, USED_UP, NOW)
    store.shut(shut)
    assert take(store, Claim("a", 1, 1), gates=(Gate("run/1"),)) == shut
    assert (held(store, "a"), store.gates(), store.gates("run/"), store.gates("other")) == (0, (shut,), (shut,), ())
    assert store.open("run/1")
    assert not store.open("run/1")
    assert isinstance(take(store, Claim("a", 1, 1), gates=(Gate("run/1"),)), Taken)


def test_a_claim_without_room_shuts_its_latch_for_good(store: UsageStore) -> None:
    take(store, Claim("a", 1, 1, 1))
    take(store, Claim("a", 1, 1, 1, latch="run/1"))
    store.shut(Shut("run/1", NOW + 5, "for a time", NOW))
    assert store.gates() == (Shut("run/1", None, USED_UP, NOW),)


def test_a_gate_shut_for_a_time_lets_one_call_try(store: UsageStore) -> None:
    """After the time one call is on trial, and the next is refused until that one is settled."""
    store.shut(Shut("tool/x", NOW + 1000, "it failed 3 times", NOW))
    gate = (Gate("tool/x", 500),)
    assert isinstance(take(store, gates=gate, now_ms=NOW + 999), Shut)
    assert take(store, gates=gate, now_ms=NOW + 1000) == Taken((), (), ("tool/x",))
    assert take(store, gates=gate, now_ms=NOW + 1499) == Shut("tool/x", NOW + 1500, "it failed 3 times", NOW)
    assert take(store, gates=gate, now_ms=NOW + 1500) == Taken((), (), ("tool/x",))


def test_counters_are_forgotten_by_the_beginning_of_their_keys(store: UsageStore) -> None:
    take(store, Claim("run/1/cost", 1, 1), Claim("run/10/cost", 1, 1))
    store.forget("run/1/")
    assert (held(store, "run/1/cost"), held(store, "run/10/cost")) == (0, 1)


def test_what_was_spent_adds_up_by_hour_user_tenant_tool_and_model(store: UsageStore) -> None:
    one = Spent(5, "alice", "t", "x", "m", calls=1, cost_micros=7, input_tokens=2)
    store.add([], NOW, [one, Spent(6, "alice", calls=1)])
    store.add([], NOW, [one])
    assert store.spent(5, 6) == (Spent(5, "alice", "t", "x", "m", calls=2, cost_micros=14, input_tokens=4),)
    assert store.spent(0, 7)[1] == Spent(6, "alice", calls=1)


def test_of_ten_threads_that_want_the_last_of_each_exactly_one_has_it(store: UsageStore) -> None:
    taken: list[str] = []
    begin = threading.Barrier(10)

    def want() -> None:
        for key in KEYS:
            begin.wait()
            taken.extend([key] * isinstance(take(store, Claim(key, 1, 1, 1)), Taken))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=want) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert sorted(taken) == sorted(KEYS)


@pytest.mark.parametrize("place", SHARED, indirect=True)
def test_of_a_hundred_tries_of_ten_processes_exactly_one_has_the_last_one(place: Place) -> None:
    fork = multiprocessing.get_context("fork")
    begin, taken = fork.Barrier(PROCESSES), fork.Queue()
    arguments = (place.url, place.folder, begin, taken)
    processes = [fork.Process(target=tries, args=arguments) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    assert sum(taken.get(timeout=30) for _ in processes) == 1
    for process in processes:
        process.join()


def test_what_was_taken_outlives_the_process_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL right after the claim was acknowledged."""
    program = (
        "import os, signal\nfrom pathlib import Path\nfrom sandbox.admission.spending.counting import *\n"
        "from sandbox.state.usage import SqliteUsage\n"
        f"SqliteUsage(Path({str(tmp_path / 'counts')!r})).take([Claim('a', 1, 3, 5)], [], 0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == -9
    assert held(SqliteUsage(tmp_path / "counts"), "a") == 3


def test_a_clock_that_was_set_far_forward_forgets_nothing_of_today(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteUsage(tmp_path / "counts")
    take(store, Claim("a", 1, 3, 5))
    store.close()
    monkeypatch.setattr("time.time", lambda: NOW / 1000 + 10**9)
    assert held(SqliteUsage(tmp_path / "counts"), "a") == 3


def test_a_file_that_holds_no_counts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "counts").write_bytes(b"no database" * 100)
    (tmp_path / "counts").chmod(0o600)
    with pytest.raises(HostUnavailable, match="holds no counts"):
        SqliteUsage(tmp_path / "counts")


@pytest.mark.parametrize("lose", [RedisServer.kill, RedisServer.pause])
def test_a_state_server_that_does_not_answer_is_an_error_and_no_zero(lose: Callable[[RedisServer], None], tmp_path: Path) -> None:
    with redis_server() as server:
        store = counts(server.url, tmp_path)
        take(store, Claim("a", 1, 1, 5))
        lose(server)
        with pytest.raises(HostUnavailable, match="does not answer"):
            take(store, Claim("a", 1, 1, 5))
        with pytest.raises(HostUnavailable, match="does not answer"):
            held(store, "a")
