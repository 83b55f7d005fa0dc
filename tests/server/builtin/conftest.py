"""A host with its own tools, and clients of both eras whose person answers as a test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import mcp.types as t
import pytest
import pytest_asyncio
from mcp import Client

from sandbox import Sandbox
from sandbox.audit import records
from sandbox.policy.load import load_policy
from sandbox.server.builtin import BuiltinTools
from sandbox.server.server import SandboxServer
from tests.support.components import files_component
from tests.support.guests import guest

Mode = Literal["legacy", "2026-07-28"]
modes = pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
NOTHING = load_policy('version: "2.0"\n', file="policy.yaml")

YES = t.ElicitResult(action="accept", content={"approve": True})
NOES = {
    "decline": t.ElicitResult(action="decline"),
    "cancel": t.ElicitResult(action="cancel"),
    "accept, without the tick": t.ElicitResult(action="accept", content={"approve": False}),
    "accept, without content": t.ElicitResult(action="accept"),
    "accept, with a text for the tick": t.ElicitResult(action="accept", content={"approve": "true"}),
}


@dataclass
class Person:
    """Who sits at the client: what they answer, and what they were shown."""

    answer: t.ElicitResult | Callable[[], Awaitable[t.ElicitResult]] | None = None
    seen: list[str] = field(default_factory=list)

    async def __call__(self, context: object, params: Any) -> t.ElicitResult:
        self.seen.append(params.message)
        assert self.answer is not None
        return self.answer if isinstance(self.answer, t.ElicitResult) else await self.answer()


@dataclass
class Agent:
    """A client, and what its calls come back with."""

    client: Client

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The answer of a call that succeeds."""
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        assert result.structured_content is not None
        assert isinstance(result.content[0], t.TextContent)
        assert json.loads(result.content[0].text) == result.structured_content
        return dict(result.structured_content)

    async def refused(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The body of a call that is refused."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.content
        assert isinstance(result.content[0], t.TextContent)
        return dict(json.loads(result.content[0].text))

    async def reads(self, path: Path) -> bool:
        """Whether the files component may read a file now."""
        return not (await self.client.call_tool("files__read", {"path": str(path)})).is_error


@dataclass
class Scene:
    """The host, the folder that permissions are asked for, and clients."""

    sandbox: Sandbox
    folder: Path

    @property
    def all_of_it(self) -> dict[str, Any]:
        """The arguments of a storage permission for the folder."""
        return {"component_id": "files", "uri": f"fs://{self.folder}/**", "access": ["read"]}

    @property
    def file(self) -> Path:
        return self.folder / "a.txt"

    @asynccontextmanager
    async def agent(self, mode: Mode, person: Person | None = None, **options: Any) -> AsyncIterator[Agent]:
        """A client with a person, or one that cannot ask anybody."""
        loading = asyncio.create_task(asyncio.sleep(0))
        server = SandboxServer(self.sandbox, loading, BuiltinTools(self.sandbox, **options))
        async with Client(server, mode=mode, elicitation_callback=person) as client:
            await client.list_tools()
            yield Agent(client)

    def recorded(self, *events: str) -> list[dict[str, Any]]:
        """The records of the newest attempt at one of the host's own tools."""
        every = list(records(self.sandbox.home / "audit"))
        own = [one for one in every if one["tool"] and "__" not in one["tool"]]
        return [one for one in own if one["audit_id"] == own[-1]["audit_id"] and (not events or one["event"] in events)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hosted(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    where = tmp_path_factory.mktemp("builtin")
    (where / "srv").mkdir()
    (where / "srv" / "a.txt").write_text("alpha")
    async with Sandbox(where / "home", spares=1) as sandbox:
        await sandbox.load(files_component(), policy=NOTHING)
        await sandbox.load(guest("exhaust_sleep"), policy=NOTHING)
        yield Scene(sandbox, where / "srv")


@pytest_asyncio.fixture(loop_scope="module")
async def scene(hosted: Scene) -> AsyncIterator[Scene]:
    yield hosted
    for name in ("files", "exhaust_sleep"):
        await hosted.sandbox.reset_permissions(name)
    await hosted.sandbox.update_component_policy("files", NOTHING)
