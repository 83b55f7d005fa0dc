"""A `sandbox run` of its own for each test: its home, its policy, its command line, and a client that speaks in lines."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp import StdioServerParameters

from tests.support.components import files_component
from tests.support.guests import guest

HANDSHAKE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}
NOTHING = 'version: "2.0"\n'
SECONDS = 30


def program() -> str:
    """The installed command."""
    found = shutil.which("sandbox", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert found is not None, "the command `sandbox` is not installed"
    return found


@dataclass(frozen=True)
class Serving:
    """What a server is started with, and the terminal beside it."""

    folder: Path
    components: Sequence[Path] = field(default_factory=lambda: [files_component()])
    policy: str = NOTHING
    options: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.policy_file.write_text(self.policy)
        self.policy_file.chmod(0o600)

    @property
    def policy_file(self) -> Path:
        return self.folder / "policy.yaml"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def words(self) -> list[str]:
        """The command line of the server."""
        files = [str(path) for path in self.components]
        return [program(), "run", *files, "--policy", str(self.policy_file), "--home", str(self.home), *self.options]

    @property
    def parameters(self) -> StdioServerParameters:
        """The same for the SDK's client."""
        return StdioServerParameters(command=self.words[0], args=self.words[1:])

    def terminal(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Another `sandbox` command on the same home, as a person would give it."""
        return subprocess.run(
            [program(), *words, "--home", str(self.home)], capture_output=True, text=True, timeout=SECONDS, check=False
        )

    def json(self, *words: str) -> Any:
        """The data of a command that succeeds."""
        done = self.terminal(*words, "--json")
        assert done.returncode == 0, done.stderr + done.stdout
        return json.loads(done.stdout)


class Lines:
    """A client that writes lines and reads lines, whatever they are."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._unread: dict[Any, dict[str, Any]] = {}

    def write(self, *lines: bytes | Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        for line in lines:
            self.process.stdin.write((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")
        self.process.stdin.flush()

    def read(self) -> dict[str, Any]:
        """The next message."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the server ended"
        return dict(json.loads(line))

    def answer(self, request_id: Any) -> dict[str, Any]:
        """The answer with this id, whatever comes before it."""
        while request_id not in self._unread:
            message = self.read()
            self._unread[message.get("id")] = message
        return self._unread.pop(request_id)

    def ask(self, request_id: Any, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self.write(request(request_id, method, params))
        return self.answer(request_id)

    def handshake(self) -> None:
        """Open a connection of the handshake era."""
        self.ask("hello", "initialize", HANDSHAKE)
        self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def end(self) -> tuple[list[dict[str, Any]], int]:
        """End the input: what still comes, and the exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        rest = [json.loads(line) for line in self.process.stdout]
        return [*self._unread.values(), *rest], self.process.wait(SECONDS)


def request(request_id: Any, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": dict(params or {})}


def call(request_id: Any, tool: str, **arguments: Any) -> dict[str, Any]:
    return request(request_id, "tools/call", {"name": tool, "arguments": arguments})


@contextmanager
def lines(serving: Serving, **streams: Any) -> Iterator[Lines]:
    """A started server and a client in lines; the server is dead afterwards."""
    given = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, **streams}
    process = subprocess.Popen(serving.words, **given)
    try:
        yield Lines(process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def every_type() -> Path:
    return guest("every_type")
