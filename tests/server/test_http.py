"""The official Python client against a server over HTTP, in each era: what it is told while it works and what it can read."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx2
import mcp.types as t
import pytest
import pytest_asyncio
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from sandbox.api import Sandbox
from sandbox.audit import Event, EventType, Redactor, records
from sandbox.audit.flood import BURST, MOST
from sandbox.server.http.tokens import tokens_of
from sandbox.state.recorded import record_keys
from tests.attacks.stage import Stage, staged
from tests.support.guests import guest
from tests.support.http import Served, served

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")]
Mode = Literal["auto", "legacy", "2026-07-28"]
modes = pytest.mark.parametrize("mode", ["legacy", "auto"])
SECONDS = 10.0
ALICE, BOB = "alice-has-this-token", "bob-has-another-token"
POLICY = "sandbox://components/files/policy"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("http")) as stage:
        await stage.load_for_clients("prints", "prints_slowly", "exhaust_sleep")
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(stage: Stage) -> AsyncIterator[Served]:
    async with served(stage.sandbox) as front:
        yield front


@dataclass
class Heard:
    """A client, and what it heard: notifications by their method, and lines of the log."""

    client: Client
    methods: list[str] = field(default_factory=list)
    lines: list[t.LoggingMessageNotificationParams] = field(default_factory=list)

    async def wait_for(self, method: str) -> None:
        async with asyncio.timeout(SECONDS):
            while method not in self.methods:
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def connected(url: str, mode: Mode, *, level: Any = None, watch: tuple[str, ...] = ()) -> AsyncIterator[Heard]:
    """A client that wants to hear of everything: in the era without sessions it listens for it."""
    heard = Heard.__new__(Heard)

    async def message(told: Any) -> None:
        heard.methods.append(getattr(told, "method", type(told).__name__))

    async def line(told: t.LoggingMessageNotificationParams) -> None:
        heard.lines.append(told)

    modern = mode != "legacy"
    async with Client(
        url, mode=mode, logging_callback=line, log_level=level if modern else None, message_handler=message
    ) as client:
        Heard.__init__(heard, client)
        if not modern:
            for uri in watch:
                await client.subscribe_resource(uri)
            if level is not None:
                await client.set_logging_level(level)
            await asyncio.sleep(0.2)  # the client opens its stream for notifications by itself
            yield heard
            return
        listening = {"tools_list_changed": True, "resources_list_changed": True, "resource_subscriptions": list(watch)}
        async with client.listen(**listening) as events:
            hearing = asyncio.create_task(_noted(events, heard))
            try:
                yield heard
            finally:
                hearing.cancel()


async def _noted(events: Any, heard: Heard) -> None:
    names = {
        "ToolsListChanged": "notifications/tools/list_changed",
        "ResourcesListChanged": "notifications/resources/list_changed",
        "ResourceUpdated": "notifications/resources/updated",
    }
    async for event in events:
        heard.methods.append(names[type(event).__name__])


async def hints(client: Client, tool: str) -> tuple[Any, ...]:
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    told = tools[tool].annotations
    assert told is not None
    return told.read_only_hint, told.destructive_hint, told.open_world_hint, told.idempotent_hint


async def read(client: Client, uri: str) -> Any:
    content = (await client.read_resource(uri)).contents[0]
    assert isinstance(content, t.TextResourceContents)
    return json.loads(content.text)


async def ignored(*_: object) -> None:
    """Progress that nobody looks at."""


@modes
async def test_what_a_guest_says_is_heard_while_it_runs_and_once(front: Served, stage: Stage, mode: Mode) -> None:
    async with connected(front.url, mode, level="info") as heard:
        slow = {"text": "at work", "milliseconds": "28000"}
        # Who asks for no progress is answered the short way, all at the end: in the handshake's era.
        call = asyncio.create_task(heard.client.call_tool("prints_slowly__print", slow, progress_callback=ignored))
        while not heard.lines and not call.done():
            await asyncio.sleep(0.01)
        assert not call.done()
        assert [line.data["guest"] for line in heard.lines] == ["at work"]
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        heard.lines.clear()
        await heard.client.call_tool("prints_slowly__print", {"text": "one\ntwo", "milliseconds": "1"})
        while len(heard.lines) < 3:
            await asyncio.sleep(0.01)
        assert [line.data["guest"] for line in heard.lines] == ["one", "two", "and then"]


@modes
async def test_what_a_tool_may_do_is_told_again_when_a_grant_changes_it(front: Served, stage: Stage, mode: Mode) -> None:
    """Computed from the template in force: no component claims it."""
    (stage.folder / "data").mkdir(exist_ok=True)
    async with connected(front.url, mode, watch=(POLICY,)) as heard:
        assert await hints(heard.client, "files__read") == (True, False, False, True)
        grant = await stage.sandbox.grant_storage_permission("files", f"fs://{stage.folder}/data/**", ["read", "delete"])
        await heard.wait_for("notifications/tools/list_changed")
        await heard.wait_for("notifications/resources/updated")
        assert await hints(heard.client, "files__read") == (False, True, False, None)
        rules = (await read(heard.client, POLICY))["rules"]
        assert [rule for rule in rules if rule["origin"] == f"grant {grant.id}"]
        heard.methods.clear()
        await stage.sandbox.revoke(grant.id)
        await heard.wait_for("notifications/tools/list_changed")
        assert await hints(heard.client, "files__read") == (True, False, False, True)
        assert await hints(heard.client, "traps__fine") == (True, False, False, True)


@modes
async def test_progress_is_told_to_who_asks_and_to_nobody_else(
    front: Served, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.server.hearing.HEARTBEAT_SECONDS", 0.1)
    told: list[float] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        told.append(done)
        assert (total, message is not None and "exhaust_sleep__sleep" in message) == (None, True)

    async with connected(front.url, mode) as heard:
        await heard.client.call_tool("exhaust_sleep__sleep", {"milliseconds": "600"}, progress_callback=progress)
        assert len(told) >= 3
        assert told == sorted(set(told))
        count = len(told)
        await heard.client.call_tool("exhaust_sleep__sleep", {"milliseconds": "300"})
    assert len(told) == count


async def test_a_call_that_waits_for_its_component_says_so(tmp_path: Path) -> None:
    """One that is installed is compiled and loaded by its first call."""
    async with Sandbox(tmp_path / "home") as sandbox:
        await sandbox.install(guest("traps"), policy="deny-all")
    told: list[str | None] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        told.append(message)

    async with Sandbox(tmp_path / "home") as sandbox:
        await sandbox.restore()
        async with served(sandbox) as front, connected(front.url, "auto") as heard:
            for number in (1, 2):
                await heard.client.call_tool("traps__fine", {"number": number}, progress_callback=progress)
    assert (told[0], told[-1]) == ("loading traps__fine", "calling traps__fine")


@modes
async def test_a_denial_and_a_guests_lines_are_in_the_clients_log_at_the_level_it_asked(front: Served, mode: Mode) -> None:
    async with connected(front.url, mode, level="info") as heard:
        await heard.client.call_tool("files__read", {"path": "/etc/hostname"})
        await heard.client.call_tool("prints__print", {"text": "a line of the guest"})
    denials = [line for line in heard.lines if line.level == "warning"]
    printed = [line for line in heard.lines if line.level == "info"]
    assert denials[0].logger == "files"
    assert denials[0].data["denied"] == "filesystem_access_denied"
    assert printed
    assert {line.logger for line in printed} == {"prints"}
    async with connected(front.url, mode, level="error") as heard:
        await heard.client.call_tool("files__read", {"path": "/etc/hostname"})
        await heard.client.call_tool("prints__print", {"text": "a line of the guest"})
    assert heard.lines == []


async def test_without_a_level_a_modern_client_hears_nothing_and_a_handshake_client_the_warnings(front: Served) -> None:
    for mode, expected in (("auto", set()), ("legacy", {"warning"})):
        async with connected(front.url, mode) as heard:  # type: ignore[arg-type]
            await heard.client.call_tool("files__read", {"path": "/etc/hostname"})
            await heard.client.call_tool("prints__print", {"text": "a line of the guest"})
        assert {line.level for line in heard.lines} == expected


@modes
async def test_a_cancelled_call_is_killed(front: Served, stage: Stage, mode: Mode) -> None:
    async with connected(front.url, mode) as heard:
        await heard.client.call_tool("exhaust_sleep__sleep", {"milliseconds": "1"})
        call = asyncio.create_task(heard.client.call_tool("exhaust_sleep__sleep", {"milliseconds": "20000"}))
        await stage.running()
        before = len(stage.records())
        call.cancel()
        async with asyncio.timeout(SECONDS):
            while not [one for one in stage.records()[before:] if one["event"] == "tool_failure"]:
                await asyncio.sleep(0.02)
    assert [one["ending"] for one in stage.records()[before:] if one["event"] == "tool_failure"] == ["cancelled"]


@modes
async def test_resources_are_listed_by_component_and_their_names_completed(front: Served, mode: Mode) -> None:
    async with connected(front.url, mode) as heard:
        uris = [str(one.uri) for one in (await heard.client.list_resources()).resources]
        templates = [one.uri_template for one in (await heard.client.list_resource_templates()).resource_templates]
        ref = t.ResourceTemplateReference(uri="sandbox://components/{component}/policy")
        found = (await heard.client.complete(ref, {"name": "component", "value": "ex"})).completion
        described = await read(heard.client, "sandbox://components/files")
        for wrong in (
            "sandbox://components/nobody",
            "sandbox://components/files/../files",
            "file:///etc/passwd",
            "sandbox://components/%66iles",
        ):
            with pytest.raises(MCPError) as caught:
                await heard.client.read_resource(wrong)
            assert (caught.value.code, caught.value.error.data) == (-32602, {"uri": wrong})
        with pytest.raises(MCPError):
            await heard.client.complete(t.ResourceTemplateReference(uri="file:///{x}"), {"name": "x", "value": ""})
    assert uris == sorted(uris)
    assert {"sandbox://record", "sandbox://components/files", POLICY, "sandbox://components/files/record"} <= set(uris)
    assert len(templates) == 3
    assert (found.values, found.total) == (["exhaust_sleep"], 1)
    assert {tool["name"] for tool in described["tools"]} >= {"files__read"}
    assert "author" in described["untrusted"]


@modes
async def test_the_record_can_be_watched_and_holds_the_call(front: Served, mode: Mode) -> None:
    async with connected(front.url, mode, watch=("sandbox://record",)) as heard:
        result = await heard.client.call_tool("traps__fine", {"number": 3})
        await heard.wait_for("notifications/resources/updated")
        assert result.meta is not None
        entries = await read(heard.client, "sandbox://record")
        own = await read(heard.client, "sandbox://components/traps/record")
    assert result.meta["sandbox/request"] in {entry["audit_id"] for entry in entries}
    assert {entry["component"] for entry in own} == {"traps"}
    assert len(entries) <= 100


@contextlib.asynccontextmanager
async def as_(token: str, url: str, mode: Mode) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client


@modes
async def test_a_token_names_the_subject_and_nobody_reads_anothers_calls(stage: Stage, mode: Mode) -> None:
    async with (
        served(stage.sandbox, verifier=tokens_of(f"alice {ALICE}\nbob {BOB}", "tokens")) as guarded,
        as_(ALICE, guarded.url, mode) as alice,
        as_(BOB, guarded.url, mode) as bob,
    ):
        await alice.call_tool("traps__fine", {"number": 1})
        await bob.call_tool("traps__fine", {"number": 2})
        async with httpx2.AsyncClient(headers={"Authorization": "Bearer none", "User-Agent": "stranger"}) as http:
            assert (await http.post(guarded.url, json={})).status_code == 401
        for _ in range(BURST + MOST):
            stage.sandbox._log.refused(Event(EventType.ACCESS_DENIED, "0" * 32, subject="carol", decision="deny"), Redactor())
        seen = {name: await read(client, "sandbox://record") for name, client in (("alice", alice), ("bob", bob))}
    for name, entries in seen.items():
        assert {entry["subject"] for entry in entries} == {name, None}
        assert "carol" not in str(entries)
        assert "stranger" not in str(entries)
        (own,) = {entry["address"] for entry in entries if entry["event"] == "tool_invoke" and entry["subject"] == name}
        assert own == "127.0.0.1", "where the call came from"
    told = list(records(stage.sandbox.home / "audit", record_keys(stage.sandbox._home, {})))
    assert "stranger" in {record["user_agent"] for record in told}
    assert "carol" in {of["subject"] for record in told for of in record["detail"].get("flood", {}).get("of", ())}


@modes
async def test_a_session_that_ends_takes_its_grants_with_it(stage: Stage, front: Served, mode: Mode) -> None:
    """A handshake's session ends with its connection; the era without sessions has one as long as the server runs."""
    (stage.folder / "data").mkdir(exist_ok=True)
    async with served(stage.sandbox) as short:
        async with connected(short.url, mode) as heard:
            await heard.client.call_tool("traps__fine", {"number": 1})
            session = stage.records()[-1]["session"]
            uri = f"fs://{stage.folder}/data/**"
            grant = await stage.sandbox.grant_storage_permission("files", uri, ["read"], lifetime="session", session=session)
            assert grant.id in {one.id for one in stage.sandbox.grants("files")}
            (stage.folder / "data" / "note").write_text("hello")
            mine = await heard.client.call_tool("files__read", {"path": f"{stage.folder}/data/note"})
        async with connected(front.url, mode) as other:
            others = await other.client.call_tool("files__read", {"path": f"{stage.folder}/data/note"})
    assert (mine.is_error, others.is_error) == (False, True)
    async with asyncio.timeout(SECONDS):
        while grant.id in {one.id for one in stage.sandbox.grants("files")}:
            await asyncio.sleep(0.02)


async def test_a_component_that_comes_is_told_to_every_client(stage: Stage, front: Served) -> None:
    async with connected(front.url, "legacy") as old, connected(front.url, "auto") as new:
        await stage.load("every_type")
        for heard in (old, new):
            await heard.wait_for("notifications/tools/list_changed")
            await heard.wait_for("notifications/resources/list_changed")
