"""What stands before MCP over HTTP: who may ask at all, and what a request must be before anybody reads it.

Decides, in this order:

    1. the head    at most `MAX_HEADERS` fields, one length  431, 400
    2. Host        a name of this server, said once          421
    3. Origin      this server's own, or a named one         403
    4. the token   where one is asked for, on every path     401; a webhook's answer is signed instead (`callback`)
    5. the path    exactly the one, or the server's own      404; what is beside MCP goes its own way (`beside`)
    6. the body    JSON, bare, within bytes and time         415, 413, 408
    7. the message strict JSON, one JSON-RPC message         400
    8. its id      none that waits in the same session       400

Leaves sessions and methods to the SDK, tokens to the verifier. Nothing of a request is read before its head has passed, and
nothing that a proxy may have added is believed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import mcp.types as t
from mcp.shared.jsonrpc_dispatcher import cancelled_request_id_from_params
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.server.http.answers import Answer, Header, refused, told
from sandbox.server.http.bearer import Bearer
from sandbox.server.http.beside import Beside
from sandbox.server.http.callback import PATH as CALLBACK
from sandbox.server.http.callback import answered
from sandbox.server.http.connections import MAX_HEAD_BYTES
from sandbox.server.http.metrics import Requests
from sandbox.server.http.names import HEALTH, METRICS, OWN_PATHS, Names, is_api
from sandbox.server.http.plain import PlainCalls
from sandbox.server.http.protected import ProtectedResource
from sandbox.server.http.request import Request
from sandbox.server.http.stepping import insufficient
from sandbox.server.http.streams import stream_until
from sandbox.server.http.waiting import Waiting
from sandbox.server.wire import Refusal, read_line, refuse

MAX_BODY_BYTES = 4 << 20
MAX_HEADERS = 100
LISTEN = "subscriptions/listen"
BODY_SECONDS = 8.0

_FIGURES = b"text/plain; version=0.0.4; charset=utf-8"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rules:
    """Where MCP is, the names that are answered to, and how tokens are asked for; without `bearer`, nobody is asked for one."""

    path: str = "/mcp"
    names: Names = field(default_factory=Names)
    bearer: Bearer | None = None

    @property
    def resource(self) -> ProtectedResource | None:
        """What clients are told of getting a token."""
        return None if self.bearer is None else self.bearer.resource


class Front:
    """The ASGI application. `mcp` is asked for all but `plain` calls; `unready` says in a word why tools cannot be called
    now, None where they can; `metrics` tells the host's figures and those of its `requests`."""

    def __init__(
        self,
        mcp: ASGIApp,
        plain: PlainCalls,
        rules: Rules,
        unready: Callable[[], str | None],
        metrics: Callable[[], bytes],
        requests: Requests,
    ) -> None:
        self._unready, self._requests = unready, requests
        self._beside = Beside(plain.server, rules.resource)
        self._mcp, self._plain, self._rules, self._metrics = mcp, plain, rules, metrics
        self._metadata = frozenset() if rules.resource is None else rules.resource.paths(rules.path)
        self._waiting = Waiting()
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End every stream that has no end of its own."""
        self._closing.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope)
        answer = self._by_its_head(request) or await self._by_its_token(request) or self._by_its_path(request)
        allowed = self._allowed(request) if answer is None or answer.status != 403 else ()
        if answer is None and request.path == CALLBACK:
            said = await answered(self._plain.server.sandbox, request, partial(self._content, request, receive))
            return await said.send(send)
        if is_api(request.path):
            content = partial(self._content, request, receive)
            said = await self._beside.answer(request, content) if answer is None else self._beside.refused(answer)
            return await said.send(send, *allowed)
        if answer is not None:
            return await answer.send(send, *allowed)
        send = _with(send, allowed)
        if request.method == "POST":
            return await self._post(request, receive, send)
        if request.method == "GET":
            serve = partial(self._mcp, request.scope, _nothing_more(receive))
            return await stream_until(request, self._closing, send, serve)
        self._plain.end(request)
        return await self._mcp(scope, _nothing_more(receive), send)

    def _by_its_head(self, request: Request) -> Answer | None:
        # h11 measures a head only while it is incomplete.
        if len(request.headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in request.headers) > MAX_HEAD_BYTES:
            return Answer(431, f"at most {MAX_HEADERS} header fields and {MAX_HEAD_BYTES >> 10} KiB of them", CLOSE)
        if request.scope["http_version"] not in {"1.0", "1.1"}:
            return Answer(505, "this is HTTP/1.1", CLOSE)
        if request.all(b"transfer-encoding") and request.all(b"content-length"):
            return Answer(400, "the body has two lengths", CLOSE)  # RFC 9112, 6.3: who reads the other one reads another request
        hosts, origins = request.all(b"host"), request.all(b"origin")
        if len(hosts) != 1 or not self._rules.names.answers_to(hosts[0]):
            return Answer(421, "this server does not go by that name; `--allow-host NAME` adds one", CLOSE)
        if len(origins) > 1 or (origins and not self._rules.names.speaks_with(origins[0], hosts[0])):
            return Answer(403, "pages of this origin may not speak to this server; `--allow-origin ORIGIN` adds one", CLOSE)
        return None

    async def _by_its_token(self, request: Request) -> Answer | None:
        bearer = self._rules.bearer
        if bearer is None or self._is_preflight(request) or request.path in self._metadata or request.path == CALLBACK:
            return None  # an answer of a webhook's is signed
        refused = await bearer.refuse(request)
        self._requests.authentications["success" if refused is None else "failure"] += 1
        return refused

    def _by_its_path(self, request: Request) -> Answer | None:
        # As it was sent: `/mcp/`, `//mcp` and `/%6dcp` are other paths.
        if self._is_preflight(request):
            return Answer(204)
        if request.path in OWN_PATHS or request.path in self._metadata:
            return self._of_the_server(request)
        if is_api(request.path):
            return None
        if request.path != self._rules.path:
            return Answer(404, f"MCP is at {self._rules.path}")
        if request.method not in {"POST", "GET", "DELETE"}:
            return Answer(405, "", ((b"allow", b"POST, GET, DELETE"),))
        return None

    def _of_the_server(self, request: Request) -> Answer:
        """What says how this server does."""
        if request.method not in {"GET", "HEAD"}:
            return Answer(405, "", ((b"allow", b"GET, HEAD"),))
        if self._rules.resource is not None and request.path in self._metadata:
            return told(200, self._rules.resource.metadata())
        if request.path == METRICS:
            return Answer(200, self._metrics().decode(), kind=_FIGURES)
        if request.path == HEALTH:
            return told(200, {"status": "ok"})
        why = self._unready()
        return told(200, {"status": "ok"}) if why is None else told(503, {"status": why})

    async def _post(self, request: Request, receive: Receive, send: Send) -> None:
        body = await self._content(request, receive)
        if isinstance(body, Answer):
            return await body.send(send)
        message = read_line(body) or refuse(None, t.PARSE_ERROR, "parse error: the body is empty")
        if isinstance(message, Refusal):
            return await refused(message).send(send)
        if not isinstance(message, t.JSONRPCRequest):
            self._notified(request, message)
            return await self._mcp(request.scope, _replayed(body, receive), send)
        if (answer := await insufficient(self._plain.server, self._rules.resource, request, message)) is not None:
            return await answer.send(send)
        session = request.one(b"mcp-session-id")
        refusal = None if session is None else self._waiting.begin(session, message)
        if refusal is not None:
            return await refused(refusal).send(send)
        try:
            if not await self._plain.answer(request, message, receive, send):
                serve = partial(self._mcp, request.scope, _replayed(body, receive))
                # What listens ends with its token; a call that began in time has its own limits, and its answer.
                await (stream_until(request, None, send, serve) if message.method == LISTEN else serve(send))
        finally:
            if session is not None:
                self._waiting.end(session, message)

    def _notified(self, request: Request, message: t.JSONRPCMessage) -> None:
        if isinstance(message, t.JSONRPCNotification) and message.method == "notifications/cancelled":
            request_id = cancelled_request_id_from_params(message.params)
            if request_id is not None:
                self._plain.cancel(request, request_id)

    async def _content(self, request: Request, receive: Receive) -> bytes | Answer:
        """The body, or the refusal of one that is not taken."""
        return self._by_its_kind(request) or await _body(receive)

    def _by_its_kind(self, request: Request) -> Answer | None:
        kinds = request.all(b"content-type")
        if len(kinds) != 1 or kinds[0].partition(";")[0].strip().lower() != "application/json":
            return Answer(415, "send the body as `Content-Type: application/json`", CLOSE)
        if request.all(b"content-encoding"):
            return Answer(415, "the body is sent as it is, without an encoding", CLOSE)
        length = request.one(b"content-length")
        return TOO_LARGE if length is not None and int(length) > MAX_BODY_BYTES else None

    def _is_preflight(self, request: Request) -> bool:
        """A browser's question, without credentials, whether it may send what a page wants to send."""
        return (
            request.method == "OPTIONS" and bool(request.all(b"origin")) and bool(request.all(b"access-control-request-method"))
        )

    def _allowed(self, request: Request) -> tuple[Header, ...]:
        """What a browser is told of an origin that the operator named; never `*`, and nothing to any other."""
        origin = request.one(b"origin")
        if origin is None or origin not in self._rules.names.origins:
            return ()
        methods = (b"access-control-allow-methods", b"POST, GET, DELETE")
        headers = (
            b"access-control-allow-headers",
            b"authorization, content-type, last-event-id, idempotency-key, " + _MCP_HEADERS,
        )
        preflight = (methods, headers, (b"access-control-max-age", b"600")) if self._is_preflight(request) else ()
        shown = (b"access-control-expose-headers", b"mcp-session-id, www-authenticate, retry-after")
        return ((b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"origin"), shown, *preflight)


CLOSE: tuple[Header, ...] = ((b"connection", b"close"),)
TOO_LARGE = Answer(413, f"a message is at most {MAX_BODY_BYTES >> 20} MiB", CLOSE)
TOO_SLOW = Answer(408, f"a body comes within {BODY_SECONDS:.0f} s", CLOSE)
_MCP_HEADERS = b"mcp-session-id, mcp-protocol-version, mcp-method, mcp-name"


async def _body(receive: Receive) -> bytes | Answer:
    """The whole body, or the refusal of one that is too large or too slow."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise ConnectionAbortedError
                size += len(message.get("body", b""))
                if size > MAX_BODY_BYTES:
                    return TOO_LARGE
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        return TOO_SLOW


def _replayed(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _nothing_more(receive: Receive) -> Receive:
    """A request without a body: what comes after its head is not kept, and its end is the client's leaving."""
    return _replayed(b"", receive)


def _with(send: Send, headers: tuple[Header, ...]) -> Send:
    if not headers:
        return send

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return sending
