"""A value of a document that is refused, and what to write instead.

Raised by the small parsers of this package (`units`, `globs`, `uris`, `hosts`), which know no file and no line; `problems`
adds the place. A `ValueError`, so that a pydantic validator may raise it and the other errors are still collected.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class Refusal(ValueError):  # noqa: N818 - it reads as the sentence it is
    """`message` quotes the text in backticks, lower case, no full stop; `help` says what to write instead."""

    def __init__(self, message: str, help: str | None = None) -> None:  # noqa: A002 - the word of the error style
        super().__init__(message)
        self.message = message
        self.help = help


def quoted(text: object, limit: int = 80) -> str:
    """`text` in backticks on one line, cut at `limit` characters: a document may hold a 256 KiB scalar."""
    line = str(text).encode("unicode_escape").decode("ascii") if not str(text).isprintable() else str(text)
    return f"`{line[:limit]}…`" if len(line) > limit else f"`{line}`"


def visible(text: object) -> str:
    """The text with every character that does not print escaped: a dialogue obeys them."""
    shown = str(text)
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in shown)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The help for a near miss of one of `known`, compared without case, `_` and `-`; None where nothing is near."""
    plain = {name.lower().replace("_", "").replace("-", ""): name for name in known}
    near = get_close_matches(word.lower().replace("_", "").replace("-", ""), plain, n=1, cutoff=0.6)
    return f"did you mean `{plain[near[0]]}`?" if near else None


def one_of(word: str, known: Iterable[str]) -> str:
    """The help for a word that is none of `known`: the near one, or all of them."""
    names = tuple(known)
    return did_you_mean(word, names) or "write one of " + ", ".join(f"`{name}`" for name in names)
