"""The HTTP front: who is not let in, and what is not read."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from sandbox.server.http.connections import HEAD_SECONDS
from sandbox.server.http.front import BODY_SECONDS, MAX_BODY_BYTES
from sandbox.server.http.tokens import tokens_of
from tests.attacks.stage import CANARY, Stage
from tests.support.http import Answer, Served, served
from tests.support.serving import ENVELOPE, HANDSHAKE

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALICE, BOB = f"alice-{CANARY}-of-twenty", f"bob-{CANARY}-of-twenty-too"
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
HELLO = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HANDSHAKE}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(stage: Stage) -> AsyncIterator[Served]:
    """A server on this machine alone, which asks nobody for a token."""
    await stage.load("exhaust_sleep")
    await stage.load("every_type")
    async with served(stage.sandbox) as front:
        yield front


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(stage: Stage, front: Served) -> AsyncIterator[Served]:
    """Another one of the same host, with two tokens."""
    verifier = tokens_of(f"alice {ALICE}\nbob {BOB}\n", "tokens")
    async with served(stage.sandbox, token=ALICE, verifier=verifier, hosts=frozenset({"box.example.com"})) as guarded:
        yield guarded


async def is_well(front: Served, stage: Stage) -> None:
    """The server answers, and the neighbour's call runs."""
    assert (await front.ask("GET", "/health", Content_Type=None)).json() == {"status": "ok"}
    await stage.neighbour_is_well()


def text_of_records(stage: Stage) -> str:
    return "".join(path.read_text() for path in (stage.home / "audit").glob("*.jsonl"))


BAD_CREDENTIALS = [
    None,
    "",
    "Bearer",
    "Bearer ",
    f"Basic {ALICE}",
    f"bearer{ALICE}",
    "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.",
    f"Bearer {ALICE}x",
    f"Bearer {ALICE[:-1]}",
    f"Bearer {ALICE}, Bearer {BOB}",
    f"Token {ALICE}",
]


@pytest.mark.parametrize("credentials", BAD_CREDENTIALS)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/mcp"), ("GET", "/mcp"), ("DELETE", "/mcp"), ("GET", "/health"), ("GET", "/")]
)
async def test_no_path_and_no_method_is_open_without_a_token(
    guarded: Served, method: str, path: str, credentials: str | None
) -> None:
    """HTTP-01"""
    answer = await guarded.ask(method, path, HELLO, Authorization=credentials)
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert "mcp-session-id" not in answer.headers


async def test_two_authorizations_are_none(guarded: Served) -> None:
    """HTTP-01"""
    head = f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {ALICE}\r\nAuthorization: Bearer {ALICE}\r\n"
    assert (await guarded.raw(f"{head}Content-Length: 0\r\n\r\n".encode())).status == 401


@pytest.mark.parametrize(
    "path", ["//mcp", "/mcp/", "/MCP", "/%6dcp", "/mcp/../mcp", "/mcp;x", "/", "/metrics/", "/sse", "/messages/"]
)
async def test_mcp_has_one_path(guarded: Served, front: Served, stage: Stage, path: str) -> None:
    """HTTP-01: with a token it is not there, without one it is not said whether it is."""
    for token, status in ((None, 401), (f"Bearer {ALICE}", 404)):
        assert (await guarded.ask("POST", path, HELLO, Authorization=token)).status == status
    assert (await front.ask("POST", path, HELLO)).status == 404
    await is_well(front, stage)


async def test_another_method_is_not_smuggled_in(guarded: Served) -> None:
    """HTTP-01"""
    for headers in ({"X_HTTP_Method_Override": "POST"}, {"X_Forwarded_For": "127.0.0.1"}, {"X_Original_URL": "/mcp"}):
        assert (await guarded.ask("PUT", "/mcp", HELLO, Authorization=None, **headers)).status == 401
        assert (await guarded.ask("PUT", "/mcp", HELLO, **headers)).status == 405


async def test_a_token_stands_in_no_record_and_in_no_answer(
    guarded: Served, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """HTTP-01, AUD-04"""
    session = await guarded.handshake()
    answer = await session.call("traps__fine", number=3)
    refused = await guarded.ask(body=HELLO, Authorization=f"Bearer {BOB}-wrong")
    assert answer.json()["result"]["structuredContent"] == {"result": 3}
    assert [record["subject"] for record in stage.records() if record["event"] == "tool_success"][-1] == "alice"
    for told in (text_of_records(stage), answer.body.decode(), refused.body.decode(), caplog.text):
        assert CANARY not in told


STRANGE_HOSTS = [
    "evil.test",
    "localhost.evil",
    "127.0.0.1.",
    "[::1]:x",
    "",
    "127.0.0.1:99999",
    "127.0.0.1@evil.test",
    "user@127.0.0.1",
    "2130706433",
]


@pytest.mark.parametrize("host", STRANGE_HOSTS)
async def test_a_name_that_is_not_ours_is_answered_before_anything_is_read(front: Served, guarded: Served, host: str) -> None:
    """HTTP-02: the body is not even sent, and the answer comes."""
    for served_by in (front, guarded):
        head = f"POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        assert (await served_by.raw(head.encode())).status == 421


async def test_a_request_without_a_host_or_with_two_is_refused(front: Served) -> None:
    """HTTP-02"""
    for fields in ("", "Host: 127.0.0.1\r\nHost: evil.test\r\n"):
        assert (await front.raw(f"GET /health HTTP/1.1\r\n{fields}\r\n".encode())).status in {400, 421}
    assert (await front.raw(b"GET /health HTTP/1.0\r\n\r\n")).status == 421


async def test_a_named_host_is_answered(guarded: Served, front: Served) -> None:
    for host in ("box.example.com", "box.example.com:443", "localhost:1", "[::1]"):
        assert (await guarded.ask("GET", "/health", Host=host)).status == 200
    assert (await front.ask("GET", "/health", Host="box.example.com")).status == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.test", "null", "https://127.0.0.1", "http://localhost:1", "http://127.0.0.1.evil.test", "*", ""]
)
async def test_a_page_of_somebody_elses_is_not_listened_to(front: Served, stage: Stage, origin: str) -> None:
    """HTTP-03: neither read nor answered across origins, whatever it asks."""
    before = len(stage.records())
    for method, kind in (("POST", "application/json"), ("POST", "text/plain"), ("GET", None), ("OPTIONS", None)):
        asked = {"Access_Control_Request_Method": "POST"} if method == "OPTIONS" else {}
        answer = await front.ask(method, "/mcp", HELLO, Origin=origin, Content_Type=kind, **asked)
        assert answer.status == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert len(stage.records()) == before


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json", None])
async def test_what_a_page_may_send_unasked_is_no_message(front: Served, kind: str | None) -> None:
    """HTTP-03: a simple request has no JSON type; one without an origin comes from no page."""
    assert (await front.ask(body=HELLO, Content_Type=kind)).status == 415


async def test_the_servers_own_page_and_a_named_one_are_listened_to(stage: Stage, front: Served) -> None:
    """HTTP-03: CORS is answered for what the operator named, word for word, and for nobody else."""
    own = await front.ask(body=HELLO, Origin=f"http://127.0.0.1:{front.port}")
    assert own.status == 200
    assert "access-control-allow-origin" not in own.headers
    async with served(stage.sandbox, origins=frozenset({"https://app.example.com"})) as open_to_one:
        asked = {"Origin": "https://app.example.com", "Access_Control_Request_Method": "POST"}
        preflight = await open_to_one.ask("OPTIONS", "/mcp", **asked)
        opened = await open_to_one.ask(body=HELLO, Origin="https://app.example.com")
    assert (preflight.status, preflight.headers["access-control-allow-origin"]) == (204, "https://app.example.com")
    assert "access-control-allow-credentials" not in preflight.headers
    assert (opened.status, opened.headers["access-control-allow-origin"]) == (200, "https://app.example.com")


async def test_a_session_is_its_openers_alone(guarded: Served) -> None:
    """HTTP-05: with another token it is not there, and what runs in it goes on."""
    alices, bobs = await guarded.handshake(), await guarded.handshake()
    bearer = {"Authorization": f"Bearer {BOB}"}
    running = asyncio.create_task(alices.call("exhaust_sleep__sleep", 7, milliseconds="1500"))
    await asyncio.sleep(0.3)
    for method in ("GET", "DELETE"):
        stolen = await guarded.ask(method, Mcp_Session_Id=alices.id, Last_Event_ID="0", **bearer)
        assert (stolen.status, b"Session not found" in stolen.body) == (404, True)
    assert (await alices.ask("ping", None, 8, **bearer)).status == 404
    call = {"name": "traps__fine", "arguments": {"number": 3}}
    assert (await alices.ask("tools/call", call, 9, **bearer)).status == 404
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
    assert (await guarded.ask(body=cancel, Mcp_Session_Id=alices.id, **bearer)).status == 404
    assert (await bobs.tell("notifications/cancelled", {"requestId": 7})).status == 202
    assert (await running).json()["result"]["isError"] is False


async def test_nothing_is_replayed(front: Served) -> None:
    """HTTP-05: no event is kept, so an id of one gives nothing; a session that is not there is not found."""
    session = await front.handshake()
    await session.call("traps__fine", number=3)
    async with front.connected() as (reader, writer):
        fields = front.head("GET", Mcp_Session_Id=session.id, Last_Event_ID="1", Content_Type=None)
        writer.write(
            ("GET /mcp HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n").encode()
        )
        with pytest.raises((TimeoutError, asyncio.IncompleteReadError)):
            async with asyncio.timeout(0.5):
                await reader.readuntil(b"data: {")
    assert (await front.ask("GET", Mcp_Session_Id="0" * 32)).status == 404


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /mcp HT",
        b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ",
        b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",
        b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
    ids=["nothing", "half a line", "half a head", "half a body", "half a chunk"],
)
async def test_who_sends_half_is_closed(front: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """HTTP-07: drops that come before the end do not put it off."""
    monkeypatch.setattr("sandbox.server.http.connections.HEAD_SECONDS", 0.5)
    monkeypatch.setattr("sandbox.server.http.front.BODY_SECONDS", 0.5)
    began = time.monotonic()
    async with front.connected() as (reader, writer):
        writer.write(sent)
        dripping = asyncio.create_task(drip(writer))
        rest = b""
        async with asyncio.timeout(15):
            with contextlib.suppress(ConnectionResetError):  # what it sent meanwhile was not read
                rest = await reader.read()
        dripping.cancel()
    assert rest == b"" or b" 408 " in rest
    assert time.monotonic() - began < 12
    await is_well(front, stage)


async def drip(writer: asyncio.StreamWriter) -> None:
    """A byte now and then."""
    for _ in range(50):
        await asyncio.sleep(0.1)
        writer.write(b"a")


async def test_the_times_are_within_ten_seconds() -> None:
    """HTTP-07: what the tests above shorten."""
    assert max(HEAD_SECONDS, BODY_SECONDS) <= 10


async def test_one_address_has_so_many_connections(front: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP-07: one too many is closed at once, and when one goes there is room again."""
    monkeypatch.setattr("sandbox.server.http.connections.MAX_OF_ADDRESS", 8)
    held = [await asyncio.open_connection("127.0.0.1", front.port) for _ in range(8)]
    async with front.connected() as (reader, _):
        with pytest.raises((ConnectionError, AssertionError)):
            async with asyncio.timeout(2):
                assert await reader.read(1) != b""
    for _, writer in held:
        writer.close()
    await asyncio.sleep(0.1)
    await is_well(front, stage)


async def test_what_is_too_large_is_not_read(front: Served, stage: Stage) -> None:
    """HTTP-08: said, or found out while it comes."""
    start = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    assert (await front.raw(start + b"Content-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1))).status == 413
    head = start + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    async with front.connected() as (reader, writer):
        writer.write(head + chunk * (MAX_BODY_BYTES // 0x10000 + 1))
        assert b" 413 " in await reader.readline()
    await is_well(front, stage)


async def test_three_thousand_fields_and_a_packed_body_are_refused(front: Served, stage: Stage) -> None:
    """HTTP-08"""
    many = "".join(f"X-{number}: a\r\n" for number in range(3000))
    for fields in (many[: 20 << 10].rpartition("\r\n")[0] + "\r\n", many, f"X-A: {'a' * (64 << 10)}\r\n"):
        answer = await front.raw(f"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n".encode())
        assert answer.status == 431
    packed = await front.ask(body=gzip.compress(json.dumps(HELLO).encode()), Content_Encoding="gzip")
    assert packed.status == 415
    await is_well(front, stage)


async def test_a_field_without_an_end_is_refused_while_it_comes(front: Served, stage: Stage) -> None:
    """HTTP-08"""
    for place in (b"GET /health HTTP/1.1\r\nX-A: ", b"GET /", b"GET /health HTTP/1.1\r\n"):
        async with front.connected() as (reader, writer):
            writer.write(place)
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(b"a" * (40 << 10))
            assert (await reader.read()).startswith(b"HTTP/1.1 431 ")
    await is_well(front, stage)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("POST http://127.0.0.1/mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}", 404),
        ("OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        ("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        ("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
        ("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 501),
        ("GET /health HTTP/2.0\r\nHost: 127.0.0.1\r\n\r\n", 505),
        ("GET /health\r\nHost: 127.0.0.1\r\n\r\n", 400),
    ],
)
async def test_a_head_that_can_be_read_in_two_ways_is_refused(front: Served, stage: Stage, head: str, status: int) -> None:
    """HTTP-01: what smuggles a request past whoever stands before this server."""
    assert (await front.raw(head.encode())).status == status
    await is_well(front, stage)


async def test_fields_behind_a_body_are_nobodys(guarded: Served, stage: Stage) -> None:
    """HTTP-01: a token that comes after the head was judged is none."""
    head = "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = json.dumps(HELLO)
    trailer = f"{len(body):x}\r\n{body}\r\n0\r\nAuthorization: Bearer {ALICE}\r\n\r\n"
    assert (await guarded.raw((head + trailer).encode())).status == 401
    session = f"Authorization: Bearer {ALICE}\r\n{head.partition(chr(10))[2]}".encode()
    many = b"".join(b"X-%d: a\r\n" % number for number in range(200_000))
    start = b"POST /mcp HTTP/1.1\r\n" + session
    async with guarded.connected() as (reader, writer):
        writer.write(start + f"{len(body):x}\r\n{body}\r\n0\r\n".encode() + many)
        with contextlib.suppress(ConnectionResetError):
            assert not (await reader.read()).startswith(b"HTTP/1.1 200 ")
    await is_well(guarded, stage)


async def test_garbage_behind_a_request_ends_the_connection_after_the_answer(front: Served) -> None:
    """HTTP-09"""
    async with front.connected() as (reader, writer):
        writer.write(
            b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n\x00\x01 garbage\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n"
        )
        said = await reader.read()
    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.count(b"HTTP/1.1 200 ") == 1


async def test_an_offer_of_another_protocol_is_not_taken(front: Served) -> None:
    """A client that would rather speak HTTP/2 is answered, body and all (RFC 9110, 7.8)."""
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAoAAAAAIAAAAA"}
    assert (await front.ask(body=HELLO, **offer)).status == 200


async def test_ten_thousand_calls_in_one_message_are_none(front: Served, stage: Stage) -> None:
    """HTTP-09: MCP has no batches any more; not one of them runs, in either era."""
    before = len(stage.records())
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "traps__fine", "arguments": {"number": 1}}}
    session = await front.handshake()
    for headers in ({"Mcp_Session_Id": session.id}, {"MCP_Protocol_Version": "2026-07-28"}):
        answer = await front.ask(body=[call] * 10_000, **headers)
        assert (answer.status, answer.json()["error"]["code"]) == (400, -32600)
    assert len(stage.records()) == before
    await is_well(front, stage)


async def test_a_call_in_the_shape_of_a_notification_does_not_run(front: Served, stage: Stage) -> None:
    """HTTP-09: nobody could be told what it did."""
    session = await front.handshake()
    before = len(stage.records())
    answer = await session.tell("tools/call", {"name": "traps__fine", "arguments": {"number": 1}})
    modern = {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "traps__fine", "arguments": {}, "_meta": ENVELOPE}}
    assert (answer.status, (await front.ask(body=modern, MCP_Protocol_Version="2026-07-28")).status) == (202, 202)
    await session.ask("ping")
    assert len(stage.records()) == before


@pytest.mark.parametrize("request_id", [None, True, 1.5, [1], {"a": 1}])
async def test_an_id_is_a_string_or_an_integer(front: Served, request_id: Any) -> None:
    """HTTP-09"""
    session = await front.handshake()
    answer = await front.ask(body={**PING, "id": request_id}, Mcp_Session_Id=session.id)
    assert (answer.status, answer.json()["error"]["code"]) == (400, -32600)


async def test_an_id_that_waits_is_refused_and_the_first_is_answered(front: Served, stage: Stage) -> None:
    """HTTP-09: else the second would take the first one's answer. Each call that runs is on record."""
    session = await front.handshake()
    first = asyncio.create_task(session.call("exhaust_sleep__sleep", 7, milliseconds="700"))
    await asyncio.sleep(0.3)
    again, as_text = await session.call("traps__fine", 7, number=3), await session.call("traps__fine", "7", number=3)
    assert {again.json()["error"]["code"], as_text.json()["error"]["code"]} == {-32600}
    assert (await first).json()["result"]["isError"] is False
    after = await session.call("traps__fine", 7, number=4)
    assert after.json()["result"]["structuredContent"] == {"result": 4}
    request_id = after.json()["result"]["_meta"]["sandbox/request"]
    assert [record["event"] for record in stage.records() if record["audit_id"] == request_id] == ["tool_invoke", "tool_success"]


LOOSE = [
    (rb'{"x": "\ud800"}', -32602),
    (rb'{"x": NaN}', -32602),
    (rb'{"x": -Infinity}', -32602),
    (rb'{"x": 1e999}', -32602),
    (rb'{"x": "a", "x": "b"}', -32602),
    (b'{"x": "\xff"}', -32700),
    (b'{"x": 1', -32700),
    (b"[" * 100_000, -32700),
]


@pytest.mark.parametrize(("arguments", "code"), LOOSE, ids=[arguments[:24].decode("latin-1") for arguments, _ in LOOSE])
async def test_loose_json_is_refused_in_both_eras(front: Served, stage: Stage, arguments: bytes, code: int) -> None:
    """ARG-01, ARG-03, ARG-05: neither of the SDK's two parsers sees it."""
    session = await front.handshake()
    envelope = b', "_meta": ' + json.dumps(ENVELOPE).encode()
    for headers, meta in (({"Mcp_Session_Id": session.id}, b""), ({"MCP_Protocol_Version": "2026-07-28"}, envelope)):
        params = b'{"name": "every_type__echo-string", "arguments": ' + arguments + meta + b"}"
        answer: Answer = await front.ask(
            body=b'{"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": ' + params + b"}", **headers
        )
        assert (answer.status, answer.json()["error"]["code"]) == (400, code)
    await is_well(front, stage)
