"""A web application behind admission: what is refused never reaches it."""

from __future__ import annotations

import json
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from sandbox.admission import Subject
from sandbox.guarding import AdmissionMiddleware, Guard, current_subject, guard
from tests.guarding.conftest import Make

ROLES = """
roles:
  reader: {permissions: [{resource: "reports/*", actions: [read, connect]}]}
  editor: {inherits: [reader], permissions: [{resource: "reports/*", actions: [modify]}]}
assignments: {ann: [reader], ben: [editor]}
"""


@dataclass
class Answer:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def error(self) -> dict[str, Any]:
        return dict(json.loads(self.body)["error"])


@dataclass
class Site:
    """An application, with what reached it."""

    guard: Guard
    reached: list[str] = field(default_factory=list)

    async def get(
        self, path: str, user: str = "ann", method: str = "GET", kind: str = "http", decoded: str | None = None
    ) -> Answer:
        """The answer to a path; where it is `decoded`, the server tells no other."""
        headers = [(b"x-user", user.encode()), (b"user-agent", b"test/1")]
        scope = {"type": kind, "method": method, "path": path.partition("?")[0], "raw_path": path.encode(), "query_string": b""}
        scope |= {"headers": headers, "client": ("192.0.2.1", 4711), "scheme": "http", "server": ("x", 80), "root_path": ""}
        if decoded is not None:
            scope |= {"path": decoded}
            del scope["raw_path"]
        answer = Answer()

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "websocket.connect" if kind == "websocket" else "http.request", "body": b"", "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            answer.status = message.get("status", message.get("code", answer.status))
            answer.headers |= {name.decode(): value.decode() for name, value in message.get("headers", ())}
            answer.body += message.get("body", b"")

        await self.app(scope, receive, send)
        return answer

    def __post_init__(self) -> None:
        async def report(request: Request) -> Response:
            self.reached.append(request.path_params["name"])
            if request.path_params["name"] == "broken":
                return Response("broken", status_code=500)
            return PlainTextResponse(f"{current_subject.get().id} read {request.path_params['name']}")

        async def deeper(request: Request) -> Response:
            guarded = guard(self.guard, action="destroy", resource="reports/all")(lambda: "gone")
            return PlainTextResponse(guarded())

        async def talk(socket: WebSocket) -> None:
            await socket.accept()
            await socket.close()

        methods = ["GET", "PUT", "DELETE"]
        routes = [Route("/reports/deeper", deeper), Route("/reports/{name}", report, methods=methods)]
        admission = Middleware(AdmissionMiddleware, guard=self.guard, subject=who)
        self.app = Starlette(routes=[*routes, WebSocketRoute("/reports/talk", talk)], middleware=[admission])


def who(scope: MutableMapping[str, Any]) -> Subject:
    """Who asks: here a header, in an application what it has verified."""
    return Subject(dict(scope["headers"]).get(b"x-user", b"").decode())


@pytest.fixture
def site(make: Make) -> Site:
    return Site(make(ROLES))


@pytest.mark.parametrize(
    ("path", "user", "method"),
    [
        ("/reports/q3", "eve", "GET"),
        ("/reports/q3", "ANN", "GET"),
        ("/reports/q3", "ann\u0301", "GET"),
        ("/reports/q3", "ann", "PUT"),
        ("/reports/q3", "ben", "DELETE"),
        ("/reports/q3", "ann", "PROPFIND"),
        ("/billing/q3", "ann", "GET"),
        ("/reportsx/q3", "ann", "GET"),
        ("/reports", "ann", "GET"),
        ("/reports/../billing/q3", "ann", "GET"),
        ("/reports/%2e%2e/billing", "ann", "GET"),
        ("/reports//q3", "ann", "GET"),
        ("/reports/q3;x=1", "ann", "GET"),
        ("/reports/a%2fb", "ann", "GET"),
    ],
)
async def test_what_is_not_permitted_does_not_reach_the_application(site: Site, path: str, user: str, method: str) -> None:
    """ADM-01: other users, other spellings of a name, other methods, other spellings of a path."""
    answer = await site.get(path, user, method)
    assert (answer.status, answer.error["code"]) == (403, "access_denied")
    assert not site.reached


@pytest.mark.parametrize(
    "decoded", ["/reports/../billing", "/reports//q3", "/reports/q3;x", "/reports/%2e%2e", "/reports/\ud800"]
)
async def test_a_path_that_could_be_two_is_on_record(
    site: Site, recorded: Callable[[], list[dict[str, Any]]], decoded: str
) -> None:
    assert (await site.get("", decoded=decoded)).status == 403
    assert not site.reached
    (record,) = recorded()
    assert (record["event"], record["subject"], record["rules"]) == ("access_denied", "ann", ["path"])
    assert record["detail"]["resource"].startswith("/reports/")


@pytest.mark.parametrize(
    ("sent", "decoded", "status"),
    [
        ("/reports/caf%C3%A9", "/reports/caf\u00e9", 403),
        ("/reports/a%3Fb", "/reports/a?b", 403),
        ("/reports/a%23b", "/reports/a#b", 200),
        ("/reports/a%20b", "/reports/a b", 200),
    ],
)
async def test_a_server_that_tells_only_the_decoded_path_is_judged_alike(
    make: Make, sent: str, decoded: str, status: int
) -> None:
    """A letter outside ASCII is itself; a question mark in a name ends nothing."""
    rule = 'rules: [{name: kept, effect: deny, when: {resource.name: {in: ["reports/caf\\u00e9", "reports/a?b"]}}}]'
    site = Site(make(f"template: permissive\n{rule}"))
    assert (await site.get(sent)).status == status
    assert (await site.get("", decoded=decoded)).status == status


async def test_what_is_permitted_does(site: Site, recorded: Callable[[], list[dict[str, Any]]]) -> None:
    """With the subject for what is guarded further in; the record has both."""
    assert (await site.get("/reports/q3?page=2")).body == b"ann read q3"
    assert (await site.get("/reports/q3", "ben", "PUT")).status == 200
    began, ended, *_ = recorded()
    assert (began["event"], began["subject"], ended["event"]) == ("tool_invoke", "ann", "tool_success")
    assert current_subject.get().id == ""


async def test_what_a_guarded_function_further_in_refuses_is_refused(site: Site) -> None:
    answer = await site.get("/reports/deeper")
    assert (answer.status, answer.error["code"]) == (403, "access_denied")


async def test_an_answer_that_failed_is_recorded_as_one(site: Site, recorded: Callable[[], list[dict[str, Any]]]) -> None:
    assert (await site.get("/reports/broken")).status == 500
    assert recorded()[-1]["event"] == "tool_failure"


async def test_too_many_requests_are_told_when_to_come_again(make: Make) -> None:
    site = Site(make(f"{ROLES}\nrates: [{{action: read, per: user, limit: 1/min}}]"))
    assert (await site.get("/reports/q3")).status == 200
    answer = await site.get("/reports/q3")
    assert (answer.status, answer.error["code"]) == (429, "rate_limit_exceeded")
    assert 1 <= int(answer.headers["retry-after"]) <= 61
    assert (await site.get("/reports/q3", "ben")).status == 200, "another user's rate is another"


async def test_where_nothing_can_be_recorded_nothing_is_answered(site: Site) -> None:
    """What failed is not told to a client: it may name files."""
    assert site.guard.log is not None
    site.guard.log.close()
    answer = await site.get("/reports/q3")
    assert (answer.status, answer.error["message"]) == (503, "admission cannot decide now")
    assert not site.reached


async def test_a_websocket_is_admitted_too(site: Site) -> None:
    assert (await site.get("/reports/talk", "eve", kind="websocket")).status == 1008
    assert (await site.get("/reports/talk", "ann", kind="websocket")).status == 1000
