"""`sandbox tool`: the same host and the same policy without an MCP client."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import sandbox
from tests.support.components import files_component
from tests.support.guests import guest

EVERY = str(guest("every_type"))


def test_a_denied_call_says_the_command_that_would_allow_it(tmp_path: Path) -> None:
    done = sandbox("tool", "call", str(files_component()), "--policy", "deny-all", "read", "path=/etc/hostname", folder=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("refused: filesystem_access_denied: read of `/etc/hostname`")
    assert "sandbox permission grant files --from-denial d-" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nope", "x=1"], "there is no tool `nope`"),
        (["echo-u8", "y=1"], "has no argument `y`"),
        (["echo-u8", "x=many"], "is no integer"),
        (["echo-u8", "x=256"], "256 is outside of u8"),
        (["echo-u8"], "x"),
    ],
)
def test_a_wrong_tool_or_argument_is_wrong_usage(tmp_path: Path, words: list[str], message: str) -> None:
    done = sandbox("tool", "call", EVERY, "--policy", "deny-all", *words, folder=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert ("help: `every_type__echo-u8` takes `x`" in done.stderr) == (words[1:] in (["x=256"], []))


def test_what_is_no_component_is_refused_with_help(tmp_path: Path) -> None:
    (tmp_path / "x.wasm").write_bytes(b"\x7fELF")
    done = sandbox("tool", "list", str(tmp_path / "x.wasm"), "--policy", "deny-all", folder=tmp_path)
    assert done.returncode == 3
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "home" / "data").iterdir()) == []


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = sandbox("tool", "list", str(tmp_path / "nope.wasm"), "--policy", "deny-all", folder=tmp_path)
    assert done.returncode in {3, 4}
    assert "nope.wasm" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_component_beside_a_good_one_is_reported_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "x.wasm").write_bytes(b"\x7fELF")
    done = sandbox("tool", "list", str(tmp_path / "x.wasm"), EVERY, "--policy", "deny-all", "--json", folder=tmp_path)
    assert done.returncode == 0
    assert "x.wasm is left out" in done.stderr
    assert json.loads(done.stdout)[0]["name"].startswith("every_type__")


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        (["nope"], "no policy named `nope`"),
        (["other=deny-all"], "names no component"),
        (["deny-all", "read-only"], "given twice"),
    ],
)
def test_a_policy_that_is_not_there_starts_nothing(tmp_path: Path, policies: list[str], message: str) -> None:
    options = [word for policy in policies for word in ("--policy", policy)]
    done = sandbox("tool", "list", EVERY, *options, folder=tmp_path)
    assert done.returncode in {2, 3}
    assert message in done.stderr


@pytest.mark.parametrize(
    ("words", "result"),
    [
        (["echo-u64", "x=18446744073709551615"], "18446744073709551615"),
        (["echo-string", "x=true"], "true"),
        (["echo-bool", "x=true"], True),
        (["echo-lists", "x=[[1],[]]"], [[1], []]),
        (["echo-record", '{"x": {"x": 1, "y": 2}}'], {"x": 1, "y": 2, "label": None}),
    ],
)
def test_arguments_take_the_types_of_the_tool(tmp_path: Path, words: list[str], result: object) -> None:
    done = sandbox("tool", "call", EVERY, "--policy", "deny-all", *words, "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    told = json.loads(done.stdout)
    assert told["ok"] is True
    assert told["result"] == result


def test_what_a_tool_says_of_its_failure_is_shown(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "files.yaml").write_text(
        f'version: "2.0"\npermissions:\n  storage:\n    allow:\n      - uri: fs://{folder}/**\n        access: [read]\n'
    )
    words = ("tool", "call", str(files_component()), "--policy", str(tmp_path / "files.yaml"))
    done = sandbox(*words, "read", f"path={folder}/absent", folder=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == f"error: the tool reported an error: cannot read `{folder}/absent`: no-entry\n"


def test_size_and_times_are_seen_by_who_may_only_write_and_by_nobody_who_may_nothing(tmp_path: Path) -> None:
    note = tmp_path / "data" / "note.txt"
    note.parent.mkdir()
    note.write_text("hello")
    text = (
        f'version: "2.0"\npermissions:\n  storage:\n    allow:\n      - uri: fs://{tmp_path}/data/**\n        access: [write]\n'
    )
    denied = f"    deny:\n      - uri: fs://{note}\n        access: [write]\n"
    policy = tmp_path / "files.yaml"
    words = ("tool", "call", str(files_component()), "--policy", str(policy))
    policy.write_text(text + denied)
    assert "filesystem_access_denied: stat of" in sandbox(*words, "info", f"path={note}", folder=tmp_path).stderr
    policy.write_text(text)
    assert json.loads(sandbox(*words, "info", f"path={note}", folder=tmp_path).stdout)["size"] == 5
    assert "filesystem_access_denied: read of" in sandbox(*words, "read", f"path={note}", folder=tmp_path).stderr


def test_a_tool_that_traps_failed_and_was_not_refused(tmp_path: Path) -> None:
    done = sandbox("tool", "call", str(guest("traps")), "--policy", "deny-all", "bad-string", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the tool trapped: ")


def test_each_component_can_have_its_own_policy(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "note.txt").write_text("hello")
    policy = tmp_path / "files.yaml"
    policy.write_text(
        f'version: "2.0"\npermissions:\n  storage:\n    allow:\n      - uri: fs://{tmp_path}/data/**\n        access: [read]\n'
    )
    words = ("tool", "call", str(files_component()), EVERY, "--policy", "deny-all", "--policy", f"files={policy}")
    done = sandbox(*words, "read", f"path={tmp_path}/data/note.txt", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == "hello"


def test_what_a_guest_prints_goes_to_standard_error(tmp_path: Path) -> None:
    words = ("tool", "call", str(guest("prints")), "--policy", "deny-all", "print", "text=\x1b[2Jhello")
    done = sandbox(*words, folder=tmp_path)
    assert json.loads(done.stdout) == "\x1b[2Jhello"
    assert "\x1b" not in done.stdout + done.stderr
    assert "\\x1b[2Jhello" in done.stderr
