"""What of a component people and models go by, its tools as they are listed and the interfaces it imports, and how two differ.

Decides whether an update has to be accepted anew (ATTACKS TOOL-03): a tool that is new, gone, or says or takes something else; an
import that is new or gone. The patch version of a WASI interface is none: every 0.2.x is answered alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.wit.tools import Tool

LONGEST = 300
"""Characters of a text in a difference; the tools themselves say all of it."""


@dataclass(frozen=True, slots=True)
class Surface:
    """A component's tools by name, and its imports."""

    tools: Mapping[str, Tool]
    imports: frozenset[str]

    @classmethod
    def of(cls, tools: Iterable[Tool], imports: Iterable[str]) -> Surface:
        """The surface of a component with these tools and imports."""
        return cls({tool.name: tool for tool in tools}, frozenset(_unpatched(name) for name in imports))


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: of the `tool` or the `import` called `name`, which is new, gone, or says something else in its `part`."""

    kind: str
    name: str
    how: str
    part: str = ""
    before: str = ""
    after: str = ""

    @property
    def line(self) -> str:
        """The difference in words."""
        if self.how != "changed":
            return f"the {self.kind} `{self.name}` is {self.how}"
        return f"the {self.kind} `{self.name}` has another {self.part}: it was `{self.before}`, it is `{self.after}`"

    def to_json(self) -> dict[str, str]:
        """The difference as a JSON object."""
        told = {"kind": self.kind, "name": self.name, "how": self.how}
        return told if self.how != "changed" else {**told, "part": self.part, "before": self.before, "after": self.after}


def differences(old: Surface, new: Surface) -> tuple[Change, ...]:
    """How `new` differs from `old`, tools first, by name."""
    found = [*_came_and_went("tool", old.tools.keys(), new.tools.keys())]
    for name in sorted(old.tools.keys() & new.tools.keys()):
        found += _of_tool(old.tools[name], new.tools[name])
    return (*found, *_came_and_went("import", old.imports, new.imports))


def _came_and_went(kind: str, old: Iterable[str], new: Iterable[str]) -> list[Change]:
    gone, come = set(old) - set(new), set(new) - set(old)
    return [Change(kind, name, "new" if name in come else "gone") for name in sorted(gone | come)]


def _of_tool(old: Tool, new: Tool) -> list[Change]:
    pairs = {
        "title": (old.title, new.title),
        "description": (old.description, new.description),
        "input schema": (_spelled(old.input_schema), _spelled(new.input_schema)),
        "output schema": (_spelled(old.output_schema), _spelled(new.output_schema)),
    }
    return [
        Change("tool", new.name, "changed", part, *_apart(before, after))
        for part, (before, after) in pairs.items()
        if before != after
    ]


def _spelled(schema: Mapping[str, Any] | None) -> str:
    return json.dumps(schema, sort_keys=True)


def _apart(before: str, after: str) -> tuple[str, str]:
    """Both texts from shortly before where they part, cut: a difference late in a long text is shown, too."""
    same = next((at for at, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after)))
    start = max(0, same - 60) if max(len(before), len(after)) > LONGEST else 0
    return _cut(before, start), _cut(after, start)


def _cut(text: str, start: int) -> str:
    end = "…" if len(text) > start + LONGEST else ""
    return ("…" if start else "") + text[start : start + LONGEST] + end


def _unpatched(name: str) -> str:
    return re.sub(r"(@0\.2)\.\d+$", r"\1", name) if name.startswith("wasi:") else name
