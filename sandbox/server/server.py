"""The MCP server: which methods there are, and who hears of a change.

Decides nothing about a call. Serves both protocol eras: the handshake's (2024-11-05 to 2025-11-25) and the one without
sessions (2026-07-28).

Rules: no exception escapes to a client, since the SDK's handshake era sends its text; a change of the tools reaches every
connection, at most five times a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from importlib import metadata
from typing import Any
from uuid import uuid4

import mcp.types as t
from mcp import MCPError
from mcp.server import NotificationOptions, Server, ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from mcp.server.models import InitializationOptions
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from pydantic import ValidationError

from sandbox.api import Sandbox
from sandbox.server.calls import call_tool, unknown_tool
from sandbox.server.tools import ToolList

INSTRUCTIONS = (
    "Every tool here is a WebAssembly component in a sandbox of its own: it reaches only the files, hosts and variables that its "
    "policy names. A refused effect comes back as a tool error whose JSON says what was tried, what is missing, and the command "
    "with which the person at the terminal can grant it (`command`); you cannot grant it yourself: show them the command, then "
    "call again. A grant or a revoke takes effect at once. Tools can come and go: list them again after tools/list_changed."
)

ANNOUNCE_SECONDS = 0.2
"""The shortest time between two announcements; what happens in between is told once."""

_log = logging.getLogger(__name__)
Context = ServerRequestContext[Any, Any]


class SandboxServer(Server[Any]):
    """One host's tools for any number of connections, of either era."""

    def __init__(self, sandbox: Sandbox, loading: asyncio.Task[None]) -> None:
        self.sandbox = sandbox
        self._loading = loading
        self._list: ToolList | None = None
        self._session = uuid4().hex
        self._legacy: dict[int, ServerSession] = {}
        self._bus = InMemorySubscriptionBus()
        self._listen = ListenHandler(self._bus)
        self._changed = asyncio.Event()
        super().__init__(
            "sandbox",
            version=metadata.version("sandbox"),
            title="WebAssembly sandbox",
            instructions=INSTRUCTIONS,
            lifespan=_announcing,
            # Without it the SDK lists all tools before each call that has arguments.
            get_tool_input_schema=self._input_schema,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_subscriptions_listen=self._listen,
        )
        # In place of the SDK's tracing, which costs 0.1 ms a message and goes nowhere.
        self.middleware = [_contained]
        self.add_notification_handler("notifications/initialized", t.NotificationParams, self._initialized)

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """As the SDK has it, but a handshake client is told by default that the tools can change."""
        options = notification_options or NotificationOptions(tools_changed=True)
        return super().create_initialization_options(options, experimental_capabilities, extensions)

    def close_listeners(self) -> None:
        """End every `subscriptions/listen` with its answer."""
        self._listen.close()

    async def announce(self) -> None:
        """Tell every connection when the tools are no longer those that were listed, until cancelled."""
        before = await self._tools()
        self.sandbox.on_change(self._changed.set)
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._list = ToolList.of(self.sandbox.tools())
            # A grant changes what a tool may do, and no list.
            if before == self._list:
                continue
            before = self._list
            await self._bus.publish(ToolsListChanged())
            for session in tuple(self._legacy.values()):
                await session.send_tool_list_changed()
            await asyncio.sleep(ANNOUNCE_SECONDS)

    async def _tools(self) -> ToolList:
        """The tools, once all components are loaded: a client connects while a large one is still being compiled."""
        if not self._loading.done():
            await asyncio.wait({self._loading})
        if self._loading.cancelled() or self._loading.exception() is not None:
            raise MCPError(t.INTERNAL_ERROR, "the components could not be loaded; the server's log says more")
        if self._list is None:
            self._list = ToolList.of(self.sandbox.tools())
        return self._list

    def _input_schema(self, name: str) -> Mapping[str, Any] | None:
        return None if self._list is None else self._list.input_schema(name)

    async def _list_tools(self, ctx: Context, params: t.PaginatedRequestParams | None) -> t.ListToolsResult:  # noqa: ARG002 - the SDK's signature
        return (await self._tools()).page(None if params is None else params.cursor)

    async def _call_tool(self, ctx: Context, params: t.CallToolRequestParams) -> t.CallToolResult:
        listed = (await self._tools()).by_name.get(params.name)
        if listed is None:
            raise unknown_tool(params.name)
        return await call_tool(self.sandbox, listed, params.arguments or {}, version=ctx.protocol_version, session=self._session)

    async def _initialized(self, ctx: Context, params: t.NotificationParams) -> None:  # noqa: ARG002 - the SDK's signature
        # The SDK keeps no list of its sessions; the connection's exit stack is the only place that learns of its end.
        connection = ctx.session._connection
        self._legacy[id(connection)] = ctx.session
        connection.exit_stack.callback(self._legacy.pop, id(connection), None)


@contextlib.asynccontextmanager
async def _announcing(server: Server[Any]) -> AsyncIterator[None]:
    assert isinstance(server, SandboxServer)
    task = asyncio.create_task(server.announce())
    task.add_done_callback(_tell_failure)
    try:
        yield None
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _tell_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("changes of the tools are no longer announced: %s", error)


async def _contained(ctx: Context, call_next: CallNext) -> HandlerResult:
    try:
        return await call_next(ctx)
    except (MCPError, ValidationError):
        raise
    except Exception:  # noqa: BLE001 - the last one before the wire, where a client would read its text
        _log.exception("%s failed", ctx.method)
        raise MCPError(t.INTERNAL_ERROR, "internal error; the server's log says more") from None
