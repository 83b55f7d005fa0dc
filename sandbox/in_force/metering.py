"""What the calls of this host use, held against budgets, rates and caps: reserved before, watched while it runs, settled after.

Decides when there is anything to count at all: with no budget, rate, price, or condition on usage in force, no store is opened
and nothing is asked. What a bound means is `sandbox.admission.spending.reserving`'s; which calls are carried is
`sandbox.dispatch`'s.

Rules: a call whose use cannot be counted does not run, and one that runs is stopped; one that passes a bound is stopped within
LOOK_S of it; where something else has changed the store, the budgets that were set before hold on in this process, and in one
that has not seen them nothing runs until a person has looked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from sandbox.admission import Authorizer, CallRequest
from sandbox.admission.spending.counting import UsageStore
from sandbox.admission.spending.refusing import Refusal, Warned
from sandbox.admission.spending.reserving import Amounts, Budgets, Reservation
from sandbox.admission.spending.terms import terms_of
from sandbox.admission.usage import UNKNOWN
from sandbox.admission.usage import Usage as Seen
from sandbox.config.spending import Budget, BudgetSection, Metric
from sandbox.errors import HostUnavailable
from sandbox.host.outcome import BUDGET, Ending, Outcome, Usage
from sandbox.state import Store
from sandbox.state.authentic import StoreChangedError

LOOK_S = 0.1
"""How often a running call is looked at."""
_FAILED = frozenset({Ending.TRAPPED, Ending.EXITED, Ending.CRASHED})
_WORKED = frozenset({Ending.RETURNED, Ending.GUEST_ERROR})
_OWN_LIMITS = frozenset({"wall_time", "cpu_time", "memory", "fuel", "output"})

_LOG = logging.getLogger("sandbox")
_NOT_WATCHED = contextlib.nullcontext()


class Host(Protocol):
    """What of the host a watch needs: `sandbox.host.host.Host`."""

    def used(self, call_id: str) -> Usage | None:
        """What a running call has used so far; None where it does not run."""

    async def stop(self, call_ids: Sequence[str], reason: str, because: str) -> Sequence[object]:
        """Have these calls end."""


class Metering:
    """The budgets in force over the counts of one host. `open_store` is called when there is something to count."""

    def __init__(
        self,
        authorizer: Authorizer,
        maxima: BudgetSection | None,
        store: Store,
        open_store: Callable[[], UsageStore],
        *,
        host: Callable[[], Host | None],
        clock: Callable[[], float],
    ) -> None:
        self._authorizer, self._maxima, self._store = authorizer, maxima, store
        self._open_store, self._host, self._clock = open_store, host, clock
        self._counts: UsageStore | None = None
        self._made_of: object = self
        self._was_set: dict[str, Budget] | None = None
        self.set_by: Mapping[str, str] = {}
        """Who set the budgets that were set when the store was last read, by their keys."""
        self._last_set: dict[str, Budget] | None = None
        self._budgets: Budgets | None = None
        self._settling: Budgets | None = None
        """The last there were: calls that began under them are settled by them."""

    def renew(self) -> None:
        """What the store says has changed: the next call goes by what is set now."""
        self._was_set = None
        # Kept at once: where the store cannot be trusted later, these hold on. What cannot be read now, the next call tells.
        with contextlib.suppress(HostUnavailable):
            self._last_set = self._set_now()

    def close(self) -> None:
        """Let go of the counts."""
        if self._counts is not None:
            self._counts.close()

    @property
    def counts(self) -> UsageStore:
        """The counts, opened if they are not."""
        if self._counts is None:
            self._counts = self._open_store()
        return self._counts

    @property
    def budgets(self) -> Budgets | None:
        """The budgets in force, None where there is nothing to count. Raises HostUnavailable where that cannot be told."""
        ruleset = self._authorizer.ruleset
        if self._was_set is None or ruleset is not self._made_of:
            self._was_set = self._last_set = self._set_now()
            terms = terms_of(self._maxima, ruleset, self._was_set)
            self._budgets = None if terms.idle else Budgets(self.counts, terms)
            self._settling = self._budgets or self._settling
            self._made_of = ruleset
        return self._budgets

    def _set_now(self) -> dict[str, Budget]:
        try:
            rows = self._store.budgets()
        except StoreChangedError:
            if self._last_set is None:
                raise
            return self._last_set
        self.set_by = {one.whose: one.who for one in rows}
        return {one.whose: Budget.model_validate_json(one.text) for one in rows}

    def seen(self, request: CallRequest, now: float) -> Seen:
        """What a condition may look at before a request."""
        budgets = self.budgets
        return UNKNOWN if budgets is None else budgets.usage(request, now)

    def reserve(self, request: CallRequest, now: float) -> Reservation | Refusal | None:
        """Take what a call needs; None where there is nothing to count."""
        budgets = self.budgets
        return None if budgets is None else budgets.reserve(request, now)

    def release(self, reservation: Reservation | None) -> None:
        """Give back what a call took that does not begin."""
        if reservation is not None and self._settling is not None:
            self._settling.release(reservation, self._clock())

    def settle(self, reservation: Reservation | None, outcome: Outcome) -> tuple[Warned, ...]:
        """Put what a call used in place of what it took; every soft limit that it is beyond, each once."""
        if reservation is None or self._settling is None:
            return ()
        after = self._settling.settle(reservation, used_by(outcome.usage), self._clock(), ok=worked(outcome))
        return tuple({warned.rule: warned for warned in (*reservation.warnings, *after)}.values())

    def watched(self, reservation: Reservation | None, call_id: str) -> AbstractContextManager[object]:
        """Charge a call what it uses while it runs, and have it stopped where that passes a bound."""
        if reservation is None or self._settling is None or not reservation.measured:
            return _NOT_WATCHED
        watch = _Watch(self._settling, reservation, call_id, self._host, self._clock)
        return contextlib.closing(watch)


class _Watch:
    """One running call, looked at again and again."""

    def __init__(
        self,
        budgets: Budgets,
        reservation: Reservation,
        call_id: str,
        host: Callable[[], Host | None],
        clock: Callable[[], float],
    ) -> None:
        self._budgets, self._reservation, self._call_id = budgets, reservation, call_id
        self._host, self._clock = host, clock
        self._loop = asyncio.get_running_loop()
        self._stopping: asyncio.Task[Any] | None = None
        self._timer = self._loop.call_later(LOOK_S, self._look)

    def close(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        host = self._host()
        used = None if host is None else host.used(self._call_id)
        why = None if used is None else self._passed(used_by(used))
        if host is None or why is None:
            self._timer = self._loop.call_later(LOOK_S, self._look)
        else:
            self._stopping = self._loop.create_task(self._stop(host, why))

    def _passed(self, used: Amounts) -> str | None:
        try:
            refusal = self._budgets.charge(self._reservation, used, self._clock())
        except HostUnavailable as error:
            _LOG.error("a running call is stopped: %s", error)
            return "what it uses cannot be counted any more"
        return None if refusal is None else refusal.reason

    async def _stop(self, host: Host, why: str) -> None:
        await host.stop([self._call_id], BUDGET, why)


def used_by(usage: Usage) -> Amounts:
    """What the host measured of a call, as it is counted: rounded up."""
    return {
        Metric.CPU: math.ceil(usage.cpu_ms),
        Metric.SECONDS: math.ceil(usage.wall_ms),
        Metric.EGRESS: usage.bytes_sent,
    }


def worked(outcome: Outcome) -> bool | None:
    """Whether a tool works, as far as a call's end tells: an error that it returns is an answer, a stopped call is none."""
    if outcome.ending in _WORKED:
        return True
    failed = outcome.ending in _FAILED or (outcome.ending is Ending.LIMIT and outcome.limit in _OWN_LIMITS)
    return False if failed else None
