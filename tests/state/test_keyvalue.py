"""What components keep, in every store: bounded, each for itself, whole."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from sandbox.errors import Code, HostUnavailable
from sandbox.state import keyvalue
from sandbox.state.keyvalue import FullError, KeyValues, Size
from tests.state.places import SHARED, Place, forked


@pytest.fixture
def values(place: Place) -> KeyValues:
    return place.open_values()


def test_more_than_a_component_may_keep_is_refused_and_leaves_what_is_there(values: KeyValues) -> None:
    values.set("a", "b", "k", b"x" * 700, most=1_000)
    for key in ("k", "other"):
        with pytest.raises(FullError) as refused:
            values.set("a", "b", key, b"y" * (1_000 if key == "k" else 300), most=1_000)
        assert refused.value.code is Code.RESOURCE_LIMIT_EXCEEDED
    assert values.get("a", "b", "k") == b"x" * 700
    assert values.keys("a", "b") == ("k",)
    values.set("other", "b", "k", b"y" * 700, most=1_000)
    values.set("a", "b", "k", b"y" * 800, most=1_000)


def test_the_number_of_keys_is_bounded(values: KeyValues, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyvalue, "MAX_KEYS", 2)
    for key in ("", "1"):
        values.set("a", "", key, b"")
    with pytest.raises(FullError):
        values.set("a", "elsewhere", "2", b"")
    values.set("a", "", "1", b"again")
    assert values.delete("a", "", "1")
    values.set("a", "elsewhere", "2", b"")


@pytest.mark.parametrize(("key", "value"), [("k" * 1_025, b""), ("é" * 513, b""), ("k", b"x" * ((1 << 20) + 1))])
def test_a_key_and_a_value_have_a_longest(values: KeyValues, key: str, value: bytes) -> None:
    with pytest.raises(FullError):
        values.set("a", "", key, value)
    assert values.size("a") == Size()


def test_what_is_kept_counts_once_whatever_happens_to_it(values: KeyValues) -> None:
    values.set("a", "b", "k", b"1")
    before = values.size("a")
    values.set("a", "b", "k", b"22")
    assert values.size("a") == Size(1, before.bytes + 1)
    assert values.delete("a", "b", "k")
    assert not values.delete("a", "b", "k")
    assert values.size("a") == Size()


def test_components_and_buckets_keep_apart(values: KeyValues) -> None:
    values.set("a", "b", "k", b"1")
    for component, bucket, key in (("b", "b", "k"), ("a", "", "k"), ("a", "b", ""), ("a", 'b", "k', "")):
        assert values.get(component, bucket, key) is None
        assert not values.exists(component, bucket, key)
        assert not values.delete(component, bucket, key)
    values.set("b", "b", "k", b"2")
    values.forget("a")
    assert values.get("a", "b", "k") is None
    assert values.size("a") == Size()
    assert values.get("b", "b", "k") == b"2"


def test_keys_come_in_their_order_and_in_pages(values: KeyValues, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyvalue, "MOST_LISTED", 2)
    names = ["", "a", "é", "\U0001f600", "\uffee"]
    for name in names:
        values.set("a", "b", name, name.encode())
    found: list[str] = []
    while page := values.keys("a", "b", after=found[-1] if found else None):
        assert len(page) <= 2
        found += page
    assert found == sorted(names, key=str.encode)


def test_a_listing_is_of_one_bucket_and_of_what_is_there(values: KeyValues) -> None:
    for bucket, key in (("b", "k"), ("b", "gone"), ("b", ""), ("bk", "2"), ("", "1:bk"), ("b\U0010ffff", "k"), ("1:b", "k")):
        values.set("a", bucket, key, b"")
    values.set("other", "b", "theirs", b"")
    values.set("a", "b", "k", b"again")
    assert values.delete("a", "b", "gone")
    assert values.keys("a", "b") == ("", "k")
    assert values.keys("a", "") == ("1:bk",)
    assert values.keys("a", "b", after="k") == ()
    values.forget("a")
    assert values.keys("a", "b") == ()
    assert values.keys("other", "b") == ("theirs",)


@pytest.mark.parametrize("place", ["redis"], indirect=True)
def test_a_page_of_keys_costs_a_page(place: Place, values: KeyValues, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a component keeps, the server sends no more than is listed: else a listing would hold up everybody's host."""
    monkeypatch.setattr(keyvalue, "MOST_LISTED", 2)
    assert place.server is not None
    with redis.Redis(unix_socket_path=str(place.server.socket), password=place.server.password or None) as looker:
        for number in range(200):
            values.set("a", "b", f"{number:03}" + "k" * 900, b"")
        before = looker.info("stats")["total_net_output_bytes"]
        assert len(values.keys("a", "b", after="100")) == 2
        assert looker.info("stats")["total_net_output_bytes"] - before < 50_000, "they are 180,000 bytes in all"


def test_any_bytes_come_back_as_they_were(values: KeyValues) -> None:
    whole = bytes(range(256)) * 64
    values.set("a", "\0\n", "\0'\"", whole)
    assert values.get("a", "\0\n", "\0'\"") == whole
    assert values.exists("a", "\0\n", "\0'\"")


@pytest.mark.parametrize("place", SHARED, indirect=True)
def test_many_at_once_are_counted_right_and_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight hands on one component: what is kept is what is counted, and never more than may be."""
    monkeypatch.setattr(keyvalue, "MAX_KEYS", 50)

    def fill(hand: int) -> int:
        mine, kept = place.open_values(f"home-{hand}"), 0
        for number in range(20):
            try:
                mine.set("a", "b", f"{hand}-{number}", b"x")
                kept += 1
            except FullError:
                pass
        mine.close()
        return kept

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(fill, range(8))) == 50
    values = place.open_values()
    assert len(values.keys("a", "b")) == 50
    for key in values.keys("a", "b"):
        values.delete("a", "b", key)
    assert values.size("a") == Size()


@pytest.mark.parametrize("place", SHARED, indirect=True)
def test_what_was_kept_outlasts_the_process(place: Place) -> None:
    def keep() -> None:
        place.open_values("another").set("a", "b", "k", b"v")
        os.kill(os.getpid(), signal.SIGKILL)

    _, status = os.waitpid(forked(keep), 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert place.open_values().get("a", "b", "k") == b"v"


@pytest.mark.parametrize("place", ["redis"], indirect=True)
def test_a_lost_server_keeps_nothing_and_says_so(place: Place, values: KeyValues) -> None:
    assert place.server is not None
    place.server.kill()
    try:
        with pytest.raises(HostUnavailable, match="does not answer"):
            values.set("a", "b", "k", b"v")
    finally:
        place.server.start()
