"""The MCP server: which methods there are. The same one on standard input and over HTTP.

Decides nothing about a call. Serves both protocol eras: the handshake's (2024-11-05 to 2025-11-25) and the one without
sessions (2026-07-28). Who is connected is `sandbox.server.clients`.

Rules: no exception escapes to a client, since the SDK's handshake era sends its text; a change of the tools, or of what they may
do, reaches every connection, at most five times a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import secrets
import warnings
from collections.abc import AsyncIterator, Callable, Mapping
from importlib import metadata
from typing import Any

import mcp.types as t
from mcp import MCPDeprecationWarning, MCPError
from mcp.server import NotificationOptions, Server
from mcp.server.context import CallNext, HandlerResult
from mcp.server.models import InitializationOptions
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp_types import PROTOCOL_VERSION_META_KEY, SERVER_INFO_META_KEY
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from sandbox.admission.words import Method
from sandbox.api import Sandbox
from sandbox.changes.asking import Person
from sandbox.errors import NotAdmitted
from sandbox.host.output import hearing
from sandbox.policy.grants import Lifetime
from sandbox.result import CallResult
from sandbox.server.announcing import Announcer
from sandbox.server.calls import Shown, call_tool, unknown_tool
from sandbox.server.clients import Caller, Client, Clients, Context, principal_of
from sandbox.server.hearing import UNASKED, Lines, Log, least_of, log_of, progress, tell, tell_line
from sandbox.server.own_tools import Answer, NoTools, OwnTools
from sandbox.server.pages import cursor_in
from sandbox.server.parking import Parking
from sandbox.server.resources import Reader, Resources, not_found
from sandbox.server.tools import Listed, ToolList

INSTRUCTIONS = (
    "Every tool here is a WebAssembly component in a sandbox of its own: it reaches only the files, hosts and variables that its "
    "policy names. A refused effect comes back as a tool error whose JSON says what was tried, what is missing, and the command "
    "with which the person at the terminal can grant it (`command`); you cannot grant it yourself. Ask for it with the tool "
    "`grant_…_permission`, where it is listed: the person at this client is shown what you ask for. Else show them the command. "
    "Then call again. A grant or a revoke takes effect at once. Tools can come and go: list them again after tools/list_changed."
)

_NO_ARGUMENTS: dict[str, Any] = {}
_log = logging.getLogger(__name__)


class SandboxServer(Server[Any]):
    """One host's tools for any number of connections, of either era. `most` is how long at most a yes of theirs is good."""

    def __init__(
        self, sandbox: Sandbox, loading: asyncio.Task[None], own: OwnTools | None = None, *, most: Lifetime = "session"
    ) -> None:
        self.sandbox = sandbox
        self.clients = Clients(sandbox.end_session)
        self.resources = Resources(sandbox)
        self._own = NoTools() if own is None else own
        self.parking = Parking(most)
        self.loading = loading
        self._list: ToolList | None = None
        # A client that lists the tools right after a change has those of now, whenever the others are told of it.
        self._outdated = asyncio.Event()
        sandbox.on_change(self._outdated.set)
        self.announcer = Announcer(sandbox, self.clients, self.resources, self._tools, self._listed_anew)
        with warnings.catch_warnings():
            # Of `logging/setLevel`, which the handshake era has and most hosts speak.
            warnings.simplefilter("ignore", MCPDeprecationWarning)
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
                on_list_resources=self._list_resources,
                on_list_resource_templates=self._list_templates,
                on_read_resource=self._read_resource,
                on_subscribe_resource=self._subscribe,
                on_unsubscribe_resource=self._unsubscribe,
                on_completion=self._complete,
                on_set_logging_level=self._set_level,
                on_subscriptions_listen=self.clients.listen,
            )
        # What a person must be asked is sealed on its way through the client, and bound to who asked.
        security = RequestStateSecurity(keys=[secrets.token_bytes(32)], bind_principal=principal_of)
        sealed = RequestStateBoundary(security, default_audience=self.name)
        # In place of the SDK's tracing, which costs 0.1 ms a message and goes nowhere.
        self.middleware = [_contained, self._called, sealed]
        self.add_notification_handler("notifications/initialized", t.NotificationParams, self._initialized)

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """As the SDK has it, but a handshake client is told by default that tools and resources can change."""
        options = notification_options or NotificationOptions(tools_changed=True, resources_changed=True)
        return super().create_initialization_options(options, experimental_capabilities, extensions)

    def close_listeners(self) -> None:
        """End every `subscriptions/listen` with its answer."""
        self.clients.listen.close()

    async def _tools(self) -> ToolList:
        """The tools, once all components are loaded: a client connects while a large one is still being compiled."""
        if not self.loading.done():
            await asyncio.wait({self.loading})
        if self.loading.cancelled() or self.loading.exception() is not None:
            raise MCPError(t.INTERNAL_ERROR, "the components could not be loaded; the server's log says more")
        return self._listed_anew() if self._list is None or self._outdated.is_set() else self._list

    def _listed_anew(self) -> ToolList:
        self._outdated.clear()
        hints, own = self.sandbox.authority_hints, self._own.tools()
        self._list = ToolList.of(self.sandbox.tools(), hints, own=own, before=self._list)
        return self._list

    def _input_schema(self, name: str) -> Mapping[str, Any] | None:
        return None if self._list is None else self._list.input_schema(name)

    async def _list_tools(self, ctx: Context, params: t.PaginatedRequestParams | None) -> t.ListToolsResult:
        tools = await self._tools()
        return tools.page(cursor_in(params), await self.sandbox.shown_to(self.clients.caller(ctx).who))

    async def _called(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """A plain call of a component's tool, without the SDK's models of its request and result; the rest as ever.

        Not before the handshake: whatever is not as it should be, the SDK refuses.
        """
        modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        # One in the shape of a notification has no id, and is no call: nobody could be told what it did.
        plain = ctx.method == "tools/call" and ctx.request_id is not None and (modern or ctx.session.client_params)
        if not plain or ctx.params is None:
            return await call_next(ctx)
        name, arguments = ctx.params.get("name"), ctx.params.get("arguments", _NO_ARGUMENTS)
        listed = self.listed(name)
        if (
            listed is None
            or not isinstance(arguments, dict)
            or ctx.params.get("requestState") is not None
            or self.may_ask(listed)
        ):
            return await call_next(ctx)
        return self._stamped(await self._call(ctx, listed, arguments), ctx.protocol_version)

    def meant(self, name: str) -> tuple[str, Method]:
        """The tool that a client means by a name, and the method whose scopes its call needs."""
        return self._own.meant(name) or (name, Method.CALL)

    def listed(self, name: object) -> Listed | None:
        """The component's tool of that name, as clients were shown it."""
        return self._list.by_name.get(name) if self._list is not None and isinstance(name, str) else None

    async def called(
        self, listed: Listed, arguments: dict[str, Any], caller: Caller, version: str, client: Client | None, log: Log
    ) -> Shown:
        """What a call comes to, on the wire, where nobody waits for its progress. Raises as `call_tool` does."""
        least = None if client is None else client.level or UNASKED
        heard = functools.partial(tell, log, least, listed.tool.name, listed.tool.component)
        try:
            return self._stamped(
                await call_tool(self.sandbox, listed, arguments, version=version, caller=caller, heard=heard), version
            )
        finally:
            self.announcer.called(listed.tool.component)

    def _stamped(self, result: Shown, version: str) -> Shown:
        if version in MODERN_PROTOCOL_VERSIONS:
            result["resultType"] = "complete"
            result["_meta"] = {SERVER_INFO_META_KEY: self.server_info_stamp, **result["_meta"]}
        return result

    async def _call_tool(self, ctx: Context, params: t.CallToolRequestParams) -> Answer:
        async with progress(ctx, lambda: "loading the components"):
            tools = await self._tools()
        if self._own.knows(params.name):
            return await self._own.call(ctx, params)
        listed = tools.by_name.get(params.name)
        if listed is None:
            raise unknown_tool(params.name)
        done = await self._asking(ctx, listed, params) if self.may_ask(listed) or params.request_state is not None else None
        done = await self._call(ctx, listed, params.arguments or {}) if done is None else done
        return done if isinstance(done, t.InputRequiredResult) else t.CallToolResult.model_validate(done)

    def may_ask(self, listed: Listed) -> bool:
        """Whether a call may wait for a person: for what its policy, or the admission document, has somebody asked."""
        return listed.hints.asks or self.sandbox.approves

    async def _asking(self, ctx: Context, listed: Listed, params: t.CallToolRequestParams) -> Shown | t.InputRequiredResult:
        caller, arguments = self.clients.caller(ctx), params.arguments or {}

        async def run(person: Person | None, answers: Callable[[], Context]) -> Shown:
            return await self._call(ctx, listed, arguments, person=person, answers=answers)

        return await self.parking.call(ctx, caller, params, run)

    async def _call(
        self,
        ctx: Context,
        listed: Listed,
        arguments: dict[str, Any],
        *,
        person: Person | None = None,
        answers: Callable[[], Context] | None = None,
    ) -> Shown:
        """Make a call; it is answered to the request that `answers` gives at its end, which is another one after a question."""
        caller = self.clients.caller(ctx)
        component = listed.tool.component
        client = None if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS else self.clients.client(ctx)
        version = ctx.protocol_version

        async def say(line: str) -> None:
            last = ctx if answers is None else answers()
            if (least := least_of(last, client)) is not None:
                await tell_line(log_of(last), least, listed.tool.name, component, line)

        async def heard(called: CallResult) -> None:
            await lines.said()
            last = ctx if answers is None else answers()
            await tell(log_of(last), least_of(last, client), listed.tool.name, component, called, lines)

        lines = Lines(say)
        try:
            async with progress(ctx, lambda: f"{self._doing(component)} {listed.tool.name}"):
                with hearing(lines):
                    return await call_tool(
                        self.sandbox, listed, arguments, version=version, caller=caller, heard=heard, person=person
                    )
        finally:
            lines.close()
            self.announcer.called(component)

    def _doing(self, component: str) -> str:
        return "loading" if self.sandbox.awaits_loading(component) else "calling"

    async def _reader(self, ctx: Context) -> Reader:
        """Who reads resources, or asks which there are. Raises MCPError where he may not."""
        await self._tools()
        caller = self.clients.caller(ctx)
        try:
            await self.sandbox.permit(caller.who, Method.READ)
        except NotAdmitted as error:
            raise MCPError(t.INVALID_REQUEST, error.message, error.to_json()) from None
        return Reader(caller, await self.sandbox.shown_to(caller.who))

    async def _list_resources(self, ctx: Context, params: t.PaginatedRequestParams | None) -> t.ListResourcesResult:
        return self.resources.page(cursor_in(params), await self._reader(ctx))

    async def _list_templates(self, ctx: Context, params: t.PaginatedRequestParams | None) -> t.ListResourceTemplatesResult:
        await self._reader(ctx)
        return self.resources.templates(cursor_in(params))

    async def _read_resource(self, ctx: Context, params: t.ReadResourceRequestParams) -> t.ReadResourceResult:
        return self.resources.read(params.uri, await self._reader(ctx))

    async def _subscribe(self, ctx: Context, params: t.SubscribeRequestParams) -> t.EmptyResult:
        if not self.resources.exists(params.uri, await self._reader(ctx)):
            raise not_found(params.uri)
        self.clients.watch(ctx, params.uri)
        return t.EmptyResult()

    async def _unsubscribe(self, ctx: Context, params: t.UnsubscribeRequestParams) -> t.EmptyResult:
        self.clients.client(ctx).watched.discard(params.uri)
        return t.EmptyResult()

    async def _complete(self, ctx: Context, params: t.CompleteRequestParams) -> t.CompleteResult:
        if not isinstance(params.ref, t.ResourceTemplateReference):
            raise MCPError(t.INVALID_PARAMS, "there are no prompts here")
        reader = await self._reader(ctx)
        found = self.resources.complete(params.ref.uri, params.argument.name, params.argument.value, reader)
        return t.CompleteResult(completion=found)

    async def _set_level(self, ctx: Context, params: t.SetLevelRequestParams) -> t.EmptyResult:
        self.clients.client(ctx).level = params.level
        return t.EmptyResult()

    async def _initialized(self, ctx: Context, params: t.NotificationParams) -> None:  # noqa: ARG002 - the SDK's signature
        self.clients.joined(ctx)


@contextlib.asynccontextmanager
async def _announcing(server: Server[Any]) -> AsyncIterator[Clients]:
    assert isinstance(server, SandboxServer)
    task = asyncio.create_task(server.announcer.run())
    task.add_done_callback(_tell_failure)
    try:
        yield server.clients
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.parking.close()
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
