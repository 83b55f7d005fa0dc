"""Questions to the record: who, what, when, how it ended; by pages that stay good while it grows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.audit import AuditLog, Event, EventType, Redactor
from sandbox.audit.query import MOST, AuditPage, AuditQuery, ask, every
from sandbox.errors import SandboxError

DAY = 86_400.0
NOON = 1_800_014_400.0


class Clock:
    now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> Iterator[AuditLog]:
    log = AuditLog(tmp_path / "audit", clock=clock, source="test")
    yield log
    log.close()


def write(log: AuditLog, number: int, **told: Any) -> None:
    kind = told.pop("type", EventType.TOOL_SUCCESS)
    log.append(Event(kind, f"{number:032x}", **told), Redactor())


def ids(page: AuditPage) -> list[int]:
    return [int(record["audit_id"], 16) for record in page.records]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"subject": "ann"}, [3, 1]),
        ({"subject": "an"}, []),
        ({"tenant": "acme"}, [2, 1]),
        ({"component": "mail"}, [2]),
        ({"tool": "mail__send"}, [2]),
        ({"type": "access_denied"}, [3]),
        ({"outcome": "deny"}, [3]),
        ({"outcome": "trapped"}, [2]),
        ({"outcome": "permission_denied"}, [3]),
        ({"outcome": "mail"}, []),
        ({"session": "s1"}, [1]),
        ({"trace": "ab" * 16}, [2]),
        ({"audit_id": f"{3:032x}"}, [3]),
        ({"min_cost_micros": 500}, [2]),
        ({"min_cost_micros": 100}, [2, 1]),
        ({"subject": "ann", "tenant": "acme"}, [1]),
        ({"subject": "zo\u00eb"}, [4]),
        ({"since": NOON + DAY}, [4, 3]),
        ({"until": NOON + DAY}, [2, 1]),
        ({"since": NOON + 60, "until": NOON + 2 * DAY}, [3, 2]),
        ({"oldest_first": True}, [1, 2, 3, 4]),
    ],
)
def test_a_question_is_answered_with_what_fits_and_nothing_else(
    log: AuditLog, clock: Clock, asked: dict[str, Any], found: list[int]
) -> None:
    write(log, 1, subject="ann", tenant="acme", session="s1", usage={"cost_micros": 100}, arguments={"subject": "bob"})
    clock.now += 60
    told = {"component": "mail", "tool": "mail__send", "ending": "trapped", "trace_id": "ab" * 16}
    write(log, 2, subject="bob", tenant="acme", usage={"cost_micros": 500}, arguments={"x": '"subject":"ann"'}, **told)
    clock.now = NOON + DAY
    write(log, 3, type=EventType.ACCESS_DENIED, subject="ann", decision="deny", code="permission_denied")
    clock.now = NOON + 2 * DAY
    write(log, 4, subject="zo\u00eb", component=None)
    assert ids(ask(log.folder, AuditQuery(**asked))) == found
    assert [record["audit_id"] for record in every(log.folder, AuditQuery(**asked))] == [f"{one:032x}" for one in found]


@pytest.mark.parametrize("oldest_first", [False, True])
def test_pages_give_each_record_once_though_the_record_grows(log: AuditLog, clock: Clock, oldest_first: bool) -> None:
    for number in range(7):
        clock.now += DAY / 3
        write(log, number, subject="ann")
    seen, after = [], None
    while True:
        page = ask(log.folder, AuditQuery(subject="ann", limit=2, after=after, oldest_first=oldest_first))
        seen += ids(page)
        if (after := page.after) is None:
            break
        write(log, 100 + len(seen), subject="bob" if oldest_first else "ann")
    assert seen == (list(range(7)) if oldest_first else list(range(6, -1, -1)))


def test_a_page_ends_where_enough_was_looked_at(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        write(log, number, subject="ann" if number == 0 else "bob")
    monkeypatch.setattr("sandbox.audit.query.LOOKED_AT", 4_000)
    pages: list[list[int]] = []
    after = None
    while not pages or after is not None:
        page = ask(log.folder, AuditQuery(subject="ann", after=after))
        pages.append(ids(page))
        after = page.after
    assert pages[0] == []
    assert len(pages) > 2
    assert [one for page in pages for one in page] == [0]


@pytest.mark.parametrize("cursor", ["", "x", "2027-01-15", "2027-01-15.-1", "../etc.0", "2027-01-15.1", "2027-01-15.0\n"])
def test_what_is_no_cursor_is_refused(log: AuditLog, cursor: str) -> None:
    write(log, 1)
    with pytest.raises(SandboxError, match="no place in the record"):
        ask(log.folder, AuditQuery(after=cursor, oldest_first=True))


@pytest.mark.parametrize("limit", [0, MOST + 1])
def test_a_page_has_its_bounds(limit: int) -> None:
    with pytest.raises(SandboxError, match="a page has"):
        AuditQuery(limit=limit)


def test_a_line_that_is_none_is_passed_over(log: AuditLog) -> None:
    write(log, 1)
    (path,) = log.folder.glob("*.jsonl")
    with path.open("ab") as file:
        file.write(b'[1]\nnot json\n{"half":')
    assert ids(ask(log.folder, AuditQuery())) == [1]


@pytest.mark.soak
def test_a_hundred_thousand_records_are_asked_in_bounded_time(log: AuditLog) -> None:
    for number in range(100_000):
        write(log, number, subject="ann" if number % 1000 == 0 else "bob", arguments={"text": "what a tool was given"})
    begun = time.process_time()
    found = len(list(every(log.folder, AuditQuery(subject="ann"))))
    assert found == 100
    assert time.process_time() - begun < 30
