"""Show the host's tools as MCP tools, in pages.

Decides which tools a client sees, in which order, and what is said of what they may do. Leaves schemas, names and descriptions to
`sandbox.wit`, and whether a call may happen to the authorizer.

Rules: sorted by name, so that the order is the same at every start and a page never repeats or skips a tool that was there
all along. Each tool is tried alone against both eras' wire formats when the list is made: one that does not fit would break
every client's whole list, so it is left out and reported. The annotations are computed from the template in force, so a grant
changes them; what a component claims is no part of them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import mcp.types as t
from mcp_types.methods import serialize_server_result
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION

from sandbox.server.pages import page_of
from sandbox.template.authority_hints import AuthorityHints
from sandbox.wit.tools import Tool

MAX_TOOLS = 2000
"""Tools that are shown at all; a component with more functions than that is no tool but a flood."""

META_WIT = "sandbox/wit"
META_COMPONENT = "sandbox/component"
META_DIGEST = "sandbox/digest"

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listed:
    """A tool of a component, what its template lets it do, and how MCP shows it."""

    tool: Tool
    hints: AuthorityHints
    shown: t.Tool


@dataclass(frozen=True, slots=True)
class ToolList:
    """All tools that clients see at one moment: those of components by name, and each as it is shown."""

    by_name: Mapping[str, Listed] = field(default_factory=lambda: MappingProxyType({}))
    shown: Mapping[str, t.Tool] = field(default_factory=lambda: MappingProxyType({}))
    names: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        tools: Iterable[Tool],
        hints: Callable[[str], AuthorityHints],
        *,
        own: Iterable[t.Tool] = (),
        before: ToolList | None = None,
    ) -> ToolList:
        """The list of `tools`, without those that no client could read, and of the host's `own`, which come first in a flood.

        `hints` gives those of a component; what `before` has of a tool that is the same is taken from there.
        """
        known = {} if before is None else before.by_name
        made = {listed.tool.name: listed for tool in tools if (listed := _listed(tool, hints(tool.component), known)) is not None}
        first = {tool.name: tool for tool in own}
        kept = sorted(made.keys() - first.keys())
        if len(kept) > MAX_TOOLS:
            _log.error("%d tools are too many: the first %d are shown", len(kept), MAX_TOOLS)
        by_name = {name: made[name] for name in kept[:MAX_TOOLS]}
        shown = first | {name: listed.shown for name, listed in by_name.items()}
        return cls(MappingProxyType(by_name), MappingProxyType(shown), tuple(sorted(shown)))

    def page(self, cursor: str | None, shows: Callable[[str], bool] | None = None) -> t.ListToolsResult:
        """The page after `cursor`, the first one without, of the tools that `shows` lets be seen.

        Raises:
            MCPError: -32602, the cursor is none of ours.
        """
        seen = self.names if shows is None else tuple(name for name in self.names if shows(name))
        names, following = page_of(seen, cursor)
        return t.ListToolsResult(tools=[self.shown[name] for name in names], next_cursor=following)

    def input_schema(self, name: str) -> Mapping[str, Any] | None:
        """The schema of a tool's arguments; None where there is no such tool."""
        tool = self.shown.get(name)
        return None if tool is None else tool.input_schema


def _listed(tool: Tool, hints: AuthorityHints, known: Mapping[str, Listed]) -> Listed | None:
    before = known.get(tool.name)
    if before is not None and (before.tool, before.hints) == (tool, hints):
        return before
    try:
        shown = _shown(tool, hints)
    except ValueError as error:  # pydantic's ValidationError is one
        _log.error("the tool `%s` is left out: %s", tool.name, str(error).splitlines()[0])
        return None
    return Listed(tool, hints, shown)


def _shown(tool: Tool, hints: AuthorityHints) -> t.Tool:
    if not _NAME.match(tool.name):
        raise ValueError("its name is not 1 to 64 of `a-zA-Z0-9_-`")
    for schema in (tool.input_schema, tool.output_schema or {"type": "object"}):
        if schema.get("type") != "object":
            raise ValueError("the root of its schema is no object")
    shown = t.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description or None,
        input_schema=dict(tool.input_schema),
        output_schema=None if tool.output_schema is None else dict(tool.output_schema),
        annotations=told(hints),
        _meta={META_WIT: tool.wit_id, META_COMPONENT: tool.component, META_DIGEST: f"sha256:{tool.digest}"},
    )
    alone = t.ListToolsResult(tools=[shown]).model_dump(by_alias=True, mode="json", exclude_none=True)
    for version in (LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION):
        serialize_server_result("tools/list", version, {"ttlMs": 0, "cacheScope": "private", **alone})
    return shown


def told(hints: AuthorityHints) -> t.ToolAnnotations:
    """What MCP calls them. A hint that is not given means what the specification fears: not idempotent."""
    return t.ToolAnnotations(
        read_only_hint=hints.read_only,
        destructive_hint=hints.destructive,
        idempotent_hint=hints.idempotent,
        open_world_hint=hints.open_world,
    )
