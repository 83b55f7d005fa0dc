"""The command `sandbox` itself: it starts fast, fails in one line, and its exit codes can be relied on."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import installed, sandbox
from tests.support.guests import guest
from tests.support.serving import NOTHING, SECONDS, program

HEAVY = ("pydantic", "mcp", "wasmtime", "yaml", "rich", "asyncio", "sqlite3", "argcomplete", "tomlkit", "importlib.metadata")


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["component", "build", "--help"]])
def test_it_answers_what_needs_no_host_without_loading_one(words: list[str]) -> None:
    code = f"import sys\nsys.argv = ['sandbox', *{words!r}]\nfrom sandbox.cli import main\ntry:\n    main()\n"
    code += f"except SystemExit:\n    pass\nprint([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert done.stdout
    assert done.stderr.strip() == "[]"


def test_the_version_is_one_line() -> None:
    done = installed("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("sandbox ")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nope"],
        ["run", "--policy", "deny-all"],
        ["tool"],
        ["tool", "call"],
        ["tool", "call", "x.wasm"],
        ["component", "load"],
        ["component", "load", "a", "b"],
        ["component", "inspect", "x.wasm", "--digest", "sha256:x", "--accept"],
        ["run", "--pol", "x", "y.wasm"],
        ["run", "--isolation", "none", "x.wasm"],
        ["policy", "versions", "a", "b"],
        ["doctor", "now"],
        ["audit", "list", "--limit", "many"],
        ["audit", "list", "--event", "nope"],
        ["audit", "list", "--since", "yesterday"],
        ["permission", "grant", "files"],
        ["permission", "grant", "files", "storage"],
        ["permission", "grant", "files", "ipc", "x"],
        ["permission", "grant", "files", "resource", "memory"],
        ["permission", "revoke"],
        ["permission", "revoke", "--all"],
        ["approvals", "show", "a-\udcff"],
        ["approvals", "deny", "a-1", "--note", "\udcff"],
        ["audit", "show", "\udcff"],
        ["tool", "call", "x", '{"a": "\udcff"}'],
    ],
)
def test_wrong_usage_is_two_lines_and_exit_code_2(tmp_path: Path, words: list[str]) -> None:
    done = sandbox(*words, folder=tmp_path if words[1:] else None)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    first, second = done.stderr.rstrip().split("\n")
    assert first.startswith("error: ")
    assert second.startswith("  help: ")


@pytest.mark.parametrize(("words", "names"), [([], ("run", "permission", "doctor")), (["policy"], ("check", "explain"))])
def test_where_a_command_is_missing_the_commands_are_named(words: list[str], names: tuple[str, ...]) -> None:
    done = installed(*words)
    assert all(f"`{name}`" in done.stderr for name in names)


def test_help_is_that_of_the_command_that_was_written() -> None:
    assert "`sandbox tool call --help`" in installed("tool", "call").stderr
    assert "`sandbox doctor --help`" in installed("doctor", "--hard").stderr


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["permision", "list"], "permission"),
        (["permission", "revok", "g-1"], "revoke"),
        (["run", "x.wasm", "--polici", "y"], "--policy"),
    ],
)
def test_a_near_miss_is_named(words: list[str], meant: str) -> None:
    done = sandbox(*words)
    assert done.returncode == 2
    assert f"did you mean `{meant}`?" in done.stderr


def test_a_word_that_is_no_text_is_shown_as_its_bytes_are(tmp_path: Path) -> None:
    done = installed("approvals", "show", os.fsdecode(b"a-\xff"), folder=tmp_path)
    assert (done.returncode, done.stderr.partition("\n")[0]) == (2, "error: a word of the command line is no text: `a-\\xff`")


@pytest.mark.parametrize(
    "words", [["nope"], ["doctor", "now"], ["doctor", "--hard"], ["audit", "list", "--limit", "many"], ["tool", "call"]]
)
def test_wrong_usage_is_data_where_data_is_json(words: list[str]) -> None:
    done = sandbox(*words, "--json")
    assert done.returncode == 2
    assert done.stderr == ""
    assert json.loads(done.stdout)["error"].keys() == {"code", "message", "help"}


def test_what_every_command_has_may_stand_before_it(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("isolation: strict\n")
    (tmp_path / "mine.yaml").chmod(0o600)
    config = ("--config", str(tmp_path / "mine.yaml"))
    for words in (
        (*config, "--json", "config", "show"),
        ("--json", "config", "show", *config),
        ("config", "show", "--json", *config),
    ):
        told = json.loads(sandbox(*words, folder=tmp_path).stdout)
        assert {one["key"]: one["value"] for one in told["settings"]}["isolation"] == "strict"
    done = sandbox("--home", str(tmp_path / "a"), "--config=/nope.yaml", "policy", "check", str(tmp_path / "nope"), *config)
    assert "nope.yaml" not in done.stderr, "what stands behind the command decides"
    assert "`sandbox` has no command `x`" in sandbox("--home", "x", "x").stderr


@pytest.mark.parametrize(
    "words",
    [
        ["tool", "list"],
        ["tool", "call", "files__read"],
        ["component", "list"],
        ["policy", "get", "files"],
        ["permission", "list"],
        ["secret", "list"],
        ["audit", "list"],
        ["audit", "verify"],
    ],
)
def test_a_home_that_is_mistyped_is_not_made(tmp_path: Path, words: list[str]) -> None:
    done = sandbox(*words, "--home", str(tmp_path / "typo"))
    assert done.returncode == 2
    assert f"{tmp_path}/typo: there is no home there" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_named_as_it_is_written(tmp_path: Path) -> None:
    assert "`init` wants `--language python|javascript|c`" in sandbox("init", "x").stderr
    (tmp_path / "home").mkdir(mode=0o700)
    assert "installs a component with tools" in sandbox("tool", "call", folder=tmp_path).stderr
    assert "`sandbox tool list x.wasm` lists the tools" in sandbox("tool", "call", "x.wasm", folder=tmp_path).stderr


def test_words_and_options_may_be_mixed(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(NOTHING)
    for words in (["--json", str(policy)], [str(policy), "--json"]):
        done = sandbox("policy", "check", *words, folder=tmp_path)
        assert done.returncode == 0, done.stderr


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    line = f"{program()} --help | head -c 1; {program()} audit list --json --home {tmp_path / 'home'} | true"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert done.stderr == ""


def test_a_home_that_others_may_not_be_trusted_with_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    done = installed("audit", "list", folder=tmp_path)
    assert done.returncode == 4
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_the_systems_own_error_names_the_file_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".cursor").write_text("a file where a folder is expected")
    monkeypatch.chdir(tmp_path)
    done = sandbox("install", "cursor", "--scope", "project")
    assert done.returncode == 4
    assert done.stderr.startswith("error: ")
    assert ".cursor/mcp.json: not a directory" in done.stderr
    assert "help: a part of the path is a file" in done.stderr


@pytest.mark.parametrize(("settings", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_a_table_and_no_colour_where_none_is_wanted(
    tmp_path: Path, settings: dict[str, str], coloured: bool
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(NOTHING)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", **settings}
    if not settings:
        environment.pop("NO_COLOR", None)
    subprocess.run(
        [program(), "policy", "check", str(policy), "--home", str(tmp_path / "home")],
        stdout=theirs,
        env=environment,
        timeout=SECONDS,
        check=True,
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 1 << 16):
            shown += chunk
    except OSError:
        pass  # a pseudo-terminal ends with EIO
    os.close(ours)
    assert b"WHAT ENFORCES IT" in shown.replace(b"\r\n", b" ")
    assert (b"\x1b[" in shown) is coloured


def test_a_person_who_starts_a_server_is_told_what_it_waits_for(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [program(), "run", str(guest("every_type")), "--policy", "deny-all", "--home", str(tmp_path / "home")],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    assert process.stderr is not None
    assert "waiting for an MCP client" in process.stderr.readline()
    os.write(ours, b"\x04")
    output, _ = process.communicate(timeout=SECONDS)
    os.close(ours)
    assert process.returncode == 0
    assert output == ""
