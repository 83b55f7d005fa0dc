"""The part of `Sandbox` that sets budgets while servers run, says how they stand, and opens what they shut.

Decides nothing of what a budget means (`sandbox.admission.spending.budgets`). Rules: a budget that is set, and a run that is
opened again, is recorded before it is kept, as a grant is; it holds from the next call on, in every server that shares the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.admission import new_request_id
from sandbox.admission.spending.budgets import Whose, named_anywhere, own_key, parse_whose, run_gate, whose_key
from sandbox.admission.spending.counting import Shut, key_of
from sandbox.admission.spending.lines import Calendar
from sandbox.admission.spending.periods import milliseconds
from sandbox.admission.spending.refusing import TOOL_GATE
from sandbox.admission.spending.reserving import Budgets
from sandbox.audit import Event, EventType, Redactor
from sandbox.changes.granting import Granting
from sandbox.config.spending import Budget, Metric, Period
from sandbox.errors import Code, NotFound, SandboxError
from sandbox.in_force.metering import Metering
from sandbox.policy.refusal import quoted
from sandbox.state.budgets import SetBudget

TOOLS = "tools"
"""What `reopen` calls the tools that the circuit breaker keeps from being called."""


@dataclass(frozen=True, slots=True)
class BudgetStanding:
    """One limit of somebody's budget: where it is written, how much is taken of it, when it begins anew (seconds since 1970)."""

    whose: str
    rule: str
    metric: Metric
    limit: int
    spent: int
    period: Period | None = None
    ends_at: float | None = None

    @property
    def remaining(self) -> int:
        """What is left; nothing where more was used than there was."""
        return max(0, self.limit - self.spent)

    @property
    def exceeded(self) -> bool:
        """Whether nothing is left."""
        return self.spent >= self.limit


class Budgeting:
    """What `Sandbox` offers to look at and set budgets."""

    _metering: Metering

    def _opened(self) -> Granting:
        raise NotImplementedError

    async def set_budget(self, whose: str, budget: Budget, *, who: str = "local") -> None:
        """Set a budget, of `users/NAME`, `tenants/…`, `components/…`, `runs/…` or `global`, in place of the document's.

        Raises SandboxError for one that nobody can have.
        """
        opened, named = self._opened(), parse_whose(whose)
        if named.kind == "runs" and budget.period is not None:
            told = "a run does not begin anew, so its budget has no `period`"
            raise SandboxError(told, help="leave it out", code=Code.INVALID_ARGUMENTS)
        text = budget.model_dump_json(exclude_none=True)
        given = SetBudget(str(named), text, who, opened.clock())
        async with opened.changes.lock:
            since = opened.store.generation()
            detail = {"whose": given.whose, "budget": budget.model_dump(mode="json", exclude_none=True)}
            opened.store.set_budget(given, before_commit=lambda: _record(opened, EventType.BUDGET_SET, detail, who))
            telling = opened.tell_others(since)
            await opened.changes.apply()
        await telling

    async def drop_budget(self, whose: str, *, who: str = "local") -> SetBudget:
        """Take back a budget that was set: the document's holds again. Raises NotFound."""
        opened, named = self._opened(), parse_whose(whose)
        async with opened.changes.lock:
            since, told = opened.store.generation(), {"whose": str(named)}
            record = lambda: _record(opened, EventType.BUDGET_DROPPED, told, who)  # noqa: E731 - said once, called by the store
            now, keys = opened.clock(), (str(named), *([own_key(named.name)] if named.kind == "runs" else []))
            dropped = [opened.store.drop_budget(key, now, before_commit=record) for key in keys]
            gone = next((one for one in dropped if one is not None), None)
            if gone is None:
                raise NotFound(f"no budget was set for {named.told}", help="`sandbox budget show` lists those that are")
            telling = opened.tell_others(since)
            await opened.changes.apply()
        await telling
        return gone

    def budgets(self, *whose: str) -> tuple[BudgetStanding, ...]:
        """How budgets stand: those of everybody who is named in one, or of these."""
        opened, budgets = self._opened(), self._metering.budgets
        if budgets is None:
            return ()
        terms, now = budgets.terms, opened.clock()
        named = tuple(map(parse_whose, whose)) or tuple(
            dict.fromkeys((*named_anywhere(terms.maxima, terms.budgets), *map(whose_key, terms.was_set)))
        )
        return tuple(standing for each in named for standing in _standing(budgets, each, now))

    def shut_by_budgets(self) -> tuple[Shut, ...]:
        """The runs whose budget was used up, and the tools that failed too often, until they are opened or their time is over."""
        now_ms = milliseconds(self._opened().clock())
        found = () if self._metering.budgets is None else self._metering.counts.gates()
        return tuple(gate for gate in found if gate.until_ms is None or gate.until_ms > now_ms)

    def reopen(self, what: str, *, who: str = "local") -> None:
        """Let calls of `runs/NAME` or `tools/NAME` run again: what was counted of it is forgotten. Raises NotFound."""
        opened = self._opened()
        kind, _, name = what.partition("/")
        if kind not in ("runs", TOOLS) or not name:
            raise SandboxError(
                f"{quoted(what)} cannot be shut", help="write `runs/NAME` or `tools/NAME`", code=Code.INVALID_ARGUMENTS
            )
        gate = run_gate(name) if kind == "runs" else key_of(TOOL_GATE, name)
        counts = self._metering.counts
        if all(each.name != gate for each in counts.gates()):
            raise NotFound(f"{quoted(what)} is not shut", help="`sandbox budget show` lists what is")
        _record(opened, EventType.BUDGET_REOPENED, {"what": what}, who)
        counts.forget(f"{key_of('budget', 'runs', name)}/" if kind == "runs" else key_of("failures", name))
        counts.open(gate)


def _standing(budgets: Budgets, whose: Whose, now: float) -> Iterator[BudgetStanding]:
    for line, held in budgets.standing([whose], now):
        assert isinstance(line.over, Calendar)
        assert line.limit is not None
        ends = line.over.ends_ms(milliseconds(now))
        when = None if ends is None else ends / 1000
        yield BudgetStanding(str(whose), line.rule, line.metric, line.limit, held, line.over.period, when)


def _record(opened: Granting, kind: EventType, told: dict[str, Any], who: str) -> None:
    opened.log.append(Event(kind, new_request_id(), subject=who, detail=told), Redactor(), sync=True)
