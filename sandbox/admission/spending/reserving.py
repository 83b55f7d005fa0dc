"""Take what a call may use before it runs, and put the truth in its place after it: `Budgets`.

    1. reserve   all that bounds the call, in one step of the store, or nothing and a refusal that says when there is room
    2. charge    while it runs: what it has used beyond that; a refusal where that passes a bound, and then it is stopped
    3. settle    at its end, whatever it was: the truth, once

Rules: of what is known only afterwards (cost, tokens, CPU time, bytes, seconds) the estimate is taken, and the smallest unit at
least, so that a budget of which nothing is left admits nothing; a process that is killed leaves taken what it had reserved and
charged; a run without room is shut until an operator opens it. Settling late changes the stretch in which the call began.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

from sandbox.admission.request import CallRequest
from sandbox.admission.spending.budgets import Bounds, Whose, bounds_of_all, whose_of
from sandbox.admission.spending.counting import Claim, Full, Gate, Shut, Spent, Taken, UsageStore, key_of
from sandbox.admission.spending.lines import Line, Rolling
from sandbox.admission.spending.periods import HOUR_MS, milliseconds
from sandbox.admission.spending.prices import NO_TOKENS, PriceList, Tokens, whole
from sandbox.admission.spending.rates import rates_of
from sandbox.admission.spending.refusing import TOOL_GATE, Refusal, Warned, full, over_cap, shut, used_up, warned
from sandbox.admission.spending.seen import label_line, meeting_lines, seen_lines, usage_of
from sandbox.admission.spending.terms import Terms
from sandbox.admission.usage import UNKNOWN, Usage
from sandbox.config.spending import MEASURED, Metric
from sandbox.errors import Code
from sandbox.policy.units import parse_time

Amounts = Mapping[Metric, int]
"""How much of what, each in the unit of its metric."""

A_TOOL_CALL: Amounts = {Metric.REQUESTS: 1, Metric.TOOL_CALLS: 1}
A_MODEL_CALL: Amounts = {Metric.REQUESTS: 1, Metric.LLM_CALLS: 1}
NOTHING: Amounts = {}
_KEPT_BOUNDS = 4096
_NO_PRICES = PriceList()


@dataclass(slots=True)
class _Held:
    line: Line
    slot: int
    amount: int


@dataclass(slots=True, eq=False)
class Reservation:
    """What one call has taken: an account that is open until it is settled. Made by `Budgets.reserve` alone."""

    request: CallRequest
    bounds: Bounds
    held: list[_Held] = field(default_factory=list)
    warnings: tuple[Warned, ...] = ()
    trials: tuple[str, ...] = ()
    prices: PriceList = field(default_factory=PriceList)
    settled: bool = False
    used: Amounts = field(default_factory=dict)
    """The truth, once it is settled."""
    tokens: int = 0
    cost_micros: int = 0
    """What was charged beside the price of the call itself: tokens, and what the application says."""
    spent: list[Spent] = field(default_factory=list)

    @property
    def measured(self) -> bool:
        """Whether anything bounds what is only known while it runs."""
        capped = any(cap.metric in MEASURED for cap in self.bounds.caps)
        return capped or any(one.line.metric in MEASURED and one.line.limit is not None for one in self.held)


class Budgets:
    """The budgets, rates and prices in force (`terms`, replaced whole when they change) over a store of counts."""

    def __init__(self, store: UsageStore, terms: Terms) -> None:
        self.store = store
        self.terms = terms

    @property
    def terms(self) -> Terms:
        """What is counted by; another one holds from the next call on."""
        return self._terms

    @terms.setter
    def terms(self, terms: Terms) -> None:
        self._terms = terms
        # Of so many that who asks, and may choose a run's name, cannot fill the memory.
        bounds = partial(bounds_of_all, maxima=terms.maxima, document=terms.budgets, was_set=terms.was_set, blocks=terms.blocks)
        self._bounds = lru_cache(maxsize=_KEPT_BOUNDS)(bounds)

    def usage(self, request: CallRequest, now: float) -> Usage:
        """What a condition may look at, as it is just before the request; UNKNOWN where no condition does."""
        terms = self.terms
        if not terms.counts_usage:
            return UNKNOWN
        lines, now_ms = seen_lines(request), milliseconds(now)
        labels = [(label, label_line(request.session, label)) for label in terms.labels] if request.session else []
        windows = [line.claim(0, now_ms) for line in (*lines.values(), *(line for _, line in labels))]
        found = self.store.held(windows)
        there = [label for (label, _), held in zip(labels, found[len(lines) :], strict=True) if held]
        return usage_of(dict(zip(lines, found, strict=False)), there, terms.prices.call_micros(request.tool))

    def reserve(
        self, request: CallRequest, now: float, estimate: Amounts = A_TOOL_CALL, *, once: Sequence[Line] = (), priced: bool = True
    ) -> Reservation | Refusal:
        """Take what a call needs, or say why it may not run. Of each line of `once` one is taken in the same step.

        What is not `priced` is no call: it costs what is estimated.

        Raises HostUnavailable where the store does not answer, SandboxError for an amount that is none.
        """
        if estimate is not A_TOOL_CALL:
            whole(**{metric.value: amount for metric, amount in estimate.items()})
        terms, now_ms = self.terms, milliseconds(now)
        bounds = self._bounds(whose_of(request))
        prices = terms.prices if priced else _NO_PRICES
        amounts = _estimated(prices, request, estimate)
        if (over := over_cap(bounds.caps, amounts)) is not None:
            return over
        together = terms.never_together if terms.blocks else ()
        asked = [
            *((line, 1) for line in once),
            *self._asked(request, bounds, amounts),
            *meeting_lines(request.session, terms.labels_of(request), together),
        ]
        gates = self._gates(request, bounds)
        if not asked and not gates:
            return Reservation(request, bounds, prices=prices)
        answer = self.store.take([line.claim(amount, now_ms) for line, amount in asked], gates, now_ms)
        match answer:
            case Shut():
                return shut(answer, now_ms)
            case Full():
                return full(answer, asked, now_ms)
            case Taken():
                held = [_Held(line, slot, amount) for (line, amount), slot in zip(asked, answer.slots, strict=True)]
                warnings = warned([one.line for one in held], answer.held, [one.amount for one in held])
                return Reservation(request, bounds, held, warnings, answer.trials, prices)

    def charge(self, reservation: Reservation, used: Amounts, now: float) -> Refusal | None:
        """Take what a call has used so far beyond what it has taken; why it has to stop, or None.

        `used` is in all, not since the last time. Raises HostUnavailable where the store does not answer.
        """
        amounts = _with_cost(reservation, used)
        more = [one for one in reservation.held if one.line.metric in MEASURED and amounts.get(one.line.metric, 0) > one.amount]
        passed = self._move(more, amounts, milliseconds(now))
        over = over_cap(reservation.bounds.caps, amounts)
        if over is not None or not passed:
            return over
        latches = {line.latch for line, _ in passed} - {None}
        for latch in sorted(filter(None, latches)):
            self.store.shut(Shut(latch, None, f"its budget was used up: {passed[0][0].told}", milliseconds(now)))
        return Refusal(Code.BUDGET_EXCEEDED, tuple(line.rule for line, _ in passed), used_up(*passed[0]))

    def spend(
        self, reservation: Reservation, now: float, *, cost_micros: int = 0, model: str = "", tokens: Tokens = NO_TOKENS
    ) -> Refusal | None:
        """Charge a running call what it has just spent: money, or the tokens of a model at their price. As `charge` says.

        Raises SandboxError for a model without a price, and for money that is no whole number from 0.
        """
        whole(cost_micros=cost_micros)
        if model:
            cost_micros += reservation.prices.tokens_micros(model, tokens)
            whole(cost_micros=cost_micros)
        reservation.tokens += tokens.count
        reservation.cost_micros += cost_micros
        reservation.spent.append(_spent(reservation.request, milliseconds(now), cost_micros, model=model, tokens=tokens))
        return self.charge(reservation, NOTHING, now)

    def settle(self, reservation: Reservation, used: Amounts, now: float, *, ok: bool | None = None) -> tuple[Warned, ...]:
        """Put what the call used in place of what it had taken; `ok` tells the circuit breaker, where it says anything.

        Once: a second time changes nothing. What it warns of is what the truth passed. Raises HostUnavailable.
        """
        if reservation.settled:
            return ()
        reservation.settled = True
        amounts, now_ms = _with_cost(reservation, used), milliseconds(now)
        reservation.used = amounts
        measured = [one for one in reservation.held if one.line.metric in MEASURED]
        moves = [amounts.get(one.line.metric, 0) - one.amount for one in measured]
        changes = [one.line.change(one.slot, move) for one, move in zip(measured, moves, strict=True)]
        ledger = self._ledger(reservation, amounts, now_ms)
        held = self.store.add(changes, now_ms, ledger) if changes or ledger else ()
        if ok is not None:
            self._tell_breaker(reservation, ok, now_ms)
        return warned([one.line for one in measured], held, moves)

    def release(self, reservation: Reservation, now: float) -> None:
        """Give back all that was taken, for a call that did not begin after all."""
        if not reservation.settled:
            reservation.settled = True
            self.store.add([one.line.change(one.slot, -one.amount) for one in reservation.held], milliseconds(now))

    def has_room(self, request: CallRequest, now: float, estimate: Amounts) -> bool:
        """Whether `reserve` would take this, which is not priced, as far as a look tells: others take meanwhile."""
        bounds, now_ms = self._bounds(whose_of(request)), milliseconds(now)
        amounts = _estimated(_NO_PRICES, request, estimate)
        shut = any(self._is_shut(gate, now_ms) for gate in self._gates(request, bounds))
        if shut or over_cap(bounds.caps, amounts) is not None:
            return False
        claims = [line.claim(amount, now_ms) for line, amount in self._asked(request, bounds, amounts)]
        held = self.store.held(claims)
        return all(one.limit is None or there + one.amount <= one.limit for one, there in zip(claims, held, strict=True))

    def standing(self, several: Iterable[Whose], now: float) -> tuple[tuple[Line, int], ...]:
        """Every limit of the budgets of these, with what is taken of it."""
        lines = [line for line in self._bounds(tuple(several)).lines.values() if line.limit is not None]
        return tuple(zip(lines, self.store.held([line.claim(0, milliseconds(now)) for line in lines]), strict=True))

    def _asked(self, request: CallRequest, bounds: Bounds, amounts: Amounts) -> list[tuple[Line, int]]:
        asked = ((line, _asked(line, amounts)) for line in self._lines(request, bounds))
        return [(line, amount) for line, amount in asked if amount or line.metric in MEASURED]

    def _lines(self, request: CallRequest, bounds: Bounds) -> list[Line]:
        rates = rates_of(self.terms.rates, request, self.terms.actions_of)
        rated = {line.key: line if self.terms.blocks else line.only_warning for line in rates}
        seen = seen_lines(request).values() if self.terms.counts_usage else ()
        return [*bounds.lines.values(), *rated.values(), *seen]

    def _is_shut(self, gate: Gate, now_ms: int) -> bool:
        found = (one for one in self.store.gates(gate.name) if one.name == gate.name)
        return any(one.until_ms is None or one.until_ms > now_ms for one in found)

    def _gates(self, request: CallRequest, bounds: Bounds) -> list[Gate]:
        latches = dict.fromkeys(line.latch for line in bounds.lines.values() if line.latch is not None)
        breaker = self.terms.breaker
        tool = [] if breaker is None or not request.tool else [Gate(_tool_gate(request.tool), parse_time(breaker.pause))]
        return [*(Gate(name) for name in latches), *tool]

    def _ledger(self, reservation: Reservation, amounts: Amounts, now_ms: int) -> tuple[Spent, ...]:
        request = reservation.request
        if not self.terms.keeps_ledger:
            return ()
        if not request.tool and not request.action and reservation.spent:
            return tuple(reservation.spent)
        cost = amounts.get(Metric.COST, 0) - reservation.cost_micros
        own = _spent(request, now_ms, cost)
        own = replace(own, cpu_ms=amounts.get(Metric.CPU, 0), egress_bytes=amounts.get(Metric.EGRESS, 0))
        return (*reservation.spent, own)

    def _move(self, more: Sequence[_Held], amounts: Amounts, now_ms: int) -> list[tuple[Line, int]]:
        """Take the difference; the lines that it passes, with what they hold."""
        if not more:
            return []
        changes = [one.line.change(one.slot, amounts[one.line.metric] - one.amount) for one in more]
        held = self.store.add(changes, now_ms)
        for one in more:
            one.amount = amounts[one.line.metric]
        found = ((one.line, sum_) for one, sum_ in zip(more, held, strict=True))
        return [(line, sum_) for line, sum_ in found if line.limit is not None and sum_ > line.limit]

    def _tell_breaker(self, reservation: Reservation, ok: bool, now_ms: int) -> None:
        breaker, tool = self.terms.breaker, reservation.request.tool
        if breaker is None or not tool:
            return
        gate, window = _tool_gate(tool), Rolling(parse_time(breaker.within))
        failures = Claim(key_of("failures", tool), window.slot(now_ms), 1, span=window.span)
        if ok:
            if gate in reservation.trials:
                self.store.forget(failures.key)
                self.store.open(gate)
            return
        (failed,) = self.store.add([Line("", "", Metric.REQUESTS, failures.key, window).change(failures.slot, 1)], now_ms)
        if failed >= breaker.failures or gate in reservation.trials:
            why = f"the tool `{tool}` failed {failed} times within {breaker.within}"
            self.store.shut(Shut(gate, now_ms + parse_time(breaker.pause), why, now_ms))


def _estimated(prices: PriceList, request: CallRequest, estimate: Amounts) -> dict[Metric, int]:
    return {**estimate, Metric.COST: prices.call_micros(request.tool) + estimate.get(Metric.COST, 0)}


def _asked(line: Line, amounts: Amounts) -> int:
    amount = amounts.get(line.metric, 0)
    return max(amount, 1) if line.metric in MEASURED and line.limit is not None else amount


def _with_cost(reservation: Reservation, used: Amounts) -> dict[Metric, int]:
    """What a call used, its cost and its tokens reckoned."""
    call = reservation.prices.call_micros(reservation.request.tool, used.get(Metric.CPU, 0))
    cost = call + reservation.cost_micros + used.get(Metric.COST, 0)
    return {**used, Metric.COST: cost, Metric.TOKENS: reservation.tokens + used.get(Metric.TOKENS, 0)}


def _spent(request: CallRequest, now_ms: int, cost_micros: int, *, model: str = "", tokens: Tokens = NO_TOKENS) -> Spent:
    return Spent(
        hour=now_ms // HOUR_MS,
        user=request.subject.id,
        tenant=request.subject.tenant or "",
        tool=request.tool or request.action,
        model=model,
        calls=1,
        cost_micros=cost_micros,
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cached_tokens=tokens.cached,
    )


def _tool_gate(tool: str) -> str:
    return key_of(TOOL_GATE, tool)
