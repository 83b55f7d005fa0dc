"""Which stretch of a period a moment falls into, when that stretch ends, and when a limit has room again.

Pure: times are milliseconds since 1970 in UTC, and whole numbers throughout. A stretch is called a slot and has a number that
only grows with time, so that a store can hold a clock that was set back to the highest slot it has seen
(`sandbox.admission.spending.counting`).

A budget's slot is the whole period: the day, the week from Monday, the month of the calendar. A rate's is a sixtieth of it, and
sixty-one of them are looked at together, so that no stretch of the rate's length, wherever it begins, holds more than the limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sandbox.config.spending import Period

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
_WEEK_MS = 7 * DAY_MS
_FIRST_MONDAY_MS = 4 * DAY_MS
"""1970 began on a Thursday."""
_LENGTH_MS = {Period.MINUTE: MINUTE_MS, Period.HOUR: HOUR_MS, Period.DAY: DAY_MS}
PARTS = 60
"""Into how many slots the length of a rate is cut."""
ROLLING_SPAN = PARTS + 1
"""How many of them are looked at together: the one that runs, and those that a whole length before it touches."""


def milliseconds(now: float) -> int:
    """Seconds since 1970 as whole milliseconds."""
    return int(now * 1000)


def slot_of(period: Period | None, now_ms: int) -> int:
    """The slot of a budget's period at a moment; of a budget without a period, the only one."""
    if period is None:
        return 0
    if period is Period.MONTH:
        day = datetime.fromtimestamp(now_ms // 1000, UTC)
        return day.year * 12 + day.month - 1
    if period is Period.WEEK:
        return (now_ms - _FIRST_MONDAY_MS) // _WEEK_MS
    return now_ms // _LENGTH_MS[period]


def slot_begins_ms(period: Period | None, slot: int) -> int | None:
    """When a slot of a budget's period begins; None where there is no period."""
    if period is None:
        return None
    if period is Period.MONTH:
        return int(datetime(slot // 12, slot % 12 + 1, 1, tzinfo=UTC).timestamp()) * 1000
    if period is Period.WEEK:
        return slot * _WEEK_MS + _FIRST_MONDAY_MS
    return slot * _LENGTH_MS[period]


def rolling_slot(length_ms: int, now_ms: int) -> int:
    """The slot of a rate over `length_ms` at a moment."""
    return now_ms * PARTS // length_ms


def rolling_wait_ms(slots: Mapping[int, int], amount: int, limit: int, length_ms: int, now_ms: int) -> int | None:
    """How long until `amount` more fit under a rate's limit, where nothing else is taken; None where they never do."""
    if amount > limit:
        return None
    for slot in sorted(slots):
        # Once `slot + ROLLING_SPAN` begins, what lies in `slot` is not looked at any more.
        if sum(taken for each, taken in slots.items() if each > slot) + amount <= limit:
            return max(0, -(-(slot + ROLLING_SPAN) * length_ms // PARTS) - now_ms)
    return 0
