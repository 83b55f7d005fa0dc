"""What the lines of the example policies give, shown by their absence: refused, granted by the command, allowed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.components.served import Served, own_policy, served
from tests.support.components import COMPONENTS
from tests.support.serving import NOTHING

SMALL = ("files", "time", "notes")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The small components under policies that say nothing."""
    components = {COMPONENTS / name / f"{name}.wasm": NOTHING for name in SMALL}
    with served(tmp_path_factory.mktemp("lines"), components) as bare:
        yield bare


def test_without_the_line_for_time_zones_one_is_refused_and_the_refusals_command_gives_it(bare: Served) -> None:
    """UTC and offsets need no file."""
    assert bare.gives("time__parse", text="2026-11-22", zone="+02:00")["text"] == "2026-11-22T00:00:00+02:00"
    refused = bare.fails("time__now", zone="Europe/Berlin")
    assert refused["code"] == "filesystem_access_denied"
    assert "an offset such as `+02:00` is always understood" in refused["error"]
    bare.granted_as_told(refused)
    here = Path("/usr/share/zoneinfo/Europe/Berlin").exists()
    told = str(bare.answer("time__now", {"zone": "Europe/Berlin"}))
    assert ("there is no time zone" in told) is not here
    assert "not-permitted" not in told
    assert bare.fails("time__now", zone="Europe/Paris")["code"] == "filesystem_access_denied"


def test_without_the_line_for_notes_none_are_kept_and_each_access_of_it_is_needed(bare: Served) -> None:
    """A note is written beside its place and renamed, so `add` deletes a name."""
    refused = bare.fails("notes__add", text="hello")
    assert (refused["code"], refused["missing"]["kind"]) == ("filesystem_access_denied", "storage")
    words = ("permission", "grant", "notes", "storage", "fs://notes/**", "--access")
    bare.terminal(*words, "read")
    assert bare.gives("notes__list")["notes"] == []
    for access, missing in (("read,write", "create"), ("read,write,create", "delete")):
        bare.terminal(*words, access)
        assert bare.fails("notes__add", text="hello")["missing"]["access"] == [missing]
    bare.terminal(*words, "read,write,create,delete")
    number = bare.gives("notes__add", text="hello")
    assert bare.gives("notes__read", id=number)["text"] == "hello"


def test_without_a_line_for_a_folder_its_files_are_refused_and_a_grant_ends_with_its_revoke(bare: Served, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    path = str(tmp_path / "note.txt")
    assert bare.fails("files__read", path=path)["code"] == "filesystem_access_denied"
    grant = bare.terminal("permission", "grant", "files", "storage", f"fs://{tmp_path}/**", "--access", "read")
    assert bare.gives("files__read", path=path) == "hello"
    assert bare.gives("files__search", path=str(tmp_path), needle="ell")["files"] == 1
    bare.terminal("permission", "revoke", grant["id"])
    assert bare.fails("files__search", path=str(tmp_path), needle="ell")["code"] == "filesystem_access_denied"


def test_each_component_has_its_own_lines_alone(bare: Served, tmp_path: Path) -> None:
    """What one is granted, the others are refused."""
    (tmp_path / "note.txt").write_text("hello")
    bare.terminal("permission", "grant", "time", "storage", f"fs://{tmp_path}/**", "--access", "read")
    assert bare.fails("files__read", path=str(tmp_path / "note.txt"))["code"] == "filesystem_access_denied"


def test_a_letter_cut_in_half_is_an_error_and_the_next_call_runs(bare: Served) -> None:
    """JSON can write half of a pair, which no Unicode text holds (ARG-01)."""
    for number, (tool, name) in enumerate([("files__read", "path"), ("time__parse", "text"), ("notes__add", "text")]):
        params = f'{{"name": "{tool}", "arguments": {{"{name}": "\\ud800"}}}}'
        bare.lines.write(f'{{"jsonrpc": "2.0", "id": "half {number}", "method": "tools/call", "params": {params}}}'.encode())
        answer = bare.lines.answer(f"half {number}")
        assert "error" in answer or answer["result"]["isError"]
    assert bare.gives("time__between", from_="2026-01-01", to="2026-01-02")["text"] == "P1D"


def test_the_line_for_notes_bounds_what_they_fill(tmp_path: Path) -> None:
    """Two blocks: a note is one, and a second has no room to be written beside its place. Nothing of it stays."""
    policy = own_policy("notes").replace("max_total_size: 100Mi", "max_total_size: 8Ki")
    with served(tmp_path, {COMPONENTS / "notes" / "notes.wasm": policy}) as notes:
        notes.gives("notes__add", text="hello")
        refused = notes.fails("notes__add", text="hello again")
        assert "max_total_size" in str(refused)
        assert [path.name for path in (notes.home / "data/notes/notes").iterdir()] == ["000001.md"]
        notes.gives("notes__change", id=1, text="hello again")
