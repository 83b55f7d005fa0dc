"""Answer one request to the HTTP API.

Decides who may ask for what; what is asked is done by `Sandbox`. A request comes here when its head and its token have passed
(`sandbox.server.http.front`). In this order:

    1. the operation   its path as it was sent, its method       404, 405
    2. who             a token where one is needed, the scopes   403
    3. what            path, key, query, then the body           400, 408, 413, 415, 422
    4. the record      what changes something, before it is done
    5. done            and told                                  404, 409, 422, 429, 503

Rules: every refusal of 403 and 429, and of what changes something, is on record with who asked; no exception's text reaches a
client; where nobody is asked for a token, nobody can be told from an agent: nothing is approved and nothing granted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from sandbox.api import Sandbox
from sandbox.changes.requests import Requested
from sandbox.errors import HostUnavailable, NotAdmitted, SandboxError
from sandbox.server.calls import LOST, NOT_NOW
from sandbox.server.clients import metadata_in
from sandbox.server.http.answers import JSON, Answer
from sandbox.server.http.api.openapi import document
from sandbox.server.http.api.operations import ADMIN, Asked, Operation, operations_at, segments_of
from sandbox.server.http.api.problems import as_problem, problem, problem_of, status_of
from sandbox.server.http.api.reading import body_of, key_of, parameters_of, query_of
from sandbox.server.http.api.table import OPERATIONS
from sandbox.server.http.identity import is_verified, subject_of
from sandbox.server.http.names import API as BASE
from sandbox.server.http.protected import ProtectedResource, challenge
from sandbox.server.http.request import Request
from sandbox.server.server import SandboxServer
from sandbox.state.tables import LostError

Body = Callable[[], Awaitable[bytes | Answer]]
"""Reads the body; the answer to one that is not taken."""

DOCUMENT = f"{BASE}/openapi.json"
_NO_TOKENS = "this server asks nobody for a token, so that it cannot tell a person from an agent"
_ALWAYS_RECORDED = frozenset({403, 429})
_log = logging.getLogger(__name__)


class Api:
    """The API of one server; `resource` is told to who lacks a scope."""

    def __init__(self, server: SandboxServer, resource: ProtectedResource | None) -> None:
        self._server, self._resource = server, resource
        self._document: str | None = None

    @property
    def _sandbox(self) -> Sandbox:
        return self._server.sandbox

    async def answer(self, request: Request, body: Body) -> Answer:
        """The answer to a request; `body` reads its body, once it is clear that it may be done."""
        if request.path == DOCUMENT:
            return await self._described(request)
        operation = self._operation(request)
        if isinstance(operation, Answer):
            return operation
        requested = self._sandbox.requested(operation.id, request.path, subject_of(request), metadata_in(request.scope))
        try:
            return await self._done(operation, request, requested, body)
        except SandboxError as error:
            return self._refused(operation, requested, error)
        except Exception:  # noqa: BLE001 - the last one before the wire, where a client would read its text
            _log.exception("%s failed", operation.id)
            return problem(500, {"detail": "internal error; the server's log says more", "code": "unavailable"})

    async def _described(self, request: Request) -> Answer:
        if request.method not in {"GET", "HEAD"}:
            return _not_allowed(["GET"])
        if self._document is None:
            self._document = await asyncio.to_thread(document)
        return Answer(200, self._document, kind=JSON)

    def _operation(self, request: Request) -> Operation | Answer:
        there = operations_at(segments_of(request.path), OPERATIONS)
        found = there.get("GET" if request.method == "HEAD" else request.method)
        if found is not None:
            return found
        return _not_allowed(there) if there else problem(404, {"detail": f"{DOCUMENT} says what is here", "code": "not_found"})

    async def _done(self, operation: Operation, request: Request, requested: Requested, body: Body) -> Answer:
        sees_all = await self._permitted(operation, request)
        parameters = parameters_of(operation, segments_of(request.path))
        key, query = key_of(operation, request), query_of(operation.query, request.scope["query_string"])
        taken = None
        if operation.takes is not None:
            text = await body()
            if isinstance(text, Answer):
                return as_problem(text)
            taken = body_of(operation.takes, text)
        await self._loaded()
        if operation.changes:
            told = {} if taken is None else taken.model_dump(mode="json", exclude_unset=True)
            requested.started({**parameters, **told})
        about = requested.request.metadata
        asked = Asked(self._sandbox, subject_of(request), sees_all, parameters, query, taken, key, about)
        done = await operation.does(asked)
        if operation.changes:
            requested.ended(operation.status)
        return Answer(operation.status, done.model_dump_json(), kind=JSON)

    async def _permitted(self, operation: Operation, request: Request) -> bool:
        """Whether the subject sees everybody's. Raises NotAdmitted where he may not ask for this at all."""
        who = subject_of(request)
        if operation.needs_token and not is_verified(request):
            help_ = "start it with tokens, `sandbox serve --token-file FILE`, or use the command line on this machine"
            raise NotAdmitted(f"{_NO_TOKENS}: this is not done here", help=help_)
        missing = await self._sandbox.lacking(who, dict.fromkeys((*operation.scopes, ADMIN)))
        if needed := [scope for scope in missing if scope in operation.scopes]:
            named = ", ".join(f"`{scope}`" for scope in needed)
            rules = tuple(f"scope:{scope}" for scope in needed)
            raise NotAdmitted(f"this needs {named}, which the subject lacks", help="use a token with it", rules=rules)
        return is_verified(request) and not missing

    async def _loaded(self) -> None:
        """Wait for the components, as MCP does."""
        loading = self._server.loading
        if not loading.done():
            await asyncio.wait({loading})
        if loading.cancelled() or loading.exception() is not None:
            raise HostUnavailable("the components could not be loaded")

    def _refused(self, operation: Operation, requested: Requested, error: SandboxError) -> Answer:
        status, told = status_of(error), error
        if isinstance(error, HostUnavailable):
            # It may name the host's own files, to whoever keeps this host: not to a client.
            _log.error("%s was not done: %s", operation.id, error)
            told = HostUnavailable(LOST if isinstance(error, LostError) else NOT_NOW)
        recorded = operation.changes or status in _ALWAYS_RECORDED
        try:
            if recorded:
                requested.refused(error, status)
        except HostUnavailable as unwritten:
            _log.error("a refusal cannot be recorded: %s", unwritten)
            return problem_of(HostUnavailable(NOT_NOW))
        answer = problem_of(told, requested.id if recorded else None)
        lacks = [rule.removeprefix("scope:") for rule in getattr(error, "rules", ()) if rule.startswith("scope:")]
        if status != 403 or not lacks:
            return answer
        more = challenge(self._resource, "insufficient_scope", "", lacks)
        return Answer(answer.status, answer.text, (*answer.headers, *more), answer.kind)


def _not_allowed(there: Iterable[str]) -> Answer:
    there = set(there)
    methods = sorted(there | ({"HEAD"} if "GET" in there else set()))
    told = {"detail": f"this is {', '.join(methods)}", "code": "invalid_arguments"}
    return problem(405, told, ((b"allow", ", ".join(methods).encode()),))
