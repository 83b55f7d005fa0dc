"""What is sent to a collector, and what is given up: nobody waits for either."""

from __future__ import annotations

import logging
import socket
import sys
import time
from pathlib import Path

import pytest

from sandbox.config.telemetry import Collector
from sandbox.errors import HostUnavailable
from sandbox.state.secrets import SecretStore
from sandbox.telemetry import sending
from sandbox.telemetry.sending import QUEUE, Sender
from sandbox.telemetry.spans import MAX_SPANS, Span, Trace, trace_here, traced
from sandbox.tracing import Tracing, export_records
from tests.support.collector import attributes, collecting

RECORD = {
    "time": "2026-03-04T05:06:07.089000Z",
    "severity": "critical",
    "event": "security_alert",
    "reason": "the record's end is not as it was left",
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "seq": 7,
    "detail": {"head": 3},
    "usage": {},
    "subject": None,
}


def secrets(folder: Path) -> SecretStore:
    return SecretStore(folder, folder / "key")


def span() -> Span:
    (found,) = Trace(None).ended("tools/call", {}, None)
    return found


def no_headers() -> dict[str, str]:
    return {}


def dead() -> str:
    """The address of nobody."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_collector_that_is_dead_is_told_of_once_and_every_loss_is_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sending, "PAUSE_S", 0.0)
    monkeypatch.setattr(sending, "BATCH", 1)
    sender = Sender(dead(), no_headers)
    with caplog.at_level(logging.WARNING, "sandbox"):
        sender.spans([span() for _ in range(3)])
        sender.close()
    assert (sender.counts.lost["spans"], sender.counts.sent["spans"]) == (3, 0)
    assert len([line for line in caplog.messages if line.startswith("telemetry: 1 spans were given up so far")]) == 1
    assert len(caplog.messages) == 1


def test_what_finds_the_queue_full_is_given_up_and_nobody_waits() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sender = Sender(f"http://127.0.0.1:{silent.getsockname()[1]}", no_headers)
        began = time.monotonic()
        for _ in range(3 * QUEUE):
            sender.record(RECORD)
        assert time.monotonic() - began < sending.TIMEOUT_S
        assert sender.counts.lost["records"] >= QUEUE


def test_a_collector_that_is_busy_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PAUSE_S", 0.01)
    with collecting() as collector:
        collector.status = 503
        sender = Sender(collector.url, no_headers)
        sender.spans([span()])
        collector.until(lambda: collector.requests)
        collector.status = 200
        sender.close()
    assert (sender.counts.sent["spans"], len(collector.spans)) == (1, 1)


def test_no_redirect_and_no_proxy_of_the_environment_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as elsewhere, collecting() as collector:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "OTEL_EXPORTER_OTLP_ENDPOINT"):
            monkeypatch.setenv(name, elsewhere.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-inherited=yes")
        collector.status = 307
        collector.location = elsewhere.url
        sender = Sender(collector.url, no_headers)
        sender.spans([span()])
        sender.close()
    assert sender.counts.lost["spans"] == 1
    assert not elsewhere.requests
    assert not [request for request in collector.requests if "x-inherited" in request]


def test_records_are_exported_as_logs_with_their_severity_time_and_trace(tmp_path: Path) -> None:
    with collecting() as collector:
        assert export_records([RECORD] * 700, Collector(collector.url), secrets(tmp_path)) == 700
    assert [request["path"] for request in collector.requests] == ["/v1/logs"] * 2
    first = collector.records[0]
    assert (first.severity_number, first.severity_text, first.event_name) == (21, "FATAL", "sandbox.security_alert")
    assert first.time_unix_nano == 1_772_600_767_089_000_000
    assert first.trace_id.hex() == RECORD["trace_id"]
    assert first.body.string_value == RECORD["reason"]
    assert attributes(first) == {"sandbox.seq": 7, "sandbox.detail": '{"head": 3}', "sandbox.reason": RECORD["reason"]}


def test_an_export_that_a_collector_refuses_fails(tmp_path: Path) -> None:
    with collecting() as collector:
        collector.status = 401
        with pytest.raises(HostUnavailable, match="it answers 401"):
            export_records([RECORD], Collector(collector.url), secrets(tmp_path))


def test_a_header_whose_secret_is_not_set_is_not_left_out(tmp_path: Path) -> None:
    with collecting() as collector:
        with pytest.raises(HostUnavailable, match="the secret `otlp` is not set"):
            export_records([RECORD], Collector(collector.url, (("authorization", "otlp"),)), secrets(tmp_path))
        assert not collector.requests


def test_without_what_otlp_is_spelled_with_a_configured_collector_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sandbox.telemetry.sending", "sandbox.telemetry.otlp"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.logs.v1.logs_service_pb2", None)
    with pytest.raises(HostUnavailable, match="is not installed") as refused:
        Tracing(Collector("http://127.0.0.1:4318"), secrets(tmp_path))
    assert refused.value.help is not None
    assert "sandbox[otel]" in refused.value.help


def test_a_call_tells_so_many_spans_and_no_more() -> None:
    trace = Trace(None)
    assert trace_here() is None
    with traced(trace):
        assert trace_here() is trace
        for _ in range(MAX_SPANS + 5):
            trace.passed("GET", 0.001)
    assert trace_here() is None
    call, *below = trace.ended("tools/call", {}, "cancelled")
    assert len(below) == MAX_SPANS
    assert {each.parent_id for each in below} == {call.span_id}
    assert (call.parent_id, call.error) == ("", "cancelled")
