"""What one admission document permits that another does not, each with an example that shows it.

Pure. Requests are made from what the documents name: what every rule, permission, tool, action and line of content of either is
about, asked by every kind of subject that they know. Both answer each; of those that differ for the same reasons, one is shown.

Rule: two documents of which no example differs may still differ: they are compared by examples, and whoever shows it says so.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import Any

from sandbox.admission.conditions.when import Condition, Every, Negation, Predicate, Some, Test, tests_of
from sandbox.admission.decision import Decision
from sandbox.admission.document.models import AdmissionDocument
from sandbox.admission.request import CallRequest, RequestId, Resource
from sandbox.admission.sections.ruleset import Ruleset
from sandbox.admission.subject import SHIPPED_SCOPES, Subject
from sandbox.admission.usage import Usage

MAX_EXAMPLES = 20_000
_NOTHING = Usage()
_ANY_TOOL = "other__tool"


@dataclass(frozen=True, slots=True)
class Difference:
    """A request that the two documents answer otherwise."""

    request: CallRequest
    first: Decision
    second: Decision

    def to_json(self) -> dict[str, Any]:
        """The difference as a JSON object."""
        answers = {name: _told(decision) for name, decision in (("first", self.first), ("second", self.second))}
        return {"example": example_of(self.request), **answers}


def differences(first: AdmissionDocument, second: AdmissionDocument) -> tuple[Difference, ...]:
    """What they answer otherwise, one example for each pair of reasons."""
    one, other = Ruleset(first), Ruleset(second)
    found: dict[tuple[object, ...], Difference] = {}
    for request in islice(_requests(first, second), MAX_EXAMPLES):
        said, others = one.decide(request, _NOTHING), other.decide(request, _NOTHING)
        if said.effect is not others.effect:
            found.setdefault((said.effect, said.rules, others.effect, others.rules), Difference(request, said, others))
    return tuple(found.values())


def example_of(request: CallRequest) -> dict[str, Any]:
    """A request, without what it does not have."""
    subject = request.subject
    told = {
        "tool": request.tool,
        "action": request.action,
        "resource": request.resource.name,
        "attributes": dict(request.resource.attributes),
        "subject": subject.id,
        "roles": list(subject.roles),
        "tenant": subject.tenant,
        "scopes": [] if subject.scopes == SHIPPED_SCOPES else list(subject.scopes) or ["none"],
        "claims": dict(subject.claims),
        "arguments": dict(request.arguments),
        "metadata": dict(request.metadata),
    }
    return {name: value for name, value in told.items() if value}


def _told(decision: Decision) -> dict[str, Any]:
    return {"effect": decision.effect.value, "rules": list(decision.rules), "reason": decision.reason}


def _requests(*documents: AdmissionDocument) -> Iterator[CallRequest]:
    """The plain ones first, then those that the rules are about."""
    subjects = list(_subjects(documents))
    plain = [*_of_tools(documents), *_of_permissions(documents)]
    meant = [made for one in documents for rule in one.rules if rule.when is not None for made in _meeting(rule.when, _blank())]
    lines = [line.pattern for one in documents for line in one.content if line.pattern is not None]
    plain += [replace(_blank(), arguments={"text": text}) for pattern in lines for text in _matching(pattern)]
    harmless = _harmless(documents)
    for subject, request in product(subjects, plain):
        yield replace(request, subject=subject)
        if harmless:
            yield replace(request, subject=subject, arguments={**harmless, **request.arguments})
    for request, subject in product(meant, subjects):
        yield replace(request, subject=_merged(request.subject, subject))


def _harmless(documents: tuple[AdmissionDocument, ...]) -> dict[str, Any]:
    """Arguments that are there, so that what looks at them can be told, and that nothing looks for."""
    request = _blank()
    for test in (test for one in documents for rule in one.rules if rule.when is not None for test in tests_of(rule.when)):
        if test.field.startswith("arguments."):
            request = _put(request, test.field, _OTHERWISE.get(test.operator, "harmless") or test.value)
    return dict(request.arguments)


_OTHERWISE = {"gt": None, "lt": None, "ge": -1, "le": 10**9, "cidr": "192.0.2.1"}
"""What an operator does not hold of; None stands for the very value that it names."""


def _blank() -> CallRequest:
    return CallRequest(RequestId("example"), Subject(""), _ANY_TOOL)


def _subjects(documents: Iterable[AdmissionDocument]) -> Iterator[Subject]:
    """Somebody without roles, one with each role, those that are named, one with each scope, one with none."""
    yield Subject("somebody", scopes=SHIPPED_SCOPES)
    for document in documents:
        for role in document.roles:
            yield Subject("somebody", (role,), scopes=SHIPPED_SCOPES)
        for name in document.assignments:
            yield Subject(name, scopes=SHIPPED_SCOPES)
        for scope in document.scopes:
            yield Subject("somebody", scopes=("tools:invoke", scope))
    yield Subject("somebody")
    yield Subject("somebody", scopes=("tools:invoke",))


def _of_tools(documents: tuple[AdmissionDocument, ...]) -> Iterator[CallRequest]:
    names = {_ANY_TOOL: None}
    for one in documents:
        patterns = [tool for each in one.requires if (tool := each.tool) is not None]
        patterns += [*one.approvals.require, *one.approvals.exceptions]
        patterns += [tool for kind in one.actions.values() for tool in kind.tools]
        patterns += [tool for label in one.session.labels.values() for tool in label.tools]
        names |= dict.fromkeys(pattern.replace("*", "x") for pattern in patterns)
        actions = [*(one.allowed_actions or ()), *one.blocked_actions, *one.actions, *one.approvals.four_eyes]
        names |= dict.fromkeys(f"other__{action}" for action in actions)
    for name in names:
        yield replace(_blank(), tool=name)


def _of_permissions(documents: tuple[AdmissionDocument, ...]) -> Iterator[CallRequest]:
    for document in documents:
        for role in document.roles.values():
            for given in role.permissions:
                name, action = given.resource.replace("*", "x"), given.actions[0].replace("*", "x")
                whole = _blank()
                whole = (
                    replace(whole, tool=name[6:])
                    if name.startswith("tools/")
                    else replace(whole, tool="", resource=Resource(name))
                )
                whole = replace(whole, action=action)
                yield whole
                if given.conditions is not None:
                    yield from _meeting(given.conditions, whole)


def _meeting(condition: Condition | Predicate, request: CallRequest) -> Iterator[CallRequest]:
    """Requests that the condition may hold of; of a predicate, none can be made."""
    match condition:
        case Test(field, operator, value):
            for each in _values(operator, value):
                yield _put(request, field, each)
        case Every(parts):
            met = [request]
            for part in parts:
                met = [further for one in met for further in _meeting(part, one)][:16] or met
            yield from met
        case Some(parts):
            for part in parts:
                yield from _meeting(part, request)
        case Negation():
            yield request


def _values(operator: str, value: Any) -> Iterator[Any]:
    match operator:
        case "eq" | "contains" | "starts_with" | "ge" | "le":
            yield value
        case "in":
            yield from sorted(value, key=str)[:4]
        case "gt":
            yield value + 1
        case "lt":
            yield value - 1
        case "ne" | "not_in":
            yield "another"
        case "exists":
            yield from ["something"] if value else []
        case "cidr":
            first = value if isinstance(value, str) else sorted(map(str, value))[0]
            yield str(ipaddress.ip_network(first, strict=False)[0])
        case "matches":
            yield from _matching(str(getattr(value, "pattern", value)))


def _matching(pattern: str) -> Iterator[str]:
    """A text that an expression of plain letters between runs matches; of a harder one, none is found."""
    text = re.sub(r"\\b|\^|\$|\(\?i\)|\.\*\??|\.\+\??", "", pattern)
    text = re.sub(r"\(([^()|]*)\|[^()]*\)", r"\1", text).replace("\\", "")
    try:
        if re.search(pattern, text):
            yield text
    except re.error:
        return


def _put(request: CallRequest, field: str, value: Any) -> CallRequest:
    """The request with a field of that value."""
    head, _, name = field.partition(".")
    changed: dict[str, Any] = {}
    match head:
        case "tool" | "component" | "action":
            changed = {head: str(value)}
        case "subject":
            changed = {head: _as(request.subject, name, value)}
        case "resource":
            about = request.resource
            named = replace(about, name=str(value)) if name == "name" else about
            changed = {head: named if name == "name" else replace(about, attributes=_deep(about.attributes, name, value))}
        case "arguments" | "metadata":
            changed = {head: _deep(getattr(request, head), name, value)}
    return replace(request, **changed)  # unchanged for `usage`: nothing was used before


def _as(subject: Subject, name: str, value: Any) -> Subject:
    if name in ("roles", "scopes"):
        changed: dict[str, Any] = {name: (*getattr(subject, name), str(value))}
    elif name in ("id", "tenant"):
        changed = {name: str(value)}
    else:
        changed = {"claims": _deep(subject.claims, name.removeprefix("claims."), value)}
    return replace(subject, **changed)


def _deep(values: Any, path: str, value: Any) -> dict[str, Any]:
    first, _, rest = path.partition(".")
    return {**values, first: _deep(values.get(first) or {}, rest, value) if rest else value}


def _merged(wanted: Subject, kind: Subject) -> Subject:
    """Who a rule asks for, with what else that kind of subject has."""
    scopes = (*wanted.scopes, *kind.scopes)
    return Subject(wanted.id or kind.id, (*wanted.roles, *kind.roles), wanted.tenant, scopes, wanted.claims)
