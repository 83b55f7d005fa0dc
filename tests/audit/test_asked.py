"""Who asked, on record: what the edge vouches for, and what a caller says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.admission import CallRequest, Subject, new_request_id
from sandbox.audit import AuditLog, Event, EventType, Redactor, records
from sandbox.audit.asked import asked
from sandbox.audit.record import NAMED
from sandbox.telemetry.context import trace_id_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "text", [None, 7, "", TRACE, f"00-{'0' * 32}-00f067aa0ba902b7-01", PARENT.upper(), f"{PARENT}\n", f"{PARENT}-{'x' * 400}"]
)
def test_what_is_no_trace_is_not_recorded_as_one(text: object) -> None:
    assert trace_id_of(text) is None


def test_a_request_is_recorded_with_who_where_and_in_which_trace(tmp_path: Path) -> None:
    metadata = {"address": "192.0.2.7", "user_agent": "agent/1 sk-ant-api03-" + "aB3dE5gH7j" * 4, "trace": PARENT, "other": "x"}
    request = CallRequest(new_request_id(), Subject("ann", tenant="acme"), "a__b", metadata=metadata)
    log = AuditLog(tmp_path / "audit", clock=lambda: 1_800_000_000.0, source="test")
    log.append(Event(EventType.TOOL_INVOKE, **asked(request)), Redactor())
    log.append(Event(EventType.TOOL_INVOKE, **asked(CallRequest(new_request_id(), Subject("bob")))), Redactor())
    log.close()
    told, silent = records(log.folder)
    assert (told["subject"], told["tenant"], told["address"], told["trace_id"]) == ("ann", "acme", "192.0.2.7", TRACE)
    assert told["user_agent"].startswith("agent/1 [REDACTED")
    assert "x" not in told.values()
    assert {silent[name] for name in ("tenant", "address", "user_agent", "trace_id")} == {None}


def test_what_a_caller_says_of_itself_is_bounded(tmp_path: Path) -> None:
    request = CallRequest(new_request_id(), Subject("ann"), metadata={"user_agent": "u " * 10**6, "address": 7})
    log = AuditLog(tmp_path / "audit", clock=lambda: 1_800_000_000.0, source="test")
    log.append(Event(EventType.TOOL_INVOKE, **asked(request)), Redactor())
    log.close()
    (told,) = records(log.folder)
    assert len(told["user_agent"]) < 2 * NAMED + 1024
    assert told["address"] is None
