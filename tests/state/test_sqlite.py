"""The store in a file: whose file it is, and what it is not."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.errors import HostUnavailable
from sandbox.state import Store, sqlite_store
from tests.state.test_store import NOW, add, denial, grant


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


def test_a_grant_is_on_the_disk_before_it_is_acknowledged(state: Store) -> None:
    """In a write-ahead log, `synchronous=FULL` syncs it at each commit; what gives nothing need not wait for that."""
    asked = state._tables.current().execute
    told: list[object] = []
    state._tables.current().set_trace_callback(told.append)
    state.add_grant(grant(), before_commit=lambda: told.append(tuple(asked("PRAGMA synchronous").fetchone())))
    committed = told.index("COMMIT")
    assert told.index((2,)) < committed, "2 is FULL"
    assert not [each for each in told[:committed] if str(each).upper().startswith("PRAGMA SYNCHRONOUS=N")]
    assert asked("PRAGMA journal_mode").fetchone()[0] == "wal"
    state.add_denials([denial(1)])
    assert asked("PRAGMA synchronous").fetchone()[0] == 1


def test_the_files_are_this_users_alone(tmp_path: Path, state: Store) -> None:
    add(state, grant())
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert "state.sqlite-wal" in modes
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert os.geteuid() == (tmp_path / "state").stat().st_uid
