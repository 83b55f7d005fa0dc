"""YAML text → plain data, with the line and column of every key and value.

Reads PyYAML's event stream, never its constructors: no tag, anchor, alias or merge key gets as far as a value. What is wrong
with the text is collected in `Tree.problems`; only what cannot be read at all raises.

Rules: UTF-8, at most 256 KiB (looked at before parsing), one document, at most 16 levels, every key once. A plain scalar is
what YAML 1.1 makes of it (or, for numbers, 1.2), for that is what other readers of the same file see; whoever wants text where
YAML sees a boolean, a number or a date is told to quote it (`Misread`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from sandbox.errors import Code, PolicyError, Problem
from sandbox.policy.refusal import quoted

MAX_BYTES = 256 << 10
MAX_DEPTH = 16
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_NUMBER_1_2 = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+", re.ASCII)
_resolve: Callable[..., object] = yaml.resolver.Resolver().resolve
_READ_AS = {"bool": "a boolean", "null": "nothing", "int": "a number", "float": "a number", "timestamp": "a date"}

_SYNTAX_HELP = (
    ("alias", 'quote a text that begins with `*`: `"*"`'),
    ("anchor", "quote a text that begins with `&`"),
    ("'\\t'", "indent by spaces, two for each level"),
    ("mapping values are not allowed", "quote a text that holds `: `, or begin the key on a line of its own"),
    ("could not find expected ':'", "write `key: value`, with a space behind the colon"),
    ("quoted scalar", "close the quotes, and write a backslash in single quotes: `'\\'`"),
    ("flow sequence", "close the list: `[a, b]`"),
    ("flow mapping", "close the mapping: `{key: value}`"),
    ("that cannot start any token", "quote the text"),
    ("block mapping", "indent the line as those beside it"),
    ("block collection", "indent the line as those beside it"),
    ("block sequence", "begin each item of the list with `- `, all indented alike"),
    ("", "write `key: value` lines, two spaces deeper for each level, and quote what is more than a word"),
)
"""What to write instead, by a part of what the parser says; the last one fits all."""

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Misread:
    """A plain scalar that YAML reads as something no policy has: `0o17`, `22:80`, `2024-01-01`."""

    text: str
    read_as: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key or value stands (1-based), its text where it is a scalar, and what YAML reads it as if not as text."""

    line: int
    column: int
    text: str | None = None
    read_as: str | None = None


@dataclass(slots=True)
class Tree:
    """A document as plain data, the place of every value and of every key by its path, and what is wrong with the text."""

    file: str
    data: Any = None
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def where(self, path: Path, *, key: bool = False) -> str:
        """`file:line:column` of the value at the path, or of its key; of the nearest parent where there is none."""
        for end in range(len(path), -1, -1):
            place = (self.keys if key else self.values).get(path[:end]) or self.values.get(path[:end])
            if place is not None:
                return f"{self.file}:{place.line}:{place.column}"
        return f"{self.file}:1:1"

    def problem(self, path: Path, message: str, help: str | None = None, *, key: bool = False) -> Problem:  # noqa: A002 - the word of the error style
        """A problem at the path's place."""
        return Problem(self.where(path, key=key), show_path(path), message, help)


def show_path(path: Path) -> str:
    """`("network", "allow", 0, "host")` as `network.allow[0].host`."""
    shown = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return shown.removeprefix(".")


def read_tree(text: bytes | str, *, file: str) -> Tree:
    """Read one document; raises `PolicyError` (`invalid_format`) where the rest of the text cannot be read."""
    tree = Tree(file)
    try:
        events = iter(yaml.parse(_decode(text, file), Loader=yaml.SafeLoader))
        _Reader(tree, events).document()
    except yaml.MarkedYAMLError as error:
        raise _unreadable(tree, *_syntax(file, error)) from None
    except yaml.reader.ReaderError as error:
        code = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
        raise _unreadable(tree, f"{file}:1:1", f"the character U+{code:04X} may not stand in YAML", "take it out") from None
    return tree


class _Reader:
    """Walks the events of one document, writing into the tree."""

    def __init__(self, tree: Tree, events: Iterator[Any]) -> None:
        self.tree = tree
        self.events = events

    def document(self) -> None:
        next(self.events)  # the stream's start
        event = next(self.events)
        if isinstance(event, yaml.StreamEndEvent):
            raise _unreadable(self.tree, f"{self.tree.file}:1:1", "the document is empty", 'write at least `version: "2.0"`')
        self.tree.data = self.value(next(self.events), ())
        next(self.events)  # the document's end
        event = next(self.events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise _unreadable(self.tree, _at(self.tree, event), "a second document begins here", "write one document to a file")

    def value(self, event: Any, path: Path) -> Any:
        if isinstance(event, yaml.AliasEvent):
            self.refuse(
                event, path, f"`*{event.anchor}` is an alias", f'write the value out, or quote the text: `"*{event.anchor}"`'
            )
            self.tree.values[path] = _place(event)
            return None
        self.refuse_marks(event, path)
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event, path)
        self.tree.values[path] = _place(event)
        if len(path) >= MAX_DEPTH:
            raise _unreadable(self.tree, _at(self.tree, event), f"more than {MAX_DEPTH} levels", "no policy is as deep")
        return self.sequence(path) if isinstance(event, yaml.SequenceStartEvent) else self.mapping(path)

    def scalar(self, event: Any, path: Path) -> Any:
        value, read_as = _scalar(event)
        self.tree.values[path] = Place(event.start_mark.line + 1, event.start_mark.column + 1, event.value, read_as)
        return value

    def sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.value(event, (*path, len(items))))
        return items

    def mapping(self, path: Path) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.key(event, path)
            if key in entries:
                self.refuse(event, (*path, key), f"the key {quoted(key)} stands here twice", "write it once")
                self.skip(next(self.events))
                continue
            self.tree.keys[*path, key] = _place(event)
            entries[key] = self.value(next(self.events), (*path, key))
        return entries

    def key(self, event: Any, path: Path) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise _unreadable(self.tree, _at(self.tree, event), "a key is no plain name", "quote it if it is meant as text")
        self.refuse_marks(event, path)
        if event.value == "<<" and event.implicit[0]:
            self.refuse(event, path, "`<<` is a merge key", "write the keys out")
        return str(event.value)

    def skip(self, event: Any) -> None:
        """Read over the value of a key that is there twice; what is in it is no part of the document."""
        depth = 0
        while True:
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth == 0:
                return
            event = next(self.events)

    def refuse_marks(self, event: Any, path: Path) -> None:
        if event.anchor is not None:
            self.refuse(event, path, f"`&{event.anchor}` is an anchor", "take it out and write each value out")
        if event.tag is not None:
            self.refuse(event, path, f"{quoted(event.tag)} is a tag", "take it out; the schema says what a value is")

    def refuse(self, event: Any, path: Path, message: str, help: str) -> None:  # noqa: A002 - the word of the error style
        self.tree.problems.append(Problem(_at(self.tree, event), show_path(path), message, help))


def _scalar(event: Any) -> tuple[Any, str | None]:
    text = event.value
    if not event.implicit[0]:
        return text, None
    tag = str(_resolve(yaml.ScalarNode, text, (True, False))).removeprefix("tag:yaml.org,2002:")
    if tag == "str" and _NUMBER_1_2.fullmatch(text):
        return Misread(text, "a number"), "a number"
    if tag == "str":
        return text, None
    read_as = _READ_AS.get(tag, "something else than text")
    if tag == "null":
        return None, read_as
    if tag == "bool":
        return text.lower() in {"yes", "true", "on"}, read_as
    return (int(text) if _DECIMAL.fullmatch(text) else Misread(text, read_as)), read_as


def is_text(plain: str) -> bool:
    """Whether every YAML reader takes this plain scalar for text."""
    tag = str(_resolve(yaml.ScalarNode, plain, (True, False)))
    return tag == "tag:yaml.org,2002:str" and not _NUMBER_1_2.fullmatch(plain)


def _decode(text: bytes | str, file: str) -> str:
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise _unreadable(Tree(file), f"{file}:1:1", f"{size} bytes are more than the {MAX_BYTES} of a policy", "split it")
    decoded = text if isinstance(text, str) else _decode_bytes(text, file)
    if decoded.startswith("\ufeff"):
        raise _unreadable(Tree(file), f"{file}:1:1", "the file begins with a byte order mark", "save it as UTF-8 without one")
    return decoded


def _decode_bytes(text: bytes, file: str) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        column = error.start - text.rfind(b"\n", 0, error.start)
        raise _unreadable(Tree(file), f"{file}:{line}:{column}", "this is no UTF-8", "save the file as UTF-8") from None


def _syntax(file: str, error: yaml.MarkedYAMLError) -> tuple[str, str, str | None]:
    mark = error.problem_mark or error.context_mark
    where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else f"{file}:1:1"
    message = f"this is no YAML: {error.problem}" + (f" ({error.context})" if error.context else "")
    return where, message, next(help_ for fragment, help_ in _SYNTAX_HELP if fragment in message)


def _unreadable(tree: Tree, where: str, message: str, help: str | None) -> PolicyError:  # noqa: A002 - the word of the error style
    return PolicyError((*tree.problems, Problem(where, "", message, help)), code=Code.INVALID_FORMAT)


def _at(tree: Tree, event: Any) -> str:
    return f"{tree.file}:{event.start_mark.line + 1}:{event.start_mark.column + 1}"


def _place(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1, getattr(event, "value", None))
