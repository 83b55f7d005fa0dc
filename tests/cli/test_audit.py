"""`sandbox audit`: what happened, asked, shown, counted, copied, in the clear and encrypted."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.support.collector import collecting
from tests.support.commands import sandbox
from tests.support.components import files_component

DOCUMENT = """version: "1.0"
template: permissive
blocked_actions: [list]
prices: {per_call: {"files__*": 0.25}}
audit: {encrypt: true}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a call that ended well and one that was refused, on an encrypted record."""
    folder = tmp_path_factory.mktemp("audit")
    for name, text in (("admission.yaml", DOCUMENT), ("sandbox.yaml", f"admission: {folder / 'admission.yaml'}\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    assert sandbox("component", "load", str(files_component()), "--accept", folder=folder).returncode == 0
    for tool in ("files__info", "files__list"):
        sandbox("tool", "call", tool, "path=/workspace/canary", "--config", str(folder / "sandbox.yaml"), folder=folder)
    return folder


def data(folder: Path, *words: str) -> Any:
    done = sandbox("audit", *words, "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def calls(folder: Path) -> list[dict[str, Any]]:
    return [one for one in data(folder, "list") if one["tool"]]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["list", "--call", "nope"], 2, "no call `nope` is on record"),
        (["list", "--call", "nope", "--json"], 2, "no call `nope` is on record"),
        (["show", "nope"], 2, "no call `nope` is on record"),
        (["list", "--component", "file"], 2, "did you mean `files`?"),
        (["list", "--event", "tool_invok"], 2, "did you mean `tool_invoke`?"),
        (["list", "--min-cost", "much"], 2, "is no cost"),
        (["list", "--min-cost", "nan"], 2, "is no cost"),
        (["list", "--until", "soon"], 2, "is no time"),
        (["stats", "--by", "tol"], 2, "did you mean `tool`?"),
        (["export", "/nope/x.jsonl"], 4, "cannot be made"),
    ],
)
def test_what_is_asked_wrongly_is_refused(folder: Path, words: list[str], code: int, said: str) -> None:
    done = sandbox("audit", *words, folder=folder)
    assert done.returncode == code
    assert said in (done.stdout if "--json" in words else done.stderr)


def test_a_file_that_is_there_is_not_written_over(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    assert "is there already" in sandbox("audit", "export", str(tmp_path / "there"), folder=folder).stderr
    assert (tmp_path / "there").read_text() == "mine"


def test_the_files_hold_nothing_in_the_clear_and_the_commands_everything(folder: Path) -> None:
    lines = [path.read_text() for path in (folder / "home" / "audit").glob("*.jsonl")]
    assert "canary" not in "".join(lines)
    found = calls(folder)
    assert [(one["event"], one["tool"]) for one in found] == [
        ("tool_invoke", "files__info"),
        ("tool_failure", "files__info"),
        ("access_denied", "files__list"),
    ]
    assert found[0]["arguments"] == {"path": "/workspace/canary"}


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["--tool", "files__info"], 2),
        (["--tool", "files__info", "--outcome", "allow"], 1),
        (["--outcome", "deny"], 1),
        (["--min-cost", "0.25"], 1),
        (["--min-cost", "0.26"], 0),
        (["--tenant", "acme"], 0),
        (["--until", "1d"], 0),
    ],
)
def test_a_question_narrows_the_list(folder: Path, words: list[str], count: int) -> None:
    assert len(data(folder, "list", *words)) == count


def test_one_call_is_shown_whole(folder: Path) -> None:
    call = calls(folder)[0]["audit_id"]
    assert [one["event"] for one in data(folder, "show", call)] == ["tool_invoke", "tool_failure"]
    text = sandbox("audit", "show", call, folder=folder).stdout
    assert text.index("tool_invoke") < text.index('arguments: {"path": "/workspace/canary"}') < text.index("tool_failure")
    assert text.count("arguments_digest") == 1, "what the attempt said is not said again"


def test_what_was_called_refused_and_spent_is_counted(folder: Path) -> None:
    by_tool = {one["name"]: one for one in data(folder, "stats", "--by", "tool")}
    assert (by_tool["files__info"]["calls"], by_tool["files__info"]["failed"], by_tool["files__info"]["cost"]) == (1, 1, 0.25)
    assert (by_tool["files__list"]["calls"], by_tool["files__list"]["refused"]) == (0, 1)
    (day,) = data(folder, "stats", "--by", "day", "--tool", "files__info")
    assert day["events"] == 2
    assert sandbox("audit", "stats", folder=folder).stdout.startswith("SUBJECT")


def test_a_copy_is_this_users_alone_and_whole(folder: Path, tmp_path: Path) -> None:
    told = data(folder, "export", str(tmp_path / "copy.jsonl"))
    lines = (tmp_path / "copy.jsonl").read_text().splitlines()
    assert stat.S_IMODE((tmp_path / "copy.jsonl").stat().st_mode) == 0o600
    assert told["records"] == len(lines)
    assert [json.loads(line) for line in lines] == data(folder, "list")
    assert sandbox("audit", "export", "-", "--tool", "files__list", folder=folder).stdout.splitlines() == [lines[-1]]


def test_a_collector_gets_what_is_asked_for_in_order_and_in_the_clear_of_the_encryption(folder: Path) -> None:
    with collecting() as collector:
        told = data(folder, "export", "--otlp", collector.url, "--tool", "files__info")
    assert told == {"endpoint": collector.url, "records": 2}
    assert [record.event_name for record in collector.records] == ["sandbox.tool_invoke", "sandbox.tool_failure"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "events are copied to one place"),
        (["-", "--otlp", "http://127.0.0.1:4318"], 2, "events are copied to one place"),
        (["--otlp", "collector.example"], 2, "is no collector's address"),
        (["--otlp", "http://127.0.0.1:1"], 4, "does not take what it is sent"),
    ],
)
def test_an_export_that_arrives_nowhere_fails(folder: Path, words: list[str], code: int, said: str) -> None:
    done = sandbox("audit", "export", *words, folder=folder)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr


def test_an_encrypted_record_verifies_and_needs_its_key_to_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = data(folder, "verify")
    assert (told["ok"], told["keyed"], told["removed"]) == (True, True, 0)
    monkeypatch.setenv("SANDBOX_SECRETS_KEY", str(folder / "no.key"))
    done = sandbox("audit", "list", folder=folder)
    assert (done.returncode, done.stdout) == (4, "")
    assert "its key" in done.stderr
    assert sandbox("audit", "verify", folder=folder).returncode == 0
