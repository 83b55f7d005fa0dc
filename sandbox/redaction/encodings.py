"""The spellings in which a secret may lie in a text: base64, percent signs, escapes, hexadecimal digits.

Decides where a run of each begins and ends, and which texts it may stand for; whether one of them holds a secret, and what then
stands in its place, is `sandbox.redaction.redact`. Rules: linear in the text; a run that cannot hold six readable letters in a
row is not opened; base64 is read at each of its four alignments, since what stands before it may be letters too, behind each
slash, and over wrapped lines.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from sandbox.redaction.signs import Signs

FEWEST = 8
"""Letters that hold nothing are fewer."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """One spelling. `signs` are in every text that has it, `found` gives at least those of its `runs` that may hold something.

    `replaced` tells whether the readable copy takes the run's place.
    """

    name: str
    signs: Signs
    runs: re.Pattern[str]
    found: Callable[[str], Iterable[str]]
    read: Callable[[str], tuple[str, ...]]
    replaced: bool = False


_L = "[A-Za-z0-9+/_-]"
_BREAK = r"(?:\r?\n|\\++r\\++n|\\++n)[ \t]{0,8}"
# Four letters that stand for three of ASCII's readable signs.
_QUAD = "[I-Za-f][C-HS-Xi-nyz0-3][ABEFIJMNQRUVYZcdghklopstwx014589]" + _L
_READABLE = re.compile(f"(?:{_QUAD}){{2}}")
_RUNS = re.compile(rf"{_L}{{12,}}+(?:(?<={_L}{{40}})(?:{_BREAK}{_L}{{40,}}+)*+(?:{_BREAK}{_L}{{1,79}}+)?+)?={{0,2}}")
_APART = re.compile(r"[\s\"'<>]")
_BREAKS = re.compile(r"\s|\\+[rn]")
_ESCAPE = re.compile(r"\\+(?:u(?P<four>[0-9A-Fa-f]{4})|x(?P<two>[0-9A-Fa-f]{2}))")


def _base64(run: str) -> tuple[str, ...]:
    if _READABLE.search(run) is None:
        return ()
    letters = _BREAKS.sub("", run).rstrip("=").replace("-", "+").replace("_", "/")
    # A path may end in one: what stands before the last sign is then no part of it.
    parts = [part for part in letters.split("/")[1:] if len(part) >= FEWEST]
    return tuple(dict.fromkeys(_from_base64(each) for each in (*(letters[at:] for at in range(4)), *parts)))


def _from_base64(letters: str) -> str:
    # One letter beyond a multiple of four is what remains of a text that was cut: what is before it still decodes.
    letters = letters[:-1] if len(letters) % 4 == 1 else letters
    return b64decode(letters + "=" * (-len(letters) % 4)).decode(errors="replace")


def _escapes(run: str) -> tuple[str, ...]:
    return (_ESCAPE.sub(lambda found: chr(int(found["four"] or found["two"], 16)), run),)


def _hex(run: str) -> tuple[str, ...]:
    return (bytes.fromhex(run).decode(errors="replace"),)


def _with(sign: str) -> Callable[[str], Iterable[str]]:
    """The words of a text that hold a sign; a word ends at a space, a quote or an angle bracket."""
    return lambda text: (part for word in text.split() if sign in word for part in _APART.split(word) if sign in part)


_HEX = Signs(f"(?:[2-7][0-9a-fA-F]){{{FEWEST},}}")

ESCAPED = Encoding(
    "ESCAPED",
    Signs(r"\\[ux][0-9A-Fa-f]"),
    re.compile(r"(?<![^\s\"'<>])[^\s\"'<>\\]*+\\[^\s\"'<>]*+"),
    _with("\\"),
    _escapes,
    replaced=True,
)
PERCENT = Encoding(
    "PERCENT",
    Signs(r"%[0-9A-Fa-f]"),
    re.compile(r"(?<![^\s\"'<>])[^\s\"'<>%]*+%[^\s\"'<>]*+"),
    _with("%"),
    lambda run: (unquote(run),),
    replaced=True,
)
BASE64 = Encoding("BASE64", Signs(f"(?:{_QUAD}){{2}}"), _RUNS, _RUNS.findall, _base64)
HEX = Encoding("HEX", _HEX, re.compile(f"(?:[2-7][0-9a-fA-F]){{{FEWEST},}}+"), _HEX.all, _hex)

ENCODINGS = (ESCAPED, PERCENT, BASE64, HEX)
