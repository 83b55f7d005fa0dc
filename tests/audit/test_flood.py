"""A flood of refusals becomes summaries: the disk is bounded, nothing that was allowed is lost, the chain holds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.audit import AuditLog, Event, EventType, Keys, Redactor, Terms, records, verify
from sandbox.audit.flood import BURST, MAX_SUBJECTS, MOST, WITHIN_S
from sandbox.errors import HostUnavailable

KEYS = Keys(b"m" * 32, lambda: b"l" * 32)


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> Iterator[AuditLog]:
    log = AuditLog(tmp_path / "audit", clock=clock, source="test", keys=KEYS)
    yield log
    log.close()


def refuse(log: AuditLog, subject: str = "mallory", tool: str = "a__b") -> None:
    event = Event(EventType.ACCESS_DENIED, "0" * 32, subject=subject, tool=tool, decision="deny", code="permission_denied")
    log.refused(event, Redactor())


def allow(log: AuditLog) -> None:
    log.append(Event(EventType.TOOL_INVOKE, "1" * 32, subject="ann", decision="allow"), Redactor())


def told(log: AuditLog) -> tuple[int, int, int]:
    """Refusals that stand for themselves, those in summaries, and summaries."""
    found = [one for one in records(log.folder, KEYS) if one["event"] == "access_denied"]
    summaries = [one["detail"]["flood"]["refusals"] for one in found if "flood" in one["detail"]]
    return len(found) - len(summaries), sum(summaries), len(summaries)


def flood(log: AuditLog, clock: Clock, refusals: int) -> None:
    """Refusals at many times of their rate, with an allowed call among every ten thousand."""
    dice = random.Random(7)
    for number in range(refusals):
        clock.now += 0.001
        refuse(log, tool=f"a__{dice.randrange(50)}")
        if number % 10_000 == 0:
            allow(log)
    log.close()
    singly, counted, summaries = told(log)
    assert singly + counted == refusals, "each of them is told of"
    assert singly < BURST + refusals * 0.001
    assert summaries <= refusals / MOST + refusals * 0.001 / WITHIN_S + 1
    found = [one for one in records(log.folder, KEYS) if one["event"] == "tool_invoke"]
    assert len(found) == -(-refusals // 10_000), "no loss of what was allowed"
    size = sum(path.stat().st_size for path in log.folder.glob("*.jsonl"))
    assert size < 200_000 + refusals * 5
    assert verify(log.folder, KEYS).fault is None
    assert log.tally.events["access_denied"] == refusals, "the figures count each of them"


def test_a_flood_of_refusals_is_told_in_summaries(log: AuditLog, clock: Clock) -> None:
    flood(log, clock, 15_000)


@pytest.mark.soak
def test_a_million_refusals_on_an_encrypted_record(log: AuditLog, clock: Clock) -> None:
    log.hold(Terms(encrypt=True))
    flood(log, clock, 1_000_000)


def test_refusals_now_and_then_stand_for_themselves(log: AuditLog, clock: Clock) -> None:
    for _ in range(3 * BURST):
        clock.now += 6
        refuse(log)
    assert told(log) == (3 * BURST, 0, 0)


def test_one_subject_s_flood_hides_no_refusal_of_another(log: AuditLog) -> None:
    for _ in range(BURST + 50):
        refuse(log)
    refuse(log, "ann")
    assert [one["subject"] for one in records(log.folder, KEYS)][-1] == "ann"


def test_many_subjects_share_what_one_has(log: AuditLog) -> None:
    for number in range(MAX_SUBJECTS + 3 * BURST):
        refuse(log, f"s{number}")
    assert told(log)[0] == MAX_SUBJECTS + BURST


def test_what_was_counted_is_said_when_its_time_is_over(log: AuditLog, clock: Clock) -> None:
    """By whatever is recorded next, before it."""
    for _ in range(BURST + 7):
        refuse(log)
    clock.now += WITHIN_S
    allow(log)
    *_, summary, allowed = records(log.folder, KEYS)
    assert allowed["event"] == "tool_invoke"
    (of,) = summary["detail"]["flood"]["of"]
    assert (of["subject"], of["tool"], of["code"], of["refusals"]) == ("mallory", "a__b", "permission_denied", 7)
    assert summary["decision"] is None, "nothing that `replay` could ask again"
    assert summary["reason"].startswith("7 more calls were refused since 2027-01-15T08:00:00")


def test_what_was_counted_is_not_forgotten_where_it_cannot_be_said(log: AuditLog, clock: Clock) -> None:
    for _ in range(BURST + 7):
        refuse(log)
    clock.now += WITHIN_S
    elsewhere = log.folder.with_name("elsewhere")
    log.folder.rename(elsewhere)
    with pytest.raises(HostUnavailable):
        allow(log)
    elsewhere.rename(log.folder)
    allow(log)
    assert told(log) == (BURST, 7, 1)
