"""The host's own tools with the official Python client, over standard input of `sandbox run` and over HTTP, in both eras."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal

import httpx2
import mcp.types as t
import pytest
import pytest_asyncio
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from sandbox.server.builtin import BuiltinTools
from sandbox.server.builtin.catalogue import CATALOGUE
from sandbox.server.http.tokens import tokens_of
from tests.attacks.stage import Stage, staged
from tests.support.components import files_component
from tests.support.http import served
from tests.support.serving import Serving, call, lines

pytestmark = pytest.mark.asyncio(loop_scope="module")
Mode = Literal["auto", "legacy", "2026-07-28"]
modes = pytest.mark.parametrize("mode", ["legacy", "auto"])
ALICE, BOB = "alice-has-this-token", "bob-has-another-token"

YES = t.ElicitResult(action="accept", content={"approve": True})
NO = t.ElicitResult(action="decline")


def person(answer: t.ElicitResult, seen: list[str] | None = None) -> Callable[..., Any]:
    async def answers(context: object, params: Any) -> t.ElicitResult:
        if seen is not None:
            seen.append(params.message)
        return answer

    return answers


def text(result: t.CallToolResult) -> dict[str, Any]:
    assert isinstance(result.content[0], t.TextContent)
    return dict(json.loads(result.content[0].text))


async def reads(client: Client, file: Path) -> bool:
    return not (await client.call_tool("files__read", {"path": str(file)})).is_error


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("own")) as stage:
        await stage.sandbox.load(files_component(), policy="deny-all")
        (stage.folder / "d").mkdir()
        (stage.folder / "d" / "a.txt").write_text("alpha")
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(stage: Stage) -> AsyncIterator[str]:
    verifier = tokens_of(f"alice {ALICE}\nbob {BOB}", "tokens")
    async with served(stage.sandbox, own=BuiltinTools(stage.sandbox), verifier=verifier) as front:
        yield front.url


@contextlib.asynccontextmanager
async def over_http(url: str, mode: Mode, *, token: str = ALICE, answer: t.ElicitResult | None = None) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(headers=headers) as http:
        transport = streamable_http_client(url, http_client=http)
        callback = None if answer is None else person(answer)
        async with Client(transport, mode=mode, elicitation_callback=callback) as client:
            yield client


@modes
async def test_over_standard_input_a_person_grants(tmp_path: Path, mode: Mode) -> None:
    serving = Serving(tmp_path)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.txt").write_text("alpha")
    wanted: dict[str, Any] = {"component_id": "files", "uri": f"fs://{tmp_path}/d/**", "access": ["read"]}
    seen: list[str] = []
    async with Client(serving.parameters, mode=mode, elicitation_callback=person(YES, seen)) as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        assert {own.name for own in CATALOGUE} <= listed
        assert not await reads(client, tmp_path / "d" / "a.txt")
        done = (await client.call_tool("grant_storage_permission", wanted)).structured_content
        assert done is not None
        assert await reads(client, tmp_path / "d" / "a.txt")
        (held,) = await asyncio.to_thread(serving.json, "permission", "list")
        assert (held["id"], held["lifetime"]) == (done["grant"]["id"], "session")
        await asyncio.to_thread(serving.json, "permission", "revoke", held["id"])
        assert not await reads(client, tmp_path / "d" / "a.txt")
    assert len(seen) == 1


async def test_a_client_that_cannot_ask_is_told_a_command_that_works(tmp_path: Path) -> None:
    serving = Serving(tmp_path)
    wanted: dict[str, Any] = {"component_id": "files", "uri": f"fs://{tmp_path}/d/**", "access": ["read"]}
    async with Client(serving.parameters) as client:
        told = text(await client.call_tool("grant_storage_permission", wanted))
    granted = serving.json(*shlex.split(told["command"])[1:])
    assert (granted["entry"]["uri"], granted["lifetime"]) == (wanted["uri"], "lasting")


@modes
async def test_over_http_a_person_grants_for_one_session(stage: Stage, url: str, mode: Mode) -> None:
    wanted: dict[str, Any] = {"component_id": "files", "uri": f"fs://{stage.folder}/d/**", "access": ["read"]}
    file = stage.folder / "d" / "a.txt"
    async with over_http(url, mode, answer=YES) as alice, over_http(url, mode, token=BOB) as bob:
        assert not await reads(alice, file)
        granted = await alice.call_tool("grant_storage_permission", wanted)
        assert not granted.is_error, granted.content
        assert await reads(alice, file)
        assert not await reads(bob, file), "another's session"
        (grant,) = stage.sandbox.grants("files")
        assert (grant.who, grant.lifetime) == ("mcp:alice", "session")
        bounded = grant.expires_at is not None and grant.expires_at <= grant.created_at + 3600
        assert bounded is (mode != "legacy"), "without a connection, nobody sees the session's end"
        assert (await bob.call_tool("list_grants", {})).structured_content == {"grants": []}
        assert text(await bob.call_tool("grant_storage_permission", wanted))["command"]
        await alice.call_tool("revoke_storage_permission", {"component_id": "files", "uri": wanted["uri"]})
        assert not await reads(alice, file)
    assert stage.sandbox.grants("files") == ()
    async with over_http(url, mode, answer=NO) as alice:
        assert (await alice.call_tool("grant_storage_permission", wanted)).is_error
        assert not await reads(alice, file)


async def test_a_handshake_session_over_http_ends_with_what_was_granted_for_it(stage: Stage, url: str) -> None:
    wanted: dict[str, Any] = {"component_id": "files", "uri": f"fs://{stage.folder}/d/**", "access": ["read"]}
    async with over_http(url, "legacy", answer=YES) as first, over_http(url, "legacy") as second:
        await first.call_tool("grant_storage_permission", wanted)
        assert await reads(first, stage.folder / "d" / "a.txt")
        assert not await reads(second, stage.folder / "d" / "a.txt"), "the same person in another session"
    async with asyncio.timeout(10):
        while stage.sandbox.grants("files"):
            await asyncio.sleep(0.02)


async def test_with_the_flag_there_are_the_components_tools_alone(tmp_path: Path) -> None:
    with lines(Serving(tmp_path, options=("--disable-builtin-tools",))) as client:
        client.handshake()
        names = {tool["name"] for tool in client.ask(1, "tools/list")["result"]["tools"]}
        client.write(call(2, "list_components"))
        assert client.answer(2)["error"]["code"] == -32602
    assert names
    assert all("__" in name for name in names)
