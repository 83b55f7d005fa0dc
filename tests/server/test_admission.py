"""Under an admission document over HTTP: each client sees and calls what its token's roles and scopes allow, in both eras."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import mcp.types as t
import pytest
import pytest_asyncio
from mcp import Client, MCPError

from sandbox import Sandbox
from sandbox.admission.document.load import load_admission
from sandbox.audit import records
from sandbox.server.builtin import BuiltinTools
from sandbox.server.http.tokens import tokens_of
from tests.server.test_http import Heard, Mode, as_, connected, ignored, modes, read
from tests.support.guests import guest
from tests.support.http import Served, served

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")]
WORD = "-has-this-very-long-token"
TOKENS = f"""
ann ann{WORD} roles=caller tenant=acme
bob bob{WORD} roles=caller,writer scopes=tools:read,tools:invoke
eve eve{WORD} scopes=prompts:read
max max{WORD} roles=writer scopes=admin
"""
DOCUMENT = """version: "1.0"
roles:
  caller: {permissions: [{resource: "tools/every_type__echo-*", actions: [invoke]}]}
  writer: {permissions: [{resource: "tools/*", actions: [invoke]}]}
rules:
  - name: from-this-machine
    effect: deny
    when: {component: every_type, arguments.x: far, not: {metadata.address: {cidr: 192.0.2.0/24}}}
  - name: no-robots
    effect: deny
    when: {component: every_type, arguments.x: near, not: {metadata.user_agent: {starts_with: python}}}
  - name: only-here
    effect: deny
    when: {component: every_type, arguments.x: near, not: {metadata.address: {cidr: 127.0.0.0/8}}}
  - name: one-agent
    effect: deny
    when: {component: every_type, arguments.x: agent, metadata.user_agent: {starts_with: python}}
"""
ECHO = "every_type__echo-string"
SANDBOXES: list[Sandbox] = []
"""The one that is served."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Served, Path]]:
    home = tmp_path_factory.mktemp("home")
    async with Sandbox(home, admission=load_admission(DOCUMENT, file="admission.yaml")) as sandbox:
        await sandbox.load(guest("every_type"))
        await sandbox.load(guest("prints"))
        own = BuiltinTools(sandbox)
        async with served(sandbox, own=own, verifier=tokens_of(TOKENS, "tokens")) as front:
            SANDBOXES[:] = [sandbox]
            yield front, home


@contextlib.asynccontextmanager
async def client(guarded: tuple[Served, Path], name: str, mode: Mode) -> AsyncIterator[Client]:
    async with as_(f"{name}{WORD}", guarded[0].url, mode) as client:
        yield client


async def names(client: Client) -> set[str]:
    found: set[str] = set()
    cursor = None
    while True:
        page = await client.list_tools(cursor=cursor)
        found |= {tool.name for tool in page.tools}
        if (cursor := page.next_cursor) is None:
            return found


def body(result: Any) -> dict[str, Any]:
    assert result.is_error, result
    return dict(result.meta["sandbox/error"])


@modes
async def test_a_list_has_what_a_token_may_call_and_nothing_else(guarded: tuple[Served, Path], mode: Mode) -> None:
    async with client(guarded, "ann", mode) as ann, client(guarded, "max", mode) as admin, client(guarded, "eve", mode) as eve:
        seen = await names(ann)
        assert ECHO in seen
        assert {name.partition("-")[0] for name in seen} == {"every_type__echo"}
        assert {"prints__print", "every_type__finish", "grant_storage_permission"} <= await names(admin)
        assert await names(eve) == set()


@modes
async def test_what_is_not_listed_is_denied_when_it_is_called(guarded: tuple[Served, Path], mode: Mode) -> None:
    """ADM-01: without listing first, with another spelling, through the host's own tools."""
    async with client(guarded, "ann", mode) as ann, client(guarded, "eve", mode) as eve:
        assert not (await ann.call_tool(ECHO, {"x": "a"})).is_error
        assert body(await ann.call_tool("prints__print", {"text": "a"}))["code"] == "access_denied"
        assert "tools:invoke" in body(await eve.call_tool(ECHO, {"x": "a"}))["message"]
        for spelled in (ECHO.upper(), ECHO + " ", ECHO.replace("e", "\u0435", 1), ECHO.replace("-", "_")):
            with pytest.raises(MCPError):
                await ann.call_tool(spelled, {"x": "a"})
        for own, arguments in (
            ("grant_network_permission", {"component_id": "prints", "details": {"host": "a.example"}}),
            ("grant-network-permission", {"component_id": "prints", "details": {"host": "a.example"}}),
            ("list_components", {}),
        ):
            told = body(await ann.call_tool(own, arguments))
            assert told["code"] == "access_denied", told
    denied = [one for one in records(guarded[1] / "audit") if one["event"] == "access_denied" and one["subject"] == "ann"]
    assert {"prints__print"} <= {one["tool"] for one in denied}


async def test_who_may_not_read_is_not_told_what_there_is_to_read(guarded: tuple[Served, Path]) -> None:
    reference = t.ResourceTemplateReference(type="ref/resource", uri="sandbox://components/{component}")
    async with client(guarded, "eve", "legacy") as eve, client(guarded, "max", "legacy") as admin:
        asking: tuple[Callable[[Client], Awaitable[object]], ...] = (
            lambda one: one.list_resources(),
            lambda one: one.list_resource_templates(),
            lambda one: one.complete(reference, {"name": "component", "value": ""}),
            lambda one: one.subscribe_resource("sandbox://record"),
        )
        for asks in asking:
            with pytest.raises(MCPError, match="resources:read"):
                await asks(eve)
            await asks(admin)


@modes
async def test_who_is_shown_no_tool_of_a_component_is_not_told_of_it(guarded: tuple[Served, Path], mode: Mode) -> None:
    """Neither in the list, nor where its name is known, nor by how it begins; of the others the tools that are shown."""
    prints, echoes = "sandbox://components/prints", "sandbox://components/every_type"
    reference = t.ResourceTemplateReference(type="ref/resource", uri="sandbox://components/{component}")
    async with client(guarded, "ann", mode) as ann, client(guarded, "max", mode) as admin:
        seen, all_of_them = [{str(one.uri) for one in (await each.list_resources()).resources} for each in (ann, admin)]
        assert {prints, f"{prints}/policy", f"{prints}/record"} <= all_of_them - seen
        assert echoes in seen
        for uri in (prints, f"{prints}/policy", f"{prints}/record"):
            with pytest.raises(MCPError, match="resource not found"):
                await ann.read_resource(uri)
            await admin.read_resource(uri)
        named = (await ann.complete(reference, {"name": "component", "value": ""})).completion.values
        assert named == ["every_type"]
        described = json.loads((await ann.read_resource(echoes)).contents[0].text)
        assert {tool["name"].partition("-")[0] for tool in described["tools"]} == {"every_type__echo"}


async def test_a_role_that_is_given_is_announced_to_whose_list_it_changes(guarded: tuple[Served, Path]) -> None:
    front, _ = guarded
    ann, bob = (Served(front.url, front.stop, f"{name}{WORD}") for name in ("ann", "bob"))
    sessions = [await ann.handshake(), await bob.handshake()]
    listened = []
    async with contextlib.AsyncExitStack() as stack:
        for session in sessions:
            reader, writer = await stack.enter_async_context(session.served.connected())
            head = session.served.head("GET", Mcp_Session_Id=session.id, Accept="text/event-stream")
            lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
            writer.write(f"GET /mcp HTTP/1.1\r\n{lines}\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            listened.append(reader)
        sandbox = SANDBOXES[0]
        assert await sandbox.assign_role("ann", "writer")
        async with asyncio.timeout(20):
            await listened[0].readuntil(b"notifications/tools/list_changed")
        await sandbox.remove_role("ann", "writer")
        async with asyncio.timeout(20):
            await listened[0].readuntil(b"notifications/tools/list_changed")
        assert not listened[1]._buffer, "nothing of his is another one"  # type: ignore[attr-defined]


async def test_the_record_says_nothing_of_the_operators_files(tmp_path: Path) -> None:
    file = tmp_path / "admission.yaml"
    file.write_text('version: "1.0"\ntemplate: permissive\n')
    async with (
        Sandbox(tmp_path / "home", admission=file) as sandbox,
        served(sandbox) as front,
        connected(front.url, "legacy") as reader,
    ):
        file.write_text('version: "1.0"\nhunter2: the operators\n')
        told = {one["event"]: one for one in await read(reader.client, "sandbox://record")}
    assert told["policy_refused"]["detail"]["admission"] == "admission.yaml"
    assert told["policy_loaded"]["detail"]["admission"] == "admission.yaml"
    assert "hunter2" not in str(told)
    assert str(tmp_path) not in str(told)


@modes
async def test_what_may_not_go_in_is_not_on_record_of_the_hosts_own_tools_either(tmp_path: Path, mode: Mode) -> None:
    document = 'version: "1.0"\ntemplate: permissive\ncontent: [{use: destructive-commands, where: [arguments], action: block}]\n'
    async with (
        Sandbox(tmp_path / "home", admission=load_admission(document, file="admission.yaml")) as sandbox,
        served(sandbox, own=BuiltinTools(sandbox)) as front,
        connected(front.url, mode) as one,
    ):
        told = body(await one.client.call_tool("load_component", {"path": "rm -rf / # canary"}))
    assert told["code"] == "access_denied"
    assert "canary" not in str(list(records(tmp_path / "home" / "audit")))


async def test_a_role_does_not_replace_a_scope(guarded: tuple[Served, Path]) -> None:
    async with client(guarded, "bob", "legacy") as bob, client(guarded, "max", "auto") as admin:
        assert not (await bob.call_tool("prints__print", {"text": "a"})).is_error
        assert "resources:write" in body(await bob.call_tool("unload_component", {"id": "prints"}))["message"]
        with pytest.raises(MCPError, match="resources:read"):
            await read(bob, "sandbox://record")
        assert isinstance(await read(admin, "sandbox://record"), list)


@modes
async def test_what_a_request_says_of_itself_may_take_rights(guarded: tuple[Served, Path], mode: Mode) -> None:
    """Its address and its user agent, as the front saw them."""
    async with client(guarded, "ann", mode) as ann:
        for word, rule in (("far", "from-this-machine"), ("agent", "one-agent")):
            told = body(await ann.call_tool(ECHO, {"x": word}))["message"]
            assert told == f"the call is not admitted: the rule `{rule}` denies it", "and not for what cannot be told"
        assert not (await ann.call_tool(ECHO, {"x": "near"})).is_error


async def test_a_call_carries_its_tokens_tenant_to_the_record(guarded: tuple[Served, Path]) -> None:
    async with client(guarded, "ann", "auto") as ann:
        await ann.call_tool(ECHO, {"x": "tenant"})
    last = [one for one in records(guarded[1] / "audit") if one["event"] == "tool_invoke"][-1]
    assert (last["subject"], last["rules"]) == ("ann", ["role:caller"])


# What a guest says while it runs.

KEY = "sk-ant-api03-" + "A" * 40


@contextlib.asynccontextmanager
async def heard(folder: Path, document: str | None) -> AsyncIterator[Heard]:
    admission = None if document is None else load_admission(document, file="admission.yaml")
    async with Sandbox(folder / "home", admission=admission) as sandbox:
        await sandbox.load(guest("prints_slowly"))
        async with served(sandbox) as front, connected(front.url, "legacy", level="info") as heard:
            yield heard


async def prints(heard: Heard, text: str) -> tuple[Any, list[str]]:
    """The result, and what was heard, in order."""
    told = await heard.client.call_tool("prints_slowly__print", {"text": text, "milliseconds": "300"}, progress_callback=ignored)
    return told, [line.data["guest"] for line in heard.lines]


@pytest.mark.parametrize("action", ["block", "redact"])
async def test_while_results_are_looked_through_nothing_is_told_before(tmp_path: Path, action: str) -> None:
    lines = f"{{use: personal-data, where: [result], action: {action}}}"
    document = f'version: "1.0"\ntemplate: permissive\ncontent: [{lines}]\n'
    async with heard(tmp_path, document) as found:
        told, said = await prints(found, "SSN 123-45-6789")
    assert told.is_error is (action == "block")
    assert "123-45" not in str(said)
    assert len(said) == (0 if action == "block" else 2), "with the end, as it may be told"


async def test_what_is_told_while_a_call_runs_holds_no_secret(tmp_path: Path) -> None:
    async with heard(tmp_path, None) as found:
        _, said = await prints(found, f"error with {KEY}")
    assert said[0].startswith("error with [REDACTED")
    assert KEY not in str(said)
    assert said[1] == "and then"
