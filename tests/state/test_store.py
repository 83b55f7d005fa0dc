"""What is remembered: nothing acknowledged is lost, nothing that ended comes back, two processes agree."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.errors import Code, GrantError, HostUnavailable, NotFound
from sandbox.host.outcome import Denial
from sandbox.policy.grants import Grant
from sandbox.state import Store, StoredComponent, StoredDenial, grants, sqlite_store
from sandbox.wit.types import Digest

DIGEST = Digest("d" * 64)
NOW = 1_800_000_000.0


def grant(number: int = 1, **changes: object) -> Grant:
    entry = {"uri": "fs:///srv/a", "access": ["read"]}
    plain = Grant(f"g-{number:08x}", "files", DIGEST, "storage", entry, who="local", created_at=NOW + number)
    return replace(plain, **changes)  # type: ignore[arg-type]


def add(state: Store, *grants: Grant) -> None:
    for one in grants:
        state.add_grant(one, before_commit=lambda: None)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Store]:
    state = sqlite_store(tmp_path / "state")
    yield state
    state.close()


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "state.sqlite").write_text("this is not a database, it is a text of some length" * 100)
    with pytest.raises(HostUnavailable, match="no store"):
        sqlite_store(tmp_path / "state")


def test_a_schema_of_another_version_is_refused(tmp_path: Path, state: Store) -> None:
    state.close()
    with sqlite3.connect(tmp_path / "state" / "state.sqlite") as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(HostUnavailable, match="schema 99"):
        sqlite_store(tmp_path / "state")


@pytest.mark.parametrize("name", ["state.sqlite", "state.sqlite-wal"])
def test_a_link_in_place_of_the_store_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").write_bytes(b"")
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostUnavailable):
        sqlite_store(tmp_path / "state")
    assert (tmp_path / "elsewhere").read_bytes() == b""


def test_a_store_that_others_can_write_is_refused(tmp_path: Path, state: Store) -> None:
    state.close()
    (tmp_path / "state" / "state.sqlite").chmod(0o620)
    with pytest.raises(HostUnavailable, match="written by others"):
        sqlite_store(tmp_path / "state")


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


def test_a_grant_comes_back_as_it_was(state: Store, tmp_path: Path) -> None:
    given = grant(who="me", why="a reason · given", expires_at=NOW + 100, max_uses=3)
    add(state, given)
    state.close()
    again = sqlite_store(tmp_path / "state")
    assert again.grants(NOW) == (given,)
    assert again.grant(given.id) == given
    again.close()


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


def test_a_hundred_at_once_use_one_use_once(tmp_path: Path, state: Store) -> None:
    add(state, grant(1, max_uses=1))

    def take(_: int) -> bool:
        mine = sqlite_store(tmp_path / "state")
        try:
            return mine.take_uses(["g-00000001"], NOW)
        finally:
            mine.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(100))) == 1


def test_every_change_raises_the_generation_for_every_process(tmp_path: Path, state: Store) -> None:
    other = sqlite_store(tmp_path / "state")
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
    other.close()


def test_two_processes_see_each_others_grants(tmp_path: Path, state: Store) -> None:
    script = """
import sys
from pathlib import Path
from tests.state.test_store import *
add(sqlite_store(Path(sys.argv[1])), grant(7))
"""
    subprocess.run([sys.executable, "-c", script, tmp_path / "state"], check=True, cwd=Path(__file__).parents[2])
    assert [one.id for one in state.grants(NOW)] == ["g-00000007"]


def test_kill_9_right_after_an_acknowledged_grant_loses_nothing(tmp_path: Path) -> None:
    """The process kills itself in the instruction after the acknowledgement, twenty times."""
    script = """
import os, signal, sys
from pathlib import Path
from tests.state.test_store import *
add(sqlite_store(Path(sys.argv[1])), grant(int(sys.argv[2])))
os.kill(os.getpid(), signal.SIGKILL)
"""
    for number in range(8):
        command = [sys.executable, "-c", script, tmp_path / "state", str(number)]
        assert subprocess.run(command, check=False, cwd=Path(__file__).parents[2]).returncode == -signal.SIGKILL
        again = sqlite_store(tmp_path / "state")
        assert [one.id for one in again.grants(NOW)] == [f"g-{one:08x}" for one in range(number + 1)]
        again.close()


def denial(number: int) -> StoredDenial:
    told = Denial(Code.FILESYSTEM_ACCESS_DENIED, {"path": "/d", "operation": "read"}, "no rule", None, {"host_path": "/srv/d"})
    return StoredDenial(f"d-{number:04}", NOW, "files", DIGEST, "files__read", "local", "ab" * 16, told)


def test_a_denial_is_kept_whole_and_the_oldest_are_forgotten(state: Store) -> None:
    state.add_denials(map(denial, range(1_500)))
    assert state.denial("d-1499") == denial(1_499)
    assert state.denial("d-0500") == denial(500)
    with pytest.raises(NotFound):
        state.denial("d-0499")


@pytest.mark.parametrize(("column", "value"), [("effect", "maybe"), ("entry", "{"), ("entry", "7"), ("entry", "null")])
def test_a_row_that_was_tampered_with_is_an_error_not_skipped(tmp_path: Path, state: Store, column: str, value: str) -> None:
    add(state, grant())
    with sqlite3.connect(tmp_path / "state" / "state.sqlite") as db:
        db.execute(f"UPDATE grants SET {column} = ?", (value,))
    with pytest.raises(HostUnavailable, match="`grants` is not as it was left"):
        state.grants(NOW)


def test_a_store_whose_tables_are_gone_is_unavailable(tmp_path: Path, state: Store) -> None:
    with sqlite3.connect(tmp_path / "state" / "state.sqlite") as db:
        db.execute("DROP TABLE grants")
    with pytest.raises(HostUnavailable, match="cannot be read"):
        state.grants(NOW)
    with pytest.raises(HostUnavailable, match="cannot be written"):
        add(state, grant())


def test_the_files_are_this_users_alone(tmp_path: Path, state: Store) -> None:
    add(state, grant())
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert "state.sqlite-wal" in modes
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert os.geteuid() == (tmp_path / "state").stat().st_uid
