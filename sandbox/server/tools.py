"""Show the host's tools as MCP tools, in pages.

Decides which tools a client sees and in which order. Leaves schemas, names and descriptions to `sandbox.wit`, and whether a
call may happen to the authorizer.

Rules: sorted by name, so that the order is the same at every start and a page never repeats or skips a tool that was there
all along. Each tool is tried alone against both eras' wire formats when the list is made: one that does not fit would break
every client's whole list, so it is left out and reported.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import mcp.types as t
from mcp import MCPError
from mcp_types.methods import serialize_server_result
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION

from sandbox.wit.tools import Tool

PAGE = 100
"""Tools in one answer; a list of a thousand takes the SDK 0.3 s to write."""

MAX_TOOLS = 2000
"""Tools that are shown at all; a component with more functions than that is no tool but a flood."""

META_WIT = "sandbox/wit"
META_COMPONENT = "sandbox/component"
META_DIGEST = "sandbox/digest"

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listed:
    """A tool of the host and how MCP shows it."""

    tool: Tool
    shown: t.Tool


@dataclass(frozen=True, slots=True)
class ToolList:
    """All tools that clients see at one moment."""

    by_name: Mapping[str, Listed] = field(default_factory=lambda: MappingProxyType({}))
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, tools: Iterable[Tool]) -> ToolList:
        """The list of `tools`, without those that no client could read."""
        made = {listed.tool.name: listed for tool in tools if (listed := _listed(tool)) is not None}
        names = sorted(made)
        if len(names) > MAX_TOOLS:
            _log.error("%d tools are too many: the first %d are shown", len(names), MAX_TOOLS)
        names = names[:MAX_TOOLS]
        return cls(MappingProxyType({name: made[name] for name in names}), tuple(names))

    def page(self, cursor: str | None) -> t.ListToolsResult:
        """The page after `cursor`, the first one without.

        Raises:
            MCPError: -32602, the cursor is none of ours.
        """
        start = 0 if cursor is None else bisect_right(self.names, _name_in(cursor))
        names = self.names[start : start + PAGE]
        more = start + PAGE < len(self.names)
        return t.ListToolsResult(
            tools=[self.by_name[name].shown for name in names], next_cursor=_cursor(names[-1]) if more else None
        )

    def input_schema(self, name: str) -> Mapping[str, Any] | None:
        """The schema of a tool's arguments; None where there is no such tool."""
        listed = self.by_name.get(name)
        return None if listed is None else listed.tool.input_schema


def _listed(tool: Tool) -> Listed | None:
    try:
        shown = _shown(tool)
    except ValueError as error:  # pydantic's ValidationError is one
        _log.error("the tool `%s` is left out: %s", tool.name, str(error).splitlines()[0])
        return None
    return Listed(tool, shown)


def _shown(tool: Tool) -> t.Tool:
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
        _meta={META_WIT: tool.wit_id, META_COMPONENT: tool.component, META_DIGEST: f"sha256:{tool.digest}"},
    )
    alone = t.ListToolsResult(tools=[shown]).model_dump(by_alias=True, mode="json", exclude_none=True)
    for version in (LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION):
        serialize_server_result("tools/list", version, {"ttlMs": 0, "cacheScope": "private", **alone})
    return shown


def _cursor(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _name_in(cursor: str) -> str:
    try:
        name = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        name = ""
    if not _NAME.match(name):
        raise MCPError(t.INVALID_PARAMS, "invalid cursor")
    return name
