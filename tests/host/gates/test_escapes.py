"""No path leads out: traversal, links, trailing slashes, special files, hard links (ATTACKS: FS-01, 03, 04, 07, 10)."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sandbox.host.gates.filesystem.answers import Error
from tests.host.gates.conftest import (
    DENIED,
    FILE,
    FOLLOW,
    LINK,
    O_CREATE,
    O_DIRECTORY,
    READ,
    Start,
    allow,
    deny,
    refused,
)

TRAVERSALS = ("../outside/secret", "sub/../../outside/secret", "/etc/passwd", "//etc/passwd", "..", "sub/../..", "../work/f.txt")


@pytest.mark.parametrize("path", TRAVERSALS)
def test_a_traversal_is_refused_and_reported(start: Start, work: Path, path: str) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    assert guest.open(path) == DENIED
    assert guest.stat_at(0, FOLLOW, path) == DENIED
    assert {operation for _, operation in guest.denied()} == {"read", "stat"}


def test_a_path_of_three_thousand_folders_is_refused(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    assert guest.open("d/" * 1100 + "x") == refused(Error.NAME_TOO_LONG)
    assert guest.open("d/" * 3000 + "x") == refused(Error.NAME_TOO_LONG)
    assert guest.open("./" * 2500) == refused(Error.NAME_TOO_LONG)


def test_dots_and_double_slashes_inside_are_fine(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    for path in ("./f.txt", ".//f.txt", "sub/../f.txt", "sub/./../f.txt", "sub//..//f.txt"):
        assert guest.content(path) == b"hello", path
    assert guest.denials == []


def test_a_path_outside_every_mount_is_refused_with_its_name(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    assert guest.open("etc/passwd", base=guest.root) == DENIED
    (denial,) = guest.denials
    assert denial.target == {"path": "/etc/passwd", "operation": "read"}
    assert denial.private == {"host_path": "/etc/passwd", "access": ["read"]}


@pytest.fixture
def links(work: Path) -> Path:
    outside = work.parent / "outside"
    (work / "abs").symlink_to(outside)
    (work / "rel").symlink_to("../outside")
    (work / "relf").symlink_to("../outside/secret")
    (work / "relslash").symlink_to("../outside/")
    (work / "up").symlink_to("..")
    (work / "mix").symlink_to("sub/../../outside")
    (work / "proc").symlink_to("/proc/self/root")
    (work / "loop").symlink_to("loop")
    (work / "in").symlink_to("sub")
    (work / "inf").symlink_to("sub/../f.txt")
    return work


OUT = ("abs/secret", "rel/secret", "relf", "relslash/secret", "up/outside/secret", "mix/secret", "proc/etc/passwd")


@pytest.mark.parametrize("path", OUT)
def test_a_link_that_leads_out_is_refused(start: Start, links: Path, path: str) -> None:
    guest = start({"/w": links}, allow(f"{links}/**"))
    assert guest.open(path) == DENIED
    assert guest.stat_at(0, FOLLOW, path) == DENIED
    assert guest.hash_at(0, FOLLOW, path) == DENIED
    assert guest.set_times_at(0, FOLLOW, path) == DENIED
    assert guest.open(path, O_CREATE, 3) == DENIED


@pytest.mark.parametrize("name", ["abs", "rel", "relslash", "up", "mix", "proc"])
@pytest.mark.parametrize("slash", ["/", "//", "/."])
def test_a_trailing_slash_does_not_lead_out(start: Start, links: Path, name: str, slash: str) -> None:
    guest = start({"/w": links}, allow(f"{links}/**"))
    outside = links.parent / "outside"
    path = name + slash
    assert guest.open(path, O_DIRECTORY) == DENIED
    assert guest.stat_at(0, 0, path) == DENIED
    for answer in (guest.mkdir(0, path), guest.rmdir(0, path), guest.unlink(0, path), guest.rename(0, path, 0, "moved")):
        assert answer < 0
    assert guest.mkdir(0, f"{path}/new") == DENIED
    assert guest.symlink(0, "x", f"{path}/new") == DENIED
    assert sorted(os.listdir(outside)) == ["secret"]
    assert (links / name).is_symlink()


def test_links_that_stay_inside_are_followed_where_they_end(start: Start, links: Path) -> None:
    guest = start({"/w": links}, allow(f"{links}/**"))
    assert guest.content("in/g") == b"deep"
    assert guest.content("inf") == b"hello"
    assert guest.stat_at(0, 0, "in") & 0xFF == LINK
    assert guest.stat_at(0, FOLLOW, "inf") & 0xFF == FILE
    assert guest.stat_at(0, 0, "inf/") == refused(Error.NOT_DIRECTORY)
    assert guest.open_at(0, 0, "inf", 0, 1) == refused(Error.LOOP)
    assert guest.open("loop") == refused(Error.LOOP)


def test_a_link_into_a_denied_folder_is_refused(start: Start, work: Path) -> None:
    (work / "private").mkdir()
    (work / "private" / "s").write_text("SECRET")
    (work / "l").symlink_to("private/s")
    guest = start({"/w": work}, allow(f"{work}/**"), deny(f"{work}/private/**"))
    for path in ("private/s", "l", "sub/../private/s", "private", "private/none"):
        assert guest.open(path) == DENIED, path
        assert guest.stat_at(0, FOLLOW, path) == DENIED, path
    assert guest.denials[0].origin == "policy.yaml:9:9"


def test_a_link_from_a_hidden_place_is_judged_where_it_ends(start: Start, work: Path) -> None:
    (work / "out").mkdir()
    (work / "out" / "a.csv").write_text("1")
    (work / "out" / "hidden").symlink_to("a.csv")
    guest = start({"/w": work / "out"}, allow(f"{work}/out/*.csv", READ))
    assert guest.content("hidden") == b"1"
    assert guest.stat_at(0, 0, "hidden") == DENIED
    assert guest.names(0) == ["a.csv"]


def test_special_files_are_refused_and_never_opened(start: Start, work: Path) -> None:
    os.mkfifo(work / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(work / "s"))
    guest = start({"/w": work}, allow(f"{work}/**"))
    for name in ("fifo", "s"):
        for flags in (1, 2, 3):  # opening a FIFO with any of these would wait
            assert guest.open(name, 0, flags) == DENIED
        assert guest.open(f"{name}/x") == refused(Error.NOT_DIRECTORY)
        assert guest.rename(0, name, 0, "moved") == DENIED
    assert guest.names(0) == ["f.txt", "sub"]
    assert "neither a regular file nor a directory" in guest.denials[0].reason


def test_a_hard_link_that_the_host_made_is_what_it_is(start: Start, work: Path) -> None:
    """A name in the mount is in the mount: the host that links a file there has shared it."""
    os.link(work.parent / "outside" / "secret", work / "hard")
    assert start({"/w": work}, allow(f"{work}/**")).content("hard") == b"SECRET"


def test_a_hard_link_does_not_make_a_read_only_file_writable(start: Start, work: Path) -> None:
    (work / "ro").mkdir()
    (work / "ro" / "f").write_text("kept")
    guest = start({"/w": work}, allow(f"{work}/**"), deny(f"{work}/ro/**", ~READ))
    assert guest.link(0, 0, "ro/f", 0, "rw") == DENIED
    assert guest.link(0, FOLLOW, "f.txt", 0, "rw") == refused(Error.INVALID)
    assert guest.link(0, 0, "sub", 0, "rw") == DENIED
    assert not (work / "rw").exists()
    assert guest.link(0, 0, "f.txt", 0, "again") == 0


@pytest.mark.parametrize("words", ["../x", "/etc/passwd", "sub/../../x", "..", "../../work/f.txt", "../work/f.txt"])
def test_a_guest_cannot_plant_a_link_that_leads_out(start: Start, work: Path, words: str) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    assert guest.symlink(0, words, "planted") == DENIED
    assert not (work / "planted").is_symlink()
    assert guest.symlink(0, "../f.txt", "sub/planted") == 0
    assert guest.content("sub/planted") == b"hello"


def test_a_name_with_a_nul_is_no_name(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    assert guest.open("f.txt\0x") == refused(Error.INVALID)
    assert guest.mkdir(0, "a\0b") == refused(Error.INVALID)
