"""Names that are unusual, several names of one file, and what its hash says: by rule, as the file system has them."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from sandbox.host.gates.filesystem.answers import Error
from tests.host.gates.conftest import CREATE, DELETE, DENIED, FOLLOW, O_CREATE, READ, WRITE, Start, allow, deny, refused

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
LONGEST = "n" * 255


def test_a_rule_on_one_normal_form_is_none_on_the_other(start: Start, work: Path) -> None:
    """Two names on the disk, so two in the rules: neither gives the other, neither denies it."""
    for name in (COMPOSED, DECOMPOSED):
        (work / name).write_text(name)
    guest = start({"/w": work}, allow(work / COMPOSED))
    assert guest.content(DECOMPOSED) == DENIED
    assert guest.content(COMPOSED) == COMPOSED.encode()
    guest = start({"/w": work}, allow(f"{work}/**"), deny(work / COMPOSED))
    assert guest.content(COMPOSED) == DENIED
    assert guest.content(DECOMPOSED) == DECOMPOSED.encode()


def test_what_looks_like_a_denied_name_is_another_file(start: Start, work: Path) -> None:
    """Case, trailing dots and spaces, full-width letters: as the file system has them, which folds nothing."""
    (work / "secret").write_text("SECRET")
    guest = start({"/w": work}, allow(f"{work}/**"), deny(work / "secret"))
    for name in ("SECRET", "secret.", "secret ", " secret", "\N{FULLWIDTH LATIN SMALL LETTER S}ecret", "se\u200bcret"):
        assert guest.content(name) == refused(Error.NO_ENTRY)
        assert guest.content("secret") == DENIED


def test_a_name_that_is_no_text_is_not_there_for_a_guest(start: Start, work: Path) -> None:
    """It cannot be said: no listing tells it, and its folder cannot be removed."""
    raw = os.fsencode(work / "sub") + b"/\xff\xfe"
    os.close(os.open(raw, os.O_CREAT | os.O_WRONLY))
    guest = start({"/w": work}, allow(f"{work}/**"))
    handle = guest.open("sub", flags=1)
    assert guest.names(handle) == ["g"]
    assert guest.unlink(0, "sub/g") == 0
    assert guest.rmdir(0, "sub") == refused(Error.NOT_EMPTY)
    assert Path(os.fsdecode(raw)).exists()


@pytest.mark.parametrize("name", [LONGEST, "é" * 127, "𝄞" * 63])
def test_a_name_of_255_bytes_is_a_name(start: Start, work: Path, name: str) -> None:
    """Made, listed, looked at, moved and removed; of one byte more, the system says so."""
    guest = start({"/w": work}, allow(f"{work}/**"))
    guest.drop(guest.open(name, O_CREATE, 2))
    assert name in guest.names(guest.open(".", flags=1))
    assert guest.stat_at(0, FOLLOW, name) >= 0
    assert guest.rename(0, name, 0, "short") == guest.rename(0, "short", 0, name) == 0
    assert guest.unlink(0, name) == 0
    longer = name + "xxxx"
    assert guest.open(longer, O_CREATE, 2) == guest.mkdir(0, longer) == refused(Error.NAME_TOO_LONG)
    assert guest.rename(0, "f.txt", 0, longer) == refused(Error.NAME_TOO_LONG)


def test_signs_of_a_pattern_are_letters_of_a_name(start: Start, work: Path) -> None:
    """A file called like a pattern is that file, under a rule that escapes it; the pattern does not match by accident."""
    for name in ("[x].txt", "x.txt", "*.txt"):
        (work / name).write_text(name)
    guest = start({"/w": work}, allow(f"{work}/[[]x].txt"))
    assert guest.content("x.txt") == guest.content("*.txt") == DENIED
    assert guest.content("[x].txt") == b"[x].txt"


def test_a_line_in_a_name_is_told_as_one_name(start: Start, work: Path) -> None:
    """Line breaks, control characters and directions of writing are no more than letters."""
    names = ["a\nb", "c\x1b[31m", "d\N{RIGHT-TO-LEFT OVERRIDE}txt.exe"]
    for name in names:
        (work / name).write_text("x")
    guest = start({"/w": work}, allow(f"{work}/**"))
    assert [guest.content(name) for name in names] == [b"x"] * 3


def test_a_hash_is_of_the_file_and_not_of_its_name(start: Start, work: Path) -> None:
    """Several names, a move and other contents leave it; another file has another, be its contents the same."""
    os.link(work / "f.txt", work / "second")
    (work / "like").write_text("hello")
    guest = start({"/w": work}, allow(f"{work}/**"))
    first = guest.hash_at(0, FOLLOW, "f.txt")
    assert guest.hash_at(0, FOLLOW, "second") == first != guest.hash_at(0, FOLLOW, "like")
    assert guest.rename(0, "f.txt", 0, "moved") == 0
    assert guest.hash_at(0, FOLLOW, "moved") == first
    assert guest.write(guest.open("moved", 0, 2), b"other", 0) == 5
    assert guest.hash_at(0, FOLLOW, "moved") == first
    assert guest.symlink(0, "moved", "link") == 0
    assert guest.hash_at(0, 0, "link") != guest.hash_at(0, FOLLOW, "link") == first


def test_a_hash_tells_of_nothing_that_may_not_be_seen(start: Start, work: Path) -> None:
    """Neither what is denied, nor whether it is there, nor through another name of it."""
    (work / "private").mkdir()
    (work / "private/x").write_text("SECRET")
    guest = start({"/w": work}, allow(f"{work}/**"), deny(f"{work}/private/**"))
    assert guest.hash_at(0, FOLLOW, "private/x") == guest.hash_at(0, FOLLOW, "private/not-there") == DENIED
    assert guest.symlink(0, "private/x", "way") == 0
    assert guest.hash_at(0, FOLLOW, "way") == DENIED


def test_a_link_between_rules_gains_nothing(start: Start, work: Path) -> None:
    """A second name where more may be done than at the first is refused; where less may be, it is made."""
    (work / "less").mkdir()
    (work / "more").mkdir()
    for name in ("less/f", "more/f"):
        (work / name).write_text("content")
    rules = allow(f"{work}/less/**", READ | CREATE | DELETE), allow(f"{work}/more/**")
    guest = start({"/w": work}, *rules)
    assert guest.link(0, 0, "less/f", 0, "more/g") == guest.rename(0, "less/f", 0, "more/g") == DENIED
    assert guest.link(0, 0, "more/f", 0, "less/g") == 0
    assert guest.open("less/g", 0, 2) == DENIED
    assert guest.rename(0, "less/g", 0, "more/back") == DENIED
    assert guest.rename(0, "more/f", 0, "less/h") == 0
    assert sorted(os.listdir(work / "more")) == []


def test_a_move_out_of_a_denied_place_or_into_one_is_refused(start: Start, work: Path) -> None:
    """Both ends, and a folder that holds one of them."""
    (work / "sub/private").mkdir()
    (work / "sub/private/x").write_text("SECRET")
    guest = start({"/w": work}, allow(f"{work}/**"), deny(f"{work}/sub/private/**"))
    assert guest.rename(0, "sub/private/x", 0, "x") == DENIED
    assert guest.link(0, 0, "sub/private/x", 0, "x") == DENIED
    assert guest.rename(0, "f.txt", 0, "sub/private/f") == DENIED
    assert guest.rename(0, "sub", 0, "elsewhere") == DENIED
    assert guest.rename(0, "sub/g", 0, "g") == 0


def test_a_link_leads_out_from_no_new_place(start: Start, work: Path) -> None:
    """Moved or with a second name, where its words would lead above the mount; elsewhere it may."""
    (work / "sub/deep").mkdir()
    guest = start({"/w": work}, allow(f"{work}/**"))
    assert guest.symlink(0, "../../f.txt", "sub/deep/link") == 0
    assert guest.rename(0, "sub/deep/link", 0, "sub/link") == DENIED
    assert guest.link(0, 0, "sub/deep/link", 0, "link") == DENIED
    assert guest.link(0, 0, "sub/deep/link", 0, "sub/deep/second") == 0
    assert guest.content("sub/deep/second") == b"hello"
    assert guest.rename(0, "sub/deep/link", 0, "sub/deep/moved") == 0


def test_writing_alone_makes_no_second_name(start: Start, work: Path) -> None:
    """A link needs what is read at its source and created at its end."""
    guest = start({"/w": work}, allow(work / "f.txt", WRITE), allow(f"{work}/sub/**"))
    assert guest.link(0, 0, "f.txt", 0, "sub/second") == DENIED
    assert guest.link(0, 0, "sub/g", 0, "second") == DENIED
