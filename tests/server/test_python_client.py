"""The official Python client against `sandbox run`, in both protocol eras."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Literal

import jsonschema
import mcp.types as t
import pytest
from mcp import Client, MCPError

from tests.support.components import files_component
from tests.support.guests import guest
from tests.support.serving import Serving, every_type

Mode = Literal["auto", "legacy", "2026-07-28"]
modes = pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])


def body(result: t.CallToolResult) -> dict[str, Any]:
    """The machine-readable body of an error: the text, and the same in `_meta`."""
    assert result.is_error
    assert isinstance(result.content[0], t.TextContent)
    told = json.loads(result.content[0].text)
    assert result.meta is not None
    assert result.meta["sandbox/error"] == told
    return dict(told)


@modes
async def test_a_denied_call_says_what_was_tried_and_how_to_grant_it(tmp_path: Path, mode: Mode) -> None:
    (tmp_path / "note.txt").write_text("hello")
    async with Client(Serving(tmp_path).parameters, mode=mode) as client:
        await client.list_tools()
        told = body(await client.call_tool("files__read", {"path": str(tmp_path / "note.txt")}))
    assert told["code"] == "filesystem_access_denied"
    assert told["tried"] == {"path": str(tmp_path / "note.txt"), "operation": "read"}
    assert told["command"] == f"sandbox permission grant files --from-denial {told['denial_id']}"
    assert {"message", "missing", "grant", "request_id"} <= set(told)


@modes
async def test_a_grant_in_a_terminal_holds_at_once_and_a_revoke_too(tmp_path: Path, mode: Mode) -> None:
    serving = Serving(tmp_path)
    (tmp_path / "note.txt").write_text("hello")
    note = {"path": str(tmp_path / "note.txt")}
    async with Client(serving.parameters, mode=mode) as client:
        denied = body(await client.call_tool("files__read", note))
        grant = await asyncio.to_thread(serving.json, "permission", "grant", "--from-denial", denied["denial_id"])
        allowed = await client.call_tool("files__read", note)
        await asyncio.to_thread(serving.json, "permission", "revoke", grant["id"])
        again = body(await client.call_tool("files__read", note))
    assert allowed.structured_content == {"result": "hello"}
    assert again["code"] == "filesystem_access_denied"


@modes
async def test_a_revoke_stops_the_call_that_runs_under_it(tmp_path: Path, mode: Mode) -> None:
    serving = Serving(tmp_path, [guest("exhaust_sleep")])
    async with Client(serving.parameters, mode=mode) as client:
        await client.call_tool("exhaust_sleep__sleep", {"milliseconds": "1"})
        (tmp_path / "data").mkdir()
        words = ("exhaust_sleep", "storage", f"fs://{tmp_path}/data/**", "--access", "read")
        grant = await asyncio.to_thread(serving.json, "permission", "grant", *words)
        running = asyncio.create_task(client.call_tool("exhaust_sleep__sleep", {"milliseconds": "20000"}))
        await _running(serving)
        revoked = await asyncio.to_thread(serving.json, "permission", "revoke", grant["id"])
        told = body(await asyncio.wait_for(running, 5))
    assert told["code"] == "revoked"
    stopped = [call for receipt in revoked for server in receipt["servers"] for call in server["stopped"]]
    assert [call["tool"] for call in stopped] == ["exhaust_sleep__sleep"]


@modes
async def test_what_goes_wrong_in_a_call_is_a_tool_error_and_the_next_call_runs(tmp_path: Path, mode: Mode) -> None:
    """An unknown tool alone is an error of the protocol."""
    async with Client(Serving(tmp_path, [every_type(), guest("traps")]).parameters, mode=mode) as client:
        with pytest.raises(MCPError) as caught:
            await client.call_tool("every_type__nope", {})
        wrong = body(await client.call_tool("every_type__echo-u8", {"x": 256}))
        said = body(await client.call_tool("every_type__finish", {"failing": True, "x": "no luck"}))
        trapped = body(await client.call_tool("traps__unreachable", {}))
        fine = await client.call_tool("traps__fine", {"number": 3})
    assert caught.value.code == t.INVALID_PARAMS
    assert (wrong["code"], "x" in wrong["message"]) == ("invalid_arguments", True)
    assert (said["code"], said["error"]) == ("guest_error", "no luck")
    assert (trapped["code"], "/" in trapped["message"]) == ("trapped", False)
    assert fine.structured_content == {"result": 3}


@modes
async def test_a_cancelled_call_is_killed(tmp_path: Path, mode: Mode) -> None:
    serving = Serving(tmp_path, [guest("exhaust_sleep")])
    async with Client(serving.parameters, mode=mode) as client:
        await client.call_tool("exhaust_sleep__sleep", {"milliseconds": "1"})
        call = asyncio.create_task(client.call_tool("exhaust_sleep__sleep", {"milliseconds": "20000"}))
        await _running(serving)
        call.cancel()
        ended = await _ended(serving)
    assert ended["ending"] == "cancelled"


@modes
async def test_every_tool_of_several_components_is_listed_in_order(tmp_path: Path, mode: Mode) -> None:
    async with Client(Serving(tmp_path, [every_type(), files_component()]).parameters, mode=mode) as client:
        tools = (await client.list_tools()).tools
    names = [tool.name for tool in tools]
    assert names == sorted(names)
    assert {"files__read", "every_type__echo-record"} <= set(names)
    assert {"load_component", "grant_storage_permission"} <= set(names)
    for tool in tools:
        if "__" not in tool.name:
            continue  # one of the host's own
        assert tool.meta is not None
        assert tool.meta["sandbox/wit"]
        assert tool.meta["sandbox/digest"].startswith("sha256:")
        for schema in (tool.input_schema, tool.output_schema or {"type": "object"}):
            assert schema["type"] == "object"
            jsonschema.Draft202012Validator.check_schema(schema)


@modes
async def test_results_are_structured_and_the_same_as_text_and_calls_overlap(tmp_path: Path, mode: Mode) -> None:
    point = {"x": -1, "y": 2, "label": "here"}
    async with Client(Serving(tmp_path, [every_type()]).parameters, mode=mode) as client:
        await client.list_tools()
        result = await client.call_tool("every_type__echo-record", {"x": point})
        nothing = await client.call_tool("every_type__nothing", {"a": 1, "b": "x"})
        many = await asyncio.gather(*(client.call_tool("every_type__echo-u32", {"x": number}) for number in range(32)))
    assert result.structured_content == {"result": point}
    assert isinstance(result.content[0], t.TextContent)
    assert json.loads(result.content[0].text) == {"result": point}
    assert not nothing.is_error
    assert [one.structured_content for one in many] == [{"result": number} for number in range(32)]


async def _running(serving: Serving) -> None:
    """Wait until the record has the attempt of the newest call and not its end."""
    async with asyncio.timeout(10):
        while len(await _events(serving, "tool_invoke")) < 2:
            pass


async def _ended(serving: Serving) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while not (failures := await _events(serving, "tool_failure")):
            pass
    return dict(failures[-1])


async def _events(serving: Serving, event: str) -> list[dict[str, Any]]:
    return list(await asyncio.to_thread(serving.json, "audit", "list", "--event", event))
