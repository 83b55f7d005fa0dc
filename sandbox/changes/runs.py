"""The part of `Sandbox` that holds the runs of an application to budgets of their own: set one, ask, spend, end it.

Decides whose a run is: its budget is seen and spent by who set it, and by who may see everything (`all_runs`, which the edge
decides). To anybody else it is not there. What a budget means is `sandbox.admission.spending`'s.

Rules: a run's own budget holds beside the document's and the operator's, never in place of one, so that setting it gives nothing;
it is not changed once it is set, and a run that has ended is not begun again. Money is spent in millionths, in one step with
every other budget that bounds who spends it; what is spent under a `key` is spent once, however often it is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sandbox.admission import CallRequest, Subject, new_request_id
from sandbox.admission.denied import not_admitted
from sandbox.admission.spending.budgets import Whose, own_key, run_gate
from sandbox.admission.spending.counting import KEPT_MS, Shut, key_of
from sandbox.admission.spending.lines import Calendar, Line
from sandbox.admission.spending.periods import milliseconds
from sandbox.admission.spending.refusing import Refusal
from sandbox.admission.spending.reserving import Budgets
from sandbox.admission.subject import NOTHING
from sandbox.audit import Event, EventType, Redactor
from sandbox.audit.asked import asked
from sandbox.changes.granting import Granting
from sandbox.components import Components
from sandbox.config.spending import Budget, Metric
from sandbox.dispatch import Dispatch
from sandbox.errors import Code, NotAdmitted, NotFound, SandboxError
from sandbox.in_force.metering import Metering
from sandbox.state.budgets import SetBudget

SPEND = "spend"
"""The action of who spends in a run."""
MOST_RUNS = 1000
"""Runs that one subject has budgets for at a time."""
_ONCE = "spent once"


@dataclass(frozen=True, slots=True)
class RunBudget:
    """A run's money, in millionths: what is spent of what; `shut` where nothing more is, whatever is left."""

    run: str
    spent_micros: int
    limit_micros: int
    shut: bool = False

    @property
    def remaining_micros(self) -> int:
        """What is left; nothing where more was used than there was."""
        return max(0, self.limit_micros - self.spent_micros)

    @property
    def exceeded(self) -> bool:
        """Whether nothing more may be spent: nothing is left, or the run was shut."""
        return self.shut or self.spent_micros >= self.limit_micros


class Runs:
    """What `Sandbox` offers to applications that hold their runs to budgets."""

    _components: Components
    _dispatch: Dispatch
    _metering: Metering

    def _opened(self) -> Granting:
        raise NotImplementedError

    async def set_run_budget(self, run: str, limit_micros: int, by: Subject) -> RunBudget:
        """Set what a run may spend. Said again it changes nothing. Raises SandboxError (`conflict`) for a run that has one."""
        opened = self._opened()
        await self._dispatch.refresh()
        async with opened.changes.lock:
            if self._metering.budgets is not None and own_key(run) in self._metering.set_by:
                return self._set_before(run, limit_micros, by)
            self._refuse_another(run, by)
            budget = Budget(max_cost=Decimal(limit_micros).scaleb(-6))
            given = SetBudget(own_key(run), budget.model_dump_json(exclude_none=True), _owner(by), opened.clock())
            told = {"whose": str(Whose("runs", run)), "budget": budget.model_dump(mode="json", exclude_none=True)}
            since = opened.store.generation()
            opened.store.set_budget(given, before_commit=lambda: self._tell_of_run(EventType.BUDGET_SET, by, told))
            telling = opened.tell_others(since)
            await opened.changes.apply()
        await telling
        return self._money_of(run)

    async def run_budget(self, run: str, by: Subject, *, all_runs: bool = False) -> RunBudget:
        """How a run's money stands. Raises NotFound for one that is not theirs."""
        await self._dispatch.refresh()
        return self._own_run(run, by, all_runs)

    async def could_spend(self, run: str, micros: int, by: Subject, *, all_runs: bool = False) -> tuple[bool, RunBudget]:
        """Whether an amount would be taken now, by everything that bounds it, and how the run stands. Raises NotFound."""
        await self._dispatch.refresh()
        standing = self._own_run(run, by, all_runs)
        if self._components.stops.of(None) is not None:
            return False, standing
        return self._counted().has_room(_spending(run, by, NOTHING), self._opened().clock(), {Metric.COST: micros}), standing

    async def spend(
        self,
        run: str,
        micros: int,
        by: Subject,
        *,
        key: str | None = None,
        all_runs: bool = False,
        metadata: Mapping[str, Any] = NOTHING,
    ) -> RunBudget:
        """Spend an amount in a run, and say how it stands then. With a `key`, saying it again spends nothing more.

        Raises NotFound, NotAdmitted (`budget_exceeded`) where a budget has no room for it, and SandboxError (`conflict`) for a
        key that was given with another run or amount.
        """
        await self._dispatch.refresh()
        self._components.stops.refuse(None)
        standing = self._own_run(run, by, all_runs)
        once = () if key is None else _once(key, run, micros, by)
        if self._spent_before(once):
            return standing
        request, now, budgets = _spending(run, by, metadata), self._opened().clock(), self._counted()
        reserved = budgets.reserve(request, now, {Metric.COST: micros}, once=once, priced=False)
        if isinstance(reserved, Refusal):
            # The same words may have come twice at once: then the other ones were heard.
            if self._spent_before(once):
                return self._money_of(run)
            raise self._refused_to_spend(request, reserved)
        budgets.settle(reserved, {Metric.COST: micros}, now)
        return self._money_of(run)

    async def end_run(self, run: str, by: Subject, *, all_runs: bool = False) -> RunBudget:
        """End a run: nothing more is spent in it, and its budget is forgotten. How it stood. Raises NotFound."""
        opened = self._opened()
        await self._dispatch.refresh()
        async with opened.changes.lock:
            standing, now = self._own_run(run, by, all_runs), opened.clock()
            if own_key(run) not in self._metering.set_by:
                raise _no_run(run)
            told = {"whose": str(Whose("runs", run))}
            since = opened.store.generation()
            record = lambda: self._tell_of_run(EventType.BUDGET_DROPPED, by, told)  # noqa: E731 - said once, called by the store
            opened.store.drop_budget(own_key(run), now, before_commit=record)
            now_ms = milliseconds(now)
            self._metering.counts.shut(Shut(run_gate(run), now_ms + KEPT_MS, "it has ended", now_ms))
            telling = opened.tell_others(since)
            await opened.changes.apply()
        await telling
        return standing

    def _set_before(self, run: str, limit_micros: int, by: Subject) -> RunBudget:
        budgets = self._counted()
        same = budgets.terms.was_set[own_key(run)].limits == {Metric.COST: limit_micros}
        if self._metering.set_by[own_key(run)] != _owner(by) or not same:
            told = f"the run `{run}` has a budget already, which is not changed"
            raise SandboxError(told, help="name a new run", code=Code.CONFLICT)
        return self._money_of(run)

    def _refuse_another(self, run: str, by: Subject) -> None:
        now_ms = milliseconds(self._opened().clock())
        gates = self._metering.counts.gates(run_gate(run))
        if any(one.name == run_gate(run) and (one.until_ms is None or one.until_ms > now_ms) for one in gates):
            raise SandboxError(f"the run `{run}` is shut", help="name a new run", code=Code.CONFLICT)
        if sum(key.startswith(own_key("")) and who == _owner(by) for key, who in self._metering.set_by.items()) >= MOST_RUNS:
            told = f"{MOST_RUNS} runs of this subject have budgets, and no more are kept"
            raise SandboxError(told, help="end the runs that are over", code=Code.CONFLICT)

    def _own_run(self, run: str, by: Subject, all_runs: bool) -> RunBudget:
        # Asked first: it reads what was set.
        budgets = self._metering.budgets
        if budgets is None or not (all_runs or self._metering.set_by.get(own_key(run)) == _owner(by)):
            raise _no_run(run)
        return self._money_of(run)

    def _money_of(self, run: str) -> RunBudget:
        now = self._opened().clock()
        lines = self._counted().standing([Whose("runs", run)], now)
        money = next(((line.limit, held) for line, held in lines if line.metric is Metric.COST and line.limit is not None), None)
        if money is None:
            raise _no_run(run)
        gates = (one for one in self._metering.counts.gates(run_gate(run)) if one.name == run_gate(run))
        shut = any(one.until_ms is None or one.until_ms > milliseconds(now) for one in gates)
        return RunBudget(run, money[1], money[0], shut)

    def _counted(self) -> Budgets:
        budgets = self._metering.budgets
        assert budgets is not None, "a run that is theirs has a budget"
        return budgets

    def _spent_before(self, once: tuple[Line, ...]) -> bool:
        """Whether this was spent already. Raises SandboxError where something else was, under the same key."""
        now_ms = milliseconds(self._opened().clock())
        heard = [bool(held) for held in self._metering.counts.held([line.claim(0, now_ms) for line in once])]
        if heard == [True, False]:
            told = "this Idempotency-Key came with another run or amount before"
            raise SandboxError(told, help="give each amount that is spent a key of its own", code=Code.CONFLICT)
        return any(heard)

    def _refused_to_spend(self, request: CallRequest, refusal: Refusal) -> NotAdmitted:
        """The error of an amount that there is no room for; it is recorded first."""
        decision = refusal.decision
        told: dict[str, Any] = {"decision": decision.effect.value, "rules": decision.rules, "reason": decision.reason}
        self._opened().log.append(Event(EventType(refusal.code.value), **told, **asked(request)), Redactor())
        return not_admitted(decision, refusal.code)

    def _tell_of_run(self, kind: EventType, by: Subject, detail: dict[str, Any]) -> None:
        event = Event(kind, new_request_id(), subject=by.id, tenant=by.tenant, detail=detail)
        self._opened().log.append(event, Redactor(), sync=True)


def _spending(run: str, by: Subject, metadata: Mapping[str, Any]) -> CallRequest:
    return CallRequest(new_request_id(), by, action=SPEND, metadata={**metadata, "run": run})


def _once(key: str, run: str, micros: int, by: Subject) -> tuple[Line, Line]:
    """That this key was heard, and that it was heard with just this."""
    whose = key_of(SPEND, _owner(by), key)
    heard = Line(_ONCE, "this is spent already", Metric.REQUESTS, whose, Calendar(), limit=1)
    return heard, Line(_ONCE, "", Metric.REQUESTS, key_of(SPEND, _owner(by), key, run, str(micros)), Calendar())


def _owner(subject: Subject) -> str:
    """Who a budget belongs to: two tenants' subjects of one name are two."""
    return key_of(subject.id) if subject.tenant is None else key_of(subject.tenant, subject.id)


def _no_run(run: str) -> NotFound:
    return NotFound(f"there is no budget of a run `{run}`", help="set one for the run first", code=Code.NOT_FOUND)
