"""A person at the client is asked about what an ask line keeps back, with the official Python client in both protocol eras."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import mcp.types as t
import pytest
import pytest_asyncio
from mcp import Client

from sandbox import Sandbox
from sandbox.policy.grants import Lifetime
from sandbox.policy.load import load_policy
from sandbox.server.server import SandboxServer
from tests.support.components import files_component
from tests.support.serving import ENVELOPE, Serving, lines, request

Mode = Literal["auto", "legacy", "2026-07-28"]
modes = pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
pytestmark = pytest.mark.asyncio(loop_scope="module")


def policy(folder: Path) -> str:
    """A person is asked before anything below `w` is touched."""
    (folder / "w").mkdir(exist_ok=True)
    (folder / "w/a.txt").write_text("alpha")
    return f"""version: "2.0"
permissions:
  storage:
    ask:
      - {{uri: "fs://{folder}/w/**", access: [read, write, create], mount: /w}}
  resources: {{limits: {{concurrency: 16}}}}
"""


class Somebody:
    """A person at a client, who gives these answers; None declines."""

    def __init__(self, *answers: str | None) -> None:
        self.asked: list[t.ElicitRequestFormParams] = []
        self.answers = list(answers)

    async def __call__(self, _ctx: Any, params: Any) -> t.ElicitResult:
        self.asked.append(params)
        answer = self.answers.pop(0)
        return t.ElicitResult(action="decline") if answer is None else t.ElicitResult(action="accept", content={"answer": answer})


@dataclass
class Scene:
    """A host with the component `files`, and clients."""

    sandbox: Sandbox
    folder: Path

    @asynccontextmanager
    async def client(self, mode: Mode, person: Somebody | None = None, most: Lifetime = "session") -> AsyncIterator[Client]:
        """A client with a person, or one that cannot ask anybody."""
        server = SandboxServer(self.sandbox, asyncio.create_task(asyncio.sleep(0)), most=most)
        async with Client(server, mode=mode, elicitation_callback=person) as client:
            await client.list_tools()
            yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hosted(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("asking")
    async with Sandbox(folder / "home", spares=1) as sandbox:
        await sandbox.load(files_component(), policy=load_policy(policy(folder), file="policy.yaml"))
        yield Scene(sandbox, folder)


@pytest_asyncio.fixture(loop_scope="module")
async def scene(hosted: Scene) -> AsyncIterator[Scene]:
    (hosted.folder / "w/a.txt").write_text("alpha")
    yield hosted
    await hosted.sandbox.reset_permissions("files")


def told(result: t.CallToolResult) -> str:
    """What a call came to: the file, or why not."""
    if not result.is_error:
        return str((result.structured_content or {})["result"])
    assert isinstance(result.content[0], t.TextContent)
    return str(json.loads(result.content[0].text)["message"])


async def reading(client: Client) -> str:
    return told(await client.call_tool("files__read", {"path": "/w/a.txt"}))


NO = "read of `/w/a.txt` is not allowed: "


@modes
async def test_a_client_that_cannot_ask_gets_the_denial_and_the_command(scene: Scene, mode: Mode) -> None:
    async with scene.client(mode) as client:
        result = await client.call_tool("files__read", {"path": "/w/a.txt"})
    assert told(result) == f"{NO}nobody could be asked"
    assert result.meta is not None
    body = result.meta["sandbox/error"]
    assert body["command"] == f"sandbox permission grant files --from-denial {body['denial_id']}"


@modes
async def test_a_person_says_no_once_and_is_not_asked_again(scene: Scene, mode: Mode) -> None:
    somebody = Somebody(None, "no")
    async with scene.client(mode, somebody) as client:
        first, again = await reading(client), await reading(client)
    assert first == f"{NO}a person was asked and did not allow it"
    assert again == f"{NO}a person said no to exactly this in this session; it is not asked again"
    assert len(somebody.asked) == 1


@modes
async def test_an_answer_that_was_not_offered_is_a_no(scene: Scene, mode: Mode) -> None:
    somebody = Somebody("until revoked")
    async with scene.client(mode, somebody) as client:
        assert await reading(client) == f"{NO}a person was asked and did not allow it"
    assert somebody.asked[0].requested_schema["properties"]["answer"]["enum"] == ["once", "this session", "no"]


@modes
async def test_once_is_this_call_and_a_session_is_every_further_one(scene: Scene, mode: Mode) -> None:
    somebody = Somebody("once", "this session")
    async with scene.client(mode, somebody) as client:
        assert [await reading(client) for _ in range(4)] == ["alpha"] * 4
        (grant,) = scene.sandbox.grants()
    assert len(somebody.asked) == 2
    assert (grant.lifetime, grant.entry["access"], grant.who) == ("session", ["read"], "mcp:local")
    text = somebody.asked[0].message
    assert text.startswith("The component `files` wants to read:\n  /w/a.txt\n")
    assert str(scene.folder) not in text, "the policy shows the guest `/w`"
    assert scene.sandbox.grants() == (), "the session is over, and what it had with it"


@modes
async def test_reading_and_writing_are_asked_for_apart(scene: Scene, mode: Mode) -> None:
    somebody = Somebody("this session", "once", "once", "once")
    async with scene.client(mode, somebody) as client:
        assert await reading(client) == "alpha"
        written = await client.call_tool("files__write", {"path": "/w/a.txt", "text": "new"})
    assert not written.is_error, told(written)
    assert (scene.folder / "w/a.txt").read_text() == "new"
    assert [asked.message.partition("\n")[0] for asked in somebody.asked][:2] == [
        "The component `files` wants to read:",
        "The component `files` wants to write:",
    ]


@modes
async def test_the_operator_may_let_a_client_answer_for_good(scene: Scene, mode: Mode) -> None:
    somebody = Somebody("until revoked")
    async with scene.client(mode, somebody, "lasting") as client:
        assert await reading(client) == "alpha"
    (grant,) = scene.sandbox.grants()
    assert (grant.lifetime, grant.session) == ("lasting", None)


@modes
async def test_the_tools_of_a_component_that_asks_are_shown_as_what_they_may_come_to(scene: Scene, mode: Mode) -> None:
    async with scene.client(mode) as client:
        hints = {tool.name: tool.annotations for tool in (await client.list_tools()).tools}["files__read"]
    assert hints is not None
    assert (hints.read_only_hint, hints.destructive_hint) == (False, True), "after a yes it may write"


FORM = {**ENVELOPE, "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}}


def called(number: int, path: str, **more: Any) -> dict[str, Any]:
    """A call of the era without sessions, of a client that can ask."""
    return request(number, "tools/call", {"name": "files__read", "arguments": {"path": path}, "_meta": FORM, **more})


def answered(result: dict[str, Any], answer: str) -> dict[str, Any]:
    """What a client comes back with."""
    said = {"permission": {"action": "accept", "content": {"answer": answer}}}
    return {"requestState": result["requestState"], "inputResponses": said}


async def test_a_real_server_parks_few_calls_and_takes_an_answer_once(tmp_path: Path) -> None:
    """On standard input: an answer is of one question alone; of a flood of calls only so many wait, and end with their server."""
    serve = Serving(tmp_path, policy=policy(tmp_path))
    with lines(serve) as client:
        client.write(request(0, "tools/list", {"_meta": FORM}), called(1, "/w/a.txt"))
        client.answer(0)
        first = client.answer(1)["result"]
        assert first["resultType"] == "input_required"
        client.write(called(2, "/w/b.txt", **answered(first, "once")))
        assert "error" in client.answer(2), "sealed for another call"
        client.write(called(3, "/w/a.txt", **answered(first, "once")))
        assert client.answer(3)["result"]["structuredContent"] == {"result": "alpha"}
        client.write(called(4, "/w/a.txt", **answered(first, "once")))
        again = client.answer(4)["result"]
        assert again["structuredContent"]["message"].startswith("no such call waits for an answer")
        client.write(called(5, "/w/a.txt", **{**answered(first, "once"), "requestState": "made up"}))
        assert "error" in client.answer(5)
        client.write(*(called(n, f"/w/{n}") for n in range(11, 19)))
        results = [client.answer(n)["result"] for n in range(11, 19)]
        assert sum(result["resultType"] == "input_required" for result in results) == 2
        refused = [result["structuredContent"]["message"] for result in results if result.get("isError")]
        assert len(refused) == 6
        assert all("too many questions wait for an answer already" in message for message in refused)
    ends = [record for record in records(serve) if record["event"] == "tool_failure" and record["ending"] == "cancelled"]
    assert len(ends) == 2, "each that waited is on record"


def records(serve: Serving) -> list[dict[str, Any]]:
    """The whole record."""
    files = sorted((serve.home / "audit").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


async def test_a_real_server_asks_through_the_official_client(tmp_path: Path) -> None:
    """With a handshake: the question goes out while the call is open."""
    somebody = Somebody("once")
    async with Client(
        Serving(tmp_path, policy=policy(tmp_path)).parameters, mode="legacy", elicitation_callback=somebody
    ) as client:
        assert await reading(client) == "alpha"
    assert len(somebody.asked) == 1
