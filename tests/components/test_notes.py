"""Notes, as a client has them: where they lie, what becomes of them, and what the policy says of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.components.served import Served, own_policy, served
from tests.support.components import COMPONENTS
from tests.support.serving import call

NOTES = COMPONENTS / "notes" / "notes.wasm"


@pytest.fixture
def notes(everything: Served) -> Iterator[Served]:
    """The server, without notes."""
    for path in (everything.home / "data/notes/notes").glob("*"):
        path.unlink()
    return everything


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("notes"), {NOTES: own_policy("notes")}) as notes:
        yield notes


def folder(notes: Served) -> Path:
    return notes.home / "data/notes/notes"


def test_notes_are_there_in_the_next_server(notes: Served) -> None:
    notes.gives("notes__add", text="hello")
    with served(notes.home.parent, {NOTES: own_policy("notes")}) as other:
        assert other.gives("notes__read", id=1)["text"] == "hello"
        assert other.gives("notes__add", text="again") == 2


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("read", {"id": 7}, "cannot read note 7: there is none; `list` shows those there are"),
        ("delete", {"id": 7}, "there is none"),
        ("change", {"id": 7, "text": "x"}, "there is none"),
        ("change", {"id": 7}, "neither `text` nor `tags` is given"),
        ("add", {"text": " \n"}, "it has no text"),
        ("add", {"text": "x" * 262_145}, "at most 262144 bytes"),
        ("add", {"text": "x", "tags": ["a,b"]}, "`a,b` is no tag"),
        ("add", {"text": "x", "tags": ["a\nb"]}, "is no tag"),
        ("add", {"text": "x", "tags": [""]}, "is no tag"),
        ("add", {"text": "x", "tags": ["é" * 21]}, "is no tag"),
        ("add", {"text": "x", "tags": [str(tag) for tag in range(21)]}, "at most 20 tags"),
        ("list", {"most": 201}, "`most` is 1 to 200"),
        ("search", {"needle": ""}, "`needle` has 1 to 200 bytes"),
    ],
)
def test_an_error_says_what_to_do_and_leaves_no_file(notes: Served, tool: str, arguments: dict[str, Any], words: str) -> None:
    assert words in notes.says(f"notes__{tool}", **arguments)
    assert list(folder(notes).iterdir()) == []


@pytest.mark.parametrize(
    "text", ["plain", "---\ntags: none\n---\n", "a\x00b", "\ufeff\u202e", "e\u0301 é 😀", "x" * 262_144, "\r\n \\x"]
)
def test_a_text_comes_back_as_it_was(notes: Served, text: str) -> None:
    number = notes.gives("notes__add", text=text)
    assert notes.gives("notes__read", id=number)["text"] == text


def test_tags_are_cleaned_counted_and_chosen_by(notes: Served) -> None:
    notes.gives("notes__add", text="milk", tags=[" Home ", "home", "to-do"])
    notes.gives("notes__add", text="日本", tags=["日本", "to-do"])
    assert notes.gives("notes__read", id=1)["tags"] == ["home", "to-do"]
    assert notes.gives("notes__tags")["tags"] == [
        {"tag": "home", "notes": 1},
        {"tag": "to-do", "notes": 2},
        {"tag": "日本", "notes": 1},
    ]
    assert [note["title"] for note in notes.gives("notes__list", tag="TO-DO")["notes"]] == ["日本", "milk"]
    assert [note["id"] for note in notes.gives("notes__search", needle="MIL", tag="home")["notes"]] == [1]
    assert notes.gives("notes__search", needle="milk", tag="日本")["notes"] == []


def test_a_change_keeps_what_it_does_not_name(notes: Served) -> None:
    notes.gives("notes__add", text="one", tags=["a"])
    before = notes.gives("notes__read", id=1)
    notes.gives("notes__change", id=1, text="two")
    notes.gives("notes__change", id=1, tags=["b", "c"])
    after = notes.gives("notes__read", id=1)
    assert (after["text"], after["tags"], after["created"]) == ("two", ["b", "c"], before["created"])
    notes.gives("notes__delete", id=1)
    assert list(folder(notes).iterdir()) == []


def test_pages_are_the_whole_the_newest_first(notes: Served) -> None:
    for number in range(1, 8):
        notes.gives("notes__add", text=f"note {number}")
    page = notes.gives("notes__list", most=3)
    assert page["stopped"] == "`most` was reached"
    ids = [note["id"] for note in page["notes"]]
    while page["next"]:
        page = notes.gives("notes__list", most=3, before=page["next"])
        ids += [note["id"] for note in page["notes"]]
    assert ids == [7, 6, 5, 4, 3, 2, 1]


def test_notes_that_are_added_at_the_same_time_have_numbers_of_their_own(notes: Served) -> None:
    for number in range(40):
        notes.lines.write(call(f"add {number}", "notes__add", text=f"note {number}"))
    added = [notes.lines.answer(f"add {number}")["result"]["structuredContent"]["result"] for number in range(40)]
    assert sorted(added) == list(range(1, 41))
    assert {path.name for path in folder(notes).iterdir()} == {f"{number:06}.md" for number in range(1, 41)}


def test_a_person_may_edit_the_files(notes: Served) -> None:
    """What is no note is counted and left out; what was never finished is none."""
    notes.gives("notes__add", text="first")
    (folder(notes) / "000002.md").write_text("plain\nsecond line")
    (folder(notes) / "000003.md").write_bytes(b"---\r\ntags: a, b\r\n---\r\nwindows")
    (folder(notes) / "000004.md").write_bytes(b"\xff\xfe")
    (folder(notes) / "000005.md").touch()
    (folder(notes) / "readme.txt").write_text("none")
    page = notes.gives("notes__list")
    assert [(note["id"], note["title"], note["tags"]) for note in page["notes"]] == [
        (3, "windows", ["a", "b"]),
        (2, "plain", []),
        (1, "first", []),
    ]
    assert page["skipped"] == 3
    assert "no UTF-8" in notes.says("notes__read", id=4)
    assert notes.gives("notes__add", text="next") == 6
