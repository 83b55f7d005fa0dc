"""The tools that the host itself offers beside those of its components, as the server sees them.

Decides nothing: what they are and do is `sandbox.server.builtin`.
"""

from __future__ import annotations

from typing import Protocol

import mcp.types as t

from sandbox.admission.words import Method
from sandbox.server.clients import Context

Answer = t.CallToolResult | t.InputRequiredResult
"""What a call ends in: a result, or what a person must be asked first (2026-07-28)."""


class OwnTools(Protocol):
    """Tools of the host. They are asked before any component: a component cannot take the name of one."""

    def tools(self) -> list[t.Tool]:
        """The tools as they are listed."""

    def knows(self, name: str) -> bool:
        """Whether a call of this name is theirs, in any spelling that they understand."""

    def meant(self, name: str) -> tuple[str, Method] | None:
        """The tool that a name means, in its one spelling, and which scopes it needs beside those of any call."""

    async def call(self, ctx: Context, params: t.CallToolRequestParams) -> Answer:
        """Answer a call. `ctx.lifespan_context.caller(ctx)` is who asks (`sandbox.server.clients.Clients`)."""


class NoTools:
    """A server that offers its components' tools alone: `--disable-builtin-tools`."""

    def tools(self) -> list[t.Tool]:
        """None."""
        return []

    def knows(self, name: str) -> bool:  # noqa: ARG002 - the protocol's
        """No name."""
        return False

    def meant(self, name: str) -> tuple[str, Method] | None:  # noqa: ARG002 - the protocol's
        """None."""
        return None

    async def call(self, ctx: Context, params: t.CallToolRequestParams) -> Answer:
        """Never: no name is known."""
        raise NotImplementedError(params.name)
