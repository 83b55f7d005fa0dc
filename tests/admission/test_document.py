"""The admission document is read strictly: every error at once, with its place and what to write instead."""

from __future__ import annotations

import os
from pathlib import Path

import jsonschema
import pytest
import yaml

from sandbox.admission import Authorizer, CallRequest, Subject, new_request_id
from sandbox.admission.conditions import when
from sandbox.admission.decision import Ruling
from sandbox.admission.document.extending import loosened, over
from sandbox.admission.document.load import load_admission, load_admission_file, named_admission
from sandbox.admission.document.models import AdmissionDocument, Label, Permission, Role, Rule, Session
from sandbox.admission.document.schema import admission_schema
from sandbox.admission.signal import Signal
from sandbox.admission.words import Template
from sandbox.errors import PolicyError
from sandbox.policy.named import admission_names
from sandbox.policy.tree import show_path

HEAD = 'version: "1.0"\n'


def problems(text: str) -> list[str]:
    with pytest.raises(PolicyError) as refused:
        load_admission(HEAD + text, file="a.yaml")
    return [str(problem).removeprefix("a.yaml:") for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("rolls: {}", "2:1: rolls", "did you mean `roles`?"),
        ("template: stict", "2:11: template", "did you mean `strict`?"),
        ("extends: [no-such]", "2:11: extends[0]", "there is no admission document named"),
        ("allowed_actions: [a, a b]", "2:22: allowed_actions[1]", "is no name"),
        ("roles: {a: {inherits: [b]}}", "2:24: roles.a.inherits[0]", "there is no role `b`"),
        ("roles: {a: {inherits: [b]}, b: {inherits: [a]}}", "2:23: roles.a.inherits", "inherits from itself: a → b → a"),
        ("roles: {viewer: {}}\nassignments: {u: [viewr]}", "3:19: assignments.u[0]", "did you mean `viewer`?"),
        ("roles: {a: {permissions: [{resource: x, actions: []}]}}", "2:50: roles.a.permissions[0].actions", "at least 1"),
        (
            "roles: {a: {permissions: [{resource: x, actions: [r], conditions: {metadata.address: x}}]}}",
            "2:27: roles.a.permissions[0]",
            "may take rights, and gives none",
        ),
        ("scopes: {a: {implies: [tool:read]}}", "2:24: scopes.a.implies[0]", "did you mean `tools:read`?"),
        ("requires: [{tool: x, scopes: [admn]}]", "2:31: requires[0].scopes[0]", "did you mean `admin`?"),
        ("requires: [{scopes: [admin]}]", "2:12: requires[0]", "of a tool or of a method"),
        ("requires: [{method: tools/run, scopes: [admin]}]", "2:21: requires[0].method", "is no method"),
        ("blocked_actions: [x]\nallowed_actions: [x]", "3:19: allowed_actions[0]", "is allowed here and blocked"),
        ("actions: {deploy: {default: maybe}}", "2:29: actions.deploy.default", "is no effect"),
        ("rules: [{name: a, effect: deni}]", "2:27: rules[0].effect", "did you mean `deny`?"),
        ("rules: [{name: a, effect: deny}, {name: a, effect: deny}]", "2:41: rules[1].name", "two rules are named `a`"),
        ("rules: [{name: a, effect: deny, when: {tol: x}}]", "2:40: rules[0].when.tol", "did you mean `tool`?"),
        ("rules: [{name: a, effect: deny, when: {tool: [x]}}]", "2:40: rules[0].when.tool", "write `tool: {in: […]}`"),
        ("rules: [{name: a, effect: deny, when: {tool: {i: [x]}}}]", "2:47: rules[0].when.tool.i", "is no operator"),
        ("rules: [{name: a, effect: deny, when: {tool: {in: x}}}]", "2:47: rules[0].when.tool.in", "holds a list of values"),
        ("rules: [{name: a, effect: deny, when: {tool: no}}]", "2:40: rules[0].when.tool", "is always a text"),
        ("rules: [{name: a, effect: deny, when: {arguments.n: {gt: x}}}]", "2:54: rules[0].when.arguments.n.gt", "numbers"),
        ("rules: [{name: a, effect: deny, when: {arguments.at: 2024-01-01}}]", "2:40: rules[0].when.arguments.at", "a date"),
        ("rules: [{name: a, effect: deny, when: {tool: {matches: '(?=a)'}}}]", "2:47: rules[0].when.tool.matches", "look-around"),
        ("rules: [{name: a, effect: deny, when: {tool: {matches: '(a)\\1'}}}]", "2:47: rules[0].when.tool.matches", "back-ref"),
        ("rules: [{name: a, effect: deny, when: {arguments: x}}]", "2:40: rules[0].when.arguments", "name what is below it"),
        ("rules: [{name: a, effect: deny, when: {usage.spend: 1}}]", "2:40: rules[0].when.usage.spend", "usage.spend_today"),
        ("rules: [{name: a, effect: deny, when: {any: []}}]", "2:40: rules[0].when.any", "a list of conditions"),
        ("rules: [{name: a, effect: deny, when: {resource.x: {cidr: ten}}}]", "2:53: rules[0].when.resource.x.cidr", "network"),
        ("rules: [{name: a, effect: allow, when: {metadata.address: x}}]", "2:9: rules[0]", "gives none"),
        ("rules: [{name: a, effect: deny, constraints: {retention: 9d}}]", "2:9: rules[0]", "a denial has no constraints"),
        ("rules: [{name: a, effect: allow, constraints: {approver_role: x}}]", "2:9: rules[0]", "nobody is asked"),
        ("rules: [{name: a, effect: allow, constraints: {retention: 9}}]", "2:59: rules[0].constraints.retention", "quote it"),
        ("content: [{action: block}]", "2:11: content[0]", "has a pattern or names a set"),
        ("content: [{use: secretss, action: block}]", "2:11: content[0]", "did you mean `secrets`?"),
        ("content: [{pattern: '(', action: block}]", "2:21: content[0].pattern", "is no expression"),
        ("content: [{use: secrets, action: redact}]", "2:11: content[0]", "arguments are not redacted"),
        ("session: {never_together: [[a, b]]}", "2:29: session.never_together[0][0]", "there is no label `a`"),
        ("session: {labels: {a: {}}}", "2:23: session.labels.a", "nothing has the label"),
        ("audit: {destination: /srv/log}", "2:22: audit.destination", "`--home DIR` or `SANDBOX_HOME` names another"),
        ("roles:", "2:7: roles", "nothing stands here"),
        ("roles: {a: {}}\nroles: {}", "3:1: roles", "stands here twice"),
        ("roles: &x {}", "2:8: roles", "is an anchor"),
    ],
)
def test_what_cannot_hold_is_refused_where_it_stands(text: str, place: str, said: str) -> None:
    found = problems(text)
    assert found[0].startswith(f"{place}: ")
    assert said in found[0]


@pytest.mark.parametrize("text", ["", "x", "[a]", "a: b: c", 'version: "2.0"', "version: 1.0", "template: strict"])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        load_admission(text, file="a.yaml")


def test_all_errors_come_at_once_in_the_order_of_the_text() -> None:
    """Those between the lines too: a broken rule hides no role that is not there."""
    text = (
        "roles: {a: {inherits: [b]}}\n"
        "rules:\n"
        "  - {name: a, effect: deni, when: {tol: x, arguments.n: {gt: y}}}\n"
        "contents: []\n"
        "content:\n"
        "  - {use: x, action: block}\n"
    )
    assert [found.partition(": ")[0] for found in problems(text)] == ["2:24", "4:23", "4:36", "4:58", "5:1", "7:5"]


def test_a_document_that_others_may_change_is_refused(tmp_path: Path) -> None:
    """POL-07."""
    path = tmp_path / "a.yaml"
    path.write_text(HEAD)
    assert load_admission_file(path).default is Template.STRICT
    path.chmod(0o666)
    with pytest.raises(PolicyError, match="may write the file"):
        load_admission_file(path)
    path.chmod(0o600)
    os.link(path, tmp_path / "other")
    with pytest.raises(PolicyError, match="second name"):
        load_admission_file(path)


def test_the_whole_example_is_read() -> None:
    """Every section is in it, and nothing of it is accepted and ignored."""
    text = (Path(__file__).parent / "example.yaml").read_text()
    document = load_admission(text, file="example.yaml")
    named = AdmissionDocument.model_fields.keys() - {"description", "extends"}
    assert {"personal data"} <= {line.reason for line in document.content}, "what it extends is in it"
    assert {name for name in named if getattr(document, name)} == named
    Authorizer(document, handles={"retention", "log_level"})


@pytest.mark.parametrize("name", admission_names())
def test_what_ships_is_read_described_and_of_the_schemas_shape(name: str) -> None:
    assert named_admission(name).description
    text = (Path(__file__).resolve().parents[2] / "policies" / "admission" / f"{name}.yaml").read_text()
    jsonschema.Draft202012Validator(admission_schema()).validate(yaml.safe_load(text))


def test_the_schema_refuses_what_the_loader_refuses_of_shape() -> None:
    validator = jsonschema.Draft202012Validator(admission_schema())
    for wrong in (
        {"version": "2.0"},
        {"version": "1.0", "rolls": {}},
        {"version": "1.0", "rules": [{"name": "a", "effect": "deni"}]},
        {"version": "1.0", "rules": [{"name": "a", "effect": "deny", "when": {"tool": {"inn": ["x"]}}}]},
        {"version": "1.0", "content": [{"use": "secretss", "action": "block"}]},
    ):
        assert not validator.is_valid(wrong), wrong


def test_extending_adds_lists_up_and_takes_the_nearer_word() -> None:
    document = load_admission(
        HEAD
        + "extends: [small-team, read-only]\ntemplate: strict\n"
        + "roles: {member: {permissions: [{resource: a, actions: [b]}]}}\n"
        + "rules: [{name: production-is-approved, effect: deny}, {name: mine, effect: allow}]\nblocked_actions: [mine]\n",
        file="a.yaml",
    )
    assert document.default is Template.STRICT
    assert set(document.roles) == {"viewer", "member", "admin"}
    assert document.roles["member"].inherits == ()
    assert [rule.name for rule in document.rules] == [
        "admins-deploy-and-pay",
        "production-is-approved",
        "no-function-that-changes",
        "mine",
    ]
    assert document.rules[1].effect is Ruling.DENY
    assert document.blocked_actions[-1] == "mine"
    assert document.blocked_actions[0] == "execute_code"
    assert len(document.content) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("template: permissive", "template: `permissive` is looser than `strict`"),
        ("template: audit", "template: `audit` is looser than `strict`"),
        ("actions: {change: {default: allow}}", "actions.change.default: the action `change` has the answer `require_approval`"),
    ],
)
def test_what_would_loosen_a_document_that_it_extends_is_refused(text: str, said: str) -> None:
    assert any(said in problem for problem in problems(f"extends: [regulated]\n{text}\n"))


def test_a_document_made_in_python_loosens_nothing_either() -> None:
    document = AdmissionDocument(version="1.0", template=Template.PERMISSIVE, extends=("regulated",))
    with pytest.raises(PolicyError, match="is looser than `strict`"):
        Authorizer(document)


def test_of_an_action_or_a_label_that_both_have_everything_holds() -> None:
    changes = 'extends: [regulated]\nactions: {change: {tools: ["x__y"]}}\n'
    kind = load_admission(HEAD + changes, file="a.yaml").actions["change"]
    assert (kind.default, kind.tools[0], kind.tools[-1]) == (Ruling.REQUIRE_APPROVAL, "records__update", "x__y")
    talks = "extends: [public-server]\nsession: {labels: {talks_out: {tools: [fax__send]}}}\n"
    label = load_admission(HEAD + talks, file="a.yaml").session.labels["talks_out"]
    assert (label.components, label.tools) == (("mail", "webhook"), ("fax__send",))


def merged(base: str, own: str) -> tuple[AdmissionDocument, list[str]]:
    below, above = (load_admission(HEAD + text, file="a.yaml") for text in (base, own))
    return over(below, above), [f"{show_path(path)}: {wrong.message}" for path, wrong in loosened(below, above)]


def test_what_is_allowed_has_to_be_allowed_by_both() -> None:
    document, said = merged("allowed_actions: [read, list]", "allowed_actions: [deploy, read]")
    assert document.allowed_actions == ("read",)
    assert said == ["allowed_actions[0]: `deploy` is not allowed by what this document extends"]
    assert merged("allowed_actions: [read]", "description: x")[0].allowed_actions == ("read",)
    assert merged("description: x", "allowed_actions: [read]")[0].allowed_actions == ("read",)


def test_an_exception_is_none_from_what_the_other_document_requires() -> None:
    document, said = merged(
        "approvals: {require: ['a__*'], except: [b__get, a__get]}",
        "approvals: {require: ['b__*'], except: [b__list, a__put, a__get]}",
    )
    assert set(document.approvals.exceptions) == {"a__get", "b__list"}
    assert said == ["approvals.except[1]: calls of `a__put` need an approval by what this document extends"]


def test_four_eyes_of_both_documents_are_wanted() -> None:
    document, _ = merged("approvals: {four_eyes: [deploy]}", "approvals: {four_eyes: [create_billing]}")
    assert document.approvals.four_eyes == ("deploy", "create_billing")


def test_the_sterner_signal_and_the_stricter_template_hold() -> None:
    below = "template: strict\nsignals: {on_violation: SIGKILL}"
    document, said = merged(below, "signals: {on_violation: SIGSTOP, on_warning: SIGSTOP}")
    assert (document.signals.on_violation, document.signals.on_warning) == (Signal.SIGKILL, Signal.SIGSTOP)
    assert (document.default, said) == (Template.STRICT, [])
    for two in (("template: permissive", "template: strict"), ("template: strict", "template: permissive")):
        assert merged(*two)[0].default is Template.STRICT


def test_a_copy_that_says_something_else_was_not_read_from_that_text() -> None:
    read = load_admission(HEAD + "template: permissive\n", file="a.yaml")
    assert read.model_copy().digest == read.digest
    assert read.model_copy(update={"blocked_actions": ("x",)}).digest == ""
    copied = Authorizer(read.model_copy(update={"extends": ("read-only",)}))
    assert copied.evaluate(CallRequest(new_request_id(), Subject.local(), "files__write")).effect is Ruling.DENY


def test_two_texts_have_two_digests_and_one_has_one() -> None:
    texts = (
        "template: audit\n",
        "template: strict\n",
        "extends: [no-pii]\n",
        "rules: [{name: a, effect: deny, when: {tool: x}}]\n",
    )
    digests = {load_admission(HEAD + text, file="a.yaml").digest for text in texts}
    assert len(digests) == 4
    assert load_admission(HEAD + texts[0], file="b.yaml").digest in digests


def test_every_section_is_a_value_in_python_and_as_strict() -> None:
    role = Role(permissions=(Permission(resource="reports/*", actions=("read",), conditions={"department": "sales"}),))
    rule = Rule(name="a", effect=Ruling.DENY, when={"tool": "x"})
    document = AdmissionDocument(version="1.0", roles={"analyst": role}, rules=(rule,))
    assert document.rules[0].when == when.Test("tool", "eq", "x")
    for wrong in (
        lambda: Rule(name="a", effect=Ruling.DENY, when={"tol": "x"}),
        lambda: Rule(name="a b", effect=Ruling.DENY),
        lambda: Permission(resource="x", actions=()),
    ):
        with pytest.raises(ValueError):
            wrong()


def test_a_document_made_in_python_is_held_to_the_same_rules() -> None:
    label = Session(labels={"a": Label(tools=("x__y",))}, never_together=(("a", "b"),))
    for document, said in (
        (AdmissionDocument(version="1.0", session=label), "there is no label `b`"),
        (AdmissionDocument(version="1.0", roles={"a": Role(inherits=("b",))}), "there is no role `b`"),
        (AdmissionDocument(version="1.0", extends=("strickt",)), "did you mean `strict`"),
    ):
        with pytest.raises(PolicyError, match=said):
            Authorizer(document)
    extended = Authorizer(AdmissionDocument(version="1.0", template=Template.PERMISSIVE, extends=("read-only",)))
    request = CallRequest(new_request_id(), Subject.local(), "files__write")
    assert extended.evaluate(request).effect is Ruling.DENY
