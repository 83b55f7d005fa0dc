"""What every command line of `sandbox` has in common: its parser, `--json`, `--home`, and errors that help.

Decides how a command is declared (`leaf`, `group`) and how a wrong word is refused. Which commands there are is
`sandbox.cli.arguments`.

Rules: light, standard library only. A wrong command line is a `SandboxError` like any other refusal, so that it comes as JSON
where JSON was asked for. What a word names (`completes`) is a plain string; who completes it is loaded for completion alone.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Collection, Sequence
from typing import Any, NoReturn, TypeAlias

from sandbox.errors import Code, SandboxError

EXITS = """\
exit codes:
  0 ok                    3 a policy, component or grant is refused
  1 the answer is no: a denial, a limit, a tool's error
  2 wrong usage           4 the host is unavailable
"""


_MISSING = "the following arguments are required: "
"""What argparse says, of options here: a missing word is refused by who counts them."""


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Texts as they are written, beside even the longest command."""
    made = argparse.RawDescriptionHelpFormatter(prog, max_help_position=30)
    made._action_max_length = 14  # argparse does not count the names of commands
    return made


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviations and raises what it refuses."""

    def __init__(self, **options: Any) -> None:
        # An abbreviated option changes its meaning with the next option that is added.
        super().__init__(**{"formatter_class": _formatter, **options}, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Refuse the command line; the help names the command that was written."""
        shown = "shows what may be written"
        if message == f"{_MISSING}COMMAND":
            message = f"`{self.prog}` wants a command: {', '.join(f'`{name}`' for name in self._command_names())}"
            shown = "says what each does"
        elif message.startswith(_MISSING):
            message = f"`{self.prog.removeprefix('sandbox ')}` wants {self._wanted(message.removeprefix(_MISSING))}"
        refuse(message, f"`{self.prog} --help` {shown}")

    def refuse_option(self, option: str) -> NoReturn:
        """Refuse an option that the command does not have, and name the one that was meant."""
        name = option.partition("=")[0]
        near = _near(name, self._option_string_actions)
        refuse(f"unknown option `{name}`", f"{near}`{self.prog} --help` shows what may be written")

    def refuse_word(self, word: str, known: Collection[str]) -> NoReturn:
        """Refuse a word that is none of those known, and name the one that was meant."""
        refuse(f"there is no `{word}` here", f"{_near(word, known)}write one of {', '.join(f'`{each}`' for each in known)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and action.choices is not None and value not in action.choices:
            refuse(f"`{self.prog}` has no command `{value}`", f"{_near(value, action.choices)}`{self.prog} --help` lists them")
        super()._check_value(action, value)

    def _wanted(self, names: str) -> str:
        """The options of that name, with what may be written behind them."""
        found = [action for action in self._actions if set(action.option_strings) & set(names.split(", "))]
        return ", ".join(f"`{action.option_strings[-1]} {action.metavar}`" for action in found) or f"`{names}`"

    def _command_names(self) -> Sequence[str]:
        return [] if self._subparsers is None else list(self._subparsers._group_actions[0].choices or ())


SHARED = ("--home", "--config", "--log-level")
"""Options with a value that every command has; they and `--json` may also stand before the command."""


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def refuse(message: str, help: str | None = None) -> NoReturn:  # noqa: A002 - the word of the error style
    """Refuse a command line: exit code 2."""
    raise SandboxError(message, help=help, code=Code.INVALID_ARGUMENTS)


def _near(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean `{near[0]}`? " if near else ""


def count(text: str) -> int:
    """The type of an option that counts something: at least one of it."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


count.__name__ = "number"  # argparse names the type in its message


def leaf(
    commands: Commands,
    name: str,
    module: str,
    summary: str,
    wanted: str,
    words: tuple[int, int | None],
    *,
    completes: str = "file",
    needs_home: bool = False,
) -> Parser:
    """Declare one command, answered by `sandbox.cli.MODULE`.

    `wanted` says what its words are and `words` how many there may be; `completes` what kind of thing a word names. One that
    `needs_home` is about what is there already, and makes no home.
    """
    parser = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=EXITS)
    none = words[1] == 0
    written = parser.add_argument("words", nargs="*", metavar=wanted.replace("`", ""), help=argparse.SUPPRESS if none else None)
    naming(written, "nothing" if none else completes)
    spelled = parser.prog.removeprefix("sandbox ")
    parser.set_defaults(parser=parser, module=module, action=name, wanted=wanted, word_count=words, spelled=spelled)
    parser.set_defaults(needs_home=needs_home)
    parser.add_argument("--json", action="store_true", help="answer as one JSON document")
    parser.add_argument(
        "--home",
        metavar="DIR",
        help="where state, cache, record and data lie (default: $SANDBOX_HOME, else ~/.local/state/sandbox)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the operator's configuration (default: $SANDBOX_CONFIG, else sandbox.yaml in ~/.config/sandbox)",
    )
    parser.add_argument("--log-level", default="warning", choices=["debug", "info", "warning", "error"], metavar="LEVEL")
    return parser


def group(commands: Commands, name: str, summary: str) -> Commands:
    """Declare a group of commands."""
    parser = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def naming(action: argparse.Action, kind: str) -> None:
    """Say what the words of an argument name; `sandbox.cli.completion` knows the kinds."""
    action.completes = kind  # type: ignore[attr-defined] # argparse's actions may carry more; argcomplete's do
