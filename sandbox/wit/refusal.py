"""How a bad argument is refused: where it is, what it is, and what to write instead.

Everything quoted here came from a caller or a component, so it is shortened and escaped before it is shown.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import Any

from sandbox.errors import Code, SandboxError

SHOWN = 60
"""Characters of a foreign value or name that a message shows."""

PATH_SHOWN = 240
"""Characters of a path that a message shows."""

COMPARED = 200
"""Names that `did you mean` compares: comparing costs the square of what a component may declare."""


class ArgumentError(SandboxError):
    """A call's arguments are refused before the guest runs; `path` is the place, `arguments.items[3].name`."""

    code = Code.INVALID_ARGUMENTS

    def __init__(self, path: str, message: str, *, help: str | None = None) -> None:  # noqa: A002 - the word of the error style
        shown = path if len(path) <= PATH_SHOWN else path[: PATH_SHOWN - 1] + "…"
        super().__init__(f"{shown}: {message}", help=help)
        self.path = shown


def quoted(value: Any) -> str:
    """A foreign value as a short piece of one line: ``null``, ``5``, ``"abc…"``, ``an array``, ``an object``."""
    if isinstance(value, list | tuple):
        return "an array"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, str):
        return json.dumps(_cut(value))
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**40:
        return "a number of more than 40 digits"
    return _cut(json.dumps(value, default=lambda other: type(other).__name__))


def named(name: str) -> str:
    """A foreign name in backticks, short and escaped."""
    return f"`{json.dumps(_cut(name))[1:-1]}`"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """``did you mean `x`?`` for a name that is close to one of `names`, else None."""
    known = [candidate for candidate in names if len(candidate) <= SHOWN][:COMPARED]
    close = difflib.get_close_matches(name[:SHOWN].replace("_", "-").lower(), known, n=1, cutoff=0.6)
    return f"did you mean {named(close[0])}?" if close else None


def listed(names: Iterable[str], *, limit: int = 12) -> str:
    """Names in backticks with commas, at most `limit` of them."""
    every = list(names)
    shown = ", ".join(named(name) for name in every[:limit])
    return shown if len(every) <= limit else f"{shown} and {len(every) - limit} more"


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
