"""`sandbox completion`: have a shell complete what is typed behind `sandbox`.

Decides what completes a word, by the kind that its command declared (`sandbox.cli.parser.naming`). The shells' side is
argcomplete's: a few lines of shell that run this program, which reads its own parser, so that no list of commands can grow old.

Rules: a key press must not wait: nothing of the host is imported, the store is only read, and what cannot be read completes
nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import argcomplete
from argcomplete.completers import FilesCompleter
from argcomplete.shell_integration import shellcode

from sandbox.cli.exits import Exit
from sandbox.cli.install import NAMES
from sandbox.cli.terminal import Terminal

_START = {
    "bash": 'eval "$(sandbox completion bash)"  # in ~/.bashrc',
    "zsh": 'eval "$(sandbox completion zsh)"  # in ~/.zshrc, after `autoload -U compinit; compinit`',
    "fish": "sandbox completion fish | source  # in ~/.config/fish/config.fish",
}
_COMPONENTS = "SELECT DISTINCT name FROM components"
_LISTINGS = "SELECT listing FROM listings"
_GRANTS = "SELECT id FROM grants WHERE ended_at IS NULL"
_APPROVALS = "SELECT id FROM approvals WHERE state = 'pending'"
_KINDS = ("storage", "network", "environment", "resource")


@dataclass(frozen=True, slots=True)
class Typed:
    """What is on the command line: the word to complete, those before it, and the home."""

    prefix: str
    before: tuple[str, ...]
    home: Path


Words = Callable[[Typed], Iterable[str]]


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Print the lines that a shell reads at its start."""
    (shell,) = arguments.words
    if shell not in _START:
        arguments.parser.refuse_word(shell, _START)
    # What argcomplete writes for bash serves zsh too, by a first line that is zsh's alone.
    code = shellcode(["sandbox"], shell=shell).removeprefix("#compdef sandbox\n" if shell == "bash" else "")
    if terminal.json:
        terminal.data({"shell": shell, "code": code, "start": _START[shell].partition("  #")[0]})
    else:
        terminal.text(code)
        if terminal.interactive:
            terminal.note(f"write this where your shell starts: {_START[shell]}")
    return Exit.OK


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell that asks, and end this process."""
    for action in _actions(parser):
        if kind := getattr(action, "completes", None):
            action.completer = _completer(_KNOWN[kind])  # type: ignore[attr-defined] # argcomplete reads it
    argcomplete.autocomplete(parser, always_complete_options=False)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions(inner)


def _completer(words: Words) -> Callable[..., list[str]]:
    def completer(prefix: str, parsed_args: Namespace, **_: object) -> list[str]:
        before = tuple(getattr(parsed_args, "words", None) or ())
        return list(words(Typed(prefix, before, _home(getattr(parsed_args, "home", None)))))

    return completer


def _home(named: str | None) -> Path:
    state = os.environ.get("XDG_STATE_HOME", "")
    default = Path(state) / "sandbox" if state.startswith("/") else Path("~/.local/state/sandbox")
    # As `sandbox.state.home` has it, which takes half a second to import.
    return Path(named or os.environ.get("SANDBOX_HOME") or default).expanduser().absolute()


def _stored(question: str, home: Path) -> list[str]:
    file = home / "state" / "state.sqlite"
    if not file.is_file():
        return []
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=0.2)) as store:
        return [str(name) for (name,) in store.execute(question)]


def _components(typed: Typed) -> Iterable[str]:
    return _stored(_COMPONENTS, typed.home)


def _tools(typed: Typed) -> Iterable[str]:
    """Those of the installed components."""
    listings = (json.loads(text) for text in _stored(_LISTINGS, typed.home))
    return [str(tool["name"]) for listing in listings for tool in listing["tools"]]


def _secrets(typed: Typed) -> Iterable[str]:
    """Names stand there in the clear; values do not."""
    file = typed.home / "secrets" / "secrets.json"
    return [str(row[0]) for row in json.loads(file.read_bytes())["secrets"]] if file.is_file() else ()


def _files(*suffixes: str) -> Words:
    return lambda typed: FilesCompleter(suffixes)(typed.prefix)


def _shipped(folder: str) -> Words:
    """The documents of a folder that ship with the host, and files."""

    def words(typed: Typed) -> Iterable[str]:
        names = [Path(entry.name) for entry in files("sandbox").joinpath(folder).iterdir()]
        return [*(name.stem for name in names if name.suffix == ".yaml"), *_files("yaml", "yml")(typed)]

    return words


def _granted(typed: Typed) -> Iterable[str]:
    """A component, then a kind; what a kind wants is anybody's guess."""
    return _KINDS if len(typed.before) == 1 else () if typed.before else _components(typed)


def _clients(typed: Typed) -> Iterable[str]:
    """A client, then components."""
    return _files("wasm")(typed) if typed.before else NAMES


_KNOWN: dict[str, Words] = {
    "nothing": lambda _: (),
    "secret": _secrets,
    "tool": lambda typed: (*_tools(typed), *_files("wasm")(typed)),
    "file": _files(),
    "wasm": _files("wasm"),
    "component": _components,
    "component-or-file": lambda typed: (*_components(typed), *_files("wasm")(typed)),
    "granted": _granted,
    "grant": lambda typed: _stored(_GRANTS, typed.home),
    "approval": lambda typed: _stored(_APPROVALS, typed.home),
    "policy": _shipped("policies"),
    "admission": _shipped("policies/admission"),
    "shell": lambda _: _START,
    "client": _clients,
}
