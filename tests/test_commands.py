"""docs/commands.md says what the commands do: the exit codes, the keys of `--json`, every command's options."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.cli.arguments import root
from sandbox.cli.exits import Exit
from sandbox.cli.parser import Parser
from tests.support.commands import sandbox
from tests.support.components import files_component

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "commands.md").read_text()
PROJECT = {
    "component.toml": 'name = "twice"\nlanguage = "wat"\nsource = "twice.wat"\nworld = "twice"\n',
    "twice.wat": '(module (func (export "same") (param i32) (result i32) (local.get 0)))',
    "wit/world.wit": "package local:twice;\nworld twice {\n  /// The same.\n  export same: func(x: u32) -> u32;\n}\n",
}


def commands(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Parser]]:
    """Every command that can be given, with its parser."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for group in groups:
        for name, inner in group.choices.items():
            yield from commands(inner, (*words, name))
    if not groups and isinstance(parser, Parser):
        yield " ".join(words), parser


COMMANDS = dict(commands(root()))


def rows(text: str) -> list[tuple[str, str]]:
    """The rows of a table, two columns each."""
    return [(left.strip(), right.strip()) for left, right in re.findall(r"^\| (.+?) \| (.*) \|$", text, re.MULTILINE)]


def shapes() -> dict[str, list[str]]:
    """The keys that each command is said to give."""
    found = {}
    for command, keys in rows(TEXT.partition("## What `--json` gives")[2].partition("##")[0]):
        if command.startswith("`"):
            found[command.strip("`")] = re.findall(r"`([a-z_]+)`", keys.partition(";")[0])
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_answers_as_json_and_tells_its_exit_codes(command: str) -> None:
    assert "--json" in COMMANDS[command]._option_string_actions
    assert "exit codes:" in COMMANDS[command].format_help()


@pytest.mark.parametrize(
    "command", ["tool list", "tool call x", "permission list", "audit list", "audit verify", "component list"]
)
def test_an_error_is_data_too(tmp_path: Path, command: str) -> None:
    (tmp_path / "home").write_text("no folder")
    done = sandbox(*command.split(), "--json", folder=tmp_path)
    assert done.returncode == Exit.UNAVAILABLE
    assert json.loads(done.stdout)["error"].keys() <= {"code", "message", "help"}


def test_the_exit_codes_are_those_of_the_program() -> None:
    told = {int(code) for codes, _ in rows(TEXT) for code in codes.split(", ") if code.isdecimal()}
    assert told == set(Exit)


def test_only_commands_that_there_are_have_a_shape() -> None:
    assert shapes().keys() <= COMMANDS.keys()
    assert len(shapes()) > 10


def test_every_command_that_the_page_names_is_there() -> None:
    named = re.findall(r"`sandbox ([a-z-]+(?: [a-z-]+)?)", TEXT)
    assert named
    assert not [each for each in named if each not in COMMANDS and each.split()[0] not in COMMANDS]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one component, and a project."""
    folder = tmp_path_factory.mktemp("commands")
    for name, text in PROJECT.items():
        (folder / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "project" / name).write_text(text)
    done = sandbox("component", "load", str(files_component()), "--accept", "--json", folder=folder)
    assert done.returncode == 0, done.stdout
    return folder


def given(command: str, folder: Path) -> list[str]:
    """The command with the words that it needs."""
    words = {
        "tool call": ["files__info", "path=/workspace"],
        "component inspect": [str(files_component())],
        "audit export": [str(folder / "copy.jsonl")],
        "component build": [str(folder / "project")],
        "policy check": ["deny-all"],
        "admission check": ["strict"],
        "admission test": [str(ROOT / "policies" / "admission" / "tests" / "read-only.yaml")],
        "admission diff": ["strict", "permissive"],
        "explain": ["files__info"],
        "replay": ["strict"],
        "policy versions": ["files"],
        "init": ["hello", "--language", "c", "--directory", str(folder / "hello")],
        "install": ["claude-code", "--dry-run"],
        "completion": ["zsh"],
    }
    return [*command.split(), *words.get(command, []), "--json"]


@pytest.mark.parametrize("command", shapes())
def test_json_has_the_keys_that_the_page_names(command: str, home: Path) -> None:
    done = sandbox(*given(command, home), folder=home)
    told: Any = json.loads(done.stdout)
    keys = told[0] if isinstance(told, list) else told
    named = set(shapes()[command]) - ({"result", "error"} if command == "tool call" else set())
    assert set(keys) - {"result", "error"} == named
    assert isinstance(told, list) is ("list: " in dict(rows(TEXT))[f"`{command}`"]), "the page says list or object"


def test_what_is_shown_of_completion_is_what_comes() -> None:
    shown = TEXT.partition("```console\n$ sandbox completion bash | head -1\n")[2].partition("\n```")[0]
    assert sandbox("completion", "bash").stdout.splitlines()[0] == shown
