"""Traces and records on their way to a collector: a real server, a real MCP client with a trace of its own, a real collector."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from mcp import Client
from opentelemetry import context, trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.attacks.stage import CANARY, policy
from tests.host.gateway import upstream
from tests.support.collector import Collector, attributes, collecting
from tests.support.guests import guest
from tests.support.serving import SECONDS, program

pytestmark = pytest.mark.asyncio(loop_scope="module")
SECRET = "Bearer of-this-collector-9f31"
LOOPBACK = "cidr: 127.0.0.0/8, ports: any, protocols: [http]"
NAME = "tools/call escape_network__request"


@dataclass(frozen=True)
class Serving:
    """A server with its collector, where it is, and a web server that its tool may reach."""

    collector: Collector
    url: str
    port: int
    home: Path

    async def traced(self, tool: str, arguments: dict[str, Any], *, sampled: bool = True) -> tuple[str, str, Any]:
        """Call a tool from within a span of the client's own: its trace, its id, and what came back."""
        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if sampled else 0)
        own = trace.SpanContext(secrets.randbits(128), secrets.randbits(64), is_remote=False, trace_flags=flags)
        token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(own)))
        try:
            result = await self.call(tool, arguments)
        finally:
            context.detach(token)
        return trace.format_trace_id(own.trace_id), trace.format_span_id(own.span_id), result

    async def call(self, tool: str, arguments: dict[str, Any]) -> Any:
        """Call a tool."""
        async with Client(self.url) as client:
            return await client.call_tool(tool, arguments)

    def request(self, path: str) -> dict[str, Any]:
        """A request of the tool's to the web server."""
        parts = {"method": "GET", "scheme": "http", "authority": f"127.0.0.1:{self.port}", "path": path}
        return {**parts, "headers": [], "body": ""}

    def records(self, audit_id: str) -> list[dict[str, Any]]:
        """What the record says of a call."""
        lines = [line for path in sorted((self.home / "audit").glob("*.jsonl")) for line in path.read_text().splitlines()]
        return [found for line in lines if (found := json.loads(line)).get("audit_id") == audit_id]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def serving(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    folder = tmp_path_factory.mktemp("telemetry")
    home, rules, server = folder / "home", folder / "policy.yaml", upstream.start(lambda sock: _answer(sock))
    told = f"{{endpoint: '{collector.url}', headers: {{authorization: otlp/token}}, records: true}}"
    (folder / "sandbox.yaml").write_text(f"telemetry: {told}\n")
    rules.write_text(policy(network=LOOPBACK))
    rules.chmod(0o600)
    command = [program(), "secret", "set", "otlp/token", "--home", str(home)]
    subprocess.run(command, input=SECRET, text=True, check=True, timeout=SECONDS)
    with _served(home, folder / "sandbox.yaml", rules) as url:
        async with Client(url) as client:
            await client.list_tools()  # all components are loaded
        yield Serving(collector, url, server.port, home)
    server.close()


def _answer(sock: Any) -> None:
    upstream.read_head(sock)
    sock.sendall(upstream.answer(CANARY.encode()))


@contextlib.contextmanager
def _served(home: Path, configuration: Path, rules: Path, **variables: str) -> Iterator[str]:
    options = ["--policy", str(rules), "--home", str(home), "--config", str(configuration), "--port", "0", "--json"]
    command = [program(), "serve", str(guest("escape_network")), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **variables}) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


async def test_a_calls_spans_arrive_whole_below_the_clients(serving: Serving) -> None:
    trace_id, span_id, result = await serving.traced("escape_network__request", serving.request("/a?b=c"))
    spans = serving.collector.trace(trace_id)
    call = spans[NAME]
    assert set(spans) == {NAME, "admission", "queue", "worker", "GET", "audit"}
    assert (call.parent_span_id.hex(), call.kind, call.status.code) == (span_id, Span.SPAN_KIND_SERVER, Status.STATUS_CODE_UNSET)
    assert attributes(call) == {
        "mcp.method.name": "tools/call",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "escape_network__request",
    }
    for name in ("admission", "queue", "worker", "audit"):
        assert spans[name].parent_span_id == call.span_id
    assert spans["GET"].parent_span_id == spans["worker"].span_id
    assert spans["GET"].kind == Span.SPAN_KIND_CLIENT
    assert attributes(spans["GET"]) == {"http.request.method": "GET", "server.port": serving.port}
    for span in spans.values():
        assert call.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano <= call.end_time_unix_nano
    audit_id = result.meta["sandbox/request"]
    assert attributes(spans["admission"]) == {"sandbox.audit_id": audit_id, "sandbox.decision": "allow"}
    assert {record["trace_id"] for record in serving.records(audit_id)} == {trace_id}


async def test_what_went_wrong_is_the_status_of_the_spans(serving: Serving) -> None:
    broken, _, _ = await serving.traced("escape_network__request", {"method": 7})
    spans = serving.collector.trace(broken)
    assert attributes(spans[NAME])["error.type"] == "invalid_arguments"
    assert spans[NAME].status.code == Status.STATUS_CODE_ERROR


async def test_the_records_of_a_call_come_with_its_trace_as_they_were_written(serving: Serving) -> None:
    trace_id, _, result = await serving.traced("escape_network__request", serving.request("/records"))
    audit_id, collector = result.meta["sandbox/request"], serving.collector
    wanted = bytes.fromhex(trace_id)
    collector.until(lambda: sum(record.trace_id == wanted for record in collector.records) >= 2)
    came = [record for record in collector.records if record.trace_id == wanted]
    assert [record.event_name for record in came] == ["sandbox.tool_invoke", "sandbox.tool_success"]
    for record, written in zip(came, serving.records(audit_id), strict=True):
        told = attributes(record)
        assert (record.severity_number, record.severity_text) == (9, "INFO")
        assert (told["sandbox.audit_id"], told["sandbox.seq"]) == (audit_id, written["seq"])
        assert told["sandbox.component"] == written["component"] == "escape_network"


async def test_a_call_that_its_client_does_not_sample_is_not_told(serving: Serving) -> None:
    silent, _, _ = await serving.traced("escape_network__request", serving.request("/"), sampled=False)
    spoken, _, _ = await serving.traced("escape_network__request", serving.request("/"))
    assert serving.collector.trace(spoken)
    assert not [span for span in serving.collector.spans if span.trace_id == bytes.fromhex(silent)]


async def test_no_secret_and_nothing_that_a_guest_or_a_client_wrote_is_in_a_span(serving: Serving) -> None:
    """What the tool is given and what it hears; the collector's own token is in the head of each request and nowhere else."""
    asked = {**serving.request(f"/{CANARY}?{CANARY}"), "headers": [{"name": "x", "value": CANARY}], "body": CANARY}
    with contextlib.suppress(Exception):
        await serving.call(f"no_such_tool_{CANARY}", {})
    trace_id, _, _ = await serving.traced("escape_network__request", asked)
    assert serving.collector.trace(trace_id)
    assert not [span for span in serving.collector.spans if CANARY in str(span)]
    assert {request.get("authorization") for request in serving.collector.requests} == {SECRET}
    assert not [body for body in serving.collector.bodies if SECRET.encode() in body]


async def test_a_collector_that_refuses_delays_and_fails_no_call_and_is_counted(serving: Serving) -> None:
    collector = serving.collector
    collector.status = 400
    before = len(collector.requests)
    result = await serving.call("escape_network__request", serving.request("/"))
    assert not result.is_error
    collector.until(lambda: len(collector.requests) > before)
    collector.status = 200
