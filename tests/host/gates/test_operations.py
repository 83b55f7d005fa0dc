"""Each operation of wasi:filesystem, where a rule refuses it and where one allows it (ATTACKS: FS-08)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.host.gates.filesystem.answers import Error
from sandbox.template.template import Access
from tests.host.gates.conftest import (
    CREATE,
    DELETE,
    DENIED,
    FILE,
    FOLDER,
    FOLLOW,
    O_CREATE,
    O_DIRECTORY,
    O_EXCLUSIVE,
    O_TRUNCATE,
    READ,
    WRITE,
    Guest,
    Start,
    allow,
    deny,
    refused,
)

CHANGES: dict[str, Callable[[Guest], int]] = {
    "truncate on a read-only open": lambda guest: guest.open("f.txt", O_TRUNCATE, 1),
    "open for writing": lambda guest: guest.open("f.txt", 0, 2),
    "create": lambda guest: guest.open("new", O_CREATE, 3),
    "create exclusively": lambda guest: guest.open("new", O_CREATE | O_EXCLUSIVE, 1),
    "change times": lambda guest: guest.set_times_at(0, FOLLOW, "f.txt"),
    "make a folder": lambda guest: guest.mkdir(0, "new"),
    "remove a folder": lambda guest: guest.rmdir(0, "empty"),
    "unlink": lambda guest: guest.unlink(0, "f.txt"),
    "rename": lambda guest: guest.rename(0, "f.txt", 0, "new"),
    "make a link": lambda guest: guest.symlink(0, "f.txt", "new"),
    "make a hard link": lambda guest: guest.link(0, 0, "f.txt", 0, "new"),
    "change times of the folder": lambda guest: guest.set_times(0),
    "change times of the folder by path": lambda guest: guest.set_times_at(0, FOLLOW, "."),
}


def state(folder: Path) -> list[tuple[str, int, bytes]]:
    paths = sorted(folder.rglob("*"))
    return [(str(path), path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in paths]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("writable", [True, False], ids=["rule", "mount"])
def test_what_is_only_read_stays_as_it_is(start: Start, work: Path, change: str, writable: bool) -> None:
    """Refused by the rules alone, and by the mount alone where a rule would allow it."""
    (work / "empty").mkdir()
    before = state(work)
    guest = start({"/r": work}, allow(f"{work}/**", READ if writable else Access.ALL), writable=writable)
    assert CHANGES[change](guest) == DENIED
    assert state(work) == before
    assert guest.denials


def test_a_descriptor_opened_for_reading_does_not_write(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    handle = guest.open("f.txt", 0, 1)
    bad = refused(Error.BAD_DESCRIPTOR)
    assert guest.write(handle, b"x", 0) == bad
    assert guest.write_stream(handle, b"x", 0) == bad
    assert guest.append_stream(handle, b"x") == bad
    assert guest.set_size(handle, 0) == bad
    assert guest.set_times(handle) == bad
    assert (work / "f.txt").read_text() == "hello"
    assert guest.denials == []  # the rules would have allowed it: no refusal by policy


def test_a_descriptor_opened_for_writing_does_not_read(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    handle = guest.open("f.txt", 0, 2)
    assert guest.read(handle, 5, 0) == b"!03"
    assert guest.read_stream(handle, 0) == b"!03"
    assert guest.write(handle, b"HE", 0) == 2
    assert guest.append_stream(handle, b"!") == 1
    assert guest.write_stream(handle, b"L", 2) == 1
    assert guest.set_size(handle, 6) == 0
    assert guest.set_times(handle) == 0
    assert (work / "f.txt").read_text() == "HELlo!"
    assert (work / "f.txt").stat().st_mtime == 1000


def test_a_write_only_rule_refuses_reading(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**", WRITE))
    assert guest.open("f.txt", 0, 1) == DENIED
    assert guest.open("f.txt", 0, 3) == DENIED
    handle = guest.open("f.txt", 0, 2)
    assert guest.read_stream(handle, 0) == b"!31"
    assert guest.denied() == [("/w/f.txt", "read"), ("/w/f.txt", "write")]


def test_neither_flag_opens_what_may_be_seen_and_reads_nothing(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    handle = guest.open("f.txt", 0, 0)
    assert guest.stat(handle) == FILE | 5 << 8
    assert guest.read_stream(handle, 0) == b"!03"


def test_create_needs_its_own_access(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**", READ | WRITE))
    assert guest.open("new", O_CREATE, 3) == DENIED
    assert not (work / "new").exists()
    assert guest.denials[0].target == {"path": "/w/new", "operation": "create"}
    assert guest.denials[0].private == {"host_path": f"{work}/new", "access": ["create"]}
    assert guest.open("f.txt", O_CREATE, 3) >= 0  # it is there: nothing is created


def test_create_exclusive_and_truncate_do_as_posix_says(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    assert guest.open("f.txt", O_CREATE | O_EXCLUSIVE, 3) == refused(Error.EXIST)
    assert (work / "f.txt").read_text() == "hello"
    handle = guest.open("new", O_CREATE | O_EXCLUSIVE, 3)
    assert guest.write_stream(handle, b"abc", 0) == 3
    assert guest.read(handle, 9, 1) == b"bc"
    assert (work / "new").read_text() == "abc"
    assert guest.stat(guest.open("new", O_TRUNCATE, 2)) == FILE
    assert (work / "new").read_text() == ""
    assert guest.open("none") == refused(Error.NO_ENTRY)
    assert guest.open("new/", O_CREATE, 3) == refused(Error.NOT_DIRECTORY)
    assert guest.open("other/", O_CREATE, 3) == refused(Error.IS_DIRECTORY)
    assert guest.open("sub", O_CREATE, 3) == refused(Error.IS_DIRECTORY)
    assert guest.open("sub", O_TRUNCATE, 1) == refused(Error.IS_DIRECTORY)
    assert guest.open("sub", 0, 2) == refused(Error.IS_DIRECTORY)
    assert guest.open("f.txt", O_DIRECTORY) == refused(Error.NOT_DIRECTORY)
    assert guest.open("sub", O_DIRECTORY | O_CREATE) == refused(Error.INVALID)
    assert guest.open("") == refused(Error.NO_ENTRY)
    assert guest.open("f.txt", 0, 4) == refused(Error.UNSUPPORTED)


def test_a_dangling_link_is_created_where_it_leads(start: Start, work: Path) -> None:
    (work / "l").symlink_to("sub/made")
    guest = start({"/w": work}, allow(f"{work}/**"), deny(f"{work}/sub/other"))
    assert guest.open("l", O_CREATE | O_EXCLUSIVE, 3) == refused(Error.EXIST)
    assert guest.open("l", O_CREATE, 3) >= 0
    assert (work / "sub" / "made").exists()
    (work / "l2").symlink_to("sub/other")
    assert guest.open("l2", O_CREATE, 3) == DENIED


def test_folders_are_made_and_removed(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    assert guest.mkdir(0, "a/") == 0
    assert guest.mkdir(0, "a") == refused(Error.EXIST)
    assert guest.mkdir(0, ".") == refused(Error.EXIST)
    assert guest.mkdir(0, "none/b") == refused(Error.NO_ENTRY)
    assert guest.rmdir(0, "sub") == refused(Error.NOT_EMPTY)
    assert guest.rmdir(0, "f.txt") == refused(Error.NOT_DIRECTORY)
    assert guest.rmdir(0, ".") == refused(Error.BUSY)
    assert guest.rmdir(0, "a/") == 0
    assert guest.unlink(0, "sub") == refused(Error.IS_DIRECTORY)
    assert guest.unlink(0, "f.txt/") == refused(Error.NOT_DIRECTORY)
    assert guest.unlink(0, "f.txt") == 0
    assert sorted(os.listdir(work)) == ["sub"]


def test_delete_needs_its_own_access(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**", READ | WRITE | CREATE))
    assert guest.unlink(0, "f.txt") == DENIED
    assert guest.rename(0, "f.txt", 0, "g") == DENIED
    assert guest.mkdir(0, "a") == 0
    assert guest.rmdir(0, "a") == DENIED
    assert guest.denied() == [("/w/f.txt", "delete"), ("/w/a", "delete")]


def test_a_rename_replaces_only_what_may_be_deleted(start: Start, work: Path) -> None:
    (work / "kept").write_text("kept")
    guest = start({"/w": work}, allow(f"{work}/**"), deny(f"{work}/kept", DELETE))
    assert guest.rename(0, "f.txt", 0, "kept") == DENIED
    assert (work / "kept").read_text() == "kept"
    assert guest.rename(0, "f.txt", 0, "sub/g") == 0
    assert (work / "sub" / "g").read_text() == "hello"
    assert guest.rename(0, "none", 0, "x") == refused(Error.NO_ENTRY)
    assert guest.rename(0, "kept/", 0, "x") == DENIED


def test_a_rename_never_gains_access(start: Start, work: Path) -> None:
    """A file that could be deleted but not read is not moved to where it could be read."""
    (work / "drop").mkdir()
    (work / "drop" / "s").write_text("SECRET")
    guest = start({"/w": work}, allow(f"{work}/**"), deny(f"{work}/drop/**", READ))
    assert guest.rename(0, "drop/s", 0, "s") == DENIED
    assert guest.link(0, 0, "drop/s", 0, "s") == DENIED
    assert guest.rename(0, "f.txt", 0, "drop/f") == 0
    assert "read" in guest.denials[0].reason


def test_a_folder_with_other_rules_below_is_not_moved(start: Start, work: Path) -> None:
    (work / "a" / "b").mkdir(parents=True)
    (work / "c").mkdir()
    (work / "a" / "b" / "s").write_text("SECRET")
    guest = start({"/w": work}, allow(f"{work}/**"), deny(f"{work}/a/b/**"))
    assert guest.rename(0, "a", 0, "z") == DENIED
    assert guest.rename(0, "c", 0, "a/b2") == 0
    assert guest.rename(0, "sub", 0, "moved") == 0
    assert guest.content("moved/g") == b"deep"


def test_a_descriptor_is_judged_where_its_folder_is_now(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    handle = guest.open("sub", O_DIRECTORY)
    assert guest.rename(0, "sub", 0, "moved") == 0
    assert guest.content("g", base=handle) == b"deep"
    assert guest.open("new", O_CREATE, 3, base=handle) >= 0
    assert (work / "moved" / "new").exists()


def test_reading_a_link_needs_read_and_tells_no_host_path(start: Start, work: Path) -> None:
    (work / "l").symlink_to("sub/g")
    (work / "abs").symlink_to("/srv/secret-place")
    (work / "drop").mkdir()
    (work / "drop" / "l").symlink_to("x")
    guest = start({"/w": work}, allow(f"{work}/**"), deny(f"{work}/drop/**", READ))
    assert guest.readlink(0, "l") == b"sub/g"
    assert guest.readlink(0, "abs") == b"!31"
    assert guest.readlink(0, "drop/l") == b"!31"
    assert guest.readlink(0, "f.txt") == b"!12"
    assert guest.readlink(0, "l/") == b"!12"
    assert guest.readlink(0, "none") == b"!20"


def test_what_a_stat_says_is_what_the_system_says(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    handle, folder = guest.open("f.txt"), guest.open("sub", O_DIRECTORY)
    assert guest.stat_at(0, FOLLOW, "f.txt") == guest.stat(handle) == FILE | 5 << 8
    assert guest.stat_at(0, FOLLOW, "sub") & 0xFF == guest.stat(folder) & 0xFF == FOLDER
    assert guest.stat_at(0, FOLLOW, "f.txt/") == refused(Error.NOT_DIRECTORY)
    assert guest.stat_at(0, FOLLOW, "none") == refused(Error.NO_ENTRY)
    assert guest.stat_at(handle, FOLLOW, "x") == refused(Error.NOT_DIRECTORY)
    assert guest.hash_at(0, FOLLOW, "f.txt") == guest.hash(handle)
    assert guest.hash_at(0, FOLLOW, "sub") == guest.hash(folder) != guest.hash(handle)
    assert guest.hash(guest.open("sub/.")) == guest.hash(guest.open("sub/../sub/")) == guest.hash(folder)
    assert guest.is_same(guest.open("sub/."), folder) == 1
    assert (guest.get_type(handle), guest.get_type(folder)) == (FILE, FOLDER)
    assert guest.is_same(handle, guest.open("sub/../f.txt")) == 1
    assert guest.is_same(handle, folder) == 0
    assert guest.get_flags(handle) & 3 == 1
    for done in (guest.sync(handle), guest.sync_data(folder), guest.advise(handle)):
        assert done == 0
    assert guest.advise(folder) == refused(Error.BAD_DESCRIPTOR)
    assert guest.read_stream(folder, 0) == b"!14"


def test_times_are_set_through_a_link_and_on_it(start: Start, work: Path) -> None:
    (work / "l").symlink_to("f.txt")
    guest = start({"/w": work}, allow(f"{work}/**"))
    assert guest.set_times_at(0, 0, "l") == 0
    assert (work / "l").lstat().st_mtime == 1000 != (work / "f.txt").stat().st_mtime
    assert guest.set_times_at(0, FOLLOW, "l") == 0
    assert (work / "f.txt").stat().st_mtime == 1000
    assert guest.set_times_at(0, FOLLOW, "sub") == guest.set_times_at(0, FOLLOW, "sub/.") == 0
    assert guest.set_times(guest.open("sub", O_DIRECTORY)) == 0


def test_a_folder_that_leads_to_an_allowed_file_may_be_walked_and_no_more(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/sub/g", READ))
    assert guest.content("sub/g") == b"deep"
    assert guest.open("f.txt") == DENIED
    assert guest.open("sub", O_DIRECTORY) >= 0
    assert guest.names(0) == ["sub"]
    assert guest.open("sub/new", O_CREATE, 3) == DENIED
    assert guest.mkdir(0, "sub/new") == DENIED
    assert guest.set_times_at(0, FOLLOW, "sub") == DENIED


def test_delete_alone_is_enough_to_delete(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/f.txt", DELETE))
    assert guest.open("f.txt") == DENIED
    assert guest.unlink(0, "f.txt") == 0
