"""Which budgets a request falls under: of all, of its user, tenant, component and run, each as the lines that bound it.

Pure: what an operator set while the host runs comes as a value. A budget named for somebody takes the place of the default one;
one that was set takes the place of the document's, and never that of the operator's `sandbox.yaml`, which holds beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from sandbox.admission.request import CallRequest
from sandbox.admission.spending.counting import key_of
from sandbox.admission.spending.lines import Calendar, Line, run_of
from sandbox.config.spending import FIELDS, Budget, BudgetSection, Metric, shown_money
from sandbox.errors import Code, SandboxError
from sandbox.policy.refusal import quoted

KINDS = ("users", "tenants", "components", "runs")
_SINGULAR = {"users": "user", "tenants": "tenant", "components": "component", "runs": "run"}
DEFAULT_RUN = "default"
MAX_NAME = 256
OWN = "own"
"""What the key of a budget begins with that an application set for a run of its own: it holds beside every other."""
NONE_SET: Mapping[str, Budget] = {}


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose budget: `kind` is of KINDS, or `global` with an empty name."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}" if self.name else self.kind

    @property
    def told(self) -> str:
        """In words."""
        return f"the {_SINGULAR[self.kind]} `{self.name[:80]}`" if self.name else "all calls together"


class Holds(Enum):
    """What a budget does with a call that is beyond it."""

    REFUSES = "refuses"
    WARNS = "warns"
    COUNTS = "counts"


GLOBAL = Whose("global")


def parse_whose(text: str) -> Whose:
    """`users/alice`, `runs/nightly`, `global`; raises SandboxError."""
    kind, _, name = text.partition("/")
    if text == GLOBAL.kind:
        return GLOBAL
    if kind not in KINDS or not name or not name.isprintable() or len(name) > MAX_NAME:
        help_ = "write `global`, `users/NAME`, `tenants/NAME`, `components/NAME` or `runs/NAME`"
        raise SandboxError(f"{quoted(text)} has no budget", help=help_, code=Code.INVALID_ARGUMENTS)
    return Whose(kind, name)


def whose_key(key: str) -> Whose:
    """Whose budget was set under a key: one that an application set is its run's."""
    kind, _, name = key.partition("/")
    return Whose("runs", name) if kind == OWN else parse_whose(key)


def own_key(run: str) -> str:
    """The key of the budget that an application sets for a run of its own."""
    return f"{OWN}/{run}"


def named_anywhere(*sections: BudgetSection | None) -> tuple[Whose, ...]:
    """Everybody whom these sections name."""
    found: dict[Whose, None] = {}
    for section in sections:
        if section is not None and section.all is not None:
            found[GLOBAL] = None
        for kind in KINDS:
            names = () if section is None else getattr(section, kind)
            found |= {Whose(kind, name): None for name in names if (kind, name) != ("runs", DEFAULT_RUN)}
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Cap:
    """What one call may use of something."""

    rule: str
    told: str
    metric: Metric
    limit: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """All that bounds one call: the lines by where they count, what it may use by itself, and the gate of its run."""

    lines: Mapping[str, Line] = field(default_factory=dict)
    caps: tuple[Cap, ...] = ()


def whose_of(request: CallRequest) -> tuple[Whose, ...]:
    """Whose budgets a request falls under."""
    run = run_of(request)
    named = (
        ("users", request.subject.id),
        ("tenants", request.subject.tenant),
        ("components", request.component),
        ("runs", run),
    )
    return (GLOBAL, *(Whose(kind, name) for kind, name in named if name))


def bounds_of_all(
    several: Iterable[Whose],
    *,
    maxima: BudgetSection | None = None,
    document: BudgetSection | None = None,
    was_set: Mapping[str, Budget] = NONE_SET,
    blocks: bool = True,
) -> Bounds:
    """All that bounds a call which is of all of these; where two lines count the same thing, the stricter.

    Without `blocks` only the operator's refuse; the others warn.
    """
    lines: dict[str, Line] = {}
    caps: list[Cap] = []
    for whose in several:
        for place, budget, holds in _in_force(whose, maxima, document, was_set, blocks):
            for line in lines_of(whose, budget, place):
                kept = line if holds is Holds.REFUSES else line.only_warning if holds is Holds.WARNS else line.only_counted
                held = lines.get(line.key)
                lines[line.key] = kept if held is None else _stricter(held, kept)
            if holds is Holds.REFUSES:
                caps += [
                    Cap(f"{place}.{FIELDS[metric]}_per_call", f"one call for {whose.told}", metric, limit)
                    for metric, limit in budget.per_call.items()
                ]
    return Bounds(lines, tuple(caps))


def lines_of(whose: Whose, budget: Budget, place: str) -> Iterator[Line]:
    """The lines of one budget; `place` is where it was written."""
    over = Calendar(budget.period)
    each = f" each {budget.period.value}" if budget.period is not None else ""
    latch = run_gate(whose.name) if whose.kind == "runs" else None
    for metric, limit in budget.limits.items():
        key = key_of("budget", whose.kind, whose.name, str(budget.period or "all"), metric.value)
        soft = None if budget.soft_limit_percent is None else -(-limit * budget.soft_limit_percent // 100)
        told = f"{FIELDS[metric].removeprefix('max_')} of {shown(metric, limit)}{each} for {whose.told}"
        yield Line(f"{place}.{FIELDS[metric]}", told, metric, key, over, limit, soft, latch)


def named_in(section: BudgetSection | None, whose: Whose) -> tuple[str, Budget] | None:
    """Where a section has somebody's budget, and that budget; None where it has none."""
    if section is None:
        return None
    if whose.kind == "global":
        return None if section.all is None else ("budgets.global", section.all)
    named = getattr(section, whose.kind).get(whose.name)
    if named is not None:
        return f"budgets.{whose.kind}.{whose.name}", named
    if whose.kind == "runs":
        default = section.runs.get(DEFAULT_RUN)
        return None if default is None else (f"budgets.runs.{DEFAULT_RUN}", default)
    default = getattr(section, f"default_{_SINGULAR[whose.kind]}")
    return None if default is None else (f"budgets.default_{_SINGULAR[whose.kind]}", default)


def run_gate(run: str) -> str:
    """The gate of a run: shut once a budget of it is used up."""
    return key_of("run", run)


def shown(metric: Metric, amount: int) -> str:
    """An amount as a budget writes it."""
    if metric is Metric.COST:
        return shown_money(amount)
    if metric in (Metric.CPU, Metric.SECONDS):
        return f"{amount / 1000:g}"
    return str(amount)


def _in_force(
    whose: Whose, maxima: BudgetSection | None, document: BudgetSection | None, was_set: Mapping[str, Budget], blocks: bool
) -> Iterator[tuple[str, Budget, Holds]]:
    """The budgets of somebody; what another has taken the place of is still counted, for when it holds again."""
    if (found := named_in(maxima, whose)) is not None:
        yield *found, Holds.REFUSES
    if whose.kind == "runs" and (runs_own := was_set.get(own_key(whose.name))) is not None:
        yield f"own budget of {whose}", runs_own, Holds.REFUSES
    operators = was_set.get(str(whose))
    if operators is not None:
        yield f"budget set {whose}", operators, Holds.REFUSES
    if (found := named_in(document, whose)) is not None:
        own = Holds.REFUSES if blocks else Holds.WARNS
        yield *found, own if operators is None else Holds.COUNTS


def _stricter(one: Line, other: Line) -> Line:
    def room(line: Line) -> float:
        return math.inf if line.limit is None else line.limit

    strict, loose = sorted((one, other), key=room)
    soft = strict.soft if loose.soft is None else loose.soft if strict.soft is None else min(strict.soft, loose.soft)
    return replace(strict, soft=soft)
