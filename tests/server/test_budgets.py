"""Budgets over MCP: each client has its own by its token, is warned in `_meta`, and is told when to try again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sandbox import Sandbox
from sandbox.admission.document.load import load_admission
from sandbox.server.calls import META_ERROR, META_WARNINGS
from sandbox.server.http.tokens import tokens_of
from tests.server.test_http import Mode, as_, modes
from tests.support.guests import guest
from tests.support.http import Served, served

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")]
WORD = "-has-this-very-long-token"
TOKENS = f"""
ann ann{WORD} tenant=acme
bob bob{WORD} tenant=acme
eve eve{WORD} tenant=other
"""
DOCUMENT = """version: "1.0"
template: permissive
budgets:
  users: {ann: {max_requests: 2, period: day, soft_limit_percent: 90}}
  tenants: {acme: {max_requests: 5, period: day}}
"""
ECHO = "every_type__echo-string"


@pytest_asyncio.fixture(loop_scope="module")
async def front(tmp_path: Path) -> AsyncIterator[Served]:
    async with Sandbox(tmp_path / "home", admission=load_admission(DOCUMENT, file="admission.yaml")) as sandbox:
        await sandbox.load(guest("every_type"))
        async with served(sandbox, verifier=tokens_of(TOKENS, "tokens")) as front:
            yield front


async def answers(front: Served, name: str, mode: Mode, times: int) -> list[Any]:
    async with as_(f"{name}{WORD}", front.url, mode) as client:
        return [await client.call_tool(ECHO, {"x": "y"}) for _ in range(times)]


@modes
async def test_a_client_has_its_own_budget_and_its_tenants(front: Served, mode: Mode) -> None:
    one, two, three = await answers(front, "ann", mode, 3)
    assert [each.is_error for each in (one, two, three)] == [False, False, True]
    assert META_WARNINGS not in one.meta
    assert two.meta[META_WARNINGS] == ["100% of a budget is used: requests of 2 each day for the user `ann`, of which 2 is taken"]
    body = three.meta[META_ERROR]
    assert (body["code"], body["rules"]) == ("budget_exceeded", ["budgets.users.ann.max_requests"])
    assert 0 < body["retry_after_s"] <= 86_400
    assert [each.is_error for each in await answers(front, "bob", mode, 4)] == [False, False, False, True]
    assert [each.is_error for each in await answers(front, "eve", mode, 1)] == [False]
