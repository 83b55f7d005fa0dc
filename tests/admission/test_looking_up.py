"""The drawers of the rules decide as a list of them would, one rule after the other, whatever the rules and the request are."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.admission import CallRequest, Ruling, Subject, Usage, new_request_id
from sandbox.admission.conditions.facts import Facts
from sandbox.admission.conditions.operators import OPERATORS
from sandbox.admission.conditions.when import holds
from sandbox.admission.document.models import AdmissionDocument, Rule
from sandbox.admission.sections.rules import Rules
from sandbox.admission.sections.vote import strictest

VALUES = {
    "tool": ["files__read", "files__del", "fil", "mail__send", "files"],
    "component": ["files", "mail"],
    "subject.id": ["ann", "bob"],
    "subject.roles": ["a", "ab", "admin", "b"],
    "action": ["e", "re", "read", "reader"],
}
"""Some are part of another: the beginning, or the middle."""
LISTS = ("in", "not_in")
ASKED = tuple(each for each in OPERATORS if each not in {"gt", "ge", "lt", "le", "cidr"})


def _test(field: str, operator: str) -> st.SearchStrategy[dict[str, Any]]:
    value: st.SearchStrategy[Any] = st.booleans() if operator == "exists" else st.sampled_from(VALUES.get(field, ["x", "y"]))
    operand = st.lists(value, min_size=1, max_size=2) if operator in LISTS else value
    return operand.map(lambda told: {field: {operator: told}})


def _grouped(parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(parts, min_size=1, max_size=3)
    return (
        several.map(lambda each: {"all": each}) | several.map(lambda each: {"any": each}) | parts.map(lambda each: {"not": each})
    )


EFFECTS = st.sampled_from([Ruling.DENY, Ruling.ALLOW, Ruling.REQUIRE_APPROVAL])


def rules_about(field: str, operator: str) -> st.SearchStrategy[list[Any]]:
    """Few rules, all about one field or about a tool: they meet each other, and the request."""
    conditions = st.recursive(_test(field, operator) | _test("tool", "eq"), _grouped, max_leaves=3)
    return st.lists(st.tuples(EFFECTS, st.integers(0, 2), conditions), min_size=1, max_size=3)


NAMES = {field: st.sampled_from([*values, ""]) for field, values in VALUES.items()}
SEVERAL = {
    field: st.sampled_from([frozenset(some) for number in range(3) for some in combinations(VALUES[field], number)])
    for field in ("subject.roles", "action")
}
ARGUMENTS: st.SearchStrategy[dict[str, Any]] = st.sampled_from([{}, {"p": "x"}, {"p": 1}, {"p": ["x", "y"]}])


@st.composite
def asked(draw: st.DrawFn) -> Facts:
    """A request, with whatever roles and actions."""
    subject, tool, component = (draw(NAMES[field]) for field in ("subject.id", "tool", "component"))
    request = CallRequest(new_request_id(), Subject(subject), tool, component, arguments=draw(ARGUMENTS))
    return Facts(request, Usage(), draw(SEVERAL["subject.roles"]), frozenset(), draw(SEVERAL["action"]))


def one_by_one(document: AdmissionDocument, facts: Facts) -> Ruling | None:
    """What the rules say, each of them asked."""
    matching = []
    for rule in document.rules:
        answer = True if rule.when is None else holds(rule.when)(facts)
        if answer or (answer is None and rule.effect is not Ruling.ALLOW):
            matching.append(rule)
    highest = max((rule.priority for rule in matching), default=0)
    return strictest(rule.effect for rule in matching if rule.priority == highest) if matching else None


@pytest.mark.parametrize("operator", ASKED)
@pytest.mark.parametrize("field", [*VALUES, "arguments.p"])
def test_rules_that_are_looked_up_decide_as_a_list_of_them(field: str, operator: str) -> None:
    """`contains` of an action was once filed under the exact word."""

    @settings(max_examples=10, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(written=rules_about(field, operator), requests=st.lists(asked(), min_size=2, max_size=4))
    def tried(written: list[Any], requests: list[Facts]) -> None:
        rules = tuple(
            Rule(name=f"r{at}", effect=effect, priority=first, when=when) for at, (effect, first, when) in enumerate(written)
        )
        document = AdmissionDocument(version="1.0", rules=rules)
        looked_up = Rules(document)
        for facts in requests:
            vote = looked_up.vote(facts)
            assert (None if vote is None else vote.effect) is one_by_one(document, facts)

    tried()
