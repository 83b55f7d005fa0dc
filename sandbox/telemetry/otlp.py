"""Spans and records as OpenTelemetry's protocol spells them: OTLP, as protobuf.

Decides which of its fields say what; pure. Imported only where something is sent: what it needs comes with the extra `otel`.

Rules: a record goes out as it was written, redacted and cut, field by field; what it holds inside a field is JSON.

Source: opentelemetry-proto 1; the log data model's mapping of severities; the semantic conventions for MCP and for resources.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib import metadata
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from sandbox.telemetry.spans import Span

_SEVERITIES = {"info": (9, "INFO"), "warning": (13, "WARN"), "error": (17, "ERROR"), "critical": (21, "FATAL")}
_SAMPLED, _HAS_IS_REMOTE, _IS_REMOTE = 0x1, 0x100, 0x200
_PLACED = frozenset({"time", "severity", "trace_id", "event"})
"""What of a record has a place of its own in a log record."""


def spans_to_otlp(spans: Iterable[Span]) -> bytes:
    """A request that tells a collector of spans."""
    scoped = trace_pb2.ScopeSpans(scope=_scope(), spans=[_span(span) for span in spans])
    resource = trace_pb2.ResourceSpans(resource=_resource(), scope_spans=[scoped])
    return bytes(ExportTraceServiceRequest(resource_spans=[resource]).SerializeToString())


def records_to_otlp(records: Iterable[Mapping[str, Any]]) -> bytes:
    """A request that tells a collector of records of the audit."""
    scoped = ScopeLogs(scope=_scope(), log_records=[_record(record) for record in records])
    resource = ResourceLogs(resource=_resource(), scope_logs=[scoped])
    return bytes(ExportLogsServiceRequest(resource_logs=[resource]).SerializeToString())


def _span(span: Span) -> trace_pb2.Span:
    failed = trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_ERROR)
    told = span.attributes if span.error is None else {**span.attributes, "error.type": span.error}
    # A parent of the call's own span is the client's; of every other, ours.
    remote = _IS_REMOTE if span.parent_id and span.kind.name == "SERVER" else 0
    return trace_pb2.Span(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_id),
        trace_state=span.state,
        flags=_SAMPLED | _HAS_IS_REMOTE | remote,
        name=span.name,
        kind=trace_pb2.Span.SpanKind.ValueType(span.kind.value),
        start_time_unix_nano=span.began_ns,
        end_time_unix_nano=span.ended_ns,
        attributes=_attributes(told),
        status=None if span.error is None else failed,
    )


def _record(record: Mapping[str, Any]) -> LogRecord:
    number, word = _SEVERITIES.get(str(record.get("severity")), (0, ""))
    event, trace_id = str(record.get("event") or ""), record.get("trace_id")
    rest = {f"sandbox.{name}": value for name, value in sorted(record.items()) if name not in _PLACED and value not in _EMPTY}
    return LogRecord(
        time_unix_nano=_nanoseconds(record.get("time")),
        observed_time_unix_nano=time.time_ns(),
        severity_number=number,  # type: ignore[arg-type] # an enumeration's number is one
        severity_text=word,
        body=AnyValue(string_value=str(record.get("reason") or event)),
        event_name=f"sandbox.{event}",
        attributes=_attributes(rest),
        trace_id=bytes.fromhex(trace_id) if isinstance(trace_id, str) else b"",
    )


_EMPTY: tuple[object, ...] = (None, "", [], {})


def _nanoseconds(told: object) -> int:
    """A record's time, RFC 3339, since 1970."""
    if not isinstance(told, str):
        return 0
    moment = datetime.fromisoformat(told)
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000


def _attributes(told: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in told.items()]


def _value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=value if isinstance(value, str) else json.dumps(value, sort_keys=True))


def _scope() -> InstrumentationScope:
    return InstrumentationScope(name="sandbox", version=metadata.version("sandbox"))


def _resource() -> Resource:
    # No host's name, no process's number: what a collector knows of this machine, it knows from where it hears it.
    return Resource(attributes=_attributes({"service.name": "sandbox", "service.version": metadata.version("sandbox")}))
