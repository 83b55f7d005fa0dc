"""Where two templates decide differently, each time with a concrete example: a path, a request, a variable, a limit.

Pure. An example is not derived, it is found: candidates are made from the rules that only one of the two has, both templates are
asked about each, and what they answer differently is an example. So an example is always true; that none is found means that none
of the candidates tells the two apart, and `complete` says whether all of them were tried.

Rules: one example for each pair of lines that decide (and, for the network, for each reason); what only moved to another line
is no difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, Literal

from sandbox.policy.globs import NotExpressibleError, name_intersect
from sandbox.policy.units import show_size
from sandbox.template import samples
from sandbox.template.environment import EnvironmentDecision, EnvironmentRules
from sandbox.template.limits import FIELDS, show_limit
from sandbox.template.template import EnvironmentRule, FileRule, Limits, NetworkRule, WasiTemplate

Kind = Literal["storage", "network", "environment", "resource", "mount"]
MOST_TRIED = 20_000
"""Pairs of rules, or requests, that are tried in one section; documents of ordinary size have far fewer."""

MOST_EXAMPLES = 256


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one template says of an example, and the line that says so (None: no line allows it)."""

    allowed: bool
    origin: str | None
    says: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the two templates decide differently."""

    kind: Kind
    example: str
    left: Verdict
    right: Verdict


@dataclass(frozen=True, slots=True)
class Differences:
    """All that was found; not `complete` where the documents have too many lines to compare each with each."""

    found: tuple[Difference, ...]
    complete: bool = True

    def to_json(self) -> dict[str, Any]:
        """The differences as a JSON object."""
        return {"complete": self.complete, "differences": [asdict(one) for one in self.found]}


class Budget:
    """How many candidates may still be tried."""

    def __init__(self, most: int = MOST_TRIED) -> None:
        self.left = most

    def spend(self) -> bool:
        """Take one; whether there was one."""
        self.left -= 1
        return self.left >= 0


def only_in_one(left: tuple[Any, ...], right: tuple[Any, ...]) -> list[Any]:
    """The rules that only one of the two has, whatever line they come from."""
    here, there = {meaning(rule) for rule in left}, {meaning(rule) for rule in right}
    found = [rule for rule in left if meaning(rule) not in there] + [rule for rule in right if meaning(rule) not in here]
    return list({meaning(rule): rule for rule in found}.values())


def meaning(rule: FileRule | NetworkRule | EnvironmentRule) -> tuple[object, ...]:
    """All of a rule but the line it comes from."""
    return tuple(getattr(rule, name) for name in rule.__dataclass_fields__ if name != "origin")


def environment_differences(left: WasiTemplate, right: WasiTemplate, budget: Budget) -> Iterator[Difference]:
    """Variables that one of the two shows and the other does not, or shows with another value."""
    ours, theirs = EnvironmentRules(left.environment), EnvironmentRules(right.environment)
    seen: set[tuple[object, ...]] = set()
    for name in dict.fromkeys(_variable_candidates(left.environment, right.environment, budget)):
        here, there = ours.decide(name), theirs.decide(name)
        key = (here.origin, there.origin, here.allowed, there.allowed)
        if key not in seen and replace(here, origin=None) != replace(there, origin=None):
            seen.add(key)
            verdicts = (Verdict(one.allowed, one.origin, _shown(one)) for one in (here, there))
            yield Difference("environment", name, *verdicts)


def _variable_candidates(left: tuple[EnvironmentRule, ...], right: tuple[EnvironmentRule, ...], budget: Budget) -> Iterator[str]:
    for rule in only_in_one(left, right):
        yield from (name for name in samples.names(rule.key) if name.isidentifier() and name.isascii())
        for other in (*left, *right):
            if budget.spend() and (common := _common_name(rule.key, other.key)) is not None:
                yield from (name for name in samples.names(common) if name.isidentifier() and name.isascii())


def _common_name(one: str, other: str) -> str | None:
    try:
        return name_intersect(one, other)
    except NotExpressibleError:
        return None


def _shown(decision: EnvironmentDecision) -> str:
    """How a variable is shown; a written value is not repeated: the line that decides has it."""
    if not decision.allowed:
        return "denied" if decision.origin is not None else "no line allows it"
    if decision.secret is not None:
        return f"the secret {decision.secret}"
    return "the host's value" if decision.value is None else "the value written there"


def limit_differences(left: Limits, right: Limits) -> Iterator[Difference]:
    """Limits that are not the same; the example is what the wider one lets a call use."""
    for name, field in FIELDS.items():
        here, there = getattr(left, field), getattr(right, field)
        if here != there:
            wide = None if None in (here, there) else max(here, there)
            example = f"{name} {show_limit(name, wide)}" if wide is not None else f"{name} without end"
            verdicts = (
                Verdict(value == wide, limits.origin(field), "no limit" if value is None else show_limit(name, value))
                for value, limits in ((here, left), (there, right))
            )
            yield Difference("resource", example, *verdicts)


def keyvalue_differences(left: WasiTemplate, right: WasiTemplate) -> Iterator[Difference]:
    """What only one of the two lets a component keep, or more of it."""
    rules = (left.keyvalue, right.keyvalue)
    sizes = tuple(0 if rule is None else rule.max_bytes for rule in rules)
    if sizes[0] != sizes[1]:
        most = max(sizes)
        verdicts = (
            Verdict(
                size == most, None if rule is None else rule.origin, show_size(size) if rule is not None else "no line allows it"
            )
            for rule, size in zip(rules, sizes, strict=True)
        )
        yield Difference("resource", f"keep {show_size(most)} between calls", *verdicts)


def mount_differences(left: WasiTemplate, right: WasiTemplate) -> Iterator[Difference]:
    """Guest paths behind which another folder of the host lies, or none."""
    here = {item.guest_path: item.host_path for item in left.preopens}
    there = {item.guest_path: item.host_path for item in right.preopens}
    for guest in sorted(here.keys() | there.keys()):
        if here.get(guest) != there.get(guest):
            verdicts = (
                Verdict(folder is not None, None, "nothing" if folder is None else folder)
                for folder in (here.get(guest), there.get(guest))
            )
            yield Difference("mount", guest, *verdicts)


def first(found: Iterator[Difference]) -> tuple[Difference, ...]:
    """As many differences as anyone reads."""
    return tuple(islice(found, MOST_EXAMPLES))
