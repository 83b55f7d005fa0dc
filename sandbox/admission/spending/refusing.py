"""Why a call may not run or go on, when there is room again, and what is nearly used up: what the counts mean, in words.

Pure. Of several lines without room the one that takes longest to have some is the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sandbox.admission.decision import Decision, Ruling
from sandbox.admission.spending.budgets import Cap, shown
from sandbox.admission.spending.counting import Full, Shut
from sandbox.admission.spending.lines import Line, Rolling
from sandbox.admission.spending.seen import TOGETHER
from sandbox.config.spending import Metric
from sandbox.errors import Code

TOOL_GATE = "tool"
"""What the gates of the circuit breaker begin with."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call may not run, or not go on, and when asking again may help; None where it does not."""

    code: Code
    rules: tuple[str, ...]
    reason: str
    retry_after_s: float | None = None

    @property
    def decision(self) -> Decision:
        """The refusal as what was decided."""
        return Decision(Ruling.DENY, self.rules, self.reason, retry_after_s=self.retry_after_s)


@dataclass(frozen=True, slots=True)
class Warned:
    """A soft limit that is passed; `now` where this very call passed it."""

    rule: str
    text: str
    now: bool


def over_cap(caps: Sequence[Cap], amounts: Mapping[Metric, int]) -> Refusal | None:
    """The refusal of a call that passes what one call may use."""
    passed = [cap for cap in caps if amounts.get(cap.metric, 0) > cap.limit]
    if not passed:
        return None
    cap = passed[0]
    used = shown(cap.metric, amounts[cap.metric])
    reason = f"{cap.told} may use {shown(cap.metric, cap.limit)} (`{cap.rule}`), and this one uses {used}"
    return Refusal(Code.BUDGET_EXCEEDED, tuple(each.rule for each in passed), reason)


def shut(gate: Shut, now_ms: int) -> Refusal:
    """The refusal at a gate that is shut."""
    kind, _, name = gate.name.partition("/")
    wait = None if gate.until_ms is None else max(0, gate.until_ms - now_ms) / 1000
    if kind == TOOL_GATE:
        return Refusal(Code.RATE_LIMIT_EXCEEDED, ("budgets.circuit_breaker",), f"{gate.why}: it is not called now", wait)
    return Refusal(Code.BUDGET_EXCEEDED, (f"run/{name}",), f"the run `{name}` is shut: {gate.why}", wait)


def full(answer: Full, asked: Sequence[tuple[Line, int]], now_ms: int) -> Refusal:
    """The refusal where claims had no room; `asked` are the lines by their numbers, with what was asked of each."""
    waits: list[tuple[float, Line, int]] = []
    for number, slots in answer.without_room.items():
        line, amount = asked[number]
        wait = line.over.wait_ms(slots, amount, line.limit or 0, now_ms)
        waits.append((float("inf") if wait is None else wait / 1000, line, sum(slots.values())))
    longest, line, held = max(waits, key=lambda each: each[0])
    rated = isinstance(line.over, Rolling)
    reason = f"too many calls: {line.told}" if rated else line.told if line.rule == TOGETHER else used_up(line, held)
    code = Code.RATE_LIMIT_EXCEEDED if rated else Code.BUDGET_EXCEEDED
    return Refusal(code, tuple(each.rule for _, each, _ in waits), reason, None if longest == float("inf") else longest)


def used_up(line: Line, held: int) -> str:
    """That there is no room on a line that holds so much."""
    return f"the budget is used up: {line.told}, of which {shown(line.metric, held)} is taken (`{line.rule}`)"


def warned(lines: Sequence[Line], held: Sequence[int], by: Sequence[int]) -> tuple[Warned, ...]:
    """The soft limits that are passed where the lines hold so much, the last of it just now."""
    found = []
    for line, now, more in zip(lines, held, by, strict=True):
        if line.soft is not None and now >= line.soft:
            part = "more than there is" if line.limit is None else f"{100 * now // max(line.limit, 1)}%"
            text = f"{part} of a budget is used: {line.told}, of which {shown(line.metric, now)} is taken"
            found.append(Warned(line.rule, text, now - more < line.soft))
    return tuple(found)
