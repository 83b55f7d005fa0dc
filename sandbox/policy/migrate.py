"""A document of version "1.0", written again as version "2.0".

Decides how the new text looks; what it means is `version1`. Comments stay with the line that they stand above or beside; those
of a line that is no more come with the next one. What a waiver gave no effect is left out.

Rules: the new text is read back before it leaves, and must say what the old one said: otherwise it is a mistake of this program.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from sandbox.errors import Code, PolicyError, Problem
from sandbox.policy.load import load_policy
from sandbox.policy.models import PolicyDocument, Waiver
from sandbox.policy.tree import Tree, is_text, read_tree

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./~+-]*(?::[A-Za-z0-9_./~+*?-]+)?", re.ASCII)
_UNPRINTABLE = re.compile(r'[^\x20\x21\x23-\x5b\x5d-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|["\\]')
_EDITOR_HINT = "yaml-language-server"
"""A comment that names the schema of the old version."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """The new text, the document that it is, and the lines that were waived and are not in it."""

    text: str
    document: PolicyDocument
    dropped: tuple[Waiver, ...] = ()


@dataclass(slots=True)
class _Comments:
    """The comments of a text by the line that they belong to: those above it, and the one beside it."""

    above: dict[int, list[str]] = field(default_factory=dict)
    beside: dict[int, str] = field(default_factory=dict)

    def take(self, line: int) -> tuple[list[str], str]:
        """The comments of a line, which are then taken."""
        beside = self.beside.pop(line, "")
        return self.above.pop(line, []), f" {beside}" if beside else ""

    def rest(self) -> list[str]:
        """Those that nobody took."""
        return [text for line in sorted(self.above.keys() | self.beside.keys()) for text in self._of(line)]

    def _of(self, line: int) -> list[str]:
        return [*self.above.get(line, []), *([self.beside[line]] if line in self.beside else [])]


def migrate(text: bytes, *, file: str, waive: tuple[str, ...] = ()) -> Migrated:
    """The document as version "2.0"; raises `PolicyError` for one that is refused, or is of that version already."""
    old = load_policy(text, file=file, waive=waive)
    if old.written_version == "2.0":
        problem = Problem(f"{file}:1:1", "version", 'the document is of version "2.0" already', "nothing is to be done")
        raise PolicyError((problem,), code=Code.INVALID_FORMAT)
    tree = read_tree(text, file=file)
    written = "".join(f"{line}\n" for line in _lines(old, tree, _comments(text.decode(), _anchors(old, tree))))
    new = load_policy(written, file=file)
    if new.model_dump(exclude={"version"}) != old.model_dump(exclude={"version"}):
        raise RuntimeError("the migrated document means something else")
    return Migrated(written, new, old.waivers)


def _lines(old: PolicyDocument, tree: Tree, comments: _Comments) -> Iterator[str]:
    yield from _line('version: "2.0"', _key_line(tree, ("version",)), comments, "")
    if old.description:
        yield from _line(f"description: {scalar(old.description)}", _key_line(tree, ("description",)), comments, "")
    body = [*_sections(old, tree, comments), *_limits(old, comments)]
    if body:
        yield from _line("permissions:", _key_line(tree, ("permissions",)), comments, "")
    yield from body
    yield from comments.rest()


def _sections(old: PolicyDocument, tree: Tree, comments: _Comments) -> Iterator[str]:
    last = ""
    for section, effect, entries in old.sections():
        if not entries:
            continue
        if section != last:
            yield from _line(f"{section}:", _key_line(tree, ("permissions", section)), comments, "  ")
            last = section
        yield from _line(f"{effect}:", _key_line(tree, ("permissions", section, effect)), comments, "    ")
        for entry in entries:
            first, *more = [f"{key}: {_value(value)}" for key, value in entry.plain().items()]
            yield from _line(f"- {first}", _line_of(entry.origin), comments, "      ")
            yield from (f"        {each}" for each in more)


def _limits(old: PolicyDocument, comments: _Comments) -> Iterator[str]:
    limits = old.permissions.resources.limits
    if limits.written:
        yield from ("  resources:", "    limits:")
        for name, value in limits.model_dump(exclude_none=True).items():
            yield from _line(f"{name}: {_value(value)}", _line_of(limits.origin(name)), comments, "      ")


def _line(text: str, line: int, comments: _Comments, indent: str) -> Iterator[str]:
    above, beside = comments.take(line)
    yield from (f"{indent}{comment}" for comment in above)
    yield f"{indent}{text}{beside}"


def _anchors(old: PolicyDocument, tree: Tree) -> set[int]:
    """The lines of the old text that have a line in the new one."""
    named = {_key_line(tree, path) for path in (("version",), ("description",), ("permissions",))}
    sections = {_key_line(tree, ("permissions", name, *more)) for name, effect, _ in old.sections() for more in ((), (effect,))}
    entries = {_line_of(entry.origin) for _, _, found in old.sections() for entry in found}
    limits = old.permissions.resources.limits
    return (named | sections | entries | {_line_of(limits.origin(name)) for name in limits.written}) - {0}


def _comments(text: str, anchors: set[int]) -> _Comments:
    """A comment on a line of its own belongs to the next anchor, one behind a value to its line's."""
    found = _Comments()
    for line, comment, alone in _written_comments(text):
        if _EDITOR_HINT in comment:
            continue
        if not alone and line in anchors:
            found.beside[line] = comment
            continue
        after = (anchor for anchor in anchors if anchor >= line)
        before = (anchor for anchor in anchors if anchor <= line)
        home = min(after, default=max(anchors) + 1) if alone else max(before, default=0)
        found.above.setdefault(home, []).append(comment)
    return found


def _written_comments(text: str) -> Iterator[tuple[int, str, bool]]:
    """Each comment with its line, and whether it stands there alone: what begins with `#` between two tokens."""
    at, row = 0, 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        gap = text[at : token.start_mark.index]
        for number, piece in enumerate(gap.split("\n")):
            if (comment := piece.strip()).startswith("#"):
                yield row + number + 1, comment, number > 0 or at == 0
        at, row = max(at, token.end_mark.index), token.end_mark.line


def _key_line(tree: Tree, path: tuple[str, ...]) -> int:
    place = tree.keys.get(path)
    return place.line if place is not None else 0


def _line_of(origin: str) -> int:
    return int(origin.rsplit(":", 2)[1])


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    return str(value) if isinstance(value, int) else scalar(value)


def scalar(text: str) -> str:
    """Text as a YAML scalar that every reader takes for text."""
    if _PLAIN.fullmatch(text) and is_text(text):
        return text
    return '"' + _UNPRINTABLE.sub(lambda found: _ESCAPES.get(found[0], f"\\U{ord(found[0]):08x}"), text) + '"'


_ESCAPES: Mapping[str, str] = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
