"""What a line holds: bounded, escaped, without secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.audit import AuditLog, Event, EventType, Redactor, records
from sandbox.audit.record import GENESIS, NAMED, PRINTED, TOLD, Link, cut, spell
from sandbox.redaction.redact import SMALL_ITEMS, SMALL_TEXT

CANARY = "canary-7f3a9c51e2"
KEY = "sk-ant-api03-" + "aB3dE5gH7jK9mN1pQ3sT5vW7xY9z"


def one(tmp_path: Path, event: Event, redactor: Redactor | None = None) -> tuple[bytes, dict[str, object]]:
    log = AuditLog(tmp_path / "audit", clock=lambda: 1_800_000_000.25, source="test")
    log.append(event, redactor or Redactor([("CANARY_TOKEN", CANARY)]))
    log.close()
    (path,) = log.folder.glob("*.jsonl")
    return path.read_bytes(), next(records(log.folder))


def test_no_secret_reaches_the_file_whichever_field_somebody_wrote_it_into(tmp_path: Path) -> None:
    told = Event(
        EventType.TOOL_FAILURE,
        "0" * 32,
        subject=f"Bearer {KEY}",
        session=CANARY,
        component=KEY,
        tool=CANARY,
        arguments={CANARY: [KEY, {"password": "hunter2"}]},
        reason=CANARY,
        denials=({"path": f"/x/{CANARY}", "url": f"https://u:{CANARY}@h/?q={KEY}"},),
        stdout=f"line\n{KEY}\n",
        stderr=CANARY,
        detail={"y": CANARY},
    )
    line, record = one(tmp_path, told)
    for secret in (CANARY, KEY, "hunter2", KEY[15:]):
        assert secret.encode() not in line
    hidden = record["redactions"]
    assert isinstance(hidden, list)
    assert {"ANTHROPIC_API_KEY", "CANARY_TOKEN", "PASSWORD"} <= set(hidden)


def test_half_a_secret_at_the_cut_is_not_kept(tmp_path: Path) -> None:
    """The text is cut in the middle of a credential, at each of many offsets."""
    for offset in range(0, 60, 3):
        filler = "x" * 40 + " "
        text = (filler * 4000)[: (64 << 10) + 1024 - 8 - offset] + " " + KEY + " " + CANARY + "y" * 4096
        line, record = one(tmp_path / str(offset), Event(EventType.TOOL_SUCCESS, "0" * 32, stdout=text))
        assert KEY[:20].encode() not in line
        assert CANARY[:10].encode() not in line
        assert str(record["stdout"]).endswith("[CUT]")


def test_guest_text_is_one_escaped_line(tmp_path: Path) -> None:
    hostile = '"}\n{"seq":1}\r\n\x1b[31m\u202e\u2028\ud800\x00\U000e0041'
    line, record = one(
        tmp_path, Event(EventType.TOOL_SUCCESS, "0" * 32, stdout=hostile, tool=hostile, arguments={hostile: hostile})
    )
    assert line.count(b"\n") == 1
    assert all(byte == 0x0A or 0x20 <= byte < 0x7F for byte in line)
    assert record["stdout"] == hostile
    assert record["seq"] == 1


def test_a_record_is_bounded_whatever_it_was_told(tmp_path: Path) -> None:
    wide = {str(number): "v" * 100 for number in range(100_000)}
    deep: object = 1
    for _ in range(5_000):
        deep = [deep]
    event = Event(
        EventType.TOOL_FAILURE,
        "0" * 32,
        tool="t" * 10**6,
        arguments={"wide": wide, "deep": deep, "long": "z" * 10**7},
        denials=({"path": "p" * 10**6},) * 1000,
        stdout="o" * 10**6,
        detail={"nan": float("nan")},
    )
    line, record = one(tmp_path, event)
    assert len(line) < 256 << 10
    assert json.loads(line) == record


def test_every_field_is_there_and_the_time_is_utc(tmp_path: Path) -> None:
    _, record = one(tmp_path, Event(EventType.TOOL_INVOKE, "ab" * 16, arguments={"b": 1, "a": "x"}, arguments_digest="d" * 64))
    assert record["time"] == "2027-01-15T08:00:00.250000Z"
    assert {"seq", "prev", "time", "audit_id", "event", "severity", "subject", "session", "component", "digest", "tool"} <= set(
        record
    )
    assert {"rules", "grants", "arguments", "arguments_digest", "decision", "ending", "denials", "usage"} <= set(record)
    assert {"duration_ms", "source", "redactions", "generation"} <= set(record)
    assert record["arguments"] == {"a": "x", "b": 1}


def test_a_typical_record_is_small(tmp_path: Path) -> None:
    line, _ = one(tmp_path, Event(EventType.TOOL_INVOKE, "ab" * 16, tool="files__read", arguments={"path": "/data/a.txt"}))
    assert len(line) < 1024


def test_what_is_small_is_below_every_bound() -> None:
    """What is not looked at in the long way is not cut either."""
    small = {f"{number:0{SMALL_TEXT}}": "x " * (SMALL_TEXT // 2) for number in range(SMALL_ITEMS)}
    assert cut(small, TOLD) == (small, True)
    assert cut("x" * SMALL_TEXT, NAMED) == ("x" * SMALL_TEXT, True)
    assert NAMED <= TOLD <= PRINTED


@pytest.mark.parametrize(
    "value",
    ["plain", "caf\u00e9", "\x7f", "\x1b[31m", "\u2028\u202e", "\U000e0041", "\ud800", 2**70, -(2**63), 0.1, 1e300, None, True],
)
def test_a_line_is_printable_ascii_in_one_form_whatever_the_value(value: object) -> None:
    line = spell({"b": value, "a": {"z": [value], "y": 1}}, Link(7, GENESIS))
    assert line.endswith(b"}\n")
    assert all(32 <= byte < 127 for byte in line[:-1])
    assert json.loads(line) == {"a": {"y": 1, "z": [value]}, "b": value, "prev": GENESIS, "seq": 7}
    assert [key for key, _ in json.loads(line, object_pairs_hook=list)] == ["a", "b", "prev", "seq"]
