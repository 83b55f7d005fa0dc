"""Measure calls of one tool through MCP on standard input and output.

    python -m benchmarks.stdio FILE.wasm --policy FILE --tool NAME --arguments '{"path": "/"}'

Measured with a raw client (two blocking pipes, so that the client's own cost stays small), in both protocol eras,
and with the SDK's client: start to first tool list and first call, calls one after another (p50, p99), and 32 in flight.
Without `--tool` the first tool of the list is called. `--server` measures any other MCP server by its command line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import IO, Any

from mcp import Client, StdioServerParameters

INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}
MODERN = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
    }
}


class RawClient:
    """Requests and answers as lines of JSON on two blocking pipes: what a client costs at least."""

    def __init__(self, command: Sequence[str], *, modern: bool) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._envelope = MODERN if modern else {}
        self._next = 0
        if not modern:
            self.ask("initialize", INITIALIZE)
            self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """One request and its result."""
        self.send(method, params)
        return self.receive()[1]

    def send(self, method: str, params: dict[str, Any]) -> int:
        """Write one request; its id."""
        self._next += 1
        self._write({"jsonrpc": "2.0", "id": self._next, "method": method, "params": {**params, **self._envelope}})
        return self._next

    def receive(self) -> tuple[int, dict[str, Any]]:
        """The next answer: its id and result."""
        while True:
            answer = json.loads(self._pipe(self._process.stdout).readline() or "{}")
            if not answer or "error" in answer or answer.get("result", {}).get("isError"):
                raise SystemExit(f"the call failed: {json.dumps(answer)[:1000]}")
            if "id" in answer:
                return answer["id"], answer["result"]

    def close(self) -> None:
        """End the server by ending its input; one that does not notice is killed."""
        self._pipe(self._process.stdin).close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _write(self, message: dict[str, Any]) -> None:
        pipe = self._pipe(self._process.stdin)
        pipe.write(json.dumps(message).encode() + b"\n")
        pipe.flush()

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe


def measure_raw(options: argparse.Namespace, *, modern: bool) -> dict[str, Any]:
    """Everything with the raw client, in one era."""
    begun = time.perf_counter()
    client = RawClient(options.command, modern=modern)
    tools = client.ask("tools/list", {})["tools"]
    listed = time.perf_counter() - begun
    params = {"name": options.tool or tools[0]["name"], "arguments": options.arguments}
    client.ask("tools/call", params)
    called = time.perf_counter() - begun
    took = []
    for _ in range(options.calls):
        begun = time.perf_counter()
        client.ask("tools/call", params)
        took.append(time.perf_counter() - begun)
    many = _in_flight(client, params, options.calls, options.in_flight)
    client.close()
    return _report(listed, called, took, many, options)


def _in_flight(client: RawClient, params: dict[str, Any], count: int, in_flight: int) -> tuple[float, list[float]]:
    """The whole time and each call's, with `in_flight` calls waiting at any time."""
    begun = time.perf_counter()
    sent = {client.send("tools/call", params): time.perf_counter() for _ in range(in_flight)}
    took = []
    for number in range(count):
        answered, _ = client.receive()
        took.append(time.perf_counter() - sent.pop(answered))
        if number < count - in_flight:
            sent[client.send("tools/call", params)] = time.perf_counter()
    return time.perf_counter() - begun, took


def _report(
    listed: float, called: float, took: list[float], many: tuple[float, list[float]], options: argparse.Namespace
) -> dict[str, Any]:
    whole, each = many
    return {
        "start": {"first_list_ms": _ms(listed), "first_call_ms": _ms(called)},
        "sequential": {"p50_ms": _ms(statistics.median(took)), "p99_ms": _ms(statistics.quantiles(took, n=100)[98])},
        f"in_flight_{options.in_flight}": {"calls_per_s": round(len(each) / whole), "p50_ms": _ms(statistics.median(each))},
    }


async def measure_sdk(options: argparse.Namespace, mode: Any) -> dict[str, Any]:
    """The same with the SDK's client."""
    begun = time.perf_counter()
    async with Client(StdioServerParameters(command=options.command[0], args=options.command[1:]), mode=mode) as client:
        name = options.tool or (await client.list_tools()).tools[0].name
        listed = time.perf_counter() - begun

        async def call() -> float:
            begun = time.perf_counter()
            result = await client.call_tool(name, options.arguments)
            if result.is_error:
                raise SystemExit(f"the call failed: {result.content}")
            return time.perf_counter() - begun

        await call()
        called = time.perf_counter() - begun
        took = [await call() for _ in range(options.calls)]
        left = iter(range(options.calls))

        async def caller() -> list[float]:
            return [await call() for _ in left]

        begun = time.perf_counter()
        each = await asyncio.gather(*(caller() for _ in range(options.in_flight)))
        many = time.perf_counter() - begun, [one for some in each for one in some]
    return _report(listed, called, took, many, options)


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 3)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("component", nargs="?", help="the component to serve")
    parser.add_argument("--policy", help="its policy: a file or a name")
    parser.add_argument("--server", help="the command line of another MCP server, in place of this one")
    parser.add_argument("--tool", help="the tool to call (default: the first one)")
    parser.add_argument("--arguments", type=json.loads, default={}, help="its arguments, as JSON")
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--home", help="the host's folder; a warm compile cache makes the start fast")
    parser.add_argument("--only", choices=["legacy", "modern", "sdk"], action="append")
    options = parser.parse_args()
    if options.server:
        options.command = shlex.split(options.server)
    elif options.component and options.policy:
        options.command = [sys.executable, "-m", "sandbox", "run", options.component, "--policy", options.policy]
        options.command += ["--home", options.home] if options.home else []
    else:
        parser.error("a component with --policy, or --server")
    return options


async def main() -> None:
    """Measure and print one JSON document."""
    options = _options()
    only = set(options.only or ("legacy", "modern", "sdk"))
    report: dict[str, Any] = {"command": options.command, "calls": options.calls}
    if "legacy" in only:
        report["raw 2025-11-25"] = measure_raw(options, modern=False)
    if "modern" in only:
        report["raw 2026-07-28"] = measure_raw(options, modern=True)
    if "sdk" in only:
        report["sdk legacy"] = await measure_sdk(options, "legacy")
        report["sdk auto"] = await measure_sdk(options, "auto")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    asyncio.run(main())
