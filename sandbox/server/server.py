"""The MCP server: which methods there are. The same one on standard input and over HTTP.

Decides nothing about a call. Serves both protocol eras: the handshake's (2024-11-05 to 2025-11-25) and the one without
sessions (2026-07-28). Who is connected is `sandbox.server.clients`.

Rules: no exception escapes to a client, since the SDK's handshake era sends its text; a change of the tools, or of what they may
do, reaches every connection, at most five times a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from importlib import metadata
from typing import Any

import mcp.types as t
from mcp import MCPError
from mcp.server import NotificationOptions, Server
from mcp.server.context import CallNext, HandlerResult
from mcp.server.models import InitializationOptions
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp_types import PROTOCOL_VERSION_META_KEY, SERVER_INFO_META_KEY
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from sandbox.api import Sandbox
from sandbox.server.calls import Shown, call_tool, unknown_tool
from sandbox.server.clients import Clients, Context, subject_of
from sandbox.server.own_tools import Answer, NoTools, OwnTools
from sandbox.server.pages import cursor_in
from sandbox.server.tools import Listed, ToolList

INSTRUCTIONS = (
    "Every tool here is a WebAssembly component in a sandbox of its own: it reaches only the files, hosts and variables that its "
    "policy names. A refused effect comes back as a tool error whose JSON says what was tried, what is missing, and the command "
    "with which the person at the terminal can grant it (`command`); you cannot grant it yourself: show them the command, then "
    "call again. A grant or a revoke takes effect at once. Tools can come and go: list them again after tools/list_changed."
)

ANNOUNCE_SECONDS = 0.2
"""The shortest time between two announcements; what happens in between is told once."""

_NO_ARGUMENTS: dict[str, Any] = {}
_log = logging.getLogger(__name__)


class SandboxServer(Server[Any]):
    """One host's tools for any number of connections, of either era."""

    def __init__(self, sandbox: Sandbox, loading: asyncio.Task[None], own: OwnTools | None = None) -> None:
        self.sandbox = sandbox
        self.clients = Clients(self._ended)
        self._own = NoTools() if own is None else own
        self._loading = loading
        self._list: ToolList | None = None
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
            on_subscriptions_listen=self.clients.listen,
        )
        # In place of the SDK's tracing, which costs 0.1 ms a message and goes nowhere.
        # What a person must be asked is sealed on its way through the client, and bound to who asked.
        security = RequestStateSecurity(keys=[secrets.token_bytes(32)], bind_principal=subject_of)
        sealed = RequestStateBoundary(security, default_audience=self.name)
        self.middleware = [_contained, self._called, sealed]
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
        self.clients.listen.close()

    async def announce(self) -> None:
        """Tell every connection when the tools are no longer those that were listed, until cancelled."""
        before = await self._tools()
        self.sandbox.on_change(self._changed.set)
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._list = self._listing(before)
            # A grant changes what a call may touch, and often no list.
            if before == self._list:
                continue
            before = self._list
            await self.clients.tools_changed()
            await asyncio.sleep(ANNOUNCE_SECONDS)

    async def _tools(self) -> ToolList:
        """The tools, once all components are loaded: a client connects while a large one is still being compiled."""
        if not self._loading.done():
            await asyncio.wait({self._loading})
        if self._loading.cancelled() or self._loading.exception() is not None:
            raise MCPError(t.INTERNAL_ERROR, "the components could not be loaded; the server's log says more")
        if self._list is None:
            self._list = self._listing(None)
        return self._list

    def _listing(self, before: ToolList | None) -> ToolList:
        return ToolList.of(self.sandbox.tools(), self.sandbox.authority_hints, own=self._own.tools(), before=before)

    def _input_schema(self, name: str) -> Mapping[str, Any] | None:
        return None if self._list is None else self._list.input_schema(name)

    async def _list_tools(self, ctx: Context, params: t.PaginatedRequestParams | None) -> t.ListToolsResult:  # noqa: ARG002 - the SDK's signature
        return (await self._tools()).page(cursor_in(params))

    async def _called(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """A plain call of a component's tool, without the SDK's models of its request and result; the rest as ever.

        Not before the handshake: whatever is not as it should be, the SDK refuses.
        """
        modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        if ctx.method != "tools/call" or ctx.params is None or not (modern or ctx.session.client_params):
            return await call_next(ctx)
        name, arguments = ctx.params.get("name"), ctx.params.get("arguments", _NO_ARGUMENTS)
        listed = self._list.by_name.get(name) if self._list is not None and isinstance(name, str) else None
        if listed is None or not isinstance(arguments, dict):
            return await call_next(ctx)
        result = await self._call(ctx, listed, arguments)
        if modern:
            result["resultType"] = "complete"
            result["_meta"] = {SERVER_INFO_META_KEY: self.server_info_stamp, **result["_meta"]}
        return result

    async def _call_tool(self, ctx: Context, params: t.CallToolRequestParams) -> Answer:
        if self._own.knows(params.name):
            return await self._own.call(ctx, params)
        listed = (await self._tools()).by_name.get(params.name)
        if listed is None:
            raise unknown_tool(params.name)
        return t.CallToolResult.model_validate(await self._call(ctx, listed, params.arguments or {}))

    async def _call(self, ctx: Context, listed: Listed, arguments: dict[str, Any]) -> Shown:
        caller = self.clients.caller(ctx)
        return await call_tool(self.sandbox, listed, arguments, version=ctx.protocol_version, caller=caller)

    async def _initialized(self, ctx: Context, params: t.NotificationParams) -> None:  # noqa: ARG002 - the SDK's signature
        self.clients.joined(ctx)

    async def _ended(self, session: str) -> None:
        await self.sandbox.end_session(session)


@contextlib.asynccontextmanager
async def _announcing(server: Server[Any]) -> AsyncIterator[Clients]:
    assert isinstance(server, SandboxServer)
    task = asyncio.create_task(server.announce())
    task.add_done_callback(_tell_failure)
    try:
        yield server.clients
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await server.clients.close()


def _tell_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("changes of the tools are no longer announced: %s", error)


def _is_modern(params: Mapping[str, Any] | None) -> bool:
    meta = None if params is None else params.get("_meta")
    return isinstance(meta, dict) and PROTOCOL_VERSION_META_KEY in meta


async def _contained(ctx: Context, call_next: CallNext) -> HandlerResult:
    if ctx.request_id is not None and ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS and _is_modern(ctx.params):
        raise MCPError(t.INVALID_REQUEST, "this connection began with a handshake; a request of 2026-07-28 does not belong here")
    try:
        return await call_next(ctx)
    except (MCPError, ValidationError):
        raise
    except Exception:  # noqa: BLE001 - the last one before the wire, where a client would read its text
        _log.exception("%s failed", ctx.method)
        raise MCPError(t.INTERNAL_ERROR, "internal error; the server's log says more") from None
