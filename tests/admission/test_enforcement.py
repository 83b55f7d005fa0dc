"""Every key of an admission document is enforced: a document with it, a request that runs into it, and what that gives.

A new key arrives with its row here; the names are held against the models. `budgets`, `rates` and `prices` have theirs in
`tests/api/test_budgets.py`, `signals` and `on_violation` in `tests/api/test_signals.py`, `audit` in
`tests/audit/test_terms.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from sandbox.admission import Authorizer, CallRequest, Resource, Ruling, Subject, Usage, new_request_id
from sandbox.admission.document.load import load_admission
from sandbox.admission.document.models import AdmissionDocument
from sandbox.admission.subject import TOKEN_SCOPES
from sandbox.admission.words import Method
from sandbox.wit.types import Digest

ALLOW, DENY, ASK = Ruling.ALLOW, Ruling.DENY, Ruling.REQUIRE_APPROVAL
ELSEWHERE = ("budgets", "rates", "prices", "signals", "rules[].on_violation", "audit")
SAYS_NOTHING = ("version", "description", "roles.*.description", "scopes.*.description", "rules[].name")
"""Keys that name or describe, and decide nothing."""
OPEN = "template: permissive\n"


@dataclass(frozen=True)
class Asked:
    """A request, in the words that differ."""

    tool: str = "a__b"
    subject: Subject = field(default_factory=lambda: Subject("ann", scopes=TOKEN_SCOPES))
    arguments: dict[str, Any] = field(default_factory=dict)
    labels: frozenset[str] = frozenset()
    resource: Resource = field(default_factory=Resource)
    action: str = ""

    def decided(self, text: str) -> Any:
        document = load_admission(f'version: "1.0"\n{text}', file="a.yaml")
        request = CallRequest(
            new_request_id(),
            self.subject,
            self.tool,
            self.tool.partition("__")[0],
            Digest("d" * 64),
            arguments=self.arguments,
            resource=self.resource,
            action=self.action,
        )
        return Authorizer(document).evaluate(request, Usage(labels=self.labels))


def holding(*roles: str, scopes: tuple[str, ...] = TOKEN_SCOPES) -> Subject:
    return Subject("ann", roles=roles, scopes=scopes)


def rule(rest: str) -> str:
    return f"rules: [{{name: r, {rest}}}]"


def labelled(label: str) -> str:
    return f"{OPEN}session: {{labels: {{one: {{{label}}}, two: {{tools: [x__y]}}}}, never_together: [[one, two]]}}"


ROWS: tuple[tuple[str, str, Asked, Ruling, Asked | None], ...] = (
    ("template", "template: strict", Asked(), DENY, None),
    ("extends", f"{OPEN}extends: [read-only]", Asked("a__delete"), DENY, Asked("a__read")),
    (
        "roles.*.inherits",
        "roles: {v: {inherits: [viewer]}}",
        Asked("a__write", holding("v")),
        DENY,
        Asked("a__read", holding("v")),
    ),
    (
        "roles.*.permissions[].resource",
        "roles: {v: {permissions: [{resource: tools/a__b, actions: [invoke]}]}}",
        Asked("a__c", holding("v")),
        DENY,
        Asked("a__b", holding("v")),
    ),
    (
        "roles.*.permissions[].actions",
        "roles: {v: {permissions: [{resource: '*', actions: [b]}]}}",
        Asked("a__c", holding("v")),
        DENY,
        Asked("a__b", holding("v")),
    ),
    (
        "roles.*.permissions[].conditions",
        "roles: {v: {permissions: [{resource: '*', actions: ['*'], conditions: {owner: ann}}]}}",
        Asked("", holding("v"), action="read", resource=Resource("x", {"owner": "bob"})),
        DENY,
        Asked("", holding("v"), action="read", resource=Resource("x", {"owner": "ann"})),
    ),
    (
        "assignments",
        "assignments: {ann: [viewer]}",
        Asked("a__read", Subject("bob", scopes=TOKEN_SCOPES)),
        DENY,
        Asked("a__read"),
    ),
    (
        "scopes.*.implies",
        f"{OPEN}scopes: {{all: {{implies: ['tools:*']}}, none: {{}}}}",
        Asked(subject=holding(scopes=("none",))),
        DENY,
        Asked(subject=holding(scopes=("all",))),
    ),
    ("requires[].tool", f"{OPEN}requires: [{{tool: a__b, scopes: [admin]}}]", Asked(), DENY, Asked("a__c")),
    (
        "requires[].scopes",
        f"{OPEN}requires: [{{tool: a__b, scopes: [prompts:read]}}]",
        Asked(subject=holding(scopes=("tools:invoke",))),
        DENY,
        Asked(subject=holding(scopes=("tools:invoke", "prompts:read"))),
    ),
    ("requires[].method", f"{OPEN}requires: [{{method: tools/call, scopes: [admin]}}]", Asked(), DENY, None),
    ("allowed_actions", f"{OPEN}allowed_actions: [b]", Asked("a__c"), DENY, Asked("a__b")),
    ("blocked_actions", f"{OPEN}blocked_actions: [b]", Asked("a__b"), DENY, Asked("a__c")),
    ("actions.*.tools", f"{OPEN}actions: {{k: {{tools: [a__b]}}}}\nblocked_actions: [k]", Asked("a__b"), DENY, Asked("a__c")),
    ("actions.*.default", f"{OPEN}actions: {{b: {{default: require_approval}}}}", Asked("a__b"), ASK, Asked("a__c")),
    ("rules[].effect", OPEN + rule("effect: require_approval"), Asked(), ASK, None),
    (
        "rules[].priority",
        "rules: [{name: a, effect: deny, priority: 2}, {name: b, effect: allow, priority: 1}]",
        Asked(),
        DENY,
        None,
    ),
    (
        "rules[].when",
        OPEN + rule("effect: deny, when: {arguments.n: {gt: 5}}"),
        Asked(arguments={"n": 6}),
        DENY,
        Asked(arguments={"n": 5}),
    ),
    ("rules[].message", rule("effect: deny, message: not today"), Asked(), DENY, None),
    (
        "rules[].constraints.approver_role",
        rule("effect: require_approval, constraints: {approver_role: boss}"),
        Asked(),
        ASK,
        None,
    ),
    (
        "rules[].constraints.approval_timeout",
        rule("effect: require_approval, constraints: {approval_timeout: 1h}"),
        Asked(),
        ASK,
        None,
    ),
    ("rules[].constraints.retention", rule("effect: allow, constraints: {retention: 9d}"), Asked(), DENY, None),
    ("rules[].constraints.log_level", rule("effect: allow, constraints: {log_level: detailed}"), Asked(), DENY, None),
    ("rules[].constraints.obligations", rule("effect: allow, constraints: {obligations: [x]}"), Asked(), DENY, None),
    ("approvals.require", f"{OPEN}approvals: {{require: [a__b]}}", Asked("a__b"), ASK, Asked("a__c")),
    ("approvals.four_eyes", f"{OPEN}approvals: {{four_eyes: [b]}}", Asked("a__b"), ASK, Asked("a__c")),
    ("approvals.except", f"{OPEN}approvals: {{require: ['a__*'], except: [a__c]}}", Asked("a__b"), ASK, Asked("a__c")),
    (
        "content[].pattern",
        f"{OPEN}content: [{{pattern: bad, action: block}}]",
        Asked(arguments={"x": "too bad"}),
        DENY,
        Asked(arguments={"x": "good"}),
    ),
    (
        "content[].use",
        f"{OPEN}content: [{{use: personal-data, action: block}}]",
        Asked(arguments={"x": "123-45-6789"}),
        DENY,
        Asked(arguments={"x": "12345"}),
    ),
    (
        "content[].reason",
        f"{OPEN}content: [{{pattern: bad, reason: manners, action: block}}]",
        Asked(arguments={"x": "bad"}),
        DENY,
        None,
    ),
    (
        "content[].where",
        OPEN + "content: [{pattern: a, where: [arguments], action: block}, {pattern: o, where: [result], action: block}]",
        Asked(arguments={"x": "bad"}),
        DENY,
        Asked(arguments={"x": "good"}),
    ),
    (
        "content[].action",
        f"{OPEN}content: [{{pattern: bad, action: require_approval}}]",
        Asked(arguments={"x": "bad"}),
        ASK,
        None,
    ),
    ("session.labels.*.components", labelled("components: [a]"), Asked(labels=frozenset({"two"})), DENY, Asked("c__d")),
    ("session.labels.*.tools", labelled("tools: [a__b]"), Asked(labels=frozenset({"two"})), DENY, Asked("a__c")),
    (
        "session.never_together",
        labelled("tools: [a__b]"),
        Asked(labels=frozenset({"two"})),
        DENY,
        Asked(labels=frozenset({"one"})),
    ),
)
SAID = {
    "rules[].message": "not today",
    "content[].reason": "manners",
    "rules[].priority": "`a`",
    "rules[].constraints.retention": "`retention`",
    "rules[].constraints.log_level": "`log_level`",
    "rules[].constraints.obligations": "`x`",
}
"""What stands in the reason, where that is what the key is for."""


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_request_runs_into_each_key(row: tuple[str, str, Asked, Ruling, Asked | None]) -> None:
    name, text, refused, expected, allowed = row
    found = refused.decided(text)
    assert found.effect is expected
    assert SAID.get(name, "") in found.reason
    if name.endswith("approver_role"):
        assert found.constraints.approver_roles == ("boss",)
    if name.endswith("four_eyes"):
        assert found.constraints.four_eyes
    if name.endswith("approval_timeout"):
        assert found.constraints.approval_timeout_s == 3600
    assert allowed is None or allowed.decided(text).effect is ALLOW


def test_a_method_needs_the_scopes_that_are_written_for_it() -> None:
    document = load_admission('version: "1.0"\nrequires: [{method: tools/list, scopes: [admin]}]', file="a.yaml")
    assert Authorizer(document).lacks(holding(), Method.LIST) == ("admin",)


def keys(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Every key of a document, `*` standing for a name of its own and `[]` for an item."""
    for name, about in model.model_fields.items():
        shown = f"{path}{about.alias or name}"
        inner, steps = inside(about.annotation)
        yield from keys(inner, f"{shown}{steps}.") if inner is not None else (shown,)


def inside(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    origin = getattr(annotation, "__origin__", None)
    for part in get_args(annotation):
        model, steps = inside(part)
        if model is not None:
            return model, (".*" if origin is dict else "[]" if origin is tuple else "") + steps
    return None, ""


def test_every_key_of_the_document_has_its_row() -> None:
    there = {key for key in keys(AdmissionDocument) if not key.startswith(ELSEWHERE)}
    assert there - set(SAYS_NOTHING) == {row[0] for row in ROWS}
