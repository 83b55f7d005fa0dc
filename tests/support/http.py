"""A server over HTTP inside the test's own loop, and a client that sends bytes, whatever they are."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.api import Sandbox
from sandbox.server.http.serve import Listening, serve_http
from sandbox.server.own_tools import OwnTools
from sandbox.server.server import SandboxServer
from tests.support.serving import ENVELOPE, HANDSHAKE

ACCEPT = "application/json, text/event-stream"
SECONDS = 20.0


@dataclass(frozen=True)
class Answer:
    """What came back; `closed` says that the server then closed the connection."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, or the last event of a stream, as JSON."""
        if not self.headers.get("content-type", "").startswith("text/event-stream"):
            return json.loads(self.body)
        return json.loads([line[5:] for line in self.body.splitlines() if line.startswith(b"data:") and line[5:].strip()][-1])


@dataclass
class Served:
    """A server that listens; `stop` ends it."""

    url: str
    stop: asyncio.Event
    token: str | None = None

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].split("/")[0])

    def head(self, method: str = "POST", path: str = "/mcp", **headers: str | None) -> dict[str, str]:
        """The head fields of an ordinary request, changed by `headers`; None leaves one out."""
        fields: dict[str, str | None] = {"Host": f"127.0.0.1:{self.port}", "Accept": ACCEPT}
        fields |= {"Content-Type": "application/json"} if method == "POST" else {}
        fields |= {"Authorization": f"Bearer {self.token}"} if self.token else {}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        return {name: value for name, value in fields.items() if value is not None}

    async def ask(self, method: str = "POST", path: str = "/mcp", body: Any = b"", **headers: str | None) -> Answer:
        """One request over a connection of its own."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = self.head(method, path, **headers)
        if method == "POST":
            fields = {"Content-Length": str(len(content)), **fields}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        return await self.raw("\r\n".join([*lines, "", ""]).encode("latin-1") + content)

    async def raw(self, sent: bytes) -> Answer:
        """The answer to these bytes."""
        async with self.connected() as (reader, writer):
            writer.write(sent)
            return await answer(reader)

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def modern(
        self, method: str, params: Mapping[str, Any] | None = None, request_id: Any = 1, **headers: str | None
    ) -> Answer:
        """One request of 2026-07-28."""
        params = dict(params or {})
        body = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": {**params, "_meta": ENVELOPE}}
        name = {"Mcp_Name": params["name"]} if "name" in params else {"Mcp_Name": params["uri"]} if "uri" in params else {}
        return await self.ask(body=body, **{"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": method, **name, **headers})

    async def handshake(self) -> Session:
        """A session of the handshake era."""
        hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HANDSHAKE}
        opened = await self.ask(body=hello)
        assert opened.status == 200, opened
        session = Session(self, opened.headers["mcp-session-id"])
        await session.tell("notifications/initialized")
        return session


@dataclass
class Session:
    """A handshake client's session."""

    served: Served
    id: str
    _next: int = field(default=0)

    async def ask(
        self, method: str, params: Mapping[str, Any] | None = None, request_id: Any = None, **headers: str | None
    ) -> Answer:
        """One request."""
        self._next += 1
        key = self._next if request_id is None else request_id
        body = {"jsonrpc": "2.0", "id": key, "method": method, "params": dict(params or {})}
        return await self.served.ask(body=body, **{"Mcp_Session_Id": self.id, **headers})

    async def tell(self, method: str, params: Mapping[str, Any] | None = None) -> Answer:
        """One notification."""
        body = {"jsonrpc": "2.0", "method": method, "params": dict(params or {})}
        return await self.served.ask(body=body, Mcp_Session_Id=self.id)

    async def call(self, tool: str, request_id: Any = None, **arguments: Any) -> Answer:
        """Call a tool."""
        return await self.ask("tools/call", {"name": tool, "arguments": arguments}, request_id)


async def answer(reader: asyncio.StreamReader) -> Answer:
    """One whole answer."""
    async with asyncio.timeout(SECONDS):
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split()[1])
        if "content-length" in headers:
            return Answer(status, headers, await reader.readexactly(int(headers["content-length"])))
        body = b""
        while headers.get("transfer-encoding") == "chunked" and (size := int(await reader.readline(), 16)):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        return Answer(status, headers, body)


@contextlib.asynccontextmanager
async def served(
    sandbox: Sandbox,
    *,
    token: str | None = None,
    own: OwnTools | None = None,
    server: SandboxServer | None = None,
    **listening: Any,
) -> AsyncIterator[Served]:
    """A server for the sandbox as it is, or this `server`, on a free port."""
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = SandboxServer(sandbox, asyncio.create_task(asyncio.sleep(0)), own) if server is None else server
    stop = asyncio.Event()
    serving = asyncio.create_task(serve_http(server, Listening(**{"port": 0, **listening}), ready=told.set_result, stop=stop))
    await asyncio.wait({serving, told}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    try:
        yield Served(await told, stop, token)
    finally:
        stop.set()
        await serving
