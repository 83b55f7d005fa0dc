"""Who is connected, as whom, in which session, and what each of them wants to hear.

Decides whose name a call carries, and which session it belongs to. Leaves whether the call may happen to admission, and what a
client is told to the server.

Rules of a session: the client of standard input is one session, whatever the era; a handshake over HTTP opens one that ends with
it; the era without sessions has one for each subject of a tenant, as long as the server runs. The name of a session is our own:
the id that HTTP carries is a secret of the client's and stands in no record.

The SDK keeps no list of its handshake connections: a connection's exit stack is the only place that learns of its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import mcp.types as t
from mcp import MCPError
from mcp.server import ServerRequestContext
from mcp.server.connection import Connection
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourcesListChanged,
    ResourceUpdated,
    ToolsListChanged,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from sandbox.admission.subject import Subject, nothing
from sandbox.server.http.identity import who_in
from sandbox.telemetry.context import TRACEPARENT, TRACESTATE, read_context

Context = ServerRequestContext[Any, Any]

MAX_SUBSCRIPTIONS = 1000
"""Resources that one handshake client may watch."""

SILENT_SECONDS = 60.0

SEND_SECONDS = 5.0
"""How long one client that does not read may keep the others from hearing of a change."""

_STATE = "sandbox"
_TOLD = {b"user-agent": "user_agent", b"traceparent": "trace", b"tracestate": "trace_state"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the token or the machine vouches for it, and our name of the session; `metadata` is what it says of itself."""

    who: Subject
    session: str
    metadata: Mapping[str, Any] = field(default_factory=nothing)

    @property
    def subject(self) -> str:
        """The name of the token, or `local`."""
        return self.who.id


@dataclass(slots=True)
class Client:
    """A handshake client: its session and what it asked to be told. `live` is set once it may be written to, `heard_at` by each
    request that the SDK has of it."""

    session: str
    who: Subject
    version: str
    heard_at: float
    level: t.LoggingLevel | None = None
    watched: set[str] = field(default_factory=set)
    live: ServerSession | None = None

    @property
    def subject(self) -> str:
        """The name of the token that opened the session, or `local`."""
        return self.who.id

    def is_of(self, who: Subject) -> bool:
        """Whether the session is this subject's."""
        return (self.who.id, self.who.tenant) == (who.id, who.tenant)

    def silent(self) -> bool:
        """Whether the SDK has heard nothing of it for a while."""
        return time.monotonic() - self.heard_at > SILENT_SECONDS


class Clients:
    """Every connection of one server. `ended` is told of each session that is over."""

    def __init__(self, ended: Callable[[str], Awaitable[object]]) -> None:
        self._ended = ended
        self._run = uuid4().hex
        self._handshakes: dict[int, Client] = {}
        self._sessions: dict[str, Client] = {}
        self._lasting: set[str] = set()
        self._bus = InMemorySubscriptionBus()
        self.listen = ListenHandler(self._bus)

    def caller(self, ctx: Context) -> Caller:
        """Who makes this request."""
        if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            client = self.client(ctx)
            # The session's subject, with the rights of the token that came with this request: a later one may have others.
            who = client.who if ctx.request is None else who_in(ctx.request.scope)
            return Caller(who, client.session, _told(ctx))
        if ctx.request is not None:
            return self.without_session(ctx.request.scope, ctx.params)
        self._lasting.add(self._run)
        return Caller(Subject.local(), self._run, _told(ctx))

    def without_session(self, scope: Mapping[str, Any], params: Mapping[str, Any] | None = None) -> Caller:
        """Who makes a request of the era without sessions over HTTP, by the request's scope and its parameters."""
        who = who_in(scope)
        session = hashlib.sha256(repr((self._run, who.tenant, who.id)).encode()).hexdigest()[:32]
        self._lasting.add(session)
        return Caller(who, session, metadata_in(scope, params))

    def with_session(self, session_id: str) -> Client | None:
        """The handshake client of a session over HTTP, by the id that only it knows; None before it may be written to."""
        client = self._sessions.get(session_id)
        return client if client is not None and client.live is not None else None

    def client(self, ctx: Context) -> Client:
        """The handshake client of this request; to be asked of no other."""
        connection: Connection = ctx.session._connection
        known: Client | None = connection.state.get(_STATE)
        if known is None:
            session = self._run if ctx.request is None else uuid4().hex
            who = Subject.local() if ctx.request is None else who_in(ctx.request.scope)
            known = Client(session, who, connection.protocol_version, 0.0)
            connection.state[_STATE] = self._handshakes[id(connection)] = known
            connection.exit_stack.push_async_callback(self._left, id(connection), connection.session_id)
        known.heard_at = time.monotonic()
        return known

    def watch(self, ctx: Context, uri: str) -> None:
        """Have a handshake client told of changes of a resource. Raises MCPError for one too many."""
        watched = self.client(ctx).watched
        if len(watched) >= MAX_SUBSCRIPTIONS and uri not in watched:
            raise MCPError(t.INVALID_PARAMS, f"at most {MAX_SUBSCRIPTIONS} resources are watched by one client")
        watched.add(uri)

    def joined(self, ctx: Context) -> None:
        """Note that a handshake client may be written to from now on."""
        client = self.client(ctx)
        client.live, client.version = ctx.session, ctx.protocol_version
        if (session_id := ctx.session._connection.session_id) is not None:
            self._sessions[session_id] = client

    async def close(self) -> None:
        """End the sessions that no connection ends: the server goes."""
        while self._lasting:
            await self._ended(self._lasting.pop())

    async def tools_changed(self, concerns: Callable[[Subject], bool] | None = None) -> None:
        """Tell everyone to list the tools again, or of the handshake clients those whose subject it concerns."""
        await self._bus.publish(ToolsListChanged())
        told = concerns or (lambda _: True)
        await self._each(lambda client, session: session.send_tool_list_changed() if told(client.who) else None)

    async def resources_changed(self) -> None:
        """Tell everyone to list the resources again."""
        await self._bus.publish(ResourcesListChanged())
        await self._each(lambda _, session: session.send_resource_list_changed())

    async def updated(self, uri: str) -> None:
        """Tell who watches a resource that it is another one now."""
        await self._bus.publish(ResourceUpdated(uri=uri))
        await self._each(lambda client, session: session.send_resource_updated(uri) if uri in client.watched else None)

    async def _each(self, tell: Callable[[Client, ServerSession], Awaitable[None] | None]) -> None:
        told = (tell(client, client.live) for client in tuple(self._handshakes.values()) if client.live is not None)
        await asyncio.gather(*(_in_time(one) for one in told if one is not None))

    async def _left(self, key: int, session_id: str | None) -> None:
        self._sessions.pop(session_id or "", None)
        client = self._handshakes.pop(key)
        await self._ended(client.session)


async def _in_time(telling: Awaitable[None]) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(telling, SEND_SECONDS)


def principal_of(ctx: Context) -> str:
    """Who makes this request, in one word: what is sealed for one subject of a tenant opens for no other."""
    who = Subject.local() if ctx.request is None else who_in(ctx.request.scope)
    return repr((who.tenant, who.id))


def metadata_in(scope: Mapping[str, Any], params: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """What a request says of itself: its trace, and over HTTP the address that it comes from and its user agent.

    The trace is the one of its `_meta` (SEP-414), where it has one, else that of its head.
    """
    told = {name: value.decode("latin-1") for key, value in scope.get("headers", ()) if (name := _TOLD.get(key)) is not None}
    if peer := scope.get("client"):
        told["address"] = peer[0]
    meta = None if params is None else params.get("_meta")
    found = read_context(meta.get(TRACEPARENT), meta.get(TRACESTATE)) if isinstance(meta, Mapping) else None
    if found is not None:
        # As it was read: what a client says beyond it, of whatever length, goes no further.
        told |= {"trace": found.traceparent, "trace_state": found.state}
    return told


def _told(ctx: Context) -> Mapping[str, Any]:
    return metadata_in({} if ctx.request is None else ctx.request.scope, ctx.params)
