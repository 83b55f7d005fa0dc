"""What a guest sees of its mounts: names, listings, the virtual root, mounts inside mounts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox.host.gates.filesystem.answers import Error
from sandbox.host.gates.filesystem.mounts import Mounts, normal
from sandbox.template.template import Preopen
from tests.host.gates.conftest import DENIED, FOLDER, FOLLOW, O_CREATE, O_DIRECTORY, Start, allow, deny, refused


def test_a_template_without_files_has_an_empty_root(start: Start) -> None:
    guest = start({})
    assert guest.mounts == ["/"]
    assert guest.names(0) == []
    assert guest.open("etc/passwd") == DENIED
    assert guest.mkdir(0, "x") == DENIED
    assert guest.denied() == [("/etc/passwd", "read"), ("/x", "create")]


def test_the_root_lists_the_mounts_and_leads_into_them(start: Start, work: Path) -> None:
    guest = start({"/data": work, "/deep/er/x": work / "sub"}, allow(f"{work}/**"))
    assert guest.mounts == ["/data", "/deep/er/x", "/"]
    root = guest.root
    assert guest.names(root) == ["data", "deep"]
    assert guest.stat(root) == FOLDER
    assert guest.stat_at(root, FOLLOW, "deep/er") == FOLDER
    assert guest.names(guest.open("deep/er", O_DIRECTORY, base=root)) == ["x"]
    assert guest.content("data/f.txt", base=root) == b"hello"
    assert guest.content("deep/er/x/g", base=root) == b"deep"
    assert guest.content("data/../data/f.txt", base=root) == b"hello"
    assert guest.open("../data/f.txt", base=root) == DENIED


def test_a_virtual_folder_is_a_directory_that_nothing_can_be_done_with(start: Start, work: Path) -> None:
    guest = start({"/deep/x": work}, allow(f"{work}/**"))
    root = guest.root
    deep = guest.open("deep", O_DIRECTORY, base=root)
    assert (guest.get_type(deep), guest.get_flags(deep), guest.sync(deep)) == (FOLDER, 1, 0)
    assert guest.hash(deep) == guest.hash_at(root, FOLLOW, "deep") != guest.hash(root)
    assert guest.is_same(deep, guest.open("deep", base=root)) == 1
    assert guest.is_same(deep, root) == guest.is_same(deep, 0) == 0
    assert guest.open("deep", O_CREATE, 3, base=root) == refused(Error.IS_DIRECTORY)
    assert guest.open("deep", 0, 2, base=root) == refused(Error.IS_DIRECTORY)
    assert guest.set_times(deep) == guest.set_times_at(root, FOLLOW, "deep") == DENIED
    assert guest.set_size(deep, 0) == refused(Error.BAD_DESCRIPTOR)
    assert guest.read_stream(deep, 0) == b"!14"
    assert guest.mkdir(root, "deep") == refused(Error.EXIST)
    assert guest.mkdir(deep, "y") == guest.unlink(deep, "y") == guest.symlink(deep, "x", "y") == DENIED
    assert guest.rmdir(root, "deep") == guest.rename(root, "deep", 0, "y") == refused(Error.BUSY)
    assert guest.rename(0, "f.txt", root, "deep") == refused(Error.BUSY)
    assert guest.rename(0, "f.txt", root, "y") == DENIED
    assert guest.readlink(root, "deep") == b"!12"


def test_a_mount_inside_a_mount_is_crossed_into(start: Start, work: Path) -> None:
    inner = work.parent / "outside"
    guest = start({"/srv": work, "/srv/in": inner}, allow(f"{work}/**"), allow(f"{inner}/**"))
    assert guest.content("in/secret") == b"SECRET"
    assert guest.content("in/../f.txt") == b"hello"
    assert guest.open("../f.txt", base=1) == DENIED
    assert guest.names(0) == ["f.txt", "in", "sub"]
    assert guest.unlink(0, "in") == refused(Error.IS_DIRECTORY)
    assert guest.rmdir(0, "in") == guest.rename(0, "in", 0, "x") == guest.rename(0, "sub", 0, "in") == refused(Error.BUSY)
    assert guest.open("new", O_CREATE, 3, base=guest.open("in", O_DIRECTORY)) >= 0
    assert (inner / "new").exists()
    (inner / "l").symlink_to("../work/f.txt")
    assert guest.open("in/l") == DENIED  # a link's words do not leave its mount


def test_a_folder_that_another_mount_shows_is_not_moved(start: Start, work: Path) -> None:
    guest = start({"/w": work, "/s": work / "sub"}, allow(f"{work}/**"))
    assert guest.rename(0, "sub", 0, "moved") == DENIED


def test_a_mount_at_the_root_is_the_root(start: Start, work: Path) -> None:
    guest = start({"/": work}, allow(f"{work}/**"))
    assert guest.mounts == ["/"]
    assert guest.content("sub/g") == b"deep"
    assert guest.open("etc/passwd") == refused(Error.NO_ENTRY)


def test_a_listing_shows_what_a_rule_lets_be_seen(start: Start, work: Path) -> None:
    (work / "a.csv").write_text("1")
    (work / "private").mkdir()
    (work / "l").symlink_to("f.txt")
    os.mkfifo(work / "fifo")
    guest = start({"/w": work}, allow(f"{work}/**"), deny(f"{work}/private/**"), deny(f"{work}/*.csv"))
    assert guest.names(0) == ["f.txt", "l", "sub"]
    for name in ("a.csv", "b.csv"):  # what may not be known is told alike, be it there or not
        assert guest.open(name) == guest.stat_at(0, FOLLOW, name) == guest.open(name, O_DIRECTORY) == DENIED
        assert guest.open(f"{name}/x") == refused(Error.NO_ENTRY)
    assert guest.entries(guest.open("f.txt")) == b"!24"


def test_a_listing_of_a_thousand_names_is_whole(start: Start, work: Path) -> None:
    for i in range(1000):
        (work / "sub" / f"n{i:04}").touch()
    guest = start({"/w": work}, allow(f"{work}/**"))
    assert len(guest.names(guest.open("sub", O_DIRECTORY))) == 1001


def test_a_pinned_mount_is_the_folder_that_was_pinned(start: Start, work: Path) -> None:
    """Swapping the path of a mount for a link after it was pinned changes nothing for the guest."""
    guest = start({"/w": work}, allow(f"{work}/**"))
    work.rename(work.parent / "elsewhere")
    work.symlink_to(work.parent / "outside")
    assert guest.content("f.txt") == b"hello"
    assert guest.open("secret") == refused(Error.NO_ENTRY)


@pytest.mark.parametrize(("path", "same"), [("/a/../b", "/b"), ("a//b/", "/a/b"), ("/", "/"), ("/../..", "/"), ("/./a/.", "/a")])
def test_a_guest_path_is_taken_as_words(path: str, same: str) -> None:
    assert normal(path) == same


def test_two_mounts_at_one_place_are_no_mounts() -> None:
    with pytest.raises(ValueError, match="same guest path"):
        Mounts((Preopen("/a", "/x"), Preopen("/b", "/x/")))
