"""A collector of OpenTelemetry's on loopback: an HTTP server that decodes what it is sent, and keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SECONDS = 20.0


@dataclass
class Collector:
    """What came, as it was decoded; `status` is what it answers from now on."""

    url: str = ""
    status: int = 200
    location: str | None = None
    spans: list[Span] = field(default_factory=list)
    records: list[LogRecord] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    """The heads of the requests, with their path."""
    bodies: list[bytes] = field(default_factory=list)
    came: Condition = field(default_factory=Condition)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """One request of an exporter."""
        with self.came:
            self.requests.append({"path": path, **headers})
            self.bodies.append(body)
            if self.status == 200 and path == "/v1/traces":
                for told in ExportTraceServiceRequest.FromString(body).resource_spans:
                    self.spans += [span for scoped in told.scope_spans for span in scoped.spans]
            elif self.status == 200 and path == "/v1/logs":
                for said in ExportLogsServiceRequest.FromString(body).resource_logs:
                    self.records += [record for scoped in said.scope_logs for record in scoped.log_records]
            self.came.notify_all()
            return self.status

    def trace(self, trace_id: str) -> dict[str, Span]:
        """The spans of a trace by their names, once its server's span has come, which is sent with the others."""
        wanted = bytes.fromhex(trace_id)

        def whole() -> bool:
            return any(span.trace_id == wanted and span.kind == Span.SPAN_KIND_SERVER for span in self.spans)

        self.until(whole)
        return {span.name: span for span in self.spans if span.trace_id == wanted}

    def until(self, true: Any) -> None:
        """Wait until something is true of what came."""
        with self.came:
            assert self.came.wait_for(true, SECONDS), f"{len(self.requests)} requests came"


def attributes(told: Any) -> dict[str, Any]:
    """The attributes of a span or a record."""
    pairs: list[KeyValue] = list(told.attributes)
    return {pair.key: _plain(pair.value) for pair in pairs}


def _plain(value: AnyValue) -> Any:
    return getattr(value, str(value.WhichOneof("value")))


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = collector.take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(status)
            self.send_header("content-length", "0")
            if collector.location is not None:
                self.send_header("location", f"{collector.location}{self.path}")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
