"""A plain call of a component's tool over HTTP, answered without the SDK's sessions and streams; they take longer than the call.

Decides which requests are plain: `tools/call` of a tool that is listed, of a client that is known, which asked for neither
progress nor a log level. Everything else is the SDK's, and so is the answer to whatever is not as it should be. What runs is
`SandboxServer.called`, as for any other call.

Rules: an answer is one JSON object; where there is something for the client's log, or the call takes longer than
`STREAM_AFTER_SECONDS`, it is a stream whose last event is that object. Of a handshake client, a call goes on when its connection
breaks and ends by `notifications/cancelled` or with its session; without sessions it ends with its connection.

Source: MCP 2025-11-25 and 2026-07-28, "Transports", streamable HTTP: a server may answer each request in either form.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from typing import Any

import mcp.types as t
from mcp import MCPError
from mcp.server.streamable_http import REQUEST_CANCELLED
from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.inbound import InboundModernRoute, classify_inbound_request, find_duplicated_routing_header
from starlette.types import Receive, Send

from sandbox.server.clients import Caller, Client, metadata_in
from sandbox.server.http.answers import Header
from sandbox.server.http.identity import subject_of
from sandbox.server.http.request import Request
from sandbox.server.server import SandboxServer
from sandbox.server.tools import Listed

STREAM_AFTER_SECONDS = 15.0
"""A proxy closes what stays silent; from then on the client hears a comment every so often."""

_PARAMS = frozenset({"name", "arguments", "_meta"})
_ASKS_MORE = frozenset({"progressToken", t.LOG_LEVEL_META_KEY})
_JSON: Header = (b"content-type", b"application/json")
_STREAM: tuple[Header, ...] = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache, no-transform"))
_log = logging.getLogger(__name__)

Key = tuple[str, t.RequestId]


@dataclass(frozen=True, slots=True)
class _Call:
    """A plain call: the tool, what it is given, who asks. `client` is set in the handshake era."""

    listed: Listed
    arguments: dict[str, Any]
    caller: Caller
    version: str
    client: Client | None = None


@dataclass(slots=True)
class PlainCalls:
    """The plain calls of one server."""

    server: SandboxServer
    _running: dict[Key, asyncio.Task[dict[str, Any]]] = field(default_factory=dict)

    async def answer(self, request: Request, message: t.JSONRPCRequest, receive: Receive, send: Send) -> bool:
        """Whether the request was a plain call, and is answered."""
        call = self._plain(request, message)
        if call is None:
            return False
        told: list[dict[str, Any]] = []
        task = asyncio.create_task(self._run(call, message.id, told))
        session = request.one(b"mcp-session-id") or ""
        key = (session, coerce_request_id(message.id))
        if call.client is not None:
            self._running[key] = task
        gone = asyncio.create_task(_disconnected(receive)) if call.client is None else None
        try:
            await self._answer(task, gone, told, send, ((b"mcp-session-id", session.encode()),) if session else ())
        finally:
            self._running.pop(key, None)
            for each in (task, gone):
                if each is not None:
                    each.cancel()
        return True

    def cancel(self, request: Request, request_id: t.RequestId) -> None:
        """Cancel a call of the request's own session."""
        session = self._own_session(request)
        if session is not None and (task := self._running.get((session, coerce_request_id(request_id)))) is not None:
            task.cancel()

    def end(self, request: Request) -> None:
        """Cancel every call of the request's own session."""
        session = self._own_session(request)
        for (of, _), task in tuple(self._running.items()):
            if of == session:
                task.cancel()

    def _own_session(self, request: Request) -> str | None:
        session = request.one(b"mcp-session-id") or ""
        client = self.server.clients.with_session(session)
        return session if client is not None and client.is_of(subject_of(request)) else None

    def _plain(self, request: Request, message: t.JSONRPCRequest) -> _Call | None:
        params = message.params
        if message.method != "tools/call" or params is None or not _PARAMS.issuperset(params) or not _takes_both(request):
            return None
        listed = self.server.listed(params.get("name"))
        arguments, meta = params.get("arguments", {}), params.get("_meta", {})
        if (
            listed is None
            or self.server.may_ask(listed)
            or not isinstance(arguments, dict)
            or not isinstance(meta, dict)
            or _ASKS_MORE & meta.keys()
        ):
            return None
        known = self._modern(request, message) if request.one(b"mcp-session-id") is None else self._handshake(request, params)
        return None if known is None else _Call(listed, arguments, *known)

    def _modern(self, request: Request, message: t.JSONRPCRequest) -> tuple[Caller, str, None] | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
        if find_duplicated_routing_header((name.decode("latin-1"), "") for name, _ in request.headers) is not None:
            return None
        if "mcp-protocol-version" not in headers or any(name.startswith("mcp-param-") for name in headers):
            return None
        route = classify_inbound_request({"method": message.method, "params": message.params}, headers=headers)
        if not isinstance(route, InboundModernRoute):
            return None
        return self.server.clients.without_session(request.scope, message.params), route.protocol_version, None

    def _handshake(self, request: Request, params: dict[str, Any]) -> tuple[Caller, str, Client] | None:
        client = self._known(request)
        if client is None or t.PROTOCOL_VERSION_META_KEY in params.get("_meta", {}):
            return None
        versions = request.all(b"mcp-protocol-version")
        if len(versions) > 1 or (versions and versions[0] != client.version):
            return None
        return Caller(subject_of(request), client.session, metadata_in(request.scope, params)), client.version, client

    def _known(self, request: Request) -> Client | None:
        sessions = request.all(b"mcp-session-id")
        client = self.server.clients.with_session(sessions[0]) if len(sessions) == 1 else None
        # The SDK ends a session that it hears nothing of: now and then it has a call.
        if client is None or not client.is_of(subject_of(request)) or client.silent():
            return None
        return client

    async def _run(self, call: _Call, request_id: t.RequestId, told: list[dict[str, Any]]) -> dict[str, Any]:
        async def heard(level: t.LoggingLevel, data: Any, logger: str) -> None:
            params = {"level": level, "data": data, "logger": logger}
            told.append({"jsonrpc": "2.0", "method": "notifications/message", "params": params})

        try:
            result = await self.server.called(call.listed, call.arguments, call.caller, call.version, call.client, heard)
        except MCPError as error:
            return _failed(request_id, error.code, error.message)
        except asyncio.CancelledError:
            # As the SDK answers in the handshake era; in the other one nobody is left to read it.
            return _failed(request_id, REQUEST_CANCELLED, "Request cancelled")
        except Exception:  # noqa: BLE001 - the last one before the wire, where a client would read its text
            _log.exception("a call failed")
            return _failed(request_id, t.INTERNAL_ERROR, "internal error; the server's log says more")
        return {"jsonrpc": "2.0", "id": request_id, "result": result}

    async def _answer(
        self,
        task: asyncio.Task[dict[str, Any]],
        gone: asyncio.Task[None] | None,
        told: list[dict[str, Any]],
        send: Send,
        headers: tuple[Header, ...],
    ) -> None:
        waiting = {task} if gone is None else {task, gone}
        await asyncio.wait(waiting, timeout=STREAM_AFTER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        # A cancelled call's end may find its client gone, which the SDK's own client bears in a stream alone.
        if task.done() and not told and not _is_cancelled(task.result()):
            body = _json(task.result())
            await send({"type": "http.response.start", "status": 200, "headers": [_JSON, _length(body), *headers]})
            return await send({"type": "http.response.body", "body": body})
        if gone is not None and gone.done():
            return None
        await send({"type": "http.response.start", "status": 200, "headers": [*_STREAM, *headers]})
        while not task.done() and not (gone is not None and gone.done()):
            await send({"type": "http.response.body", "body": b": still running\n\n", "more_body": True})
            await asyncio.wait(waiting, timeout=STREAM_AFTER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        events = [*told, task.result()] if task.done() else []
        body = b"".join(b"event: message\ndata: " + _json(event) + b"\n\n" for event in events)
        return await send({"type": "http.response.body", "body": body})


def _failed(request_id: t.RequestId, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}}


def _is_cancelled(message: dict[str, Any]) -> bool:
    return bool(message.get("error", {}).get("code") == REQUEST_CANCELLED)


def _takes_both(request: Request) -> bool:
    accept = ",".join(request.all(b"accept")).lower()
    return "application/json" in accept and "text/event-stream" in accept


def _json(message: dict[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def _length(body: bytes) -> Header:
    return b"content-length", str(len(body)).encode()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
