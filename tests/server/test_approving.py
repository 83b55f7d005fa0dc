"""The person at a client is asked to approve a call, with the official Python client in both protocol eras and over both ways."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import mcp.types as t
import pytest
import pytest_asyncio
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from sandbox import Sandbox
from sandbox.admission import Subject
from sandbox.admission.document.load import load_admission
from sandbox.server.http.tokens import tokens_of
from sandbox.server.server import SandboxServer
from tests.server.test_asking import Mode, Somebody, modes
from tests.support.guests import guest
from tests.support.http import Served, served

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")]
ECHO = "every_type__echo-string"
DOCUMENT = """version: "1.0"
template: permissive
rules:
  - {name: of-the-boss, effect: require_approval, when: {arguments.x: {starts_with: boss}}, constraints: {approver_role: boss}}
approvals: {require: ["every_type__echo-string"]}
"""
ANN = Subject("ann", scopes=("admin",))
TOKENS = "bot bot-has-this-very-long-token scopes=tools:read,tools:invoke,resources:write\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    home = tmp_path_factory.mktemp("home")
    environment = {"XDG_CONFIG_HOME": str(home / "config")}
    document = load_admission(DOCUMENT, file="admission.yaml")
    async with Sandbox(home / "home", admission=document, environment=environment, spares=1) as sandbox:
        await sandbox.load(guest("every_type"))
        yield sandbox


def client(sandbox: Sandbox, mode: Mode, person: Somebody | None = None) -> Client:
    server = SandboxServer(sandbox, asyncio.create_task(asyncio.sleep(0)))
    return Client(server, mode=mode, elicitation_callback=person)


async def echo(client: Client, text: str) -> Any:
    """What came back, or the body of the refusal."""
    result = await client.call_tool(ECHO, {"x": text})
    assert isinstance(result.content[0], t.TextContent)
    told = json.loads(result.content[0].text)
    return told if result.is_error else told["result"]


@modes
async def test_a_client_that_cannot_ask_is_told_the_id_and_calls_again_after_the_answer(sandbox: Sandbox, mode: Mode) -> None:
    async with client(sandbox, mode) as one:
        told = await echo(one, f"plain {mode}")
        assert (told["code"], told["command"]) == ("approval_required", f"sandbox approvals approve {told['approval']}")
        await sandbox.approve(told["approval"], ANN)
        assert await echo(one, f"plain {mode}") == f"plain {mode}"
        assert (await echo(one, f"plain {mode}"))["approval"] != told["approval"], "it was used"


@modes
async def test_a_person_says_yes_to_one_call(sandbox: Sandbox, mode: Mode) -> None:
    somebody = Somebody("once", "no", None)
    async with client(sandbox, mode, somebody) as one:
        assert await echo(one, f"yes {mode}") == f"yes {mode}"
        for text in (f"no {mode}", f"decline {mode}"):
            assert "was denied by mcp:local" in (await echo(one, text))["message"]
            assert "was denied by mcp:local" in (await echo(one, text))["message"], "and is not asked again"
    assert [asked.requested_schema["properties"]["answer"]["enum"] for asked in somebody.asked] == [["once", "no"]] * 3
    assert somebody.asked[0].message.startswith(f"`local` wants to call the tool `{ECHO}`, once, with these arguments (")
    assert f'{{"x":"yes {mode}"}}' in somebody.asked[0].message


@modes
async def test_an_agent_that_answers_for_the_boss_is_not_asked(sandbox: Sandbox, mode: Mode) -> None:
    """ADM-07: a client's yes does not suffice where a role is needed."""
    somebody = Somebody()
    async with client(sandbox, mode, somebody) as one:
        told = await echo(one, f"boss {mode}")
    assert "it needs a yes of `boss`: the person at this client cannot give that alone" in told["message"]
    assert somebody.asked == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(sandbox: Sandbox) -> AsyncIterator[Served]:
    async with served(sandbox, verifier=tokens_of(TOKENS, "tokens")) as front:
        yield front


@asynccontextmanager
async def over_http(front: Served, mode: Mode, person: Somebody | None = None) -> AsyncIterator[Client]:
    headers = {"Authorization": "Bearer bot-has-this-very-long-token"}
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(front.url, http_client=http), mode=mode, elicitation_callback=person) as client,
    ):
        yield client


@modes
async def test_over_http_it_is_the_same(front: Served, sandbox: Sandbox, mode: Mode) -> None:
    somebody = Somebody("once")
    async with over_http(front, mode, somebody) as one:
        assert await echo(one, f"http {mode}") == f"http {mode}"
    assert somebody.asked[0].message.startswith("`bot` wants to call")
    async with over_http(front, mode) as one:
        told = await echo(one, f"http {mode}")
    assert sandbox.approval(told["approval"]).bound.subject == "bot"
