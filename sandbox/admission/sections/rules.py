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
from dataclasses import dataclass, replace
from itertools import chain

from sandbox.admission.conditions.facts import ALWAYS, Facts
from sandbox.admission.conditions.operators import Answer
from sandbox.admission.conditions.when import Condition, Every, Holds, Predicate, Some, Test, holds, tests_of
from sandbox.admission.decision import NO_CONSTRAINTS, Decision, Ruling
from sandbox.admission.document.models import AdmissionDocument, Rule
from sandbox.admission.sections.vote import Check, Vote, constraints_of, merged, sterner, strictest

Key = tuple[str, str]
PREFIX = "tool starts_with"


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A rule, made ready to be asked where it is found; `rank` orders by priority, then by place. `alone` is its vote."""

    rule: Rule
    rank: int
    priority: int
    allows: bool
    holds: Holds | None
    alone: Vote

    def answer(self, facts: Facts) -> Answer:
        """Whether its condition holds."""
        return True if self.holds is None else self.holds(facts)


class Rules:
    """The rules of a document, and where each is looked for. `checks` speak beside the rules of their priority."""

    name = "rules"

    def __init__(self, document: AdmissionDocument, checks: tuple[Check, ...] = ()) -> None:
        self.checks = checks
        self.configured = bool(document.rules or checks)
        self._always: list[Ready] = []
        self._drawers: dict[str, dict[str, list[Ready]]] = {}
        self._fill(sorted(document.rules, key=lambda rule: -rule.priority))
        self._prefixes = sorted({len(text) for text in self._drawers.get(PREFIX, ())})

    def vote(self, facts: Facts) -> Vote | None:
        """What the rules of the highest priority that match say together."""
        said = self._of_checks(facts) if self.checks else ()
        floor = max((priority for priority, _ in said), default=None) if said else None
        votes: list[Vote] = []
        for ready in self.candidates(facts):
            if floor is not None and ready.priority < floor:
                break
            answer = True if ready.holds is None else ready.holds(facts)
            if answer is False or (answer is None and ready.allows):
                continue
            floor = ready.priority
            votes.append(ready.alone if answer else _unclear(ready, facts))
        if said:
            votes += [vote for priority, vote in said if priority == floor]
        return _together(votes) if len(votes) > 1 else votes[0] if votes else None

    def considered(self, facts: Facts) -> Iterator[tuple[Rule, Answer]]:
        """Every rule that can match at all, in the order in which they are asked, and whether it does."""
        return ((ready.rule, ready.answer(facts)) for ready in self.candidates(facts))

    def candidates(self, facts: Facts) -> Iterable[Ready]:
        """The rules that may match, the highest priority first."""
        found = self._found(facts) if self._drawers else ()
        if not found:
            return self._always
        if len(found) == 1 and not self._always:
            return found[0]
        # A rule lies in several drawers where it names several values.
        return sorted(dict.fromkeys(chain(self._always, *found)), key=_rank)

    def _found(self, facts: Facts) -> list[list[Ready]]:
        request, found = facts.request, []
        for field, drawers in self._drawers.items():
            if field == "tool":
                found.append(drawers.get(request.tool))
            elif field == "component":
                found.append(drawers.get(request.component))
            elif field == "subject.id":
                found.append(drawers.get(request.subject.id))
            elif field == "action":
                found += map(drawers.get, facts.actions)
            elif field == "subject.roles":
                found += map(drawers.get, facts.roles)
            else:
                found += [drawers.get(request.tool[:length]) for length in self._prefixes]
        return [drawer for drawer in found if drawer is not None]

    def _fill(self, rules: list[Rule]) -> None:
        ways = [list(_ways(rule.when)) for rule in rules]
        shared = Counter(key for each in ways for way in each for key in way.keys)
        for rank, (rule, each) in enumerate(zip(rules, ways, strict=True)):
            best = min(each, key=lambda way: sum(shared[key] for key in way.keys), default=None)
            ready = _ready(rule, rank, rule.when if best is None else best.rest)
            if best is None:
                self._always.append(ready)
                continue
            for field, value in best.keys:
                self._drawers.setdefault(field, {}).setdefault(value, []).append(ready)

    def _of_checks(self, facts: Facts) -> list[tuple[int, Vote]]:
        return [(each.priority, vote) for each in self.checks if (vote := _asked(each, facts)) is not None]


def _rank(ready: Ready) -> int:
    return ready.rank


@dataclass(frozen=True, slots=True)
class _Way:
    """How a condition can be found: every request that it can match has one of the keys. `rest` is what is left to ask then."""

    keys: tuple[Key, ...]
    rest: Condition | None


def _ways(when: Condition | Predicate | None) -> Iterator[_Way]:
    match when:
        case Test(field, "eq", str() as value) if field in ALWAYS:
            yield _Way(((field, value),), None)
        case Test(field, "in", values) if field in ALWAYS:
            yield _Way(tuple((field, str(value)) for value in values), None)
        case Test("tool", "starts_with", str() as value) if value:
            yield _Way(((PREFIX, value),), when)
        case Every(parts):
            for at, part in enumerate(parts):
                others = (*parts[:at], *parts[at + 1 :])
                for way in _ways(part):
                    left = others if way.rest is None else (*others, way.rest)
                    yield _Way(way.keys, left[0] if len(left) == 1 else Every(left))
        case Some(parts):
            several = [next(_ways(part), None) for part in parts]
            if (found := [way for way in several if way is not None]) and len(found) == len(parts):
                yield _Way(tuple(key for way in found for key in way.keys), when)


def _ready(rule: Rule, rank: int, asked: Condition | Predicate | None) -> Ready:
    reason = rule.message or f"the rule `{rule.name}` {_SAYS[rule.effect]}"
    constraints = constraints_of(rule.constraints)
    alone = Vote(Rules.name, rule.effect, (rule.name,), reason, constraints, signal=rule.on_violation, lasting=True)
    return Ready(rule, rank, rule.priority, rule.effect is Ruling.ALLOW, None if asked is None else holds(asked), alone)


_SAYS = {Ruling.ALLOW: "allows it", Ruling.DENY: "denies it", Ruling.REQUIRE_APPROVAL: "asks for an approval"}


def _unclear(ready: Ready, facts: Facts) -> Vote:
    doubtful = next((test for test in tests_of(ready.rule.when) if holds(test)(facts) is None), None)
    what = "its condition" if doubtful is None else f"`{doubtful.field}`"
    return replace(ready.alone, reason=f"{ready.alone.reason}, for {what} cannot be told", lasting=False)


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
