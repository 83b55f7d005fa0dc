"""Hide credentials in what is about to be written.

Decides what a record may hold of arguments, output and denials: nothing that looks like a well-known credential, no value of
a telling name, and none of the literal values it was told. Looks also into JSON, base64 and percent-encoding inside strings.
What a secret looks like is `sandbox.redaction.patterns`; where it is written is `sandbox.audit.log`.

Rules: works on a copy, never on the value it was given; lists what it hid, by kind; hides too much rather than too little;
its time is linear in the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.redaction.assignments import NAMELESS, hide_assignments, telling
from sandbox.redaction.encodings import ENCODINGS, Encoding
from sandbox.redaction.literals import MIN_LITERAL as MIN_LITERAL
from sandbox.redaction.literals import Literals
from sandbox.redaction.patterns import hide_credentials, marker

SMALL_TEXT, SMALL_ITEMS = 512, 16
"""Up to where a value is small: together below every bound of a record's field."""

MAX_NAMES = 256
MAX_DEPTH = 64
MAX_DECODES = 3
"""How many encodings inside each other are opened: JSON in base64 in JSON."""
FAN = 16
"""Into how many groups the runs of an encoding are parted where some hold a secret: each group is looked at as one text."""

_SUSPECT = re.compile(r"""["'%=:]|--|</|Q~|eyJ|earer|EARER|asic|ASIC|\\[ux]|[A-Za-z0-9+/_-]{12}""")
"""What a text must hold for anything to be hidden in it, literals apart: a test holds it against every pattern.

JSON holds a text in `"`, an escape begins with `%` or `\\`, an assignment with `=`, `:`, `--`, `'` or ends with `</`; every
credential is a run of twelve letters, as base64 is, or has one of the other signs.
"""

_NAME = re.compile(r"-{0,2}[A-Za-z][A-Za-z0-9_.-]{1,63}")
_NAME_KEYS = ("name", "key", "header", "variable", "field")
_VALUE_KEYS = frozenset({"value", "values", "val", "content", "data"})
"""A header or a variable as a record: `{"name": "X-Api-Key", "value": …}`."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """A copy without secrets, and the kinds of what was hidden in it, sorted."""

    value: Any
    hidden: tuple[str, ...]


class Redactor:
    """Hides well-known credentials, and `literals`: pairs of a name and the very value that must not be written."""

    def __init__(self, literals: Iterable[tuple[str, str]] = ()) -> None:
        self._literals = Literals(literals)
        self.longest = self._literals.longest
        """The length of the longest literal."""
        self._names: dict[str, Redacted] = {}

    def hiding(self, literals: Iterable[tuple[str, str]]) -> Redactor:
        """A redactor that hides these as well."""
        return Redactor([*self._literals.pairs, *literals])

    def harmless(self, value: Any) -> bool:
        """Whether a small flat value surely has nothing to hide or to cut: one look at each text. False says nothing."""
        if type(value) is dict:
            return (
                len(value) <= SMALL_ITEMS
                and _said_name(value) is None
                and all(
                    type(key) is str and not telling(key) and self._plain(key) and self._plain(item)
                    for key, item in value.items()
                )
            )
        return self._plain(value)

    def _plain(self, value: Any) -> bool:
        if type(value) is str:
            return len(value) <= SMALL_TEXT and self._holds_nothing(value)
        return value is None or type(value) in (bool, int)

    def name(self, text: str) -> Redacted:
        """As `redact`, for the names that come again with every call: the answer is kept."""
        found = self._names.get(text)
        if found is None:
            if len(self._names) >= MAX_NAMES:
                self._names.clear()
            found = self._names[text] = self.redact(text)
        return found

    def _holds_nothing(self, text: str) -> bool:
        return _SUSPECT.search(text) is None and not self._literals.within(text)

    def redact(self, value: Any) -> Redacted:
        """A copy of a JSON value without secrets."""
        hidden: set[str] = set()
        return Redacted(self._walk(value, hidden, 0, 0), tuple(sorted(hidden)))

    def _walk(self, value: Any, hidden: set[str], depth: int, decodes: int) -> Any:
        if depth > MAX_DEPTH:
            return "[NESTED TOO DEEPLY]"
        if isinstance(value, str):
            return self._text(value, hidden, decodes)
        if isinstance(value, Mapping):
            return self._object(value, hidden, depth, decodes)
        if isinstance(value, list | tuple):
            return self._list(value, hidden, depth, decodes)
        return value

    def _object(self, value: Mapping[str, Any], hidden: set[str], depth: int, decodes: int) -> dict[str, Any]:
        copy: dict[str, Any] = {}
        said = _said_name(value)
        for key, item in value.items():
            name = self._text(str(key), hidden, decodes)
            of = str(key) if telling(str(key)) else said if str(key).lower() in _VALUE_KEYS else None
            copy[name] = self._walk(item, hidden, depth + 1, decodes) if of is None else self._marked(of, item, hidden, decodes)
        return copy

    def _list(self, value: list[Any] | tuple[Any, ...], hidden: set[str], depth: int, decodes: int) -> list[Any]:
        """What follows a telling name is its value: a header as `[name, value]`, `--password` among the words of a command."""
        copy: list[Any] = []
        of: str | None = None
        for item in value:
            copy.append(self._walk(item, hidden, depth + 1, decodes) if of is None else self._marked(of, item, hidden, decodes))
            of = item if of is None and isinstance(item, str) and _is_name(item) else None
        return copy

    def _marked(self, name: str, item: Any, hidden: set[str], decodes: int) -> Any:
        """The marker in place of a telling name's value; nothing, yes and no tell nothing."""
        if item is None or item == "" or isinstance(item, bool):
            return item
        # A name that holds a secret itself must not stand in the marker.
        kind = name.strip("-") if self._text(name, set(), decodes) == name else NAMELESS
        hidden.add(kind.upper()[:64])
        return marker(kind)

    def _text(self, text: str, hidden: set[str], decodes: int) -> str:
        if len(text) < MIN_LITERAL or self._holds_nothing(text):
            return text
        text = self._inside_json(text, hidden, decodes)
        text = self._literals.hide(text, hidden)
        text = hide_credentials(hide_assignments(text, hidden), hidden)
        if decodes < MAX_DECODES:
            for encoding in ENCODINGS:
                text = self._inside(encoding, text, hidden, decodes)
        return text

    def _inside_json(self, text: str, hidden: set[str], decodes: int) -> str:
        """The text, spelled anew where it is JSON that holds a secret: its escapes would hide one from the patterns."""
        if decodes >= MAX_DECODES or not _is_json(text):
            return text
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
        found: set[str] = set()
        copy = self._walk(value, found, 0, decodes + 1)
        hidden |= found
        return json.dumps(copy, ensure_ascii=False) if found else text

    def _inside(self, encoding: Encoding, text: str, hidden: set[str], decodes: int) -> str:
        """The text without the runs of an encoding that hold a secret."""
        if encoding.signs.within(text)(0) is None:
            return text
        read = [(run, copy) for run in dict.fromkeys(encoding.found(text)) for copy in encoding.read(run)]
        holding = self._holding(read, decodes + 1)
        if not holding:
            return text
        hidden.update(*(each.hidden for each in holding.values()))
        return encoding.runs.sub(lambda run: _in_place(encoding, run[0], holding.get(run[0])), text)

    def _holding(self, read: Sequence[tuple[str, str]], decodes: int) -> dict[str, Redacted]:
        """Which of these runs hold a secret, each with the text that it stands for: looked at together, then by sixteenths."""
        found: set[str] = set()
        # What is JSON is only read as such where it stands alone.
        together = "\n".join(copy for _, copy in read if len(read) == 1 or not _is_json(copy))
        redacted = self._text(together, found, decodes)
        if len(read) == 1:
            return {read[0][0]: Redacted(redacted, tuple(sorted(found)))} if found else {}
        apart = [each for each in read if _is_json(each[1])]
        rest = [each for each in read if not _is_json(each[1])] if found else []
        step = max(1, -(-len(rest) // FAN))
        groups = [rest[at : at + step] for at in range(0, len(rest), step)] + [[each] for each in apart]
        holding: dict[str, Redacted] = {}
        for group in groups:
            holding |= self._holding(group, decodes)
        return holding


def _in_place(encoding: Encoding, run: str, redacted: Redacted | None) -> str:
    if redacted is None:
        return run
    return str(redacted.value) if encoding.replaced else marker(f"{encoding.name}_OF_" + "_".join(redacted.hidden))


def _is_json(text: str) -> bool:
    return text.lstrip().startswith(("{", "[", '"'))


def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None and telling(text.strip("-"))


def _said_name(value: Mapping[str, Any]) -> str | None:
    """The telling name that an object of a name and a value says, or None."""
    for key, item in value.items():
        if isinstance(item, str) and str(key).lower() in _NAME_KEYS and _is_name(item):
            return item
    return None
