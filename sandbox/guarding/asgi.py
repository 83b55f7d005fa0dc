"""Put an ASGI application behind admission: `AdmissionMiddleware(app, guard, subject=who_asks)`.

Decides how a request of HTTP reads as a request of admission: its action is the method's (`read`, `create`, `modify`, `delete`),
its resource the path. Who asks is the application's to say, from what it has verified; address and user agent are metadata, which
gives no rights.

Rules: a path that two servers could read as two resources (`..`, `//`, `;`, an encoded slash) is refused, and on record as it was
sent; a server that tells only the decoded path is taken at its word. A request that is not admitted never reaches the
application; one that is refused for a time is answered 429 with `Retry-After`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from sandbox.admission import Authorizer, CallRequest, Decision, Resource, Ruling, Subject, new_request_id
from sandbox.errors import Code, HostUnavailable, NotAdmitted, SandboxError
from sandbox.guarding.procedure import Guard
from sandbox.guarding.subjects import current_subject
from sandbox.template.url_path import normalise_path

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ACTIONS: Mapping[str, str] = {
    "GET": "read",
    "HEAD": "read",
    "OPTIONS": "read",
    "POST": "create",
    "PUT": "modify",
    "PATCH": "modify",
    "DELETE": "delete",
}
_LATER = frozenset({Code.RATE_LIMIT_EXCEEDED, Code.BUDGET_EXCEEDED})
_POLICY_VIOLATION = 1008
_FAILED, _UNAVAILABLE = 500, 503
_METADATA = 300
_PLAIN = "/!$&'()*+,;=:@"


class AdmissionMiddleware:
    """`subject(scope)` says who asks; `resource(path)` what a path is about, where it is not the path itself."""

    def __init__(
        self,
        app: App,
        guard: Guard | Authorizer,
        *,
        subject: Callable[[Scope], Subject],
        resource: Callable[[str], Resource] = lambda path: Resource(path.strip("/")),
    ) -> None:
        self._app, self._subject, self._resource = app, subject, resource
        self._guard = guard if isinstance(guard, Guard) else Guard(guard)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application answer it; `lifespan` passes."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        seen = _Answer(send)
        try:
            request = self._request(scope)
            with self._guard.running(request) as account:
                token = current_subject.set(request.subject)
                try:
                    await self._app(scope, receive, seen)
                finally:
                    current_subject.reset(token)
                account.ok = seen.status < _FAILED
        except SandboxError as error:
            if seen.status or not isinstance(error, NotAdmitted | HostUnavailable):
                raise
            await _refuse(scope, receive, send, error)

    def _request(self, scope: Scope) -> CallRequest:
        sent = _sent(scope)
        path = normalise_path(sent)
        action = ACTIONS.get(scope.get("method", "GET"), "other") if scope["type"] == "http" else "connect"
        request = CallRequest(new_request_id(), self._subject(scope), action=action, metadata=_metadata(scope, path or sent))
        if path is None:
            seen = replace(request, resource=Resource(sent[:_METADATA]))
            raise self._guard.refused(seen, Decision(Ruling.DENY, ("path",), "the path could be read as two different ones"))
        return replace(request, resource=self._resource(path))


def _sent(scope: Scope) -> str:
    """The path as it was sent; from a server that tells only the decoded one, as it would be sent."""
    raw = scope.get("raw_path")
    return raw.decode("latin-1") if raw else quote(scope["path"].encode("utf-8", "surrogatepass"), safe=_PLAIN)


class _Answer:
    """Passes on what the application sends, and remembers its status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
        elif message["type"] == "websocket.accept":
            self.status = 101
        await self._send(message)


def _metadata(scope: Scope, path: str) -> dict[str, Any]:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
    told = {
        "method": scope.get("method"),
        "path": path,
        "user_agent": headers.get("user-agent"),
        "trace": headers.get("traceparent"),
    }
    client = scope.get("client")
    address = {"address": client[0]} if client else {}
    return {**{name: value[:_METADATA] for name, value in told.items() if value}, **address}


async def _refuse(scope: Scope, receive: Receive, send: Send, error: SandboxError) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        return
    wait = getattr(error, "retry_after_s", None)
    status = _UNAVAILABLE if isinstance(error, HostUnavailable) else 429 if error.code in _LATER else 403
    # An error of the host's own may name its files: to whoever keeps it, not to a client.
    told = {"code": error.code.value, "message": "admission cannot decide now"} if status == 503 else error.to_json()
    body = json.dumps({"error": told}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [] if wait is None else [(b"retry-after", str(max(1, math.ceil(wait))).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
