"""The HTTP API beside MCP: what is tried at MCP's endpoint is tried here, and what only it has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from sandbox.server.http.front import MAX_BODY_BYTES
from sandbox.server.http.tokens import tokens_of
from tests.attacks.stage import CANARY, Stage
from tests.support.http import Served, served

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALICE, BOB = f"alice-{CANARY}-of-twenty", f"bob-{CANARY}-of-twenty-too"
BASE = "/api/v1"
RUN = {"run_id": "attacked", "limit": 1}
SPEND = {"run_id": "attacked", "amount": 0.01}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(stage: Stage) -> AsyncIterator[Served]:
    """A server with two tokens, at which alice has a run."""
    verifier = tokens_of(f"alice {ALICE}\nbob {BOB}\n", "tokens")
    async with served(stage.sandbox, token=ALICE, verifier=verifier) as guarded:
        assert (await guarded.ask("POST", f"{BASE}/safety/budget/create", RUN)).status == 200
        yield guarded


async def spent(guarded: Served) -> float:
    answer: dict[str, Any] = (await guarded.ask("GET", f"{BASE}/safety/budget/attacked")).json()
    return float(answer["spent"])


@pytest.mark.parametrize("credentials", [None, "", "Bearer", f"Basic {ALICE}", f"Bearer {ALICE[:-1]}", f"Bearer {ALICE},{BOB}"])
async def test_no_path_of_the_api_is_open_without_a_token(guarded: Served, credentials: str | None) -> None:
    """HTTP-01"""
    for path in ("", "/", "/openapi.json", "/grants", "/safety/budget/attacked", "/nothing", "/../mcp"):
        for method in ("GET", "POST", "DELETE", "PUT"):
            assert (await guarded.ask(method, f"{BASE}{path}", Authorization=credentials)).status == 401


@pytest.mark.parametrize(
    "path",
    [
        f"/{BASE}/safety/budget/attacked",
        f"{BASE}/safety//budget/attacked",
        f"{BASE}/safety/budget/attacked/",
        f"{BASE}/safety/budget/x/../attacked",
        f"{BASE}/safety/%62udget/attacked",
        f"{BASE}/SAFETY/budget/attacked",
        "/API/v1/safety/budget/attacked",
        "/api/v2/safety/budget/attacked",
        "/api/v1safety/budget/attacked",
        "/mcp/../api/v1/safety/budget/attacked",
    ],
)
async def test_what_is_asked_for_has_one_path(guarded: Served, path: str) -> None:
    """HTTP-01: what a proxy before it would read as another path is none here."""
    assert (await guarded.ask("GET", path)).status == 404
    override = await guarded.ask("POST", f"{BASE}/safety/budget/attacked", {}, X_HTTP_Method_Override="DELETE")
    assert (override.status, await spent(guarded)) == (405, 0)


@pytest.mark.parametrize("origin", ["https://evil.test", "null", "http://localhost.evil", "file://"])
async def test_a_page_of_somebody_elses_changes_nothing(guarded: Served, origin: str) -> None:
    """HTTP-03: the browser of somebody who is logged in nowhere here, and has a token in no cookie."""
    path = f"{BASE}/safety/budget/spend"
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = await guarded.ask("POST", path, SPEND, Origin=origin, Content_Type=kind)
        assert (answer.status, "access-control-allow-origin" in answer.headers) == (403, False)
    asked = await guarded.ask("OPTIONS", path, Origin=origin, Access_Control_Request_Method="POST", Authorization=None)
    assert asked.status == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        assert (await guarded.ask("POST", path, SPEND, Content_Type=kind)).status == 415
    assert await spent(guarded) == 0


async def test_what_is_too_large_or_packed_is_not_read(guarded: Served) -> None:
    """HTTP-08: said, or found out while it comes."""
    path = f"{BASE}/safety/check"
    fields = "".join(f"{name}: {value}\r\n" for name, value in guarded.head().items())
    start = f"POST {path} HTTP/1.1\r\n{fields}"
    assert (await guarded.raw(f"{start}Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode())).status == 413
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    async with guarded.connected() as (reader, writer):
        writer.write(f"{start}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * (MAX_BODY_BYTES // 0x10000 + 1))
        assert b" 413 " in await reader.readline()
    many = "".join(f"X-{number}: a\r\n" for number in range(3000))
    assert (await guarded.raw(f"GET {BASE}/grants HTTP/1.1\r\n{fields}{many}\r\n".encode())).status == 431
    assert (await guarded.ask("POST", path, {"action": "a"}, Content_Encoding="gzip")).status == 415


async def test_many_in_one_message_are_none(guarded: Served, stage: Stage) -> None:
    """HTTP-09: there is no batch, and what is refused is neither spent nor left out of the record."""
    path = f"{BASE}/safety/budget/spend"
    before = len(stage.records())
    batch = await guarded.ask("POST", path, json.dumps([SPEND] * 10_000).encode())
    assert (batch.status, await spent(guarded)) == (422, 0)
    (refused,) = (record for record in stage.records()[before:] if record["event"] == "request_error")
    assert (refused["subject"], refused["detail"]["operation"]) == ("alice", "spendBudget")


async def test_each_of_many_at_once_is_spent_and_on_record(guarded: Served, stage: Stage) -> None:
    """HTTP-09"""
    path = f"{BASE}/safety/budget/spend"
    before = len(stage.records())
    answers = await asyncio.gather(*(guarded.ask("POST", path, SPEND) for _ in range(40)))
    assert [answer.status for answer in answers] == [200] * 40
    assert await spent(guarded) == 0.4
    events = [record["event"] for record in stage.records()[before:]]
    assert (events.count("request_start"), events.count("request_end")) == (40, 40)


async def test_no_token_of_the_api_is_in_the_record_or_in_an_answer(guarded: Served, stage: Stage) -> None:
    """HTTP-01"""
    for path in ("grants", f"grants?token={ALICE}", "nothing"):
        assert ALICE.encode() not in (await guarded.ask("GET", f"{BASE}/{path}")).body.replace(path.encode(), b"")
    assert ALICE not in "".join(file.read_text() for file in (stage.home / "audit").glob("*.jsonl"))
