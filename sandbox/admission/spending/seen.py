"""What is counted for conditions alone: the `usage.*` fields, and which labels a session has come by.

Pure: which counters a request adds to, and how they read as `Usage`. Kept only where the document in force looks at them.
Labels that must never meet are claimed like any other count, in the same step: of two calls at once one is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from sandbox.admission.request import CallRequest
from sandbox.admission.spending.counting import key_of
from sandbox.admission.spending.lines import Calendar, Line, Rolling
from sandbox.admission.spending.periods import HOUR_MS, MINUTE_MS
from sandbox.admission.usage import Usage
from sandbox.config.spending import Metric, Period

_MONEY = frozenset({"spend_today", "spend_this_month", "spend_in_session"})
TOGETHER = "session.never_together"


def seen_lines(request: CallRequest) -> dict[str, Line]:
    """The counters behind the fields of `Usage`, by field."""
    user, lines = request.subject.id, {}
    for name, metric, over in (
        ("requests_last_minute", Metric.REQUESTS, Rolling(MINUTE_MS)),
        ("requests_last_hour", Metric.REQUESTS, Rolling(HOUR_MS)),
        ("requests_today", Metric.REQUESTS, Calendar(Period.DAY)),
        ("spend_today", Metric.COST, Calendar(Period.DAY)),
        ("spend_this_month", Metric.COST, Calendar(Period.MONTH)),
        ("tokens_today", Metric.TOKENS, Calendar(Period.DAY)),
    ):
        lines[name] = Line("usage", name, metric, key_of("seen", "user", user, name), over)
    if request.session:
        for name, metric in (("calls_in_session", Metric.REQUESTS), ("spend_in_session", Metric.COST)):
            lines[name] = Line("usage", name, metric, key_of("seen", "session", request.session, name), Calendar())
    return lines


def usage_of(held: Mapping[str, int], labels: Iterable[str], estimated_micros: int) -> Usage:
    """What the counters hold, as a condition sees it."""
    told = {name: _money(amount) if name in _MONEY else amount for name, amount in held.items()}
    return Usage(**told, estimated_cost=_money(estimated_micros), labels=frozenset(labels))  # type: ignore[arg-type]


def label_line(session: str, label: str, *, never_with: str | None = None) -> Line:
    """The counter of a label in a session; with `never_with`, the claim that it is not there beside that one."""
    key = key_of("seen", "label", session, label)
    if never_with is None:
        return Line(TOGETHER, "", Metric.REQUESTS, key, Calendar())
    told = f"`{never_with}` and `{label}` must not meet in a session, and `{label}` is there already"
    return Line(TOGETHER, told, Metric.REQUESTS, key, Calendar(), limit=0)


def meeting_lines(session: str | None, brings: Sequence[str], never_together: Sequence[Sequence[str]]) -> list[tuple[Line, int]]:
    """What a call that brings these labels claims: that none is there which must not meet them, and then its own."""
    if session is None:
        return []
    apart = [
        (label_line(session, other, never_with=label), 0)
        for group in never_together
        for label in brings
        if label in group
        for other in group
        if other != label
    ]
    return [*apart, *((label_line(session, label), 1) for label in brings)]


def _money(amount_micros: int) -> Decimal:
    return Decimal(amount_micros).scaleb(-6)
