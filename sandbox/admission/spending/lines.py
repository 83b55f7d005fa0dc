"""One limit that a request falls under, whether of a budget, of a rate, or none and only counted.

Values only. `Calendar` and `Rolling` say over what time a line counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sandbox.admission.request import CallRequest
from sandbox.admission.spending.counting import Change, Claim
from sandbox.admission.spending.periods import ROLLING_SPAN, rolling_slot, rolling_wait_ms, slot_begins_ms, slot_of
from sandbox.config.spending import Metric, Period


@dataclass(frozen=True, slots=True)
class Calendar:
    """The hours, days, weeks, months of the calendar in UTC; without a period one stretch that never ends."""

    period: Period | None = None
    span = 1

    def slot(self, now_ms: int) -> int:
        """The slot of a moment."""
        return slot_of(self.period, now_ms)

    def ends_ms(self, now_ms: int) -> int | None:
        """When the stretch of a moment ends; None where it never does."""
        return slot_begins_ms(self.period, self.slot(now_ms) + 1)

    def wait_ms(self, slots: Mapping[int, int], amount: int, limit: int, now_ms: int) -> int | None:
        """How long until there is room; None where there never is."""
        if self.period is None or amount > limit:
            return None
        ends = slot_begins_ms(self.period, max([self.slot(now_ms), *slots]) + 1)
        return None if ends is None else max(0, ends - now_ms)


@dataclass(frozen=True, slots=True)
class Rolling:
    """The last `length_ms` milliseconds, at every moment."""

    length_ms: int
    span = ROLLING_SPAN

    def slot(self, now_ms: int) -> int:
        """The slot of a moment."""
        return rolling_slot(self.length_ms, now_ms)

    def wait_ms(self, slots: Mapping[int, int], amount: int, limit: int, now_ms: int) -> int | None:
        """How long until there is room; None where there never is."""
        return rolling_wait_ms(slots, amount, limit, self.length_ms, now_ms)


@dataclass(frozen=True, slots=True)
class Line:
    """A limit: its place in the document, in words, of what, where it is counted and over what time; `limit` None only counts.

    `soft` is the amount from which on it warns, `latch` the gate that is shut for good where there is no room.
    """

    rule: str
    told: str
    metric: Metric
    key: str
    over: Calendar | Rolling
    limit: int | None = None
    soft: int | None = None
    latch: str | None = None

    @property
    def only_counted(self) -> Line:
        """The same, without a limit."""
        return replace(self, limit=None, soft=None, latch=None)

    @property
    def only_warning(self) -> Line:
        """The same, which refuses nothing: it warns where it would have refused."""
        beyond = None if self.limit is None else self.limit + 1
        return replace(self, limit=None, soft=beyond if self.soft is None else self.soft, latch=None)

    def claim(self, amount: int, now_ms: int) -> Claim:
        """What a call claims of it."""
        return Claim(self.key, self.over.slot(now_ms), amount, self.limit, self.over.span, self.latch)

    def change(self, slot: int, amount: int) -> Change:
        """A change in the slot that was claimed."""
        return Change(self.key, slot, amount, self.over.span)


def run_of(request: CallRequest) -> str | None:
    """The run that a request belongs to: the one that its application names, else its session."""
    named = request.metadata.get("run")
    return named if isinstance(named, str) and named else request.session
