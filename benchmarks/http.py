"""The same CPython component called over HTTP through this host and through Wassette, turn by turn, in one run.

    python -m benchmarks.http [--wassette 'COMMAND'] [--rounds 5]

COMMAND starts Wassette; the script adds `serve --streamable-http …`. Both servers stay up and are called in turns by the same
client: calls one after another over one connection, then over 32 connections at once, in both protocol eras. The client is one
thread with raw sockets that are kept open: what it costs itself stays small beside either server. Prints each side's medians over
the rounds and the ratios, ours to theirs.

Rules: the same file, the same call, both warm; a server that idles costs the other nothing. Fails where the promise is not kept:
at least twice Wassette's calls a second with 32 connections.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.stdio import INITIALIZE, MODERN
from tests.support.components import python_component

CALLS, CONNECTIONS = 200, 32
MIN_RATIO = 2.0
ERAS = {"2025-11-25": False, "2026-07-28": True}


@dataclass(slots=True)
class Connection:
    """One kept-open connection and, in the handshake era, its session."""

    port: int
    modern: bool
    session: str = ""
    socket: socket.socket = field(init=False)
    _got: bytearray = field(default_factory=bytearray)
    _next: int = 0

    def __post_init__(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self.modern:
            self.ask("initialize", INITIALIZE)
            self.send({"jsonrpc": "2.0", "method": "notifications/initialized"}, "notifications/initialized")
            self._wait()

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """One request and its result."""
        self.request(method, params)
        return self._wait()

    def request(self, method: str, params: dict[str, Any]) -> None:
        """Send one request."""
        self._next += 1
        envelope = MODERN if self.modern else {}
        message = {"jsonrpc": "2.0", "id": self._next, "method": method, "params": {**params, **envelope}}
        self.send(message, method, params.get("name"))

    def send(self, message: dict[str, Any], method: str, name: str | None = None) -> None:
        """Send one message."""
        body = json.dumps(message).encode()
        lines = [
            "POST /mcp HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            "Accept: application/json, text/event-stream",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        if self.modern:
            lines += ["MCP-Protocol-Version: 2026-07-28", f"Mcp-Method: {method}", *([f"Mcp-Name: {name}"] if name else [])]
        elif self.session:
            lines += ["MCP-Protocol-Version: 2025-11-25", f"Mcp-Session-Id: {self.session}"]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def arrived(self) -> dict[str, Any] | None:
        """Read what is there: the result, once the answer is whole."""
        chunk = self.socket.recv(1 << 16)
        if not chunk:
            raise SystemExit(f"the connection was closed: {bytes(self._got[:400])!r}")
        self._got += chunk
        head, end, rest = bytes(self._got).partition(b"\r\n\r\n")
        if not end or not _whole(head, rest):
            return None
        self._got.clear()
        return self._answer(head, rest)

    def _wait(self) -> dict[str, Any]:
        while (answer := self.arrived()) is None:
            pass
        return answer

    def _answer(self, head: bytes, body: bytes) -> dict[str, Any]:
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202")):
            raise SystemExit(f"refused: {head!r} {body[:400]!r}")
        self.session = _header(head, b"mcp-session-id") or self.session
        # In an SSE answer the last event is the response; a chunk's own line is no JSON.
        found = [line.removeprefix(b"data:").strip() for line in body.splitlines()]
        messages = [json.loads(line) for line in found if line.startswith(b"{")]
        answer = messages[-1] if messages else {"result": {}}
        if "result" not in answer or answer["result"].get("isError"):
            raise SystemExit(f"the call failed: {json.dumps(answer)[:1000]}")
        return dict(answer["result"])


def _whole(head: bytes, body: bytes) -> bool:
    length = _header(head, b"content-length")
    if length is not None:
        return len(body) >= int(length)
    chunked = _header(head, b"transfer-encoding") is not None
    return body.endswith(b"0\r\n\r\n") if chunked else True


def _header(head: bytes, name: bytes) -> str | None:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip().decode()
    return None


@dataclass(slots=True)
class Server:
    """A started server: its process, its port, and the tool's name there."""

    process: subprocess.Popen[bytes]
    port: int
    tool: str

    def ready(self) -> None:
        """Wait until the tool is listed."""
        give_up = time.monotonic() + 300
        while time.monotonic() < give_up and self.process.poll() is None:
            try:
                tools = Connection(self.port, modern=False).ask("tools/list", {})["tools"]
                if self.tool in {tool["name"] for tool in tools}:
                    return
            except OSError:
                pass
            time.sleep(0.2)
        raise SystemExit(f"`{self.tool}` is not listed")

    def close(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def measure(servers: dict[str, Server], arguments: dict[str, Any], rounds: int, *, modern: bool) -> dict[str, Any]:
    """Medians of each side and their ratios, in one era."""
    took: dict[str, list[tuple[float, float]]] = {side: [] for side in servers}
    for _ in range(rounds):
        for side, server in servers.items():
            params = {"name": server.tool, "arguments": arguments}
            one = _sequential(Connection(server.port, modern=modern), params)
            took[side].append((one, _at_once([Connection(server.port, modern=modern) for _ in range(CONNECTIONS)], params)))
    found = {side: [statistics.median(column) for column in zip(*rows, strict=True)] for side, rows in took.items()}
    report: dict[str, Any] = {
        side: {"p50_ms": round(p50, 3), f"with_{CONNECTIONS}_per_s": round(many)} for side, (p50, many) in found.items()
    }
    if len(found) == 2:
        (ours, many), (theirs, their_many) = found["ours"], found["theirs"]
        report["ratio"] = {"p50": round(ours / theirs, 2), f"with_{CONNECTIONS}": round(many / their_many, 2)}
    return report


def _sequential(connection: Connection, params: dict[str, Any]) -> float:
    """The median of calls one after another, in milliseconds."""
    took = []
    for _ in range(CALLS):
        begun = time.perf_counter()
        connection.ask("tools/call", params)
        took.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(took)


def _at_once(connections: Sequence[Connection], params: dict[str, Any]) -> float:
    """Calls a second, with one waiting on every connection."""
    selector = selectors.DefaultSelector()
    for connection in connections:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    begun = time.perf_counter()
    for connection in connections:
        connection.request("tools/call", params)
    sent, answered = len(connections), 0
    while answered < CALLS * 2:
        for key, _ in selector.select():
            if key.data.arrived() is not None:
                answered += 1
                if sent < CALLS * 2:
                    key.data.request("tools/call", params)
                    sent += 1
    whole = time.perf_counter() - begun
    selector.close()
    return CALLS * 2 / whole


def ours(component: Path, folder: Path) -> Server:
    """This host's server."""
    port = _free_port()
    command = [sys.executable, "-m", "sandbox", "serve", str(component), "--policy", "deny-all", "--port", str(port)]
    return _started([*command, "--home", str(folder / "home")], port, "python__evaluate")


def theirs(component: Path, wassette: str, folder: Path) -> Server:
    """Wassette's."""
    components = folder / "components"
    components.mkdir()
    shutil.copy(component, components)
    port = _free_port()
    words = ["serve", "--streamable-http", "--bind-address", f"127.0.0.1:{port}", "--component-dir", str(components)]
    return _started([*shlex.split(wassette), *words, "--disable-builtin-tools"], port, "evaluate")


def _started(command: Sequence[str], port: int, tool: str) -> Server:
    server = Server(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), port, tool)
    server.ready()
    return server


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def main() -> int:
    """Measure, print one JSON document, and say whether the promise holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wassette", help="the command that starts Wassette")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--era", choices=list(ERAS), action="append")
    options = parser.parse_args()
    starting: dict[str, Callable[[Path], Server]] = {"ours": lambda folder: ours(python_component(), folder)}
    if options.wassette is not None:
        starting["theirs"] = lambda folder: theirs(python_component(), options.wassette, folder)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HOME"] = folder
        servers = {side: start(Path(folder)) for side, start in starting.items()}
        try:
            arguments = {"code": "1+1"}
            eras = options.era or list(ERAS)
            report = {era: measure(servers, arguments, options.rounds, modern=ERAS[era]) for era in eras}
        finally:
            for server in servers.values():
                server.close()
    print(json.dumps(report, indent=2))
    if options.wassette is None:
        print("nothing to compare with: give --wassette COMMAND", file=sys.stderr)
        return 0
    return 0 if all(era["ratio"][f"with_{CONNECTIONS}"] >= MIN_RATIO for era in report.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
