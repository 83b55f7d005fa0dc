"""The filesystem tool, as a client has it: what its policy gives, what it does not, and trees and files of any size."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.components.served import Served, own_policy, served
from tests.support.components import files_component

TREE = """      - uri: fs://{folder}/tree/**
        access: [read, write, create, delete]
        mount: /tree
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tree in it: more text than the component has memory, many names, and what is no text."""
    folder = tmp_path_factory.mktemp("files")
    tree = folder / "tree"
    (tree / "many").mkdir(parents=True)
    for number in range(300):
        (tree / "many" / f"{number:03}.txt").write_text(f"one\nneedle {number}\n")
    block = ("x" * 1023 + "\n") * 1024
    with (tree / "large.txt").open("w") as file:
        file.writelines([block] * 70)
        file.write("a hidden Nadel\n")
    (tree / "wide.txt").write_text("x" + "é" * 100_000 + " hidden needle " + "é" * 100_000 + "\nshort\n")
    (tree / "binary").write_bytes(b"needle\x00needle\n")
    (tree / "utf16.txt").write_text("needle", "utf-16")
    (tree / "link").symlink_to("/etc")
    Path(os.fsdecode(os.fsencode(tree) + b"/latin-\xe9")).mkdir()
    return folder


@pytest.fixture(scope="module")
def files(folder: Path) -> Iterator[Served]:
    """The tool under its own policy, which gives the tree besides."""
    policy = own_policy("files").replace("  resources:", TREE.format(folder=folder) + "  resources:")
    with served(folder, {files_component(): policy}) as files:
        yield files


def test_what_no_line_names_is_refused_and_the_refusals_command_gives_it(files: Served, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("hello")
    refused = files.fails("files__read", path=str(note))
    assert refused["code"] == "filesystem_access_denied"
    assert refused["error"] == f"cannot read `{note}`: not-permitted"
    grant = files.granted_as_told(refused)
    assert files.gives("files__read", path=str(note)) == "hello"
    assert files.fails("files__write", path=str(note), text="x")["code"] == "filesystem_access_denied"
    files.terminal("permission", "revoke", grant)
    assert files.fails("files__read", path=str(note))["code"] == "filesystem_access_denied"


def test_the_workspace_may_be_written_and_nothing_in_it_removed_until_that_is_granted(files: Served) -> None:
    """Its policy says read, write and create: what deletes needs a line of its own."""
    assert files.gives("files__write", path="/workspace/a.txt", text="hello") == 5
    for tool, arguments in (
        ("remove", {"path": "/workspace/a.txt"}),
        ("move", {"from_": "/workspace/a.txt", "to": "/workspace/b"}),
    ):
        refused = files.fails(f"files__{tool}", **arguments)
        assert refused["missing"]["access"] == ["delete"]
    grant = files.granted_as_told(files.fails("files__remove", path="/workspace/a.txt"))
    assert files.gives("files__remove", path="/workspace/a.txt") is None
    files.terminal("permission", "revoke", grant)


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("read", {"path": "/workspace"}, "is-directory: `list` shows what is in it"),
        ("read", {"path": ""}, "is-directory"),
        ("read", {"path": "/workspace/nothing"}, "no-entry"),
        ("read", {"path": "/workspace/t.txt/x"}, "not-directory: a name before the last is a file"),
        ("read", {"path": "/tree/binary\x00"}, "invalid"),
        ("read", {"path": "/tree/utf16.txt"}, "illegal-byte-sequence: not UTF-8 text"),
        ("read", {"path": "/tree/large.txt"}, "more than 786432 bytes; read it in parts with `read-lines`"),
        ("read", {"path": "/workspace/" + "x" * 300}, "name-too-long"),
        ("read-lines", {"path": "/workspace/t.txt", "first": 9}, "its last line is 2"),
        ("read-lines", {"path": "/workspace/t.txt", "first": 0}, "begin at 1"),
        (
            "edit",
            {"path": "/workspace/t.txt", "old": "e", "new": ""},
            "stands there 3 times: give more of the text around it, or `all`",
        ),
        ("edit", {"path": "/workspace/t.txt", "old": "E", "new": ""}, "it must be exactly as in the file"),
        ("edit", {"path": "/workspace/t.txt", "old": "", "new": "x"}, "`append` adds text"),
        ("search", {"path": "/tree", "needle": ""}, "`needle` has 1 to 4096 bytes"),
        ("search", {"path": "/tree", "needle": "a\nb"}, "part of one line"),
        ("search", {"path": "/tree", "needle": "a", "most": 1001}, "`most` is 1 to 1000"),
        ("find", {"path": "/tree", "name": "many/*"}, "without `/`"),
        ("make-directory", {"path": "/workspace/t.txt"}, "exist: something is there already"),
    ],
)
def test_an_error_says_what_to_do(files: Served, tool: str, arguments: dict[str, object], words: str) -> None:
    files.gives("files__write", path="/workspace/t.txt", text="one\nthree")
    assert words in files.says(f"files__{tool}", **arguments)


def test_a_text_is_written_appended_edited_and_read_by_lines(files: Served) -> None:
    path = "/workspace/text.txt"
    files.gives("files__write", path=path, text="eins\nzwei é\n")
    assert files.gives("files__append", path=path, text="drei 😀") == 9
    assert files.gives("files__edit", path=path, old="zwei é", new="2") == 1
    assert files.gives("files__edit", path=path, old="ei", new="EI", all=True) == 2
    assert files.gives("files__read", path=path) == "EIns\n2\ndrEI 😀"
    part = files.gives("files__read-lines", path=path, first=2, count=1)
    assert part == {"text": "2\n", "first": 2, "lines": 1, "cut": 0, "next": 3}
    assert files.gives("files__read-lines", path=path, first=part["next"])["next"] is None


@pytest.mark.parametrize("text", ["", "\ufeffbom", "a\x00b", "\u202eright to left", "e\u0301 is no é", "\r\n\r", "\U0010ffff"])
def test_a_text_comes_back_as_it_was(files: Served, text: str) -> None:
    files.gives("files__write", path=f"/workspace/{len(text)}", text=text)
    assert files.gives("files__read", path=f"/workspace/{len(text)}") == text


@pytest.mark.parametrize("name", ["é", "e\u0301", "日本 語", "a\nb", "\u202e", "-rf *", "a\\b", "..."])
def test_a_name_of_any_letters_is_that_file(files: Served, name: str) -> None:
    path = f"/workspace/names/{name}"
    files.gives("files__make-directory", path="/workspace/names")
    files.gives("files__write", path=path, text=name)
    assert {"name": name, "kind": "file"} in files.gives("files__list", path="/workspace/names")["entries"]
    assert {"path": path, "kind": "file"} in files.gives("files__find", path="/workspace/names", name="*")["paths"]
    assert files.gives("files__search", path=path, needle=name.splitlines()[0])["matches"][0]["path"] == path


def test_a_search_of_more_text_than_memory_finds_what_is_at_its_end(files: Served) -> None:
    """70 MiB under a limit of 64 MiB; nothing of it is held."""
    found = files.gives("files__search", path="/tree/large.txt", needle="nadel", ignore_case=True)
    while found["next"]:
        found = files.gives("files__search", path="/tree/large.txt", needle="nadel", ignore_case=True, resume=found["next"])
    assert found["matches"] == [{"path": "/tree/large.txt", "line": 70 * 1024 + 1, "text": "a hidden Nadel"}]


def test_a_search_that_was_cut_says_so_and_goes_on_where_it_stopped(files: Served) -> None:
    """Page by page it is the whole, each line once, in an order that does not change."""
    found = files.gives("files__search", path="/tree/many", needle="needle", most=130)
    assert (found["stopped"], len(found["matches"])) == ("`most` was reached", 130)
    matches = found["matches"]
    while found["next"]:
        found = files.gives("files__search", path="/tree/many", needle="needle", most=130, resume=found["next"])
        matches += found["matches"]
    assert [(match["line"], match["text"]) for match in matches] == [(2, f"needle {number}") for number in range(300)]
    assert found["stopped"] is None


def test_a_long_line_is_shown_around_what_was_found(files: Served) -> None:
    (match,) = files.gives("files__search", path="/tree/wide.txt", needle="hidden needle")["matches"]
    assert "hidden needle" in match["text"]
    assert len(match["text"].encode()) <= 200
    part = files.gives("files__read-lines", path="/tree/wide.txt")
    assert (part["lines"], part["cut"], part["text"].endswith("é\nshort\n")) == (2, 1, True)


def test_a_search_of_a_tree_leaves_out_what_is_no_text_and_follows_no_link(files: Served) -> None:
    found = files.gives("files__search", path="/tree", needle="needle", name="*", most=1000)
    while found["next"]:
        assert found["stopped"]
        found = files.gives("files__search", path="/tree", needle="needle", most=1000, resume=found["next"])
    assert found["skipped"] >= 1
    assert not {match["path"] for match in found["matches"]} & {"/tree/binary", "/tree/link/passwd"}


def test_names_are_found_by_pattern_and_listed_by_page(files: Served) -> None:
    assert [one["path"] for one in files.gives("files__find", path="/tree", name="29?.t*")["paths"]] == [
        f"/tree/many/29{number}.txt" for number in range(10)
    ]
    page = files.gives("files__list", path="/tree/many", most=299)
    rest = files.gives("files__list", path="/tree/many", most=299, resume=page["next"])
    assert [len(page["entries"]), rest["entries"], rest["next"]] == [299, [{"name": "299.txt", "kind": "file"}], None]


def test_the_root_shows_what_is_mounted_and_a_name_that_is_no_utf8_is_left_out(files: Served) -> None:
    assert [one["name"] for one in files.gives("files__list", path="/")["entries"]] == ["tree", "workspace"]
    names = [one["name"] for one in files.gives("files__list", path="/tree")["entries"]]
    assert names == ["binary", "large.txt", "link", "many", "utf16.txt", "wide.txt"]


def test_a_move_overwrites_nothing_and_directories_go_when_they_are_empty(files: Served) -> None:
    files.gives("files__make-directory", path="/tree/new/deep")
    files.gives("files__write", path="/tree/new/a", text="a")
    files.gives("files__write", path="/tree/new/b", text="b")
    assert "something is there already" in files.says("files__move", from_="/tree/new/a", to="/tree/new/b")
    files.gives("files__move", from_="/tree/new/a", to="/tree/new/deep/a")
    assert "remove what is in it first" in files.says("files__remove", path="/tree/new/deep")
    for path in ("deep/a", "deep", "b", ""):
        files.gives("files__remove", path=f"/tree/new/{path}".rstrip("/"))
    assert "no-entry" in files.says("files__info", path="/tree/new")
