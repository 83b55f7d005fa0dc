"""Each section allows, denies, asks for an approval or abstains; deny wins, then require_approval, then allow."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest

from sandbox.admission import Authorizer, CallRequest, Decision, Resource, Ruling, Subject, Usage, new_request_id
from sandbox.admission.document.load import load_admission
from sandbox.admission.document.models import AdmissionDocument, Rule
from sandbox.admission.subject import TOKEN_SCOPES
from sandbox.admission.words import Method
from sandbox.wit.types import Digest

ALLOW, DENY, ASK = Ruling.ALLOW, Ruling.DENY, Ruling.REQUIRE_APPROVAL
NOW = 1_800_000_000.0


def authorizer(text: str, **told: Any) -> Authorizer:
    return Authorizer(load_admission(f'version: "1.0"\n{text}', file="a.yaml"), **told)


def request(tool: str = "", subject: Subject | str = "ann", **told: Any) -> CallRequest:
    who = Subject(subject, scopes=TOKEN_SCOPES) if isinstance(subject, str) else subject
    return CallRequest(new_request_id(), who, tool, tool.partition("__")[0], Digest("d" * 64), **told)


def decide(text: str, asked: CallRequest, usage: Usage | None = None, **told: Any) -> Decision:
    return authorizer(text, **told).evaluate(asked, usage or Usage(), now=NOW)


def effect(text: str, asked: CallRequest, usage: Usage | None = None, **told: Any) -> Ruling:
    return decide(text, asked, usage, **told).effect


# Templates.


@pytest.mark.parametrize(("template", "expected"), [("strict", DENY), ("permissive", ALLOW), ("audit", ALLOW)])
def test_where_all_abstain_the_template_holds(template: str, expected: Ruling) -> None:
    assert effect(f"template: {template}", request("a__b")) is expected


def test_without_a_template_it_is_strict() -> None:
    assert effect("description: nothing", request("a__b")) is DENY


def test_audit_decides_and_tells_as_strict_would_and_blocks_nothing() -> None:
    text = "template: audit\nrules: [{name: never, effect: deny, when: {tool: a__b}}, {name: ask, effect: require_approval}]"
    found = decide(text, request("a__b"))
    assert (found.effect, found.would_be, found.rules) == (ALLOW, DENY, ("never",))
    assert "strict would have said deny" in found.warnings[0]
    assert decide(text, request("a__c")).would_be is ASK


# Between sections.

SECTIONS = {
    DENY: "blocked_actions: [b]",
    ASK: "approvals: {require: [a__b]}",
    ALLOW: "rules: [{name: always, effect: allow}]",
}


@pytest.mark.parametrize(("stricter", "looser"), [(DENY, ASK), (DENY, ALLOW), (ASK, ALLOW)])
def test_between_sections_the_stricter_wins(stricter: Ruling, looser: Ruling) -> None:
    text = "\n".join(("template: permissive", SECTIONS[stricter], SECTIONS[looser]))
    assert effect(text, request("a__b")) is stricter
    assert effect(SECTIONS[looser], request("a__b")) is looser


# Roles.

ROLES = """
roles:
  viewer: {permissions: [{resource: "tools/files__*", actions: [read]}]}
  analyst:
    inherits: [viewer]
    permissions: [{resource: "reports/*", actions: [read, create], conditions: {department: sales}}]
  admin: {permissions: [{resource: "*", actions: ["*"]}]}
assignments: {user-123: [analyst]}
"""


def test_who_has_no_permission_is_denied_even_where_the_template_permits() -> None:
    assert effect(ROLES + "template: permissive", request("files__read")) is DENY


def test_a_permission_of_a_role_allows_inherited_ones_too() -> None:
    assert decide(ROLES, request("files__read", "user-123")).rules == ("role:viewer",)
    assert effect(ROLES, request("files__write", "user-123")) is DENY
    assert effect(ROLES, request("web__read", "user-123")) is DENY


@pytest.mark.parametrize(
    ("name", "attributes", "expected"),
    [
        ("reports/q3", {"department": "sales"}, ALLOW),
        ("reports/2026/q3", {"department": "sales"}, ALLOW),
        ("reports/q3", {"department": "law"}, DENY),
        ("reports/q3", {}, DENY),
        ("reports", {"department": "sales"}, DENY),
        ("reportsx/q3", {"department": "sales"}, DENY),
    ],
)
def test_a_permission_with_a_condition_allows_where_it_surely_holds(
    name: str, attributes: dict[str, Any], expected: Ruling
) -> None:
    assert effect(ROLES, request(subject="user-123", action="read", resource=Resource(name, attributes))) is expected


def test_roles_come_from_the_subject_too_and_unknown_ones_give_nothing() -> None:
    carried = Subject("bob", roles=("admin",), scopes=TOKEN_SCOPES)
    assert effect(ROLES, request("x__y", carried)) is ALLOW
    assert effect(ROLES, request("x__y", replace(carried, roles=("Admin", "root", "admin ")))) is DENY


def test_a_subjects_own_word_gives_no_right() -> None:
    """ADM-01: what a caller says of itself is metadata, and never becomes a role or a claim."""
    asked = request("x__y", metadata={"roles": ["admin"], "subject": "user-123"})
    assert effect(ROLES, asked) is DENY


@pytest.mark.parametrize("subject", ["User-123", "user-123 ", "user\u2011123", "user-123\0", "ｕser-123"])
def test_a_name_that_resembles_another_is_not_it(subject: str) -> None:
    """ADM-01: case, spaces and letters that look alike."""
    assert effect(ROLES, request("files__read", subject)) is DENY


def test_a_shipped_role_gives_what_it_says_where_the_document_names_it_and_nothing_elsewhere() -> None:
    viewer = Subject("vera", roles=("viewer",), scopes=TOKEN_SCOPES)
    used = "roles: {clerk: {inherits: [viewer]}}\nassignments: {ann: [clerk]}"
    assert decide(used, request("files__read")).rules == ("role:viewer",)
    assert effect(used, request("files__write")) is DENY
    assert effect("assignments: {ann: [viewer]}", request("files__read")) is ALLOW
    assert effect("roles: {clerk: {}}", request("files__read", viewer)) is DENY


# Scopes.

SCOPES = """
template: permissive
scopes:
  billing: {description: Money, implies: ["tools:*"]}
  admin: {implies: [billing, "resources:*"]}
requires:
  - {tool: "billing__*", scopes: [billing]}
"""


def scoped(*scopes: str) -> Subject:
    return Subject("ann", scopes=scopes)


@pytest.mark.parametrize(
    ("scopes", "tool", "expected"),
    [
        ((), "a__b", DENY),
        (("tools:read",), "a__b", DENY),
        (("tools:invoke",), "a__b", ALLOW),
        (("tools:*",), "a__b", ALLOW),
        (("tools:invokes",), "a__b", DENY),
        (("Tools:Invoke",), "a__b", DENY),
        (("tools:invoke",), "billing__pay", DENY),
        (("billing",), "billing__pay", ALLOW),
        (("admin",), "billing__pay", ALLOW),
        (("*",), "billing__pay", ALLOW),
    ],
)
def test_a_call_needs_its_scopes_and_what_implies_them(scopes: tuple[str, ...], tool: str, expected: Ruling) -> None:
    assert effect(SCOPES, request(tool, scoped(*scopes))) is expected


def test_a_scope_allows_nothing_by_itself() -> None:
    assert decide("template: strict", request("a__b", scoped("*"))).rules == ("default",)


@pytest.mark.parametrize(
    ("scopes", "lacking"),
    [
        ((), {Method.LIST, Method.CALL, Method.READ, Method.GRANTS}),
        (("tools:invoke",), {Method.READ, Method.GRANTS}),
        (("resources:write",), {Method.LIST, Method.CALL}),
        (("admin",), set()),
    ],
)
def test_each_method_needs_its_shipped_scope(scopes: tuple[str, ...], lacking: set[Method]) -> None:
    asked = authorizer("template: permissive")
    assert {method for method in Method if asked.lacks(scoped(*scopes), method)} == lacking
    assert not authorizer("template: audit").lacks(scoped(), Method.LIST)


def test_a_list_shows_what_may_be_called() -> None:
    asked = authorizer(ROLES + 'requires: [{tool: "files__read", scopes: [admin]}]')
    admin = Subject("bob", roles=("admin",), scopes=TOKEN_SCOPES)
    for subject, tool, shown in (
        (admin, "files__list", True),
        (admin, "files__read", False),
        (replace(admin, scopes=("admin",)), "files__read", True),
        (replace(admin, scopes=("tools:invoke",)), "files__list", True),
        (replace(admin, scopes=("prompts:read",)), "files__list", False),
        (replace(admin, roles=()), "files__list", False),
    ):
        assert asked.shows(subject, tool) is shown


# Actions.


@pytest.mark.parametrize(
    ("text", "asked", "expected"),
    [
        ("allowed_actions: [read_file]", request("files__read-file"), ALLOW),
        ("allowed_actions: [read_file]", request("files__write-file"), DENY),
        ("allowed_actions: [read_file]", request(action="read_file"), ALLOW),
        ("allowed_actions: [read_file]", request(action="Read_File"), DENY),
        ("allowed_actions: []\ntemplate: permissive", request("files__read-file"), DENY),
        ("template: permissive\nblocked_actions: [create_billing]", request("x__create-billing"), DENY),
        ("template: permissive\nblocked_actions: [network_access]", request("x__y", kinds=("network_access",)), DENY),
        ("template: permissive\nblocked_actions: [network_access]", request("x__y"), ALLOW),
        ("template: permissive\nactions: {deploy: {tools: ['*__ship'], default: require_approval}}", request("x__ship"), ASK),
        ("template: permissive\nactions: {deploy: {tools: ['*__ship'], default: require_approval}}", request("x__deploy"), ASK),
        ("template: permissive\nactions: {deploy: {tools: ['*__ship'], default: deny}}", request("x__ships"), ALLOW),
        (
            "template: permissive\nactions: {a: {tools: [x__y], default: allow}, b: {tools: [x__y], default: deny}}",
            request("x__y"),
            DENY,
        ),
        ("actions: {a: {tools: [x__y], default: allow}}", request("x__y"), ALLOW),
        ("allowed_actions: [a]\nactions: {a: {tools: [x__y], default: require_approval}}", request("x__y"), ASK),
        ("template: permissive\nactions: {deploy: {tools: [x__y]}}\nblocked_actions: [deploy]", request("x__y"), DENY),
    ],
)
def test_actions_are_allowed_blocked_or_asked_about(text: str, asked: CallRequest, expected: Ruling) -> None:
    assert effect(text, asked) is expected


def test_where_some_actions_are_allowed_the_others_are_denied_by_that() -> None:
    assert decide("template: permissive\nallowed_actions: [read]", request("files__write")).rules == ("allowed_actions",)


def test_tools_that_need_an_approval_and_their_exceptions() -> None:
    text = "template: permissive\napprovals: {require: ['deploy__*'], except: [deploy__show]}"
    assert effect(text, request("deploy__now")) is ASK
    assert effect(text, request("deploy__show")) is ALLOW


# Rules.


def rules(*lines: str) -> str:
    return "rules:\n" + "\n".join(f"  - {{{line}}}" for line in lines)


def test_only_the_highest_priority_that_matches_speaks() -> None:
    text = rules(
        "name: low, effect: deny, priority: 1",
        "name: high, effect: allow, priority: 2, when: {tool: a__b}",
        "name: highest, effect: deny, priority: 3, when: {tool: x}",
    )
    assert decide(text, request("a__b")).rules == ("high",)
    assert decide(text, request("a__c")).rules == ("low",)


def test_at_one_priority_deny_wins_and_all_that_deny_are_named() -> None:
    text = rules("name: a, effect: allow", "name: b, effect: deny", "name: c, effect: require_approval", "name: d, effect: deny")
    assert decide(text, request("a__b")).rules == ("b", "d")


@pytest.mark.parametrize(("rule", "expected"), [("deny", DENY), ("require_approval", ASK), ("allow", DENY)])
def test_what_cannot_be_told_denies_in_a_deny_rule_and_does_not_allow(rule: str, expected: Ruling) -> None:
    found = decide(rules(f"name: a, effect: {rule}, when: {{arguments.path: /x}}"), request("a__b"))
    assert found.effect is expected
    if rule != "allow":
        assert found.reason.endswith("for `arguments.path` cannot be told")


def test_the_message_of_a_rule_is_the_reason() -> None:
    assert decide(rules("name: a, effect: deny, message: not today"), request("a__b")).reason == "not today"


def test_the_example_of_the_design() -> None:
    text = rules(
        "name: production-needs-an-admin, effect: require_approval, priority: 100, "
        "when: {action: {in: [delete, modify, deploy]}, arguments.path: {matches: '.*production.*'}, "
        "subject.roles: {not_in: [admin]}}, "
        "constraints: {approver_role: admin, approval_timeout: 1h, retention: 90d, log_level: detailed}, "
        "message: changes in production need an admin"
    )
    asked = request(action="delete", arguments={"path": "/srv/production/db"})
    found = decide("template: permissive\n" + text, asked)
    assert (found.effect, found.reason) == (ASK, "changes in production need an admin")
    assert found.constraints.approver_roles == ("admin",)
    assert (found.constraints.approval_timeout_s, found.constraints.retention_s) == (3600, 90 * 86400)
    admin = replace(asked, subject=Subject("bob", roles=("admin",), scopes=TOKEN_SCOPES))
    assert effect("template: permissive\n" + text, admin) is ALLOW
    elsewhere = replace(asked, arguments={"path": "/srv/test/db"})
    assert effect("template: permissive\n" + text, elsewhere) is ALLOW


def test_rules_that_are_looked_up_find_the_same_as_a_list_of_them() -> None:
    """The drawers lose no rule: every field that they go by, several values, prefixes, groups."""
    whens = (
        "tool: {tool}",
        "tool: {{in: [{tool}, x__y]}}",
        "tool: {{starts_with: {component}__}}",
        "component: {component}",
        "subject.id: {subject}",
        "subject.roles: {role}",
        "subject.roles: {{in: [{role}, other]}}",
        "subject.roles: {{contains: {role}}}",
        "subject.roles: {{contains: r}}",
        "action: {{contains: f}}",
        "action: {function}",
        "all: [{{tool: {tool}}}, {{arguments.n: {{gt: 1}}}}]",
        "any: [{{tool: {tool}}}, {{component: {component}, subject.id: {subject}}}]",
        "any: [{{tool: {tool}}}, {{arguments.n: 5}}]",
        "any: [{{tool: x__y}}, {{arguments.n: {n}}}]",
        "not: {{tool: {tool}}}",
        "arguments.n: {{ge: 2}}",
    )
    names = {"component": "c7", "function": "f7", "tool": "c7__f7", "subject": "u7", "role": "r7", "n": "3"}
    asked = CallRequest(
        new_request_id(), Subject("u7", roles=("r7",), scopes=TOKEN_SCOPES), "c7__f7", "c7", Digest("d" * 64), arguments={"n": 3}
    )
    for number, when in enumerate(whens):
        other = {key: f"{value}0" for key, value in names.items()}
        filler = [f"name: other{at}, effect: allow, when: {{{when.format(**other)}}}" for at in range(3)]
        text = rules(f"name: mine, effect: deny, priority: 5, when: {{{when.format(**names)}}}", *filler)
        expected = "not:" not in when
        assert ("mine" in decide(text, asked).rules) is expected, (number, when)


def test_a_rule_about_part_of_a_role_or_an_action_is_found() -> None:
    deletes = "template: permissive\nrules: [{name: r, effect: deny, when: {action: {contains: delete}}}]"
    assert effect(deletes, request("files__delete_all")) is DENY
    assert effect(deletes, request("files__read")) is ALLOW
    interns = "template: permissive\nrules: [{name: r, effect: deny, when: {subject.roles: {contains: intern}}}]"
    assert effect(interns, request("a__b", Subject("bob", roles=("super-intern",), scopes=TOKEN_SCOPES))) is DENY
    assert effect(interns, request("a__b", Subject("bob", roles=("member",), scopes=TOKEN_SCOPES))) is ALLOW


def test_rules_that_cannot_match_are_not_asked() -> None:
    """Of a thousand about other tools, subjects and roles none is looked at; `benchmarks/admission.py` has the time."""
    others = (
        Rule(name=f"r{at}", effect=DENY, priority=at % 7, when={field: f"x{at}", "arguments.path": "/x"})
        for at, field in zip(range(1_000), cycle(("tool", "subject.id", "component", "subject.roles", "action")), strict=False)
    )
    mine = Rule(name="mine", effect=ALLOW, when={"tool": "a__b"})
    asked = Authorizer(AdmissionDocument(version="1.0", rules=(*others, mine)))
    assert asked.ruleset is not None
    call = request("a__b")
    assert [each.rule.name for each in asked.ruleset.rules.candidates(asked.ruleset.facts(call, Usage()))] == ["mine"]
    assert asked.evaluate(call).rules == ("mine",)


class Office:
    """A check of an application's own."""

    name = "office-hours"

    def __init__(self, said: Ruling | Decision | None, priority: int = 0) -> None:
        self.said, self.priority = said, priority

    def check(self, request: CallRequest, usage: Usage) -> Ruling | Decision | None:
        return self.said


def test_a_check_speaks_beside_the_rules_of_its_priority() -> None:
    text = rules("name: a, effect: allow, priority: 5")
    assert decide(text, request("a__b"), checks=(Office(DENY, 5),)).rules == ("office-hours",)
    assert effect(text, request("a__b"), checks=(Office(DENY, 4),)) is ALLOW
    assert effect(text, request("a__b"), checks=(Office(DENY, 6),)) is DENY
    assert effect(text, request("a__b"), checks=(Office(None, 6),)) is ALLOW
    assert effect("template: strict", request("a__b"), checks=(Office(ALLOW),)) is ALLOW
    said = Decision(DENY, ("closed",), "it is night")
    assert decide(text, request("a__b"), checks=(Office(said, 6),)).reason == "it is night"


def test_a_check_that_answers_something_else_denies() -> None:
    assert effect("template: permissive", request("a__b"), checks=(Office("yes"),)) is DENY  # type: ignore[arg-type]


# Constraints and obligations.


def test_constraints_of_several_rules_merge_to_the_stricter() -> None:
    text = rules(
        "name: a, effect: allow, constraints: {retention: 90d, log_level: standard, obligations: [tell-owner]}",
        "name: b, effect: allow, constraints: {retention: 30d, log_level: detailed, obligations: [watermark]}",
        "name: c, effect: require_approval, constraints: {approver_role: x, approval_timeout: 1h}",
        "name: d, effect: require_approval, constraints: {approver_role: y, approval_timeout: 10m}",
    )
    found = decide(text, request("a__b")).constraints
    assert (found.retention_s, found.log_level) == (90 * 86400, "detailed")
    assert (found.approver_roles, found.approval_timeout_s) == (("x", "y"), 600)
    assert found.duties == ("tell-owner", "watermark")


def test_what_nobody_sees_to_denies() -> None:
    text = rules("name: a, effect: allow, constraints: {retention: 90d, obligations: [watermark]}")
    for handles, expected in (((), DENY), (("retention",), DENY), (("retention", "watermark"), ALLOW)):
        found = decide(text, request("a__b"), handles=handles)
        assert found.effect is expected
        assert found.obligations == ("retention", "watermark")


# What must not come together in a session.

APART = """
template: permissive
session:
  labels: {reads_private: {components: [mail, "files*"]}, talks_out: {components: [fetch], tools: [chat__send]}}
  never_together: [[reads_private, talks_out]]
"""


@pytest.mark.parametrize(
    ("tool", "seen", "expected"),
    [
        ("mail__read", frozenset(), ALLOW),
        ("fetch__get", frozenset(), ALLOW),
        ("fetch__get", frozenset({"reads_private"}), DENY),
        ("chat__send", frozenset({"reads_private"}), DENY),
        ("chat__read", frozenset({"reads_private"}), ALLOW),
        ("mail__read", frozenset({"talks_out"}), DENY),
        ("files2__read", frozenset({"reads_private"}), ALLOW),
        ("other__x", frozenset({"reads_private", "talks_out"}), ALLOW),
        ("fetch__get", None, DENY),
        ("other__x", None, ALLOW),
    ],
)
def test_what_must_stay_apart_does_not_meet_in_a_session(tool: str, seen: frozenset[str] | None, expected: Ruling) -> None:
    found = decide(APART, request(tool), Usage(labels=seen))
    assert found.effect is expected
    assert ("cannot be told" in found.reason) is (seen is None and expected is DENY)


def test_a_document_says_whether_it_looks_at_what_happened() -> None:
    assert authorizer(APART).needs_usage
    assert authorizer(rules("name: a, effect: deny, when: {not: {usage.spend_today: {lt: 5}}}")).needs_usage
    assert not authorizer(ROLES).needs_usage
    assert not Authorizer().needs_usage
