"""Read JSON as strictly as it is written down: RFC 8259 and RFC 7493, for whatever comes from outside.

Decides whether a text is JSON, and what of it is not strict: a key that occurs twice, `NaN`, a number that overflows, half a
surrogate pair. Leaves what to answer to who asks. Pure.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

MAX_DEPTH = 200
"""How deeply a message may nest. No WIT type is recursive, so no argument comes near it; the codecs behind it recurse."""

# One that is not closed is a string to the end: tried anew from each quote in it, it would take the square of its length.
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(slots=True)
class _Flaws:
    """What is wrong with a text that still has a structure; the first one is told."""

    found: list[str] = field(default_factory=list)

    def pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            first = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
            self.found.append(f"the key {first[:80]!a} occurs twice in one object")
        return made

    def constant(self, text: str) -> None:
        self.found.append(f"`{text}` is not JSON; write non-finite floats as strings")

    def number(self, text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            self.found.append(f"the number `{text[:40]}` is too large for a float")
        return value


def read_json(text: bytes) -> tuple[Any, list[str]]:
    """The value, and what of its text is not strict. Raises ValueError, in words, for what is no JSON at all."""
    if _too_deep(text):
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    flaws = _Flaws()
    try:
        decoded = json.loads(
            text.decode("utf-8"), object_pairs_hook=flaws.pairs, parse_constant=flaws.constant, parse_float=flaws.number
        )
    except ValueError as error:
        raise ValueError(_reason(error)) from None
    if _SURROGATE.search(text) and has_lone_surrogate(decoded):
        flaws.found.append("a string has a lone surrogate (`\\ud800` to `\\udfff` without its pair)")
    return decoded, flaws.found


def has_lone_surrogate(decoded: object) -> bool:
    """Whether a string in it cannot be written as UTF-8."""
    try:
        json.dumps(decoded, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _too_deep(text: bytes) -> bool:
    """Whether the text nests deeper than `MAX_DEPTH`; brackets in strings are no nesting."""
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for bracket in _BRACKETS.finditer(text):
        match bracket[0]:
            case b"[" | b"{":
                depth += 1
                if depth > MAX_DEPTH:
                    return True
            case b"]" | b"}":
                depth -= 1
    return False


def _reason(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg[:1].lower()}{error.msg[1:]} at column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    return "a number with too many digits"
