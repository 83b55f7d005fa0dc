"""Why a request is answered as it is, and the smallest change that would turn the answer."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.admission import Authorizer, CallRequest, RequestId, Resource, Ruling, Subject
from sandbox.admission.document.load import load_admission
from sandbox.admission.document.models import AdmissionDocument
from sandbox.admission.looking_back.explaining import Explanation, explain

ROLES = """
roles:
  viewer: {permissions: [{resource: "tools/*", actions: [read_file]}]}
  editor: {inherits: [viewer], permissions: [{resource: "tools/*", actions: [invoke]}]}
  admin: {permissions: [{resource: "*", actions: ["*"]}]}
"""
RULES = """
rules:
  - {name: no-production, effect: deny, priority: 10, when: {arguments.path: {matches: ".*production.*"}}}
  - {name: writes, effect: allow, when: {tool: files__write}}
  - {name: reads, effect: allow, when: {tool: files__read}}
"""


def document(text: str) -> AdmissionDocument:
    return load_admission(f'version: "1.0"\n{text}\n', file="a.yaml")


def explained(text: str, tool: str = "files__write", subject: Subject | None = None, **told: Any) -> Explanation:
    return explain(document(text), CallRequest(RequestId("1"), subject or Subject.local("ann"), tool, **told))


@pytest.mark.parametrize(
    ("text", "told", "say", "answer"),
    [
        ("", {"subject": Subject("ann")}, "give `ann` the scope `tools:invoke`", None),
        (ROLES, {}, "give `ann` the role `editor`", "sandbox role assign ann editor"),
        (ROLES.replace("[read_file]", "[write]"), {}, "give `ann` the role `viewer`", "sandbox role assign ann viewer"),
        (RULES, {"arguments": {"path": "/production/x"}}, "take the rule `no-production` out (a.yaml:", None),
        ("template: permissive\nblocked_actions: [write]", {}, "take `write` out of `blocked_actions`", None),
        ("allowed_actions: [read]", {}, "write `write` under `allowed_actions`", None),
        ("template: permissive\napprovals: {require: ['files__*']}", {}, "write `files__write` under `approvals.except`", None),
        ("template: permissive\napprovals: {four_eyes: [write]}", {}, "take `write` out of `approvals.four_eyes`", None),
        (
            "template: permissive\nactions: {deploy: {tools: ['files__*'], default: deny}}",
            {},
            "take `default` out of `actions.deploy`",
            None,
        ),
        (
            "template: permissive\ncontent: [{pattern: 'ssn', where: [arguments], action: block}]",
            {"arguments": {"a": "ssn"}},
            "take `content:ssn` out, or ask without what it looks for",
            None,
        ),
        (
            "template: strict",
            {},
            "add `rules: [{name: allow-this, effect: allow, when: {tool: files__write, subject.id: ann}}]`",
            None,
        ),
    ],
)
def test_what_would_allow_it_is_told(text: str, told: dict[str, Any], say: str, answer: str | None) -> None:
    """And allows it indeed: the change was tried."""
    found = explained(text, **told)
    assert not found.decision.allowed
    assert found.change is not None
    assert found.change.answer is Ruling.ALLOW
    assert found.change.say[0].startswith(say)
    assert found.change.commands == (() if answer is None else (answer,))


def test_two_changes_are_told_where_one_is_not_enough() -> None:
    """A role does not help who lacks the scope."""
    found = explained(ROLES, subject=Subject("ann"))
    assert found.change is not None
    assert found.change.say == ("give `ann` the scope `tools:invoke`", "give `ann` the role `editor`")


def test_what_would_forbid_it_is_told() -> None:
    found = explained(RULES, "files__read", arguments={"path": "/tmp"})
    assert found.decision.allowed
    assert found.change is not None
    assert found.change.answer is Ruling.DENY
    assert found.change.say[0].startswith("take the rule `reads` out")


def test_every_rule_that_was_considered_is_told_with_the_one_that_decided() -> None:
    """One that cannot match this tool was not asked; what cannot be told says so."""
    found = explained(RULES)
    told = {each.name: (each.matched, each.decided) for each in found.considered}
    assert told == {"no-production": (None, True), "writes": (True, False)}
    why = {each.name: each.why for each in found.considered}
    assert why["no-production"] == "arguments.path matches '.*production.*': it cannot be told"
    allowed = explained(RULES, arguments={"path": "/tmp/x"})
    assert {each.name: each.decided for each in allowed.considered} == {"no-production": False, "writes": True}
    assert allowed.considered[0].origin.startswith("a.yaml:")


def test_the_template_is_told_where_nothing_else_decides() -> None:
    (only,) = explained("template: permissive").considered
    assert (only.section, only.decided, only.effect) == ("template", True, Ruling.ALLOW)


def test_an_explanation_is_the_answer_that_the_authorizer_gives() -> None:
    """Not another way of deciding: the same ruleset, with the same request."""
    text = RULES + ROLES
    for tool in ("files__write", "files__read", "other__x"):
        for roles in ((), ("viewer",), ("admin",)):
            subject = Subject("ann", roles=roles, scopes=("tools:invoke",))
            request = CallRequest(RequestId("1"), subject, tool, arguments={"path": "/x"}, resource=Resource())
            assert explain(document(text), request).decision == Authorizer(document(text)).evaluate(request)


def test_nothing_is_changed_by_being_explained() -> None:
    held = document(RULES)
    before = repr(held)
    explain(held, CallRequest(RequestId("1"), Subject.local("ann"), "files__write", arguments={"path": "production"}))
    assert repr(held) == before
