"""What one document permits that another does not, and what a recorded day would have been under another one."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.admission import Authorizer, Ruling
from sandbox.admission.document.load import load_admission, named_admission
from sandbox.admission.document.models import AdmissionDocument
from sandbox.admission.looking_back.comparing import differences, example_of
from sandbox.admission.looking_back.replaying import replay
from sandbox.policy.named import admission_names


def document(text: str) -> AdmissionDocument:
    return load_admission(f'version: "1.0"\n{text}\n', file="a.yaml")


BASE = "template: permissive"


@pytest.mark.parametrize(
    ("text", "example"),
    [
        ("template: strict", {"tool": "other__tool", "subject": "somebody"}),
        (f"{BASE}\nblocked_actions: [deploy]", {"tool": "other__deploy", "subject": "somebody"}),
        (f"{BASE}\nrules: [{{name: a, effect: deny, when: {{tool: pay__out}}}}]", {"tool": "pay__out", "subject": "somebody"}),
        (
            "template: strict\nrules: [{name: a, effect: allow, when: {arguments.path: {matches: '.*production.*'}}}]",
            {"tool": "other__tool", "subject": "somebody", "arguments": {"path": "production"}},
        ),
        (
            "template: strict\nrules: [{name: a, effect: allow, when: {arguments.a: {cidr: 10.0.0.0/8}, arguments.b: {gt: 5}}}]",
            {"tool": "other__tool", "subject": "somebody", "arguments": {"a": "10.0.0.0", "b": 6}},
        ),
        (
            "template: strict\nrules: [{name: a, effect: allow, when: {subject.tenant: x, subject.claims.a.b: {in: [c, d]}}}]",
            {"tool": "other__tool", "subject": "somebody", "tenant": "x", "claims": {"a": {"b": "c"}}},
        ),
        (f"{BASE}\napprovals: {{four_eyes: [billing]}}", {"tool": "other__billing", "subject": "somebody"}),
        (f"{BASE}\napprovals: {{require: ['deploy__*']}}", {"tool": "deploy__x", "subject": "somebody"}),
        (
            f"{BASE}\ncontent: [{{pattern: 'ssn', where: [arguments], action: block}}]",
            {"tool": "other__tool", "subject": "somebody", "arguments": {"text": "ssn"}},
        ),
        (
            f"{BASE}\nrequires: [{{tool: pay__out, scopes: [admin]}}]",
            {"tool": "pay__out", "subject": "somebody", "scopes": ["tools:invoke"]},
        ),
    ],
)
def test_a_difference_has_an_example_that_both_answer_otherwise(text: str, example: dict[str, Any]) -> None:
    """Asked either way round; and the example is one indeed."""
    one, other = document("template: strict" if "effect: allow" in text else BASE), document(text)
    found = differences(one, other)
    assert example in [example_of(each.request) for each in found]
    for each in found:
        answers = [Authorizer(which).evaluate(each.request).effect for which in (one, other)]
        assert answers == [each.first.effect, each.second.effect]
        assert answers[0] is not answers[1]
    assert len(differences(other, one)) == len(found)


def test_a_rule_about_arguments_hides_no_difference_about_anything_else() -> None:
    """Without the argument it denies everything alike, for it cannot be told."""
    rule = "rules: [{name: a, effect: deny, when: {arguments.path: {contains: secret}}}]"
    (found,) = differences(document(f"{BASE}\n{rule}"), document(f"template: strict\n{rule}"))
    assert example_of(found.request)["arguments"] == {"path": "harmless"}


def test_a_role_is_a_difference_for_who_has_it() -> None:
    roles = "roles: {a: {permissions: [{resource: 'reports/*', actions: [read]}]}}"
    wider = "roles: {a: {permissions: [{resource: 'reports/*', actions: [read, delete]}]}}"
    found = differences(document(roles), document(wider.replace("read, delete", "delete, read")))
    assert [(example_of(each.request)["action"], each.first.effect, each.second.effect) for each in found] == [
        ("delete", Ruling.DENY, Ruling.ALLOW)
    ]


@pytest.mark.parametrize("name", admission_names())
def test_a_document_does_not_differ_from_itself(name: str) -> None:
    assert differences(named_admission(name), named_admission(name)) == ()


def record(event: str, number: int, second: float = 0.0, **told: Any) -> dict[str, Any]:
    """A record as the log writes it, of what is looked at."""
    whole = {"event": event, "audit_id": str(number), "time": f"2026-11-22T10:00:{second:09.6f}Z", "tool": "files__write"}
    asked = {"roles": [], "scopes": ["tools:invoke"], "kinds": []}
    whole |= {"subject": "ann", "component": "files", "session": "s", "detail": {"asked": asked}, "redactions": []}
    return {**whole, "arguments": {"path": "/x"}, "rules": [], "decision": None, "usage": {}, **told}


INVOKED = record("tool_invoke", 1, decision="allow", rules=["default"])


def test_a_day_of_records_lists_the_decisions_that_change() -> None:
    """What was allowed and would be denied, what was denied and would be allowed, with the rules that decide then."""
    day = [
        INVOKED,
        record("tool_success", 1, usage={"cpu_ms": 5}),
        record("access_denied", 2, decision="deny", rules=["a"], tool="files__read"),
        record("access_denied", 3, code="filesystem_access_denied"),
        record("access_denied", 4, decision="deny", rules=["stopped"]),
        record("tool_invoke", 5, tool="load-component"),
        record("tool_invoke", 6, decision="allow", rules=["default"], tool="files__list"),
    ]
    found = replay(day, document(f"{BASE}\nrules: [{{name: never, effect: deny, when: {{tool: files__write}}}}]"))
    assert found.decisions == 3
    told = [(one.audit_id, one.before.value, one.after.effect.value, one.after.rules, one.certain) for one in found.changed]
    assert told == [("1", "allow", "deny", ("never",), True), ("2", "deny", "allow", ("default",), True)]
    assert found.changed[0].to_json()["rules"] == ["never"]


@pytest.mark.parametrize("told", [{"arguments": None}, {"redactions": ["password"]}])
def test_what_the_record_does_not_hold_is_not_certain(told: dict[str, Any]) -> None:
    text = f"{BASE}\nrules: [{{name: never, effect: deny, when: {{arguments.path: /x}}}}]"
    (changed,) = replay([{**INVOKED, **told}], document(text)).changed
    assert not changed.certain


def test_rates_and_budgets_are_counted_anew_at_the_times_of_the_record() -> None:
    """Two a minute: of four calls in a minute two are refused; what a call used then is what it costs."""
    day = [record("tool_invoke", number, second=number, decision="allow", rules=["default"]) for number in range(4)]
    found = replay(day, document(f"{BASE}\nrates: [{{tool: '*', per: user, limit: 2/min}}]"))
    assert [one.audit_id for one in found.changed] == ["2", "3"]
    pair = [
        (
            record("tool_invoke", n, second=2 * n, decision="allow", rules=["default"]),
            record("tool_success", n, second=2 * n + 1, usage={"cpu_ms": 700}),
        )
        for n in range(3)
    ]
    budget = document(f"{BASE}\nbudgets: {{users: {{ann: {{max_cpu_seconds: 1, period: day}}}}}}")
    assert [one.audit_id for one in replay([each for two in pair for each in two], budget).changed] == ["2"]


def test_a_record_from_before_any_document_is_of_whoever_sat_there() -> None:
    """With every shipped scope, as then."""
    before = {**INVOKED, "detail": {}}
    assert not replay([before], document(BASE)).changed
    needed = f"{BASE}\nrules: [{{name: never, effect: deny, when: {{subject.scopes: admin}}}}]"
    assert replay([before], document(needed)).changed
