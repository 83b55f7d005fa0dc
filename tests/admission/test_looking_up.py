"""The drawers of the rules decide as a list of them would, one rule after the other, whatever the rules and the request are."""

from __future__ import annotations

from typing import Any

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
    "action": ["invoke", "read", "del", "e"],
}
"""Some are part of another: the beginning, or the middle."""
LISTS = ("in", "not_in")
ASKED = tuple(each for each in OPERATORS if each not in {"gt", "ge", "lt", "le", "cidr"})


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    """A test of a field that rules are found by, or now and then of one that they are not."""
    field, operator = draw(st.sampled_from([*VALUES, "arguments.p"])), draw(st.sampled_from(ASKED))
    value = st.sampled_from(VALUES.get(field, ["x", "y"]))
    if operator == "exists":
        return {field: {operator: draw(st.booleans())}}
    return {field: {operator: draw(st.lists(value, min_size=1, max_size=2) if operator in LISTS else value)}}


def _grouped(parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(parts, min_size=1, max_size=3)
    return (
        several.map(lambda each: {"all": each}) | several.map(lambda each: {"any": each}) | parts.map(lambda each: {"not": each})
    )


EFFECTS = st.sampled_from([Ruling.DENY, Ruling.ALLOW, Ruling.REQUIRE_APPROVAL])
RULES = st.lists(
    st.tuples(EFFECTS, st.integers(0, 2), st.recursive(conditions(), _grouped, max_leaves=4)), min_size=1, max_size=6
)
NAMES = {field: st.sampled_from([*values, ""]) for field, values in VALUES.items()}
SEVERAL = {field: st.frozensets(st.sampled_from(VALUES[field]), max_size=3) for field in ("subject.roles", "action")}
ARGUMENTS = st.sampled_from([{}, {"p": "x"}, {"p": 1}, {"p": ["x", "y"]}])


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


@settings(max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(written=RULES, requests=st.lists(asked(), min_size=1, max_size=4))
def test_rules_that_are_looked_up_decide_as_a_list_of_them(written: list[Any], requests: list[Facts]) -> None:
    """`contains` of an action was once filed under the exact word."""
    rules = tuple(
        Rule(name=f"r{at}", effect=effect, priority=priority, when=when) for at, (effect, priority, when) in enumerate(written)
    )
    document = AdmissionDocument(version="1.0", rules=rules)
    looked_up = Rules(document)
    for facts in requests:
        vote = looked_up.vote(facts)
        assert (None if vote is None else vote.effect) is one_by_one(document, facts)
