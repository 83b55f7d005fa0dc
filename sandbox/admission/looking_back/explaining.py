"""Why a request is answered as it is: all that was considered, what decided, and the smallest change that would turn the answer.

Pure. A change is found by trying: the steps that could help are taken one by one, then two together, and the first that turns the
answer is told. They are tried in the order in which they give least: to this subject alone, to this tool, then to all.

Rule: nothing is changed here; who gives roles, scopes and rules decides about that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from sandbox.admission.conditions.facts import Facts
from sandbox.admission.conditions.when import Condition, Every, Negation, Predicate, Some, Test
from sandbox.admission.decision import Decision, Ruling
from sandbox.admission.document.models import AdmissionDocument, Rule
from sandbox.admission.request import CallRequest
from sandbox.admission.sections.roles import resource_of
from sandbox.admission.sections.ruleset import DEFAULT, Ruleset
from sandbox.admission.sections.vote import Check
from sandbox.admission.usage import UNKNOWN, Usage

MAX_STEPS = 24
"""How many steps are tried alone, and in pairs: a document may have thousands of roles."""


@dataclass(frozen=True, slots=True)
class Considered:
    """Something that was asked: a rule, or a section as a whole. `matched` is None where that cannot be told.

    `effect` is what it says of the request; of a rule that does not match, what it would say. None where a section abstains.
    """

    section: str
    name: str
    effect: Ruling | None
    matched: bool | None
    why: str
    origin: str = ""
    decided: bool = False

    def to_json(self) -> dict[str, Any]:
        """What was asked, as a JSON object."""
        told = {"section": self.section, "name": self.name, "matched": self.matched, "decided": self.decided, "why": self.why}
        return {**told, "effect": None if self.effect is None else self.effect.value, "origin": self.origin or None}


@dataclass(frozen=True, slots=True)
class Change:
    """What would have to be otherwise for another answer, in sentences, with the commands that make it so; and that answer."""

    say: tuple[str, ...]
    commands: tuple[str, ...]
    answer: Ruling

    def to_json(self) -> dict[str, Any]:
        """The change as a JSON object."""
        return {"say": list(self.say), "commands": list(self.commands), "answer": self.answer.value}


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to a request, and why."""

    decision: Decision
    considered: tuple[Considered, ...]
    change: Change | None

    def to_json(self) -> dict[str, Any]:
        """The explanation as a JSON object."""
        decision = self.decision
        told = {"effect": decision.effect.value, "rules": list(decision.rules), "reason": decision.reason}
        change = None if self.change is None else self.change.to_json()
        return {**told, "considered": [each.to_json() for each in self.considered], "change": change}


@dataclass(frozen=True, slots=True)
class _Step:
    """One thing that could be otherwise: the document, or the request."""

    say: str
    document: dict[str, Any] | None = None
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    command: str | None = None


def explain(
    document: AdmissionDocument,
    request: CallRequest,
    usage: Usage = UNKNOWN,
    *,
    checks: tuple[Check, ...] = (),
    handles: Iterable[str] = (),
) -> Explanation:
    """What a document says of a request, why, and what would have to be otherwise."""
    duties = frozenset(handles)
    ruleset = Ruleset(document, checks, handles=duties)
    decision, facts = ruleset.decide(request, usage), ruleset.facts(request, usage)
    steps = list(_forbidding(ruleset, facts, decision) if decision.allowed else _allowing(ruleset, facts, decision))

    def answer(taken: tuple[_Step, ...]) -> Ruling:
        changed, asked = _with(document, request, taken)
        return Ruleset(changed, checks, handles=duties).decide(asked, usage).effect

    return Explanation(decision, tuple(_considered(ruleset, facts, decision)), _smallest(steps, decision, answer))


def explained_without(decision: Decision) -> Explanation:
    """The explanation where no document is in force."""
    told = Considered("template", "permissive", decision.effect, True, decision.reason, decided=True)
    change = Change(("put an admission document in force: `admission: FILE` in sandbox.yaml",), (), Ruling.DENY)
    return Explanation(decision, (told,), change)


def _considered(ruleset: Ruleset, facts: Facts, decision: Decision) -> Iterator[Considered]:
    for vote in ruleset.votes(facts):
        if vote.section != ruleset.rules.name:
            name, decided = ", ".join(vote.rules) or vote.section, bool(set(vote.rules) & set(decision.rules))
            yield Considered(vote.section, name, vote.effect, True, vote.reason, decided=decided)
    for rule, matched in ruleset.rules.considered(facts):
        why = "it asks for nothing" if rule.when is None else f"{said(rule.when)}: {_TOLD[matched]}"
        name = rule.name
        yield Considered("rules", name, rule.effect, matched, why, rule.origin, matched is not False and name in decision.rules)
    if decision.rules == (DEFAULT,):
        yield Considered("template", DEFAULT, decision.effect, True, decision.reason, decided=True)


_TOLD = {True: "it holds", False: "it does not hold", None: "it cannot be told"}


def said(condition: Condition | Predicate) -> str:
    """A condition in a line."""
    match condition:
        case Test(field, operator, value):
            return f"{field} {operator} {list(value) if isinstance(value, frozenset | tuple) else value!r}"
        case Every(parts):
            return " and ".join(map(said, parts))
        case Some(parts):
            return f"({' or '.join(map(said, parts))})"
        case Negation(part):
            return f"not ({said(part)})"
        case Predicate(function):
            return f"`{getattr(function, '__name__', 'a function')}`"


def _smallest(steps: list[_Step], decision: Decision, answer: Any) -> Change | None:
    wanted = {Ruling.ALLOW} if not decision.allowed else {Ruling.DENY, Ruling.REQUIRE_APPROVAL}
    steps = steps[:MAX_STEPS]
    for count in (1, 2):
        for taken in combinations(steps, count):
            if (effect := answer(taken)) in wanted:
                return Change(tuple(s.say for s in taken), tuple(s.command for s in taken if s.command is not None), effect)
    return None


def _with(document: AdmissionDocument, request: CallRequest, taken: tuple[_Step, ...]) -> tuple[AdmissionDocument, CallRequest]:
    subject = request.subject
    for step in taken:
        subject = replace(subject, roles=(*subject.roles, *step.roles), scopes=(*subject.scopes, *step.scopes))
        if step.document is not None:
            document = document.model_copy(update={name: make(getattr(document, name)) for name, make in step.document.items()})
    return document, replace(request, subject=subject)


def _allowing(ruleset: Ruleset, facts: Facts, decision: Decision) -> Iterator[_Step]:
    document, request = ruleset.document, facts.request
    who, tool = request.subject.id or "the subject", request.tool
    missing = tuple(sorted(ruleset.scopes.of_tool[tool] - facts.scopes)) if tool else ()
    if missing:
        yield _Step(f"give `{who}` the scope {' and '.join(f'`{each}`' for each in missing)}", scopes=missing)
    if ruleset.roles.configured:
        for role in sorted(document.roles, key=lambda name: _breadth(ruleset, name)):
            held = ruleset.roles.held[request.subject.id, (*request.subject.roles, role)]
            if role not in facts.roles and ruleset.roles.might(held, resource_of(request), facts.actions):
                yield _Step(f"give `{who}` the role `{role}`", roles=(role,), command=f"sandbox role assign {who} {role}")
    if any(name == "approvals.require" for name in decision.rules):
        yield _Step(f"write `{tool}` under `approvals.except`", {"approvals": lambda old: _excepting(old, tool)})
    for action in sorted(facts.actions & set(document.approvals.four_eyes)):
        yield _Step(f"take `{action}` out of `approvals.four_eyes`", {"approvals": lambda old, gone=action: _by_one(old, gone)})
    yield from _actions(document, facts)
    yield from _without(document, decision)
    named = f"rules: [{{name: allow-this, effect: allow, when: {{{_asked(request)}}}}}]"
    yield _Step(f"add `{named}`", {"rules": lambda old: (*old, _rule(request, Ruling.ALLOW, old))})


def _breadth(ruleset: Ruleset, role: str) -> tuple[bool, int, str]:
    """How much a role gives, to try the ones first that give least: one with everything last, one that inherits none first."""
    held = ruleset.roles.held["", (role,)]
    given = [each for name in held for each in ruleset.document.roles[name].permissions]
    return any(each.resource == "*" or "*" in each.actions for each in given), len(held), role


def _forbidding(ruleset: Ruleset, facts: Facts, decision: Decision) -> Iterator[_Step]:
    yield from _without(ruleset.document, decision)
    request = facts.request
    named = f"rules: [{{name: deny-this, effect: deny, when: {{{_asked(request)}}}}}]"
    yield _Step(f"add `{named}`", {"rules": lambda old: (*old, _rule(request, Ruling.DENY, old))})


def _actions(document: AdmissionDocument, facts: Facts) -> Iterator[_Step]:
    for action in sorted(facts.actions & set(document.blocked_actions)):
        without = {"blocked_actions": lambda old, gone=action: tuple(each for each in old if each != gone)}
        yield _Step(f"take `{action}` out of `blocked_actions`", without)
    if document.allowed_actions is not None and not facts.actions & set(document.allowed_actions) and facts.actions:
        named = facts.request.action or facts.request.tool.rpartition("__")[2] or min(facts.actions)
        yield _Step(f"write `{named}` under `allowed_actions`", {"allowed_actions": lambda old: (*old, named)})
    for action in sorted(facts.actions & document.actions.keys()):
        if document.actions[action].default not in (None, Ruling.ALLOW):
            undecided = {
                "actions": lambda old, name=action: {**old, name: old[name].model_copy(update={"default": None})},
            }
            yield _Step(f"take `default` out of `actions.{action}`", undecided)


def _without(document: AdmissionDocument, decision: Decision) -> Iterator[_Step]:
    for rule in document.rules:
        if rule.name in decision.rules:
            where = f" ({rule.origin})" if rule.origin else ""
            other = "" if rule.when is None else f", or ask for something of which this is not so: {said(rule.when)}"
            gone = {"rules": lambda old, name=rule.name: tuple(each for each in old if each.name != name)}
            yield _Step(f"take the rule `{rule.name}` out{where}{other}", gone)
    for line in document.content:
        if line.name in decision.rules:
            gone = {"content": lambda old, name=line.name: tuple(each for each in old if each.name != name)}
            yield _Step(f"take `{line.name}` out, or ask without what it looks for", gone)


def _rule(request: CallRequest, effect: Ruling, others: tuple[Rule, ...]) -> Rule:
    highest = max((rule.priority for rule in others), default=0)
    what = Test("tool", "eq", request.tool) if request.tool else Test("action", "eq", request.action or "invoke")
    when = Every((what, Test("subject.id", "eq", request.subject.id)))
    return Rule(name=f"{effect.value}-this", effect=effect, priority=highest, when=when)


def _asked(request: CallRequest) -> str:
    what = f"tool: {request.tool}" if request.tool else f"action: {request.action or 'invoke'}"
    return f"{what}, subject.id: {request.subject.id}"


def _by_one(approvals: Any, action: str) -> Any:
    return approvals.model_copy(update={"four_eyes": tuple(each for each in approvals.four_eyes if each != action)})


def _excepting(approvals: Any, tool: str) -> Any:
    return approvals.model_copy(update={"exceptions": (*approvals.exceptions, tool)})
