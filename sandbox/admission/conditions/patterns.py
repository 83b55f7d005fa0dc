"""The two kinds of pattern that an admission document has: names with `*`, and expressions.

A name has parts, which end at `/` and `:`. `*` stands for any run within a part; as the last part, for all that lies below;
alone, for everything: `tools/*` covers `tools/x` and `tools/x/y`, never `tools` or `toolshed`.

Expressions run on RE2, in time linear in the text whatever the pattern (ATTACKS: expressions that backtrack for ever). What it
does not speak, look-around and back-references, is refused; so is a literal that is opened and not closed, which
would swallow what it is joined to. A dot matches a line's end too: a newline must not hide the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

import re2  # type: ignore[import-untyped]

from sandbox.policy.globs import name_matcher
from sandbox.policy.refusal import Refusal, quoted

MAX_EXPRESSION = 4096
_PARTS = re.compile(r"([/:])")
_CLOSED = re.compile(r"\\Q.*?\\E|\\[^Q]", re.DOTALL)
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.dot_nl = True

Test = Callable[[str], bool]


@lru_cache(maxsize=8192)
def covers(pattern: str) -> Test:
    """A test whether the pattern stands for a name."""
    if pattern == "*":
        return lambda _name: True
    if "*" not in pattern:
        return pattern.__eq__
    wanted = _PARTS.split(pattern)
    below = wanted[-1] == "*" and len(wanted) > 1
    tests = [name_matcher(part) for part in wanted]

    def covered(name: str) -> bool:
        parts = _PARTS.split(name)
        if below and len(parts) > len(tests):
            parts = parts[: len(tests)]
        return len(parts) == len(tests) and all(test(part) for test, part in zip(tests, parts, strict=True))

    return covered


def any_covers(patterns: Iterable[str]) -> Test:
    """A test whether one of the patterns stands for a name."""
    tests = tuple(covers(pattern) for pattern in patterns)
    return lambda name: any(test(name) for test in tests)


@lru_cache(maxsize=4096)
def expression(text: str) -> re2._Regexp:
    """The compiled expression; raises `Refusal` for one that RE2 does not speak."""
    if len(text) > MAX_EXPRESSION:
        raise Refusal(f"an expression of {len(text)} characters is too long", f"write at most {MAX_EXPRESSION} characters")
    if r"\Q" in _CLOSED.sub(" ", text):
        raise Refusal(f"{quoted(text)} opens a literal and does not close it", r"write `\E` where the `\Q` ends")
    try:
        return re2.compile(text, _OPTIONS)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        raise Refusal(f"{quoted(text)} is no expression: {why}", _help_of(text)) from None
    except UnicodeEncodeError:
        raise Refusal(f"{quoted(text)} holds half a character", "take the surrogate out") from None


def any_of(texts: Iterable[str]) -> Callable[[bytes], bool]:
    """A test whether one of these expressions, each of which compiles, is found in a text: one search for all of them."""
    joined = "|".join(f"(?:{text})" for text in texts)
    try:
        found = re2.compile(joined, _OPTIONS).search
    except re2.error:
        # Together they are more than the engine takes: what this spares is done.
        return lambda _text: True
    return (lambda text: found(text) is not None) if joined else lambda _text: False


def whole(text: str) -> Test:
    """A test whether the expression matches the whole of a text."""
    matches = expression(text).fullmatch
    return lambda value: matches(encoded(value)) is not None


def encoded(text: str) -> bytes:
    """The text as the engine reads it; half a character, which no UTF-8 has, is read as `?`."""
    return text.encode("utf-8", "replace")


def _help_of(text: str) -> str:
    if re.search(r"\(\?(?:<?[=!]|P=)|\\[1-9]", text):
        return "look-around and back-references are not spoken here: a text must not cost more than its length"
    return "the syntax is RE2's: github.com/google/re2/wiki/Syntax; write a sign itself as `\\.`"
