"""Conditions are three-valued: what cannot be told denies in a deny rule and does not allow in an allow rule."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sandbox.admission import Authorizer, CallRequest, Resource, Ruling, Subject, new_request_id
from sandbox.admission.conditions.facts import FIELDS, Facts, reader
from sandbox.admission.conditions.operators import OPERATORS
from sandbox.admission.conditions.patterns import any_of, covers, expression
from sandbox.admission.conditions.when import Predicate, holds, parse
from sandbox.admission.document.models import AdmissionDocument, Rule
from sandbox.admission.usage import Usage
from sandbox.admission.words import Template
from sandbox.policy.refusal import Refusal

ROLES = frozenset({"member", "viewer"})


def facts(arguments: dict[str, Any] | None = None, **told: Any) -> Facts:
    subject = Subject("ann", tenant=told.pop("tenant", None), claims=told.pop("claims", {}))
    resource = Resource("reports/q3", {"department": "sales"})
    usage = told.pop("usage", Usage(requests_last_minute=3, spend_today=Decimal("1.5")))
    request = CallRequest(new_request_id(), subject, "files__read", "files", arguments=arguments or {}, resource=resource, **told)
    return Facts(request, usage, ROLES, frozenset({"tools:read"}), frozenset({"invoke", "read"}))


def answer(when: dict[str, Any], of: Facts) -> bool | None:
    condition, found = parse(when)
    assert not found
    return holds(condition)(of)


@pytest.mark.parametrize(
    ("when", "arguments", "expected"),
    [
        ({"eq": "x"}, "x", True),
        ({"eq": "x"}, "y", False),
        ({"eq": "5"}, 5, None),
        ({"eq": 1}, True, None),
        ({"eq": 5}, 5.0, True),
        ({"ne": "x"}, "y", True),
        ({"ne": "x"}, None, None),
        ({"in": ["a", "b"]}, "b", True),
        ({"in": ["a", "b"]}, "c", False),
        ({"in": ["a", "b"]}, 1, None),
        ({"in": [1, 2]}, 2, True),
        ({"not_in": ["a"]}, "c", True),
        ({"not_in": ["a"]}, "a", False),
        ({"gt": 5}, 6, True),
        ({"gt": 5}, 5, False),
        ({"gt": 5}, "6", None),
        ({"gt": 5}, True, None),
        ({"ge": 5}, 5, True),
        ({"ge": 5}, 4.9, False),
        ({"lt": Decimal("0.5")}, 0.25, True),
        ({"lt": 1}, 1, False),
        ({"eq": Decimal("0.1")}, 0.1, True),
        ({"ne": Decimal("0.1")}, 0.1, False),
        ({"in": [Decimal("0.1"), 7]}, 0.1, True),
        ({"in": [7]}, 7.0, True),
        ({"contains": Decimal("0.1")}, [0.1], True),
        ({"ge": Decimal("0.7")}, 0.7, True),
        ({"gt": Decimal("0.1")}, 0.1, False),
        ({"le": Decimal("0.1")}, 0.1, True),
        ({"lt": Decimal("0.7")}, 0.7, False),
        ({"lt": 1}, float("nan"), None),
        ({"eq": 1}, float("nan"), None),
        ({"gt": 1}, float("inf"), True),
        ({"le": 1}, 1, True),
        ({"le": 1}, 2, False),
        ({"matches": ".*production.*"}, "a\nproduction", True),
        ({"matches": "production"}, "a production", False),
        ({"matches": "x"}, 7, None),
        ({"matches": "."}, "\ud800", True),
        ({"contains": "b"}, "abc", True),
        ({"contains": "b"}, ["a", "b"], True),
        ({"contains": "b"}, ["a"], False),
        ({"contains": "b"}, ["a", 1], None),
        ({"contains": "b"}, 1, None),
        ({"starts_with": "ab"}, "abc", True),
        ({"starts_with": "ab"}, "b", False),
        ({"starts_with": "/data/"}, "/data/x", True),
        ({"starts_with": "/data/"}, "/etc/x", False),
        ({"starts_with": "/data/"}, "/data/../etc/x", None),
        ({"starts_with": "/data/"}, "/data//x", None),
        ({"starts_with": "/data/"}, "/data/%2e%2e/x", None),
        ({"starts_with": "/data/"}, "/data/../../etc/x://y", None),
        ({"starts_with": "/data/"}, "/data/../x/new://", None),
        ({"starts_with": "/data/"}, "/data/x/..", None),
        ({"starts_with": "/data/"}, "/data/..;/etc", None),
        ({"starts_with": "/data/"}, "/data/%252e%252e/etc", None),
        ({"starts_with": "/data/"}, "/data/..%5cetc", None),
        ({"starts_with": "/data/"}, "/data/.\t./etc", None),
        ({"starts_with": "/data/"}, "/data/..a/.b", True),
        ({"starts_with": "https://a.example/"}, "https://a.example/x", True),
        ({"starts_with": "https://a.example/"}, "https://a.example/x/..?y", None),
        ({"starts_with": "https://a.example/"}, "https://a.example/x?to=https://b.example", None),
        ({"exists": True}, "x", True),
        ({"exists": True}, None, False),
        ({"exists": False}, None, True),
        ({"cidr": "10.0.0.0/8"}, "10.1.2.3", True),
        ({"cidr": "10.0.0.0/8"}, "::ffff:10.1.2.3", True),
        ({"cidr": ["10.0.0.0/8", "::1/128"]}, "203.0.113.1", False),
        ({"cidr": "10.0.0.0/8"}, "10.1.2.3.example", None),
        ({"gt": 1, "lt": 3}, 2, True),
        ({"gt": 1, "lt": 3}, 3, False),
        ({"eq": "x"}, {"a": 1}, None),
    ],
)
def test_an_operator_says_yes_no_or_that_it_cannot_tell(when: dict[str, Any], arguments: Any, expected: bool | None) -> None:
    assert answer({"arguments.it": when}, facts({"it": arguments})) is expected


def test_every_operator_was_asked() -> None:
    asked = {
        name for mark in test_an_operator_says_yes_no_or_that_it_cannot_tell.pytestmark for row in mark.args[1] for name in row[0]
    }
    assert asked == set(OPERATORS)


@pytest.mark.parametrize(
    ("when", "arguments", "expected"),
    [
        ({"arguments.paths": {"starts_with": "/data/"}}, ["/data/a", "/data/b"], True),
        ({"arguments.paths": {"starts_with": "/data/"}}, ["/data/a", "/etc/b"], None),
        ({"arguments.paths": {"starts_with": "/data/"}}, ["/etc/a"], False),
        ({"arguments.paths": {"starts_with": "/data/"}}, [], False),
        ({"arguments.paths": {"not_in": ["/a"]}}, ["/b", "/c"], True),
        ({"arguments.paths": {"not_in": ["/a"]}}, ["/a", "/c"], None),
        ({"arguments.paths.name": "x"}, [{"name": "x"}, {"name": "x"}], True),
        ({"arguments.paths.name": "x"}, [{"name": "x"}, {"other": "x"}], None),
        ({"arguments.paths.name": {"exists": True}}, [{"name": "x"}, {}], None),
        ({"arguments.paths.name": {"exists": True}}, [{"name": "x"}, {"name": "y"}], True),
        ({"arguments.paths.name": {"exists": False}}, [{}, {}], None),
        ({"arguments.paths.meta.name": {"exists": False}}, [{"meta": [{}]}], None),
        ({"arguments.paths.meta.name": {"exists": True}}, [{"meta": [{}]}], None),
        ({"arguments.paths.meta.name": {"exists": False}}, [{"meta": [{"name": "x"}]}], False),
        ({"arguments.paths": {"exists": True}}, [], None),
        ({"arguments.paths.name": {"exists": False}}, [], None),
        ({"arguments.paths": "x"}, [["x"], ["x", "y"]], None),
    ],
)
def test_of_a_list_it_holds_of_all_or_cannot_be_told(when: dict[str, Any], arguments: list[Any], expected: bool | None) -> None:
    """A list with one harmless value must not allow the others, and one with a harmful value is denied."""
    assert answer(when, facts({"paths": arguments})) is expected


def test_of_roles_scopes_and_actions_one_is_enough() -> None:
    assert answer({"subject.roles": {"in": ["admin", "member"]}}, facts()) is True
    assert answer({"subject.roles": "admin"}, facts()) is False
    assert answer({"subject.roles": {"not_in": ["admin"]}}, facts()) is True
    assert answer({"subject.roles": {"not_in": ["member"]}}, facts()) is False
    assert answer({"action": "read"}, facts()) is True
    assert answer({"action": {"starts_with": "re"}}, facts()) is True
    assert answer({"subject.scopes": {"exists": False}}, facts()) is False


def test_and_or_and_not_keep_what_cannot_be_told() -> None:
    true, false, unknown = {"tool": "files__read"}, {"tool": "x"}, {"arguments.x": 1}
    for group, first, second, expected in (
        ("all", true, unknown, None),
        ("all", false, unknown, False),
        ("all", true, true, True),
        ("any", true, unknown, True),
        ("any", false, unknown, None),
        ("any", false, false, False),
    ):
        assert answer({group: [first, second]}, facts()) is expected
        assert answer({group: [second, first]}, facts()) is expected
    assert answer({"not": unknown}, facts()) is None
    assert answer({"not": true}, facts()) is False
    assert answer({"not": {"any": [false, {"all": [false]}]}}, facts()) is True
    assert answer({"tool": "files__read", "arguments.x": 1}, facts()) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("subject.id", "ann"),
        ("subject.tenant", "acme"),
        ("subject.claims.team", "blue"),
        ("resource.name", "reports/q3"),
        ("resource.department", "sales"),
        ("tool", "files__read"),
        ("component", "files"),
        ("arguments.a.b", "deep"),
        ("metadata.address", "10.0.0.1"),
        ("usage.requests_last_minute", 3),
        ("usage.spend_today", Decimal("1.5")),
    ],
)
def test_each_field_is_read_from_where_it_says(field: str, value: Any) -> None:
    of = facts({"a": {"b": "deep"}}, tenant="acme", claims={"team": "blue"}, metadata={"address": "10.0.0.1"})
    assert answer({field: value}, of) is True
    wrong = "other" if isinstance(value, str) else value + 1
    assert answer({field: wrong}, of) is False


@pytest.mark.parametrize(
    "field",
    [
        "subject",
        "subject.name",
        "subject.claims",
        "arguments",
        "usage.labels",
        "session",
        "now",
        "arguments.",
        "arguments..a",
        "",
    ],
)
def test_a_name_that_is_not_on_the_list_is_refused(field: str) -> None:
    with pytest.raises(Refusal):
        reader(field)
    assert FIELDS


def test_what_is_missing_cannot_be_told() -> None:
    of = facts(usage=Usage())
    for field in ("subject.tenant", "subject.claims.x", "resource.owner", "arguments.x", "arguments.x.y", "metadata.trace"):
        assert answer({field: "x"}, of) is None
        assert answer({field: {"exists": True}}, of) is False
    assert answer({"usage.spend_today": {"gt": 0}}, of) is None


def test_a_predicate_in_python_may_be_a_condition() -> None:
    assert holds(Predicate(lambda request: request.tool == "files__read"))(facts()) is True


async def _later(_: CallRequest) -> bool:
    return True


@pytest.mark.parametrize("function", [lambda _: "no", lambda _: 1, lambda _: [], _later])
def test_what_a_predicate_answers_is_an_answer_or_denies(function: Any) -> None:
    """A text is true in Python, and so is a coroutine that nobody waits for."""
    with pytest.raises(TypeError, match="answers True, False or None"):
        holds(Predicate(function))(facts())
    rules = (Rule(name="r", effect=Ruling.ALLOW, when=function),)
    document = AdmissionDocument(version="1.0", template=Template.PERMISSIVE, rules=rules)
    request = CallRequest(new_request_id(), Subject.local(), "files__read")
    assert Authorizer(document).evaluate(request).effect is Ruling.DENY


def test_a_literal_that_is_left_open_is_refused() -> None:
    """Joined to another expression it would swallow it, and both would find nothing."""
    for wrong in (r"\Qa.b", r"x\Qa\Eb\Q"):
        with pytest.raises(Refusal, match="does not close it"):
            expression(wrong)
    for right in (r"\Qa.b\E", r"\\Qa", r"\Qa\\E", "Q"):
        found = any_of([right, "secret"])
        assert found(b"a secret")
        assert not found(b"a word")


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("tools/*", ["tools/x", "tools/x/y", "tools/x:y"], ["toolshed", "tools", "tools/", "xtools/y", "Tools/x"]),
        ("resources:*", ["resources:read"], ["resources", "resourcesread"]),
        ("billing__*", ["billing__pay", "billing__"], ["billing", "xbilling__pay", "billing__x/y", "Billing__pay"]),
        ("*__deploy", ["a__deploy"], ["a__deploy2", "a/b__deploy"]),
        ("reports/*/final", ["reports/q3/final"], ["reports/q3/x/final", "reports/final"]),
        ("a*b*c", ["abc", "axbxc"], ["acb", "ab"]),
        ("*", ["x", "x/y", ""], []),
        ("x", ["x"], ["X", "x ", "xx"]),
        ("a/*:b", ["a/x:b"], ["a/x/b", "a:x/b"]),
    ],
)
def test_a_star_stands_for_a_run_within_a_part_and_last_for_all_below(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [name for name in yes if not covers(pattern)(name)] == []
    assert [name for name in no if covers(pattern)(name)] == []


def test_an_expression_that_would_backtrack_for_ever_does_not() -> None:
    """Seconds in a backtracking engine at thirty letters; here a hundred thousand take no time."""
    assert answer({"arguments.it": {"matches": "(a+)+$"}}, facts({"it": "a" * 100_000 + "b"})) is False
