"""A request's trace, from the client's `_meta` or its head to the record, also where this host traces nothing itself."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.attacks.stage import Stage, staged
from tests.support.http import Served, served
from tests.support.serving import ENVELOPE, Serving, call, lines

pytestmark = pytest.mark.asyncio(loop_scope="module")
TOOL = "traps__fine"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("traces")) as stage:
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(stage: Stage) -> AsyncIterator[Served]:
    async with served(stage.sandbox) as front:
        await front.modern("tools/list")  # from now on the tools are known
        yield front


def parent() -> tuple[str, str]:
    """A trace, and the `traceparent` of a span in it."""
    trace = secrets.token_hex(16)
    return trace, f"00-{trace}-{secrets.token_hex(8)}-01"


async def called(front: Served, meta: dict[str, Any], *, modern: bool, asks_more: bool, **headers: str) -> str:
    """A call's id. One that asks for more is answered by the SDK, any other by the plain way."""
    more = {"progressToken": 1} if asks_more else {}
    params = {"name": TOOL, "arguments": {"number": 1}, "_meta": {**meta, **more}}
    if modern:
        params["_meta"] |= ENVELOPE
        named = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": "tools/call", "Mcp_Name": TOOL}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        answer = await front.ask(body=body, **named, **headers)
    else:
        answer = await (await front.handshake()).ask("tools/call", params, **headers)
    return str(answer.json()["result"]["_meta"]["sandbox/request"])


def traces(stage: Stage, audit_id: str) -> set[str | None]:
    """What the records of a call say of its trace."""
    found = {record["trace_id"] for record in stage.records() if record["audit_id"] == audit_id}
    assert found, "the call is on record"
    return found


@pytest.mark.parametrize("asks_more", [False, True])
@pytest.mark.parametrize("modern", [False, True])
async def test_the_trace_of_the_meta_is_in_every_record_of_the_call_and_that_of_the_head_where_there_is_none(
    front: Served, stage: Stage, modern: bool, asks_more: bool
) -> None:
    (of_meta, in_meta), (of_head, in_head) = parent(), parent()
    how: dict[str, Any] = {"modern": modern, "asks_more": asks_more}
    both = await called(front, {"traceparent": in_meta, "tracestate": "a=b"}, **how, traceparent=in_head)
    assert traces(stage, both) == {of_meta}
    assert traces(stage, await called(front, {}, **how, traceparent=in_head)) == {of_head}
    assert traces(stage, await called(front, {"traceparent": "00-no-trace-01"}, **how, traceparent=in_head)) == {of_head}
    assert traces(stage, await called(front, {"traceparent": {"no": "text"}}, **how)) == {None}


async def test_a_client_on_standard_input_tells_its_trace_too(tmp_path: Path) -> None:
    trace, told = parent()
    serving = Serving(tmp_path)
    with lines(serving) as client:
        client.handshake()
        asked = call(1, "files__read", path="/nothing")
        asked["params"]["_meta"] = {"traceparent": told}
        client.write(asked)
        audit_id = client.answer(1)["result"]["_meta"]["sandbox/request"]
        client.end()
    records = serving.json("audit", "list")
    found = records["records"] if isinstance(records, dict) else records
    assert {one["trace_id"] for one in found if one["audit_id"] == audit_id} == {trace}
