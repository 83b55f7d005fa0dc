"""The section of rules: of those that match, only the highest priority speaks, and at one priority deny wins.

A rule whose condition cannot be told matches where it denies or asks for an approval, and does not where it allows. What raises
in a check denies.

Rule: the cost must not grow with rules that cannot match. A rule that can only match one tool, component, subject, role or action
lies in that one's drawer, by the field that the fewest rules share; `starts_with` of a tool by its prefix. All others are asked
every time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from sandbox.admission.conditions import Condition, Every, Holds, Predicate, Some, Test, holds
from sandbox.admission.decision import NO_CONSTRAINTS, Constraints, Decision, Ruling
from sandbox.admission.facts import ALWAYS, Facts
from sandbox.admission.models import AdmissionDocument, Rule
from sandbox.admission.operators import Answer
from sandbox.admission.vote import Check, Vote, constraints_of, merged, sterner, strictest

Key = tuple[str, str]
PREFIX = "tool starts_with"


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A rule, made ready to be asked; `rank` orders by priority, then by place."""

    rule: Rule
    rank: int
    holds: Holds | None
    constraints: Constraints
    alone: Vote

    def answer(self, facts: Facts) -> Answer:
        """Whether its condition holds."""
        return True if self.holds is None else self.holds(facts)


class Rules:
    """The rules of a document, and where each is looked for. `checks` speak beside the rules of their priority."""

    name = "rules"

    def __init__(self, document: AdmissionDocument, checks: tuple[Check, ...] = ()) -> None:
        ordered = sorted(document.rules, key=lambda rule: -rule.priority)
        self.all = tuple(_ready(rule, rank) for rank, rule in enumerate(ordered))
        self.checks = checks
        self.configured = bool(self.all or checks)
        self._always: list[Ready] = []
        self._drawers: dict[Key, list[Ready]] = {}
        self._fill()
        self._prefixes = sorted({len(text) for kind, text in self._drawers if kind == PREFIX})
        kinds = {kind for kind, _ in self._drawers}
        self._single, self._several = kinds & {"tool", "component", "subject.id"}, kinds & {"subject.roles", "action"}

    def vote(self, facts: Facts) -> Vote | None:
        """What the rules of the highest priority that match say together."""
        said = self._of_checks(facts) if self.checks else ()
        matched: list[Ready] = []
        floor = max((priority for priority, _ in said), default=None)
        for ready in self.candidates(facts):
            priority = ready.rule.priority
            if floor is not None and priority < floor:
                break
            answer = ready.answer(facts)
            if answer or (answer is None and ready.rule.effect is not Ruling.ALLOW):
                floor = priority
                matched.append(ready)
        votes = [each.alone for each in matched] + [vote for priority, vote in said if priority == floor]
        if not votes:
            return None
        if matched and not _is_clear(matched[0], facts):
            votes[0] = _unclear(matched[0])
        return votes[0] if len(votes) == 1 else _together(votes)

    def considered(self, facts: Facts) -> Iterator[tuple[Rule, Answer]]:
        """Every rule that can match at all, in the order in which they are asked, and whether it does."""
        return ((ready.rule, ready.answer(facts)) for ready in self.candidates(facts))

    def candidates(self, facts: Facts) -> Iterable[Ready]:
        """The rules that may match, the highest priority first."""
        if not self._drawers:
            return self._always
        found = [drawer for key in self._keys(facts) if (drawer := self._drawers.get(key)) is not None]
        if not found:
            return self._always
        if len(found) == 1 and not self._always:
            return found[0]
        # A rule lies in several drawers where it names several values.
        return sorted(dict.fromkeys(chain(self._always, *found)), key=_rank)

    def _keys(self, facts: Facts) -> Iterator[Key]:
        request = facts.request
        if "tool" in self._single:
            yield "tool", request.tool
        if "component" in self._single:
            yield "component", request.component
        if "subject.id" in self._single:
            yield "subject.id", request.subject.id
        if "action" in self._several:
            for action in facts.actions:
                yield "action", action
        if "subject.roles" in self._several:
            for role in facts.roles:
                yield "subject.roles", role
        for length in self._prefixes:
            yield PREFIX, request.tool[:length]

    def _fill(self) -> None:
        ways = {ready.rank: list(_ways(ready.rule.when)) for ready in self.all}
        shared = Counter(key for each in ways.values() for keys in each for key in keys)
        for ready in self.all:
            best = min(ways[ready.rank], key=lambda keys: sum(shared[key] for key in keys), default=None)
            if best is None:
                self._always.append(ready)
            else:
                for key in best:
                    self._drawers.setdefault(key, []).append(ready)

    def _of_checks(self, facts: Facts) -> list[tuple[int, Vote]]:
        return [(each.priority, vote) for each in self.checks if (vote := _asked(each, facts)) is not None]


def _rank(ready: Ready) -> int:
    return ready.rank


def _ways(when: Condition | Predicate | None) -> Iterator[tuple[Key, ...]]:
    """The sets of keys one of which every request has that the condition can match."""
    match when:
        case Test(field, "eq", str() as value) if field in ALWAYS:
            yield ((field, value),)
        case Test(field, "in", values) if field in ALWAYS and all(isinstance(value, str) for value in values):
            yield tuple((field, value) for value in values)
        case Test("subject.roles" | "action" as field, "contains", str() as value):
            yield ((field, value),)
        case Test("tool", "starts_with", str() as value) if value:
            yield ((PREFIX, value),)
        case Every(parts):
            for part in parts:
                yield from _ways(part)
        case Some(parts):
            several = [list(_ways(part)) for part in parts]
            if all(several):
                yield tuple(key for ways in several for key in ways[0])


def _ready(rule: Rule, rank: int) -> Ready:
    constraints = constraints_of(rule.constraints)
    reason = rule.message or f"the rule `{rule.name}` {_SAYS[rule.effect]}"
    alone = Vote(Rules.name, rule.effect, (rule.name,), reason, constraints, signal=rule.on_violation)
    return Ready(rule, rank, None if rule.when is None else holds(rule.when), constraints, alone)


_SAYS = {Ruling.ALLOW: "allows it", Ruling.DENY: "denies it", Ruling.REQUIRE_APPROVAL: "asks for an approval"}


def _is_clear(ready: Ready, facts: Facts) -> bool:
    return ready.rule.effect is Ruling.ALLOW or ready.answer(facts) is True


def _unclear(ready: Ready) -> Vote:
    told = f"{ready.alone.reason}, for its condition cannot be told"
    return Vote(Rules.name, ready.rule.effect, ready.alone.rules, told, ready.constraints, signal=ready.alone.signal)


def _together(votes: list[Vote]) -> Vote:
    effect = strictest(vote.effect for vote in votes)
    deciding = [vote for vote in votes if vote.effect is effect]
    constraints = NO_CONSTRAINTS if effect is Ruling.DENY else merged(vote.constraints for vote in votes)
    names = tuple(name for vote in deciding for name in vote.rules)
    return Vote(Rules.name, effect, names, deciding[0].reason, constraints, signal=sterner(vote.signal for vote in deciding))


def _asked(check: Check, facts: Facts) -> Vote | None:
    said = check.check(facts.request, facts.usage)
    if said is None:
        return None
    if isinstance(said, Decision):
        return Vote(Rules.name, said.effect, said.rules or (check.name,), said.reason, said.constraints, said.warnings)
    if isinstance(said, Ruling):
        return Vote(Rules.name, said, (check.name,), f"the check `{check.name}` {_SAYS[said]}")
    raise TypeError(f"a check answers a Ruling, a Decision or None, not {type(said).__name__}")
