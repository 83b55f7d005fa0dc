"""What something else than this program did to the store is noticed, and then nothing in it is relied on."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox.errors import HostUnavailable
from sandbox.state import EVERYTHING, Stop, StoredComponent, authentic, sqlite_store
from sandbox.state.authentic import StoreChangedError
from tests.state.test_store import DIGEST, NOW, add, grant

COMPONENT = StoredComponent("files", DIGEST, "/srv/files.wasm", "policy.yaml", 'version: "2.0"\n', "ann", NOW)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A folder with a store of three changes."""
    state = sqlite_store(tmp_path / "state")
    state.put_component(COMPONENT)
    add(state, grant(1, expires_at=NOW + 100), grant(2, max_uses=3))
    state.close()
    return tmp_path


def edited(statement: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        db = sqlite3.connect(folder / "state" / "state.sqlite")
        db.execute(statement)
        db.commit()
        db.close()

    return edit


def without(name: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for path in (folder / name).parent.glob(f"{Path(name).name}*"):
            path.unlink()

    return remove


def cut(folder: Path) -> None:
    for side in ("-wal", "-shm"):
        (folder / "state" / f"state.sqlite{side}").unlink(missing_ok=True)
    with (folder / "state" / "state.sqlite").open("r+b") as file:
        file.truncate(0)


COLUMNS = (
    "component, digest, kind, effect, entry, who, why, created_at, expires_at, max_uses, uses, ended_at, ended_why, "
    "lifetime, session, keeper"
)


def written(name: str, content: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return write


WAYS = {
    "a wider entry": edited("""UPDATE grants SET entry = '{"uri": "fs:///**", "access": ["read"]}'"""),
    "another component": edited("UPDATE grants SET component = 'other'"),
    "another digest": edited(f"UPDATE grants SET digest = '{'e' * 64}'"),
    "no expiry": edited("UPDATE grants SET expires_at = NULL"),
    "a later expiry": edited("UPDATE grants SET expires_at = expires_at + 1000"),
    "more uses": edited("UPDATE grants SET max_uses = 1000"),
    "an allow in place of a deny": edited("UPDATE grants SET effect = 'deny'"),
    "no session": edited("UPDATE grants SET session = 'mine'"),
    "a grant less": edited("DELETE FROM grants WHERE id = 'g-00000002'"),
    "a grant more": edited(f"INSERT INTO grants SELECT 'g-3', {COLUMNS} FROM grants WHERE id = 'g-00000001'"),
    "another policy": edited("UPDATE components SET policy_text = 'version: \"2.0\"'"),
    "a policy's other author": edited("UPDATE policy_versions SET accepted_by = 'bob'"),
    "no codes": edited("DELETE FROM seals"),
    "an older number": edited("UPDATE numbers SET value = 0 WHERE name = 'version'"),
    "a higher number": edited("UPDATE numbers SET value = 99 WHERE name = 'version'"),
    "cut to nothing": cut,
    "no store": without("state/state.sqlite"),
    "no key": without("keys/state.key"),
    "another key": written("keys/state.key", b"k" * 32),
    "a shorter key": written("keys/state.key", b""),
    "a mark that is none": written("keys/state.mark", b"[[0, 0], 1]"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_store_that_something_else_changed_is_not_read_and_not_written(kept: Path, way: str) -> None:
    WAYS[way](kept)
    state = sqlite_store(kept / "state")
    uses: tuple[Callable[[], object], ...] = (
        lambda: state.grants(NOW),
        lambda: state.grant("g-00000001"),
        lambda: state.component("files"),
        lambda: state.versions("files"),
        lambda: state.take_uses(["g-00000002"], NOW),
        lambda: add(state, grant(9)),
        lambda: state.end_grant("g-00000001", NOW, "revoked"),
        lambda: state.put_component(COMPONENT),
        lambda: (state.expire(NOW + 1000), state.grants(NOW)),
    )
    for use in uses:
        with pytest.raises(StoreChangedError) as refused:
            use()
        assert isinstance(refused.value, HostUnavailable)
    state.close()


def test_a_store_that_was_put_back_from_a_copy_is_not_read(kept: Path, tmp_path: Path) -> None:
    shutil.copytree(kept / "state", tmp_path / "copy")
    state = sqlite_store(kept / "state")
    state.end_grant("g-00000001", NOW, "revoked")
    state.close()
    shutil.rmtree(kept / "state")
    shutil.copytree(tmp_path / "copy", kept / "state")
    state = sqlite_store(kept / "state")
    with pytest.raises(StoreChangedError, match="an old copy, of change 3; change 4 was made"):
        state.grants(NOW)
    state.close()


def test_a_running_process_notices_what_another_one_edits(kept: Path) -> None:
    state = sqlite_store(kept / "state")
    assert len(state.grants(NOW)) == 2
    edited("UPDATE grants SET max_uses = 1000")(kept)
    with pytest.raises(StoreChangedError):
        state.grants(NOW)
    with pytest.raises(StoreChangedError):
        state.take_uses(["g-00000002"], NOW)
    state.close()


def test_what_another_process_of_this_program_changes_is_ours(kept: Path) -> None:
    mine, other = sqlite_store(kept / "state"), sqlite_store(kept / "state")
    for number in range(3, 9):
        first, second = (mine, other) if number % 2 else (other, mine)
        add(first, grant(number))
        assert first.take_uses(["g-00000002"], NOW) is (number < 6)
        assert len(second.grants(NOW)) == len(first.grants(NOW))
    mine.close()
    other.close()


def test_a_change_that_was_not_marked_outside_is_still_ours(kept: Path) -> None:
    """A crash between the commit and the mark."""
    before = (kept / "keys" / "state.mark").read_bytes()
    state = sqlite_store(kept / "state")
    add(state, grant(3))
    state.close()
    (kept / "keys" / "state.mark").write_bytes(before)
    state = sqlite_store(kept / "state")
    assert len(state.grants(NOW)) == 3
    state.close()


def test_a_failed_change_leaves_the_store_ours(kept: Path) -> None:
    state = sqlite_store(kept / "state")

    def fail() -> None:
        raise RuntimeError

    with suppress(RuntimeError):
        state.add_grant(grant(3), before_commit=fail)
    assert len(state.grants(NOW)) == 2
    state.close()


def test_time_goes_on_from_the_latest_moment_whatever_the_store_says(kept: Path) -> None:
    """Set back in the store and on the wall, a grant that had expired would hold again."""
    state = sqlite_store(kept / "state")
    state.advance(NOW + 5_000)
    state.close()
    edited("UPDATE numbers SET value = 0 WHERE name = 'latest'")(kept)
    state = sqlite_store(kept / "state")
    assert state.latest() == NOW + 5_000
    state.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_person_can_start_anew_and_what_was_not_ours_is_forgotten(kept: Path, way: str) -> None:
    WAYS[way](kept)
    state = sqlite_store(kept / "state")
    forgotten = state.start_anew(NOW)
    assert state.grants(NOW) == ()
    if way in {"another policy", "a policy's other author"}:
        assert forgotten == (("components",) if way == "another policy" else ("policy_versions",))
    assert (state.component("files") is None) == ("components" in forgotten or way in {"no store", "cut to nothing"})
    add(state, grant(9))
    again = sqlite_store(kept / "state")
    assert len(again.grants(NOW)) == 1
    again.close()
    state.close()
    assert forgotten


def sealed_before(folder: Path) -> None:
    """As a version sealed it that knew no roles, stops and budgets."""
    key = (folder / "keys" / "state.key").read_bytes()
    db = sqlite3.connect(folder / "state" / "state.sqlite")
    version = int(db.execute("SELECT value FROM numbers WHERE name = 'version'").fetchone()[0])
    db.execute("DELETE FROM seals")
    names = [name for name in authentic.SEALED if name not in ("roles", "stops", "budgets")]
    db.executemany(
        "INSERT INTO seals VALUES (?, ?)", [(name, authentic._code(db, key, name, version, form="sandbox")) for name in names]
    )
    db.commit()
    db.close()


def test_a_store_that_was_sealed_before_there_were_roles_is_taken_over(kept: Path) -> None:
    sealed_before(kept)
    state = sqlite_store(kept / "state")
    assert len(state.grants(NOW)) == 2
    assert state.stopped() is None
    state.stop(Stop(EVERYTHING, "ann", "", NOW))
    assert state.stopped() is not None
    state.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE grants SET max_uses = 1000",
        "INSERT INTO roles VALUES ('me', 'admin', 'me', 0)",
        "DELETE FROM seals WHERE name = 'grants'",
        "UPDATE numbers SET value = 9 WHERE name = 'version'",
    ],
)
def test_and_not_where_something_else_changed_it(kept: Path, statement: str) -> None:
    sealed_before(kept)
    edited(statement)(kept)
    state = sqlite_store(kept / "state")
    with pytest.raises(StoreChangedError):
        state.grants(NOW)
    state.close()


def test_a_stop_is_not_lifted_by_taking_its_code_away(kept: Path) -> None:
    state = sqlite_store(kept / "state")
    state.stop(Stop(EVERYTHING, "ann", "", NOW))
    state.close()
    edited("DELETE FROM stops")(kept)
    edited("DELETE FROM seals WHERE name IN ('roles', 'stops', 'budgets')")(kept)
    state = sqlite_store(kept / "state")
    with pytest.raises(StoreChangedError):
        state.stopped()
    state.close()


def test_a_store_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    state = sqlite_store(tmp_path / "state")
    state.close()
    edited("UPDATE numbers SET value = 0 WHERE name = 'version'")(tmp_path)
    state = sqlite_store(tmp_path / "state")
    assert state.grants(NOW) == ()
    add(state, grant(1))
    assert len(state.grants(NOW)) == 1
    state.close()
