"""JSON as editors write it, with comments and trailing commas: read it with its places, change one member, keep all the rest.

Decides where in the text a change belongs. Whether the changed text means what was wanted is checked by who asked
(`sandbox.cli.install.documents`).

Rules: nothing is printed anew: what is not changed keeps its bytes; a text that is not understood whole is refused with its
line and column; a key that occurs twice is refused, since clients differ in which one they take.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

_SPACE = re.compile(r"(?:[ \t\r\n]|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_BLANKS = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_SCALAR = re.compile(r"[-+.\w]+")
MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it lies. `members` are an object's, `comma` tells whether one stands behind the last."""

    value: Any
    start: int
    end: int
    members: tuple[Member, ...] = ()
    comma: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an object: its key, where the key starts, its value, and where its comma stands, if it has one."""

    key: str
    start: int
    node: Node
    comma: int | None = None


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def document(self) -> Node:
        node = self._value(0)
        self._space()
        if self._at < len(self._text):
            self._refuse("there is more behind the end")
        return node

    def _value(self, depth: int) -> Node:
        self._space()
        if depth > MAX_DEPTH:
            self._refuse("it is nested too deep")
        start = self._at
        if self._take("{"):
            return self._object(start, depth)
        if self._take("["):
            items = tuple(self._items(depth))
            return Node([item.value for item in items], start, self._at)
        pattern = _STRING if self._text.startswith('"', start) else _SCALAR
        found = pattern.match(self._text, start)
        if found is None:
            self._refuse("a value is missing")
        try:
            value = json.loads(found[0], parse_constant=lambda _: self._refuse("it is no JSON value"))
        except json.JSONDecodeError:
            self._refuse(f"`{found[0]}` is no JSON value")
        self._at = found.end()
        return Node(value, start, self._at)

    def _object(self, start: int, depth: int) -> Node:
        members: dict[str, Member] = {}
        while not self._closes("}"):
            if members and next(reversed(members.values())).comma is None:
                self._refuse("a `,` is missing")
            at = self._at
            found = _STRING.match(self._text, at)
            if found is None:
                self._refuse("a key in quotes is missing")
            key = json.loads(found[0])
            if key in members:
                self._refuse(f"`{key}` occurs twice")
            self._at = found.end()
            self._space()
            if not self._take(":"):
                self._refuse("a `:` is missing")
            node = self._value(depth + 1)
            self._space()
            comma = self._at
            members[key] = Member(key, at, node, comma if self._take(",") else None)
        value = {key: member.node.value for key, member in members.items()}
        trailing = bool(members) and next(reversed(members.values())).comma is not None
        return Node(value, start, self._at, tuple(members.values()), trailing)

    def _items(self, depth: int) -> Iterator[Node]:
        comma = True
        while not self._closes("]"):
            if not comma:
                self._refuse("a `,` is missing")
            yield self._value(depth + 1)
            self._space()
            comma = self._take(",")

    def _closes(self, bracket: str) -> bool:
        self._space()
        if self._at >= len(self._text):
            self._refuse(f"`{bracket}` is missing")
        return self._take(bracket)

    def _take(self, char: str) -> bool:
        found = self._text.startswith(char, self._at)
        self._at += found
        return found

    def _space(self) -> None:
        found = _SPACE.match(self._text, self._at)
        assert found is not None, "it matches the empty text"
        self._at = found.end()

    def _refuse(self, message: str) -> NoReturn:
        line = self._text.count("\n", 0, self._at) + 1
        column = self._at - (self._text.rfind("\n", 0, self._at) + 1) + 1
        raise ValueError(f"{line}:{column}: {message}")


def read(text: str) -> Node:
    """The document; raises ValueError with line and column."""
    return _Reader(text).document()


def with_member(text: str, path: Sequence[str], value: object) -> str:
    """The text with the member at `path`, put in place of the one that is there, or at its object's end.

    Objects on the way that are missing are made. Raises ValueError for what is no object on the way.
    """
    node, left, where = read(text), list(path), "the document"
    while len(left) > 1 and (found := _member(node, left[0])) is not None:
        node, where = found.node, f"`{left.pop(0)}`"
    if not isinstance(node.value, dict):
        raise ValueError(f"{where} is no object")  # noqa: TRY004 - the type of a text's value, not of an argument
    for key in reversed(left[1:]):
        value = {key: value}
    if (member := _member(node, left[0])) is not None:
        shown = _printed(text, value, _indent_at(text, member.start))
        return text[: member.node.start] + shown + text[member.node.end :]
    return _appended(text, node, left[0], value)


def without_member(text: str, path: Sequence[str]) -> str:
    """The text without the member at `path`; as it is where there is none."""
    node = read(text)
    for key in path[:-1]:
        if (found := _member(node, key)) is None:
            return text
        node = found.node
    if (member := _member(node, path[-1])) is None:
        return text
    return _removed(text, node, member)


def _member(node: Node, key: str) -> Member | None:
    return next((member for member in node.members if member.key == key), None)


def _appended(text: str, node: Node, key: str, value: object) -> str:
    """Behind the last member, and behind the comments that follow it."""
    head, closing = text[: node.end - 1].rstrip(), text[node.end - 1 :]
    if node.members and not node.comma:
        at = node.members[-1].node.end
        head = head[:at] + "," + head[at:]
    # A text on one line stays on one line; an empty object opens.
    if node.members and "\n" not in text[node.start : node.end]:
        return f"{head} {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}{closing}"
    end = _newline(text)
    outer = _indent_at(text, node.start)
    inner = _indent_at(text, node.members[0].start) if node.members else outer + _unit(text)
    comma = "," if node.comma else ""  # where a comma ends each line, it ends this one
    return f"{head}{end}{inner}{json.dumps(key)}: {_printed(text, value, inner)}{comma}{end}{outer}{closing}"


def _removed(text: str, node: Node, member: Member) -> str:
    start, end = member.start, member.node.end if member.comma is None else member.comma + 1
    before = node.members[: node.members.index(member)]
    # The line goes with it where nothing else is on it.
    line = text.rfind("\n", 0, start) + 1
    after = text.find("\n", end)
    if not text[line:start].strip() and after >= 0 and not text[end:after].strip():
        start, end = line, after + 1
    elif member.comma is not None:
        end = _blanks(text, end)
    text = text[:start] + text[end:]
    # A comma that has nothing behind it any more goes, unless trailing ones were this file's way.
    if before and member.comma is None and (comma := before[-1].comma) is not None:
        text = text[:comma] + text[comma + 1 :]
    return text


def _blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    assert found is not None, "it matches the empty text"
    return found.end()


def _printed(text: str, value: object, indent: str) -> str:
    lines = json.dumps(value, indent=_unit(text), ensure_ascii=False).split("\n")
    return f"{_newline(text)}{indent}".join(lines)


def _indent_at(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _unit(text: str) -> str:
    """One step of this file's indentation."""
    found = re.search(r"\n([ \t]+)\S", text)
    return found[1] if found else "  "


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
