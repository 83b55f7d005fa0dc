"""Two `sandbox serve` processes with homes of their own on one Redis, as two machines would have it."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from sandbox import Sandbox
from tests.support.guests import guest
from tests.support.redis_server import PASSWORD, RedisServer, redis_server
from tests.support.serving import ENVELOPE, program

SECONDS = 60
GUEST = "exhaust_sleep"
TOOL = f"{GUEST}__sleep"
Given = TypeVar("Given")


@dataclass(frozen=True)
class Pair:
    """Two servers, and a terminal beside each."""

    folder: Path
    environ: Mapping[str, str]
    ports: tuple[int, int]
    redis: RedisServer

    def call(self, side: int, milliseconds: int) -> dict[str, Any]:
        """A call of one server, as an MCP client makes it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[side], timeout=SECONDS)
        params = {"name": TOOL, "arguments": {"milliseconds": str(milliseconds)}, "_meta": ENVELOPE}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        fields = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        fields |= {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": TOOL}
        connection.request("POST", "/mcp", json.dumps(body), fields)
        answer = connection.getresponse().read()
        lines = [line[5:] for line in answer.splitlines() if line.startswith(b"data:") and line[5:].strip()]
        return dict(json.loads(lines[-1] if lines else answer))

    def terminal(self, side: int, do: Callable[[Sandbox], Awaitable[Given]]) -> Given:
        """What a person does in a process of its own on one home."""

        async def there() -> Given:
            async with Sandbox(self.home(side), state=self.redis.url, environment=self.environ) as sandbox:
                return await do(sandbox)

        return asyncio.run(there())

    def grants(self, side: int) -> list[str]:
        async def held(sandbox: Sandbox) -> list[str]:
            return [one.id for one in sandbox.grants()]

        return self.terminal(side, held)

    def home(self, side: int) -> Path:
        return self.folder / f"home-{side}"

    def told(self, side: int) -> str:
        """What a server wrote to its error output."""
        return (self.folder / f"errors-{side}").read_text()

    def records(self, side: int) -> str:
        return "".join(path.read_text() for path in sorted((self.home(side) / "audit").glob("*.jsonl")))


@contextmanager
def serving(folder: Path, side: int, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    command = [program(), "serve", str(guest(GUEST)), "--policy", str(folder / "policy.yaml")]
    command += ["--home", str(folder / f"home-{side}"), "--port", "0", "--json"]
    with (
        (folder / f"errors-{side}").open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=dict(environ)) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


def port_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    assert "url" in told, told
    return int(told["url"].split(":")[2].split("/")[0])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    (folder / "granted").mkdir()
    (folder / "policy.yaml").write_text('version: "2.0"\npermissions:\n  resources:\n    limits: {wall_time: 30s}\n')
    (folder / "policy.yaml").chmod(0o600)
    with redis_server(tcp=True, password=PASSWORD) as redis:
        environ = {**os.environ, "XDG_CONFIG_HOME": str(folder / "config")}
        environ |= {"SANDBOX_STATE": redis.url, "SANDBOX_STATE_PASSWORD": PASSWORD}
        with serving(folder, 0, environ) as first, serving(folder, 1, environ) as second:
            pair = Pair(folder, environ, (port_of(first), port_of(second)), redis)
            for side in (0, 1):
                assert "result" in pair.call(side, 1)
            yield pair


@contextmanager
def running(pair: Pair, *sides: int) -> Iterator[list[Future[dict[str, Any]]]]:
    """Calls that would sleep for long, under way on these servers."""
    with ThreadPoolExecutor(len(sides)) as pool:
        before = [pair.records(side).count('"tool_invoke"') for side in sides]
        calls = [pool.submit(pair.call, side, 25_000) for side in sides]
        until = time.monotonic() + SECONDS
        while [pair.records(side).count('"tool_invoke"') for side in sides] == before:
            assert time.monotonic() < until
            time.sleep(0.02)
        time.sleep(0.3)
        yield calls


def code(answer: Mapping[str, Any]) -> str:
    """The code of a call that failed."""
    assert answer["result"]["isError"] is True, answer
    return str(answer["result"]["structuredContent"]["code"])


def grant(pair: Pair, side: int) -> str:
    uri = f"fs://{pair.folder}/granted/**"
    return pair.terminal(side, lambda sandbox: sandbox.grant_storage_permission(GUEST, uri, ["read"])).id


def test_a_revoke_on_one_stops_the_running_calls_of_both(pair: Pair) -> None:
    given = grant(pair, 0)
    assert pair.grants(1) == [given]
    with running(pair, 0, 1) as calls:
        pair.terminal(0, lambda sandbox: sandbox.revoke(given))
        revoked = time.monotonic()
        assert [code(call.result(SECONDS)) for call in calls] == ["revoked", "revoked"]
        assert time.monotonic() - revoked < 5
    assert pair.grants(1) == []
    assert "result" in pair.call(1, 1)


def test_what_is_stopped_on_one_is_stopped_on_both(pair: Pair) -> None:
    with running(pair, 1) as (call,):
        pair.terminal(0, lambda sandbox: sandbox.stop_calls(reason="it runs wild"))
        stopped = time.monotonic()
        assert call.result(SECONDS)["result"]["isError"] is True
        assert time.monotonic() - stopped < 5
    assert pair.call(1, 1)["result"]["isError"] is True
    pair.terminal(1, lambda sandbox: sandbox.resume_calls())
    assert not pair.call(0, 1)["result"].get("isError")


def test_a_lost_server_denies_every_call_and_says_so_and_then_stops_what_runs(pair: Pair) -> None:
    grant(pair, 0)
    with running(pair, 1) as (call,):
        pair.redis.pause()
        try:
            began = time.monotonic()
            for side in (0, 1):
                refused = pair.call(side, 1)
                assert code(refused) == "unavailable"
                assert "cannot reach its state" in json.dumps(refused)
                assert f"the state server `{pair.redis.url}/0` does not answer" in pair.told(side)
                denied = [json.loads(line) for line in pair.records(side).splitlines() if '"access_denied"' in line][-1]
                assert (denied["tool"], denied["code"]) == (TOOL, "unavailable")
            assert time.monotonic() - began < 15, "nobody waits long for a server that is lost"
            assert code(call.result(SECONDS)) == "revoked"
        finally:
            pair.redis.resume()
    time.sleep(1)
    assert "error" not in pair.call(1, 1)
    assert pair.grants(0)


def test_the_password_is_nowhere(pair: Pair) -> None:
    """On no disk, in nothing that was told."""
    files = [path for path in pair.folder.rglob("*") if path.is_file()]
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]
