"""Find where something in a text begins: one expression, in the engine that fits the text's length.

Decides nothing about what was found. Rules: an expression is of the syntax that both engines share; a long text is searched by
RE2, in time linear in it, as Latin-1 with `?` for every other letter, so that a place in the bytes is the same place in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from importlib import import_module
from typing import Any, Protocol

SHORT = 512
"""Up to this length Python's own engine is quicker, and cannot be slow."""

NEAR = 24
"""Letters that Python's engine looks at first: in a text that is full of signs the next one is near, and a call of RE2's dear."""


class Found(Protocol):
    """Where something begins and ends."""

    def start(self) -> int:
        """Its first place."""

    def end(self) -> int:
        """The place behind it."""


class Signs:
    """One expression, to be searched for in texts of any length.

    No match may begin before another one and end behind it, else the one that is wholly near would be found in its place.
    """

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._short = re.compile(expression)

    def within(self, text: str) -> Callable[[int], Found | None]:
        """What finds the next place in `text` from a place on."""
        if len(text) <= SHORT:
            return lambda at: self._short.search(text, at)
        long, near, data = self._long.search, self._short.search, text.encode("latin-1", "replace")
        return lambda at: near(text, at, at + NEAR) or long(data, at)

    def all(self, text: str) -> Iterator[str]:
        """Every part of `text` that is one."""
        search, at = self.within(text), 0
        while (found := search(at)) is not None:
            at = found.end()
            yield text[found.start() : at]

    @cached_property
    def _long(self) -> Any:
        # Loaded here alone: who writes short texts never pays for it.
        re2 = import_module("re2")
        options = re2.Options()
        options.encoding, options.never_capture = re2.Options.Encoding.LATIN1, True
        return re2.compile(self._expression.encode(), options)
