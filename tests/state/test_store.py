"""What is remembered, in every store: nothing acknowledged is lost, nothing that ended comes back, two processes agree."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from sandbox.errors import Code, GrantError, HostUnavailable, NotFound
from sandbox.host.outcome import Denial
from sandbox.policy.grants import Grant
from sandbox.state import Store, StoredComponent, StoredDenial, grants
from sandbox.wit.types import Digest
from tests.state.places import SHARED, Place, forked

DIGEST = Digest("d" * 64)
NOW = 1_800_000_000.0


def grant(number: int = 1, **changes: object) -> Grant:
    entry = {"uri": "fs:///srv/a", "access": ["read"]}
    plain = Grant(f"g-{number:08x}", "files", DIGEST, "storage", entry, who="local", created_at=NOW + number)
    return replace(plain, **changes)  # type: ignore[arg-type]


def add(state: Store, *grants: Grant) -> None:
    for one in grants:
        state.add_grant(one, before_commit=lambda: None)


def test_a_closed_store_refuses(state: Store) -> None:
    state.close()
    with pytest.raises(HostUnavailable):
        state.generation()
    with pytest.raises(HostUnavailable):
        add(state, grant())


def test_what_fails_before_the_commit_leaves_nothing(state: Store) -> None:
    def refuse() -> None:
        raise HostUnavailable("no record")

    before = state.generation()
    with pytest.raises(HostUnavailable, match="no record"):
        state.add_grant(grant(), before_commit=refuse)
    assert state.grants(NOW) == ()
    assert state.generation() == before
    add(state, grant())


def test_what_is_not_there_is_not_found(state: Store) -> None:
    for look in (state.grant, state.denial):
        with pytest.raises(NotFound) as refused:
            look("g-nothing")
        assert refused.value.code is Code.GRANT_NOT_FOUND
    assert state.component("nothing") is None


def test_the_number_of_grants_is_bounded(state: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grants, "MAX_GRANTS", 3)
    add(state, *map(grant, range(3)))
    with pytest.raises(GrantError, match="has 3 grants"):
        add(state, grant(4))


def test_a_grant_comes_back_as_it_was(state: Store, place: Place) -> None:
    given = grant(who="me", why="a reason · given", expires_at=NOW + 100.1, max_uses=3)
    add(state, given)
    again = place.open("another")
    assert again.grants(NOW) == (given,)
    assert again.grant(given.id) == given


def test_grants_are_of_one_component_and_one_digest(state: Store) -> None:
    add(state, grant(1), grant(2, component_name="other"), grant(3, digest=Digest("e" * 64)))
    assert [one.id for one in state.grants(NOW, component="files", digest=DIGEST)] == ["g-00000001"]
    assert len(state.grants(NOW)) == 3


def test_what_ended_stays_ended_and_ends_once(state: Store) -> None:
    add(state, grant())
    ended = state.end_grant("g-00000001", NOW + 5, "revoked")
    assert ended is not None
    assert state.end_grant("g-00000001", NOW + 6, "revoked") is None
    assert state.grants(NOW) == ()


def test_an_expired_grant_does_not_hold_and_a_clock_set_back_does_not_revive_it(state: Store) -> None:
    add(state, grant(1, expires_at=NOW + 60), grant(2))
    assert state.next_expiry() == NOW + 60
    assert state.expire(NOW + 59.9) == ()
    assert [one.id for one in state.grants(NOW + 60)] == ["g-00000002"]
    assert [one.id for one in state.expire(NOW + 60)] == ["g-00000001"]
    assert [one.id for one in state.grants(NOW)] == ["g-00000002"]
    assert state.expire(NOW + 61) == ()
    assert state.next_expiry() is None


def test_the_latest_moment_only_grows(state: Store) -> None:
    state.advance(NOW)
    state.advance(NOW - 500)
    assert state.latest() == NOW
    add(state, grant())
    assert state.latest() == NOW + 1


def test_uses_are_counted_to_the_last_and_not_beyond(state: Store) -> None:
    add(state, grant(1, max_uses=2), grant(2, max_uses=1))
    assert state.take_uses(["g-00000001", "g-00000002"], NOW)
    assert not state.take_uses(["g-00000001", "g-00000002"], NOW), "one of them is used up: none is counted"
    assert state.take_uses(["g-00000001"], NOW)
    assert not state.take_uses(["g-00000001"], NOW)
    assert not state.take_uses(["g-nothing"], NOW)
    assert state.grants(NOW) == ()


@pytest.mark.parametrize("place", SHARED, indirect=True)
def test_many_at_once_use_one_use_once(place: Place, state: Store) -> None:
    add(state, grant(1, max_uses=1))

    def take(number: int) -> bool:
        mine = place.open(f"home-{number % 4}")
        try:
            return mine.take_uses(["g-00000001"], NOW)
        finally:
            mine.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(40))) == 1


def test_every_change_raises_the_generation_for_every_process(place: Place, state: Store) -> None:
    other = place.open("another")
    seen = [other.generation()]
    component = StoredComponent("files", DIGEST, "/x/files.wasm", "/x/policy.yaml", 'version: "2.0"', "local", NOW)
    for change in (
        lambda: add(state, grant(1, max_uses=5)),
        lambda: state.take_uses(["g-00000001"], NOW),
        lambda: state.put_component(component),
        lambda: state.end_grant("g-00000001", NOW, "revoked"),
    ):
        change()
        seen.append(other.generation())
    assert seen == sorted(set(seen))
    assert other.component("files") == component


@pytest.mark.parametrize("place", SHARED, indirect=True)
def test_two_processes_see_each_others_grants(place: Place) -> None:
    os.waitpid(forked(lambda: add(place.open("another"), grant(7))), 0)
    assert [one.id for one in place.open().grants(NOW)] == ["g-00000007"]


def denial(number: int) -> StoredDenial:
    told = Denial(Code.FILESYSTEM_ACCESS_DENIED, {"path": "/d", "operation": "read"}, "no rule", None, {"host_path": "/srv/d"})
    return StoredDenial(f"d-{number:04}", NOW, "files", DIGEST, "files__read", "local", "ab" * 16, told)


def test_a_denial_is_kept_whole_and_the_oldest_are_forgotten(state: Store) -> None:
    state.add_denials(map(denial, range(1_500)))
    assert state.denial("d-1499") == denial(1_499)
    assert state.denial("d-0500") == denial(500)
    with pytest.raises(NotFound):
        state.denial("d-0499")
