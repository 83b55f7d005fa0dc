"""A component's tools as they were worked out once, kept as text: a server with fifty components lists them as soon as with one.

Decides when a kept listing is worth something: only where the code that words tools is the very same (`MADE_BY`); else, and where
it does not read as what `spell` wrote, the tools are worked out from the world again. It lies in the store, like all else that a
component is known by.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from sandbox.errors import ComponentError
from sandbox.wit import docs, reserved, schema, tools
from sandbox.wit.tools import Tool, notes_of, tools_of
from sandbox.wit.types import Digest, World
from sandbox.wit.wire import export_from_json, export_to_json

MADE_BY = hashlib.sha256(b"".join(Path(str(each.__file__)).read_bytes() for each in (docs, reserved, schema, tools))).hexdigest()
"""The digest of the modules that decide what a tool is called and says."""

Listing = tuple[tuple[Tool, ...], tuple[str, ...]]
"""The tools, and what of the component is no tool, in words."""


def work_out(name: str, world: World, digest: Digest) -> Listing:
    """The listing of a component, from its world. Raises ComponentError as `tools_of` does."""
    left_out = tuple(f"`{note.wit_id}` is no tool: {note.message}" for note in notes_of(world))
    return tools_of(name, world, digest), left_out


def spell(listing: Listing) -> str:
    """A listing as text."""
    found, notes = listing
    return json.dumps({"tools": [_tool_json(tool) for tool in found], "notes": notes})


def read(text: str, name: str, digest: Digest) -> Listing | None:
    """The listing that `spell` wrote of this component, or None where it is none."""
    try:
        told = json.loads(text)
        return tuple(_tool(one, name, digest) for one in told["tools"]), tuple(map(str, told["notes"]))
    except (ValueError, TypeError, KeyError, RecursionError, ComponentError):
        return None


def _tool_json(tool: Tool) -> dict[str, Any]:
    fields = ("name", "title", "description", "input_schema", "output_schema", "wit_id", "notes")
    return {"export": export_to_json(tool.export), **{name: getattr(tool, name) for name in fields}}


def _tool(told: dict[str, Any], component: str, digest: Digest) -> Tool:
    plain = {name: told[name] for name in ("name", "title", "description", "input_schema", "output_schema", "wit_id")}
    notes = tuple(map(str, told["notes"]))
    return Tool(export=export_from_json(told["export"]), component=component, digest=digest, notes=notes, **plain)
