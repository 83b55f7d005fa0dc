"""What may be written after `sandbox`: the commands, their words and options.

Decides the shape of a command line. Leaves what the words mean to the command's own module.

Rules: light, standard library only. Words and options may be mixed in any order. Every command has `--json`, `--home` and
`--log-level`.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any

from sandbox.cli.admission.words import admissions
from sandbox.cli.audit.words import auditing
from sandbox.cli.authoring import building, starting
from sandbox.cli.keeping import keeping
from sandbox.cli.operating import operating
from sandbox.cli.parser import EXITS, SHARED, Parser, naming, refuse
from sandbox.cli.parser import Commands as _Commands
from sandbox.cli.parser import group as _group
from sandbox.cli.parser import leaf as _leaf
from sandbox.cli.permitting import permitting
from sandbox.cli.policy.words import policies
from sandbox.cli.serving import builtin, serving


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of one command: `module` answers it; `words` are the positional ones, in order.

    Raises:
        SandboxError: `invalid_arguments`, it is no command line of this program.
    """
    for word in argv:
        _refuse_no_text(word)
    arguments, rest = root().parse_known_args(_command_first(argv))
    # argparse takes positional words in one run only; those behind an option end up here.
    unknown = [word for word in rest if word.startswith("-") and word != "-"]
    if unknown:
        arguments.parser.refuse_option(unknown[0])
    arguments.words = [*arguments.words, *rest]
    low, high = arguments.word_count
    if not low <= len(arguments.words) <= (sys.maxsize if high is None else high):
        wanted = f"wants {arguments.wanted}" if len(arguments.words) < low else "has a word too many"
        refuse(f"`{arguments.spelled}` {wanted}", f"`{arguments.parser.prog} --help` shows what may be written")
    return arguments


def _refuse_no_text(word: str) -> None:
    try:
        word.encode()
    except UnicodeEncodeError:
        shown = word.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        # What lies behind a command keeps and compares text: it could not even say that it has no such name.
        refuse(f"a word of the command line is no text: `{shown}`", "write it in UTF-8, as every name and path here is")


def _command_first(argv: Sequence[str]) -> list[str]:
    """The same words, with the options that every command has behind the command; one that stands there already decides."""
    words, moved = list(argv), []
    while words and (words[0] == "--json" or words[0].partition("=")[0] in SHARED):
        taken = 1 if "=" in words[0] or words[0] == "--json" else 2
        again = words[0].partition("=")[0] in {word.partition("=")[0] for word in words[taken:]}
        moved += [] if again else words[:taken]
        words = words[taken:]
    end = words.index("--") if "--" in words else len(words)
    return [*words[:end], *moved, *words[end:]]


def root() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(
        prog="sandbox",
        description="Run untrusted WebAssembly components as MCP tools, each under a policy of its own.",
        epilog=f"{EXITS}\n`sandbox COMMAND --help` says more of each; `sandbox install` writes this into your MCP client.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _run(commands)
    serving(commands, _hosting)
    _component(commands)
    _tool(commands)
    policies(commands)
    admissions(commands)
    permitting(commands)
    auditing(commands)
    operating(commands)
    _leaf(commands, "doctor", "doctor", "say which layers protect this machine", "nothing more", (0, 0))
    starting(commands)
    _install(commands)
    _completion(commands)
    return parser


class _Version(argparse.Action):
    """`--version`; the package's metadata takes longer to import than all the rest, so only this does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(f"sandbox {importlib.import_module('importlib.metadata').version('sandbox')}")
        parser.exit()


def _policy_option(parser: Parser) -> None:
    policy = parser.add_argument(
        "--policy",
        action="append",
        default=[],
        metavar="[COMPONENT=]FILE|NAME",
        help="a policy of one component or of all (default: the one accepted for it before, else none: it may touch nothing)",
    )
    naming(policy, "policy")


def _hosting(parser: Parser) -> None:
    _policy_option(parser)
    waived = "accept a field of its policies that WASI cannot have, without effect"
    parser.add_argument("--waive", action="append", default=[], metavar="FIELD", help=waived)
    parser.add_argument("--ceiling", metavar="FILE", help="the most that any policy may give here")
    parser.add_argument("--isolation", choices=["default", "strict"], help="strict: every layer or no start")
    parser.add_argument("--nameserver", metavar="HOST:PORT", help="resolve names there in place of the system's resolver")


def _run(commands: _Commands) -> None:
    summary = "serve components as MCP tools on standard input and output"
    parser = _leaf(commands, "run", "run", summary, "`[FILE.wasm …]`", (0, None), completes="wasm")
    _hosting(parser)
    builtin(parser)


def _component(commands: _Commands) -> None:
    group = _group(commands, "component", "install, look at and build components")
    keeping(group)
    building(group)


def _tool(commands: _Commands) -> None:
    group = _group(commands, "tool", "try tools without an MCP client")
    listed = "list the tools of components: of these, else of running servers and of what is installed"
    called = "`[FILE.wasm …] TOOL [KEY=VALUE … | {JSON}]`"
    _hosting(_leaf(group, "list", "tool", listed, "`[FILE.wasm …]`", (0, None), completes="wasm"))
    _hosting(_leaf(group, "call", "tool", "call one tool, of those that `tool list` lists", called, (0, None), completes="tool"))


def _install(commands: _Commands) -> None:
    wanted = "`claude|claude-code|cursor|vscode|gemini|codex|mcp-json`"
    install = _leaf(
        commands,
        "install",
        "install.command",
        "write this program into an MCP client's configuration",
        f"{wanted} `[FILE.wasm …]`",
        (1, None),
        completes="client",
    )
    _policy_option(install)
    handed = "a variable that the client hands over, as `WORKSPACE=/path` for a policy that names it"
    install.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help=handed)
    install.add_argument("--replace", action="store_true", help="put it in place of another entry of that name")
    summary = "take it out of an MCP client's configuration again"
    remove = _leaf(commands, "uninstall", "install.command", summary, wanted, (1, 1), completes="client")
    for parser in (install, remove):
        parser.add_argument("--name", default="sandbox", metavar="NAME", help="what the client calls it (default: sandbox)")
        scope = "of this user or of this folder (default: the client's usual one)"
        parser.add_argument("--scope", choices=["user", "project"], help=scope)
        parser.add_argument("--dry-run", action="store_true", help="show what would change, write nothing")
    install.add_argument("--print", action="store_true", help="print the entry alone, write nothing")
    remove.set_defaults(print=False, policy=[], replace=False)


def _completion(commands: _Commands) -> None:
    summary = "print what makes a shell complete these commands"
    _leaf(commands, "completion", "completion", summary, "`bash|zsh|fish`", (1, 1), completes="shell")
