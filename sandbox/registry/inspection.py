"""What a person is shown of a component: before it is installed, and of each that is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.audit import rfc3339
from sandbox.host.artefacts import Loaded as Described
from sandbox.registry.asked import Asked
from sandbox.registry.sources import Source
from sandbox.registry.surface import Change
from sandbox.wit.tools import Tool
from sandbox.wit.types import Digest

State = Literal["ready", "waits", "disabled", "broken"]
"""`waits`: what it asks for waits for somebody's acceptance, it runs under what was accepted; `disabled`: its update does, and it
has no tools; `broken`: its policy or what is remembered of it is faulty, and it is given nothing."""


@dataclass(frozen=True, slots=True)
class Read:
    """The bytes behind an inspection, and what the compile process said of them: what was shown is what can be installed."""

    source: Source
    described: Described


@dataclass(frozen=True, slots=True)
class Inspection:
    """A component that was read and never run: what it is, what it imports, its tools, the policy that it asks for.

    `notes` say what of it is no tool, `doubts` what is odd about what it says of itself; `changes` how it differs from the
    component that was accepted under its name; `before` is that one's digest, or None where there is none.
    """

    name: str
    digest: Digest
    source: str
    size: int
    imports: tuple[str, ...]
    tools: tuple[Tool, ...]
    asked: Asked | None = None
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    before: Digest | None = None
    changes: tuple[Change, ...] = ()
    read: Read | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """The inspection as a JSON object."""
        return {
            "name": self.name,
            "digest": f"sha256:{self.digest}",
            "source": self.source,
            "size": self.size,
            "imports": list(self.imports),
            "tools": [tool_json(tool) for tool in self.tools],
            "asks": None if self.asked is None else self.asked.to_json(),
            "notes": list(self.notes),
            "doubts": list(self.doubts),
            "before": None if self.before is None else f"sha256:{self.before}",
            "changes": [change.to_json() for change in self.changes],
        }


@dataclass(frozen=True, slots=True)
class ComponentView:
    """A component of this home, or of this host: where it came from, its tools, the policy that holds, what waits, what is odd.

    `source` is the file or URL that it was loaded from, `policy` what the document is called that holds, `accepted_by` who
    accepted it (empty: nobody). `installed_at` is in seconds since 1970, None for one that this host alone has loaded.
    """

    name: str
    digest: Digest
    state: State
    tools: tuple[str, ...]
    policy: str = ""
    accepted_by: str = ""
    source: str = ""
    size: int | None = None
    installed_at: float | None = None
    waiting: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """Whether it is in the home's registry."""
        return self.installed_at is not None

    def to_json(self) -> dict[str, Any]:
        """The component as a JSON object."""
        return {
            "name": self.name,
            "digest": f"sha256:{self.digest}",
            "state": self.state,
            "installed": self.installed,
            "tools": list(self.tools),
            "policy": self.policy,
            "accepted_by": self.accepted_by or None,
            "source": self.source,
            "size": self.size,
            "installed_at": None if self.installed_at is None else rfc3339(self.installed_at),
            "waiting": list(self.waiting),
            "problems": list(self.problems),
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }


def tool_json(tool: Tool) -> dict[str, Any]:
    """A tool as a JSON object, as commands show it."""
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "input_schema": tool.input_schema,
        "output_schema": tool.output_schema,
        "wit": tool.wit_id,
    }
