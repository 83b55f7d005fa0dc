"""The very values that must not be written, and the ways they may be spelled.

Decides which spellings of a value are looked for as they are: itself, as JSON and Python write it in quotes, and, where
its run would not be decoded (it is short, or not ASCII), in base64, hexadecimal and percent signs. The rest is found by decoding.
Rules: the longest first, so that a value which contains another one is hidden whole; what is too short is no literal.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from sandbox.redaction.patterns import marker

MIN_LITERAL = 4
"""A literal value shorter than this is not hidden: it would blot out half the record (`1`, `on`)."""

OPENED = 9
"""A value of so many letters of ASCII has two readable groups of base64 at every alignment, and is found by decoding."""
SHORTEST = 5
"""Fewer letters stand in a text by chance."""
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"


class Literals:
    """Pairs of a name and a value to hide."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        known = {value: name for name, value in pairs if len(value) >= MIN_LITERAL}
        self.pairs = tuple((name, value) for value, name in known.items())
        self.longest = max(map(len, known), default=0)
        """The length of the longest value."""
        spelled = {form: name for name, value in self.pairs for form in quoted(value)}
        self._forms = sorted(spelled.items(), key=lambda pair: -len(pair[0]))
        encoded = {form: name for name, value in self.pairs if not _is_opened(value) for form in _encoded(value)}
        self._encoded = sorted(encoded.items(), key=lambda pair: -len(pair[0]))

    def within(self, text: str) -> bool:
        """Whether one of them stands in a text as it is."""
        return any(form in text for form, _ in self._forms) or any(form in text for form, _ in self._encoded)

    def hide(self, text: str, hidden: set[str]) -> str:
        """`text` with each of them replaced; the names go into `hidden`."""
        for form, name in self._forms:
            if form in text:
                hidden.add(name.upper()[:64])
                text = text.replace(form, marker(name))
        for form, name in self._encoded:
            if form in text:
                hidden.add(name.upper()[:64])
                text = _without_runs(text, form, marker(f"ENCODED_{name}"))
        return text


def spellings(value: str) -> Iterator[str]:
    """Every way in which a value may stand in a text, the value itself first."""
    yield from quoted(value)
    yield from _encoded(value)


def quoted(value: str) -> Iterator[str]:
    """The value, and as JSON and Python write it in quotes."""
    yield value
    for spelled in (json.dumps(value), json.dumps(value, ensure_ascii=False), repr(value)):
        yield spelled[1:-1]


def _is_opened(value: str) -> bool:
    return value.isascii() and len(value) >= OPENED


def _encoded(value: str) -> Iterator[str]:
    data = value.encode("utf-8", "replace")
    for before in range(3):
        # The letters that this value alone decides, whatever stands before and behind it.
        whole = b64encode(b"\0" * before + data).decode().rstrip("=")
        core = whole[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        if len(core) >= SHORTEST:
            yield from (core, core.replace("+", "-").replace("/", "_"))
    yield from (data.hex(), data.hex().upper())
    yield from (quote(value, safe=""), quote(value, safe="").lower(), quote(value))


def _without_runs(text: str, form: str, mark: str) -> str:
    """`text` with the marker in place of every run of letters around `form`: its first and last ones share bits with it."""
    pieces = text.split(form)
    for at, piece in enumerate(pieces):
        rest = piece.lstrip(_LETTERS).removeprefix("=").removeprefix("=") if at else piece
        pieces[at] = rest.rstrip(_LETTERS) if at < len(pieces) - 1 else rest
    return mark.join(pieces)
