"""What an ask rule keeps back: nothing is told or done before a yes, and a yes is of exactly what was asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.host.gates.filesystem.answers import Error
from sandbox.host.gates.filesystem.asking import QUESTIONS, SWAPPED, TOO_MANY
from sandbox.host.outcome import Denial
from tests.host.gates.conftest import (
    CREATE,
    DELETE,
    DENIED,
    FOLLOW,
    O_CREATE,
    O_TRUNCATE,
    READ,
    WRITE,
    Guest,
    Start,
    allow,
    ask,
    deny,
    refused,
)

NOT_THERE = refused(Error.NO_ENTRY)
Say = Callable[[Guest], None]


def yes(_wanted: Denial) -> None:
    """A yes to everything."""


@pytest.fixture
def guest(start: Start, work: Path) -> Guest:
    """A guest that must ask for everything in its folder, but may list it."""
    (work / "f.txt").write_text("hello")
    return start({"/w": work}, allow(work, READ), ask(f"{work}/*"), ask(f"{work}/*/**"))


OPERATIONS = {
    "open": lambda guest, name: guest.open(name),
    "stat": lambda guest, name: guest.stat_at(0, FOLLOW, name),
    "hash": lambda guest, name: guest.hash_at(0, FOLLOW, name),
    "times": lambda guest, name: guest.set_times_at(0, FOLLOW, name),
    "unlink": lambda guest, name: guest.unlink(0, name),
    "rmdir": lambda guest, name: guest.rmdir(0, name),
    "mkdir": lambda guest, name: guest.mkdir(0, name),
    "rename": lambda guest, name: guest.rename(0, name, 0, "elsewhere"),
    "link": lambda guest, name: guest.link(0, 0, name, 0, "elsewhere"),
    "symlink": lambda guest, name: guest.symlink(0, "f.txt", name),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", ["f.txt", "sub", "missing", "sub/g", "missing/g"])
def test_without_a_yes_nothing_is_done_and_nothing_is_told(guest: Guest, work: Path, operation: str, name: str) -> None:
    before = sorted(str(path) for path in work.rglob("*"))
    assert OPERATIONS[operation](guest, name) == DENIED, "the same, whether it is there or not"
    assert [path for path, _, _ in guest.asked] == [f"/w/{name}"]
    assert sorted(str(path) for path in work.rglob("*")) == before
    assert guest.denials[-1].reason == "a person was asked and did not allow it"
    assert guest.denials[-1].origin is None, "no rule denies it: a grant would help"


def test_a_no_holds_for_the_call_and_is_not_asked_for_again(guest: Guest) -> None:
    for _ in range(3):
        assert guest.content("f.txt") == DENIED
    assert guest.stat_at(0, FOLLOW, "f.txt") == DENIED
    assert len(guest.asked) == 1


def test_a_yes_to_reading_is_none_to_writing_nor_to_another_file(guest: Guest, work: Path) -> None:
    (work / "other").write_text("other")
    guest.answer = lambda wanted: None if wanted.target["path"] == "/w/f.txt" and wanted.private["access"] == ["read"] else "no"
    assert guest.content("f.txt") == b"hello"
    assert guest.stat_at(0, FOLLOW, "f.txt") > 0
    assert guest.asked == [("/w/f.txt", "read", ("read",))]
    assert guest.open("f.txt", O_TRUNCATE, 2) == DENIED
    assert guest.unlink(0, "f.txt") == DENIED
    assert guest.content("other") == DENIED
    assert guest.asked[1:] == [
        ("/w/f.txt", "write", ("write",)),
        ("/w/f.txt", "delete", ("delete",)),
        ("/w/other", "read", ("read",)),
    ]
    assert (work / "f.txt").read_text() == "hello"


def test_with_a_yes_each_thing_is_done(guest: Guest, work: Path) -> None:
    guest.answer = yes
    handle = guest.open("new", O_CREATE, 2)
    assert guest.write_stream(handle, b"text", 0) == 4
    guest.drop(handle)
    assert guest.content("new") == b"text"
    assert guest.rename(0, "new", 0, "moved") == 0
    assert guest.content("moved") == b"text"
    assert guest.mkdir(0, "folder") == 0
    assert guest.unlink(0, "moved") == 0
    assert guest.rmdir(0, "folder") == 0
    assert guest.content("sub/g") == b"deep"
    assert guest.content("missing") == NOT_THERE
    assert guest.asked[:2] == [("/w/new", "create", ("write", "create")), ("/w/new", "read", ("read",))]


def test_deny_beats_ask_and_nobody_is_bothered(start: Start, work: Path) -> None:
    guest = start({"/w": work}, ask(f"{work}/**"), deny(f"{work}/f.txt", READ), deny(f"{work}/sub/**"))
    guest.answer = yes
    assert guest.content("f.txt") == DENIED
    assert guest.content("sub/g") == DENIED
    assert guest.open("sub/new", O_CREATE, 2) == DENIED
    assert guest.asked == []
    assert [denial.origin for denial in guest.denials] == ["policy.yaml:9:9"] * 3


def test_what_no_rule_gives_is_refused_at_once(start: Start, work: Path) -> None:
    guest = start({"/w": work}, ask(f"{work}/f.txt", READ))
    guest.answer = yes
    assert guest.content("sub/g") == DENIED
    assert guest.content("../outside/secret") == DENIED
    assert guest.open("f.txt", O_TRUNCATE, 3) == DENIED, "part of what is wanted no answer could give"
    assert guest.asked == []


def test_an_allow_is_not_asked_about_and_an_ask_beats_it(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"), ask(f"{work}/f.txt", WRITE))
    assert guest.content("f.txt") == b"hello"
    assert guest.asked == []
    assert guest.open("f.txt", 0, 2) == DENIED
    assert guest.asked == [("/w/f.txt", "write", ("write",))]


def test_a_listing_is_asked_for_and_tells_names_alone(start: Start, work: Path) -> None:
    guest = start({"/w": work}, ask(f"{work}/**", READ))
    assert guest.entries(0).startswith(b"!"), "not even the names"
    guest.answer = yes
    assert guest.asked == [("/w", "list", ("read",))]
    other = start({"/w": work}, ask(f"{work}/**", READ))
    other.answer = lambda wanted: None if wanted.target["operation"] == "list" else "no"
    assert other.names(0) == ["f.txt", "sub"]
    assert other.stat_at(0, FOLLOW, "f.txt") == DENIED
    assert other.open("sub", 2) == DENIED


def test_a_link_is_asked_about_by_where_it_ends(start: Start, work: Path) -> None:
    (work / "link").symlink_to("f.txt")
    guest = start({"/w": work}, allow(work, READ), ask(f"{work}/f.txt", READ))
    hosts: list[str] = []
    guest.answer = lambda wanted: hosts.append(wanted.private["host_path"])
    assert guest.content("link") == b"hello"
    assert hosts == [f"{work}/f.txt"]


@pytest.mark.parametrize("to", ["link", "file"])
def test_what_is_swapped_while_a_person_is_asked_is_not_opened(guest: Guest, work: Path, to: str) -> None:
    """GRT-01: the answer is about what lay there."""

    def swap(_wanted: Denial) -> None:
        (work / "f.txt").rename(work / "was")
        if to == "link":
            (work / "f.txt").symlink_to("../outside/secret")
        else:
            (work / "f.txt").write_text("another")

    guest.answer = swap
    assert guest.content("f.txt") == DENIED
    assert len(guest.asked) == 1
    assert guest.denials[-1].reason == SWAPPED


@pytest.mark.parametrize("operation", ["unlink", "rename"])
def test_what_is_swapped_while_a_person_is_asked_is_not_removed(guest: Guest, work: Path, operation: str) -> None:
    def swap(_wanted: Denial) -> None:
        if not (work / "was").exists():
            (work / "f.txt").rename(work / "was")
            (work / "f.txt").write_text("another")

    guest.answer = swap
    assert OPERATIONS[operation](guest, "f.txt") == DENIED
    assert (work / "f.txt").read_text() == "another"


def test_what_is_swapped_during_the_second_question_is_asked_about_again(guest: Guest, work: Path) -> None:
    """A move asks about both ends: what was judged first must still be there when the second answer comes."""

    def swap(wanted: Denial) -> None:
        if wanted.target["path"] == "/w/elsewhere":
            (work / "sub/g").replace(work / "f.txt")

    guest.answer = swap
    assert guest.rename(0, "f.txt", 0, "elsewhere") == 0
    assert guest.asked == [
        ("/w/f.txt", "delete", ("delete",)),
        ("/w/elsewhere", "create", ("create",)),
        ("/w/f.txt", "delete", ("delete",)),
    ]


def test_an_answer_is_of_the_file_that_lay_there(guest: Guest, work: Path) -> None:
    guest.answer = yes
    assert guest.content("f.txt") == b"hello"
    (work / "f.txt").rename(work / "was")
    (work / "f.txt").write_text("another")
    assert guest.content("f.txt") == b"another"
    assert guest.asked == [("/w/f.txt", "read", ("read",))] * 2, "asked again: it is another file"


def test_a_flood_of_questions_has_an_end(guest: Guest) -> None:
    for number in range(QUESTIONS + 10):
        assert guest.content(f"n{number}") == DENIED
    assert len(guest.asked) == QUESTIONS
    assert guest.denials[-1].reason == TOO_MANY


def test_a_folder_is_not_moved_where_something_below_it_is_asked_about(start: Start, work: Path) -> None:
    (work / "free").mkdir()
    guest = start({"/w": work}, allow(f"{work}/**"), ask(f"{work}/sub/g", READ))
    guest.answer = yes
    assert guest.rename(0, "sub", 0, "moved") == DENIED
    assert guest.rename(0, "free", 0, "moved") == 0


def test_what_may_be_moved_out_of_an_ask_gains_nothing(start: Start, work: Path) -> None:
    """A move must not lead a file away from the question."""
    guest = start({"/w": work}, allow(f"{work}/**"), ask(f"{work}/f.txt", READ))
    guest.answer = lambda _: "no"
    assert guest.rename(0, "f.txt", 0, "free") == DENIED
    assert guest.link(0, 0, "f.txt", 0, "free") == DENIED
    assert guest.asked == [("/w/f.txt", "read", ("read",))]


def test_a_mount_that_is_only_read_stays_so_whatever_is_asked_about(start: Start, work: Path) -> None:
    guest = start({"/w": work}, ask(f"{work}/**", READ | WRITE | CREATE | DELETE), writable=False)
    guest.answer = yes
    assert guest.content("f.txt") == b"hello"
    assert guest.unlink(0, "f.txt") == DENIED
    assert guest.asked == [("/w/f.txt", "read", ("read",))]
