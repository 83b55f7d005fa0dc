"""The calendar of budgets and the rolling windows of rates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sandbox.admission.spending.periods import (
    PARTS,
    ROLLING_SPAN,
    rolling_slot,
    rolling_wait_ms,
    slot_begins_ms,
    slot_of,
)
from sandbox.config.spending import Period

MINUTE_MS = 60_000


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("period", "moment", "begins"),
    [
        (Period.MINUTE, "2026-03-29T01:59:59.999", "2026-03-29T01:59:00"),
        (Period.HOUR, "2026-03-29T01:59:59.999", "2026-03-29T01:00:00"),
        (Period.DAY, "2026-12-31T23:59:59.999", "2026-12-31T00:00:00"),
        (Period.DAY, "2027-01-01T00:00:00", "2027-01-01T00:00:00"),
        (Period.WEEK, "2026-11-22T23:59:59", "2026-11-16T00:00:00"),
        (Period.WEEK, "2026-11-23T00:00:00", "2026-11-23T00:00:00"),
        (Period.WEEK, "2027-01-02T12:00:00", "2026-12-28T00:00:00"),
        (Period.MONTH, "2028-02-29T23:59:59", "2028-02-01T00:00:00"),
        (Period.MONTH, "2026-12-31T23:59:59", "2026-12-01T00:00:00"),
        (Period.MONTH, "2027-01-01T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_a_period_begins_by_the_calendar_in_utc(period: Period, moment: str, begins: str) -> None:
    assert slot_begins_ms(period, slot_of(period, at(moment))) == at(begins)


@pytest.mark.parametrize("period", list(Period))
def test_a_slot_ends_where_the_next_begins(period: Period) -> None:
    """Over two years, hour by hour: numbers only grow, by one."""
    moment, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 3, 2, tzinfo=UTC)
    slot = slot_of(period, int(moment.timestamp() * 1000))
    while moment < end:
        now_ms = int(moment.timestamp() * 1000)
        found = slot_of(period, now_ms)
        begins, ends = slot_begins_ms(period, found), slot_begins_ms(period, found + 1)
        assert begins is not None
        assert ends is not None
        assert begins <= now_ms < ends
        assert found >= slot
        slot = found
        moment += timedelta(hours=7)


def test_without_a_period_there_is_one_slot_and_no_end() -> None:
    assert (slot_of(None, at("2026-01-01")), slot_of(None, at("2036-01-01")), slot_begins_ms(None, 1)) == (0, 0, None)


def test_no_minute_holds_more_than_the_limit_wherever_it_begins() -> None:
    """Sixty calls late in one minute and sixty early in the next would be a hundred and twenty in a few seconds."""
    limit, slots, taken = 60, dict[int, int](), list[int]()
    for now_ms in (each for each in range(950, 4 * MINUTE_MS, 50) for _ in range(20)):
        slot = rolling_slot(MINUTE_MS, now_ms)
        if sum(held for each, held in slots.items() if each > slot - ROLLING_SPAN) < limit:
            slots[slot] = slots.get(slot, 0) + 1
            taken.append(now_ms)
    assert max(sum(begin <= each < begin + MINUTE_MS for each in taken) for begin in set(taken)) == limit
    assert len(taken) >= 3 * limit


def test_the_wait_of_a_rate_ends_when_there_is_room() -> None:
    slots = {0: 30, 10: 30}
    wait = rolling_wait_ms(slots, 1, 60, MINUTE_MS, 20_500)
    assert wait == (0 + ROLLING_SPAN) * MINUTE_MS // PARTS - 20_500
    assert rolling_wait_ms(slots, 31, 60, MINUTE_MS, 20_500) == (10 + ROLLING_SPAN) * MINUTE_MS // PARTS - 20_500
    assert rolling_wait_ms(slots, 61, 60, MINUTE_MS, 20_500) is None
    assert rolling_wait_ms({}, 1, 60, MINUTE_MS, 20_500) == 0
