"""Plain calls over HTTP: answered without the SDK's sessions, and yet cancelled, ended and told like any other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.attacks.stage import Stage, staged
from tests.support.http import Answer, Served, served

pytestmark = pytest.mark.asyncio(loop_scope="module")
SECONDS = 10.0
SLEEP = "exhaust_sleep__sleep"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("plain")) as stage:
        await stage.load_for_clients("exhaust_sleep")
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(stage: Stage) -> AsyncIterator[Served]:
    async with served(stage.sandbox) as front:
        await front.modern("tools/list")  # from now on the tools are known
        yield front


def events(answer: Answer) -> list[bytes]:
    return [line for line in answer.body.splitlines() if line]


async def failed(stage: Stage, before: int) -> list[str]:
    """How the calls ended that failed since then, once one has."""
    async with asyncio.timeout(SECONDS):
        while not (ended := [one["ending"] for one in stage.records()[before:] if one["event"] == "tool_failure"]):
            await asyncio.sleep(0.02)
    return ended


async def test_a_plain_call_is_one_object_and_one_that_asks_for_more_is_the_sdks(front: Served) -> None:
    session = await front.handshake()
    plain = await session.call("traps__fine", number=3)
    asking = {"name": "traps__fine", "arguments": {"number": 3}, "_meta": {"progressToken": 1}}
    streamed = await session.ask("tools/call", asking)
    modern = await front.modern("tools/call", {"name": "traps__fine", "arguments": {"number": 3}})
    assert [each.headers["content-type"] for each in (plain, streamed, modern)] == [
        "application/json",
        "text/event-stream",
        "application/json",
    ]
    for each in (plain, streamed, modern):
        assert each.json()["result"]["structuredContent"] == {"result": 3}
    assert b"notifications/progress" in streamed.body
    assert modern.json()["result"]["resultType"] == "complete"


async def test_without_a_session_or_with_one_that_is_gone_there_is_no_call(front: Served, stage: Stage) -> None:
    before = len(stage.records())
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "traps__fine", "arguments": {"number": 3}}}
    session = await front.handshake()
    assert (await front.ask("DELETE", Mcp_Session_Id=session.id, Content_Type=None)).status == 200
    for headers in ({}, {"Mcp_Session_Id": session.id}, {"Mcp_Session_Id": "0" * 32}, {"MCP_Protocol_Version": "2026-07-28"}):
        assert (await front.ask(body=call, **headers)).status in {400, 404}
    assert len(stage.records()) == before


async def test_headers_that_contradict_the_body_are_refused(front: Served, stage: Stage) -> None:
    """2026-07-28: what a proxy judged by is what runs."""
    before = len(stage.records())
    call = {"name": "traps__fine", "arguments": {"number": 3}}
    for headers in ({"Mcp_Name": "files__read"}, {"Mcp_Method": "tools/list"}, {"Mcp_Name": None}, {"Mcp_Method": None}):
        answer = await front.modern("tools/call", call, **headers)
        assert (answer.status, answer.json()["error"]["code"]) == (400, -32020), headers
    assert len(stage.records()) == before


async def test_a_denial_comes_as_a_line_of_the_log_before_the_answer(front: Served) -> None:
    """A handshake client hears warnings unless it asked otherwise."""
    session = await front.handshake()
    answer = await session.call("files__read", path="/etc/hostname")
    assert answer.headers["content-type"] == "text/event-stream"
    log = next(line for line in events(answer) if b"notifications/message" in line)
    assert b"filesystem_access_denied" in log
    assert answer.json()["result"]["isError"] is True
    await session.ask("logging/setLevel", {"level": "error"})
    quiet = await session.call("files__read", path="/etc/hostname")
    assert quiet.headers["content-type"] == "application/json"


@pytest.mark.parametrize("how", ["cancelled", "deleted"])
async def test_a_call_ends_by_its_cancellation_or_with_its_session(front: Served, stage: Stage, how: str) -> None:
    session = await front.handshake()
    before = len(stage.records())
    call = asyncio.create_task(session.call(SLEEP, 7, milliseconds="20000"))
    await stage.running()
    if how == "cancelled":
        await session.tell("notifications/cancelled", {"requestId": 7})
    else:
        await front.ask("DELETE", Mcp_Session_Id=session.id, Content_Type=None)
    assert (await call).json()["error"]["code"] == -32800
    assert await failed(stage, before) == ["cancelled"]


async def test_a_call_without_a_session_ends_with_its_connection(front: Served, stage: Stage) -> None:
    before = len(stage.records())
    call = asyncio.create_task(front.modern("tools/call", {"name": SLEEP, "arguments": {"milliseconds": "20000"}}))
    await stage.running()
    call.cancel()
    assert await failed(stage, before) == ["cancelled"]


async def test_a_handshakes_call_outlives_its_connection(front: Served, stage: Stage) -> None:
    """MCP 2025-11-25: a connection that breaks cancels nothing."""
    session = await front.handshake()
    before = len(stage.records())
    call = asyncio.create_task(session.call(SLEEP, 7, milliseconds="900"))
    await stage.running()
    call.cancel()
    async with asyncio.timeout(SECONDS):
        while not [one for one in stage.records()[before:] if one["event"] == "tool_success"]:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("era", ["handshake", "modern"])
async def test_a_long_call_is_not_silent(front: Served, monkeypatch: pytest.MonkeyPatch, era: str) -> None:
    monkeypatch.setattr("sandbox.server.http.plain.STREAM_AFTER_SECONDS", 0.1)
    arguments: dict[str, Any] = {"milliseconds": "400"}
    if era == "handshake":
        answer = await (await front.handshake()).call(SLEEP, **arguments)
    else:
        answer = await front.modern("tools/call", {"name": SLEEP, "arguments": arguments})
    assert answer.headers["content-type"] == "text/event-stream"
    assert events(answer)[0].startswith(b":")
    assert answer.json()["result"]["isError"] is False
