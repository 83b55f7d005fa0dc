"""Show data to a person or to a script.

Decides the form: JSON with `--json`; a table with rich where standard output is a terminal; plain aligned columns elsewhere.

Rules: data on standard output, everything else on standard error. What a component wrote (a description, a result, a path) is
shown with its control characters escaped: a terminal obeys them.
"""

from __future__ import annotations

import importlib
import json as json_format
import os
import re
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sandbox.cli.progress import Report, moving_line
from sandbox.errors import Code, PolicyError, SandboxError

_REFUSALS = frozenset(
    {
        Code.FILESYSTEM_ACCESS_DENIED,
        Code.NETWORK_ACCESS_DENIED,
        Code.ENVIRONMENT_ACCESS_DENIED,
        Code.INVALID_ARGUMENTS,
    }
)
"""The host said no; a call that ends with any other code ran, and failed."""
_COLOURS = {"red": 31, "green": 32, "yellow": 33}
_WORDS = {"error": "1;31", "refused": "1;31", "warning": "33", "help": "36", "next": "36", "or": "36"}
_WORD = re.compile(rf"^( *)({'|'.join(_WORDS)}):", re.MULTILINE | re.IGNORECASE)
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def safe(text: object, *, lines: bool = False) -> str:
    """The text with control, bidi and invisible characters escaped; with `lines`, line ends stay."""
    shown = str(text)
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(char if _printable(char, lines=lines) else char.encode("unicode_escape").decode() for char in shown)


def _printable(char: str, *, lines: bool) -> bool:
    return (lines and char in "\n\t") or unicodedata.category(char) not in _UNSAFE


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where one command shows its data."""

    json: bool = False

    @property
    def interactive(self) -> bool:
        """Whether a person reads standard output."""
        return not self.json and sys.stdout.isatty()

    @contextmanager
    def working(self, text: str, *, told: bool = False) -> Iterator[Report]:
        """Show that slow work goes on while the block runs; with `told` say how long it took, on any standard error."""
        began = time.monotonic()
        if self.json or not sys.stderr.isatty():
            yield lambda _done, _total: None
        else:
            with moving_line(safe(text)) as report:
                yield report
        if told and not self.json:
            self.note(f"{text}: {time.monotonic() - began:.1f} s")

    def data(self, value: object, *, indented: bool = False) -> None:
        """Write one JSON document; for `--json`. For a person, or to be copied, it is `indented`."""
        print(json_format.dumps(value, indent=2 if indented or sys.stdout.isatty() else None), flush=True)

    def line(self, text: object = "", *, colour: str = "") -> None:
        """Write one line of data; in `colour` (`red`, `green`, `yellow`) for a person at a terminal."""
        shown, code = safe(text), _COLOURS.get(colour)
        plain = code is None or not self.interactive or os.environ.get("NO_COLOR")
        print(shown if plain else f"\x1b[{code}m{shown}\x1b[0m")

    def text(self, text: object) -> None:
        """Write text of several lines."""
        print(safe(text, lines=True))

    def note(self, text: object) -> None:
        """Tell a person something that is no data."""
        shown = safe(text, lines=True)
        print(_coloured(shown) if _coloured_errors() else shown, file=sys.stderr)

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[object]], *, none: str, colours: Sequence[str] = ()) -> None:
        """Write rows under headers; `none` goes to standard error where there are no rows. `colours` are those of the rows."""
        cells = [[safe(cell) for cell in row] for row in rows]
        if not cells:
            self.note(none)
        elif self.interactive:
            _rich_table(headers, cells, colours)
        else:
            _plain_table(headers, cells)

    def fail(self, error: SandboxError) -> None:
        """Tell why a command is refused, every problem of a document on its own."""
        if self.json:
            self.data({"error": error.to_json()})
        elif isinstance(error, PolicyError):
            for problem in error.problems:
                self.note(f"error: {problem}")
        else:
            self.note(f"error: {error}")

    def denied(self, body: dict[str, Any]) -> None:
        """Tell why a call ended without a result, what the tool said of it, and the command that would allow it."""
        if body["code"] in _REFUSALS:
            self.note(f"refused: {body['code']}: {body['message']}")
        else:
            self.note(f"error: {body['message']}{_said(body)}")
        if body.get("help"):
            self.note(f"  help: {body['help']}")
        if body.get("command"):
            self.note(f"  help: `{body['command']}`")

    def fail_with(self, message: str, *, help: str | None = None) -> None:  # noqa: A002 - the word of the error style
        """Tell a failure that is no `SandboxError`."""
        self.fail(SandboxError(message, help=help, code=Code.UNAVAILABLE))


def _coloured_errors() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _coloured(text: str) -> str:
    """The word that says what a line is, in its colour. By hand: an error must not wait for rich."""
    return _WORD.sub(lambda found: f"{found[1]}\x1b[{_WORDS[found[2].lower()]}m{found[2]}:\x1b[0m", text)


def _said(body: dict[str, Any]) -> str:
    if (said := body.get("error")) is None:
        return ""
    return f": {said if isinstance(said, str) else json_format.dumps(said)}"


def _plain_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[index]) for row in (headers, *rows)) for index in range(len(headers))]
    for row in (headers, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _rich_table(headers: Sequence[str], rows: Sequence[Sequence[str]], colours: Sequence[str]) -> None:
    # Loaded here alone: a script and a pipe never pay for it.
    plain = {"color_system": None} if os.environ.get("NO_COLOR") else {}
    console: Any = importlib.import_module("rich.console").Console(highlight=False, **plain)
    text = importlib.import_module("rich.text").Text
    table = importlib.import_module("rich.table").Table(box=importlib.import_module("rich.box").SIMPLE_HEAD)
    for header in headers:
        table.add_column(header, overflow="fold")
    for number, row in enumerate(rows):
        table.add_row(*(text(cell, style=colours[number] if colours else "") for cell in row))
    console.print(table)
