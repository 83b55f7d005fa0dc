"""Signals in an admission document: which follow a refusal, and what they make of it."""

from __future__ import annotations

import pytest

from sandbox.admission import Authorizer, CallRequest, Decision, RequestId, Ruling, Subject
from sandbox.admission.document.extending import over
from sandbox.admission.document.load import load_admission
from sandbox.admission.spending.refusing import Refusal
from sandbox.errors import Code, PolicyError


def decided(text: str, tool: str = "t__x") -> Decision:
    document = load_admission(f'version: "1.0"\ntemplate: permissive\n{text}\n', file="a.yaml")
    return Authorizer(document).evaluate(CallRequest(RequestId("1"), Subject.local(), tool))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [{name: a, effect: allow, on_violation: SIGKILL}]", "a rule that allows is not violated"),
        ("rules: [{name: a, effect: deny, on_violation: SIGSTOP}]", "what is denied is not held up"),
        ("rules: [{name: a, effect: deny, on_violation: SIGTERM}]", "`SIGTERM` is no signal"),
        ("signals: {on_warning: SIGCONT}", "`SIGCONT` lets a call go on"),
        ("signals: {suspend_timeout: soon}", "`soon` is no time"),
        ("signals: {on_error: SIGKILL}", "on_error"),
    ],
)
def test_a_signal_that_means_nothing_is_refused(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as refused:
        decided(text)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "effect", "signal"),
    [
        ("rules: [{name: a, effect: deny, on_violation: SIGKILL}]", "deny", "SIGKILL"),
        ("rules: [{name: a, effect: require_approval, on_violation: SIGSTOP}]", "require_approval", "SIGSTOP"),
        ("rules: [{name: a, effect: require_approval, on_violation: SIGKILL}]", "deny", "SIGKILL"),
        ("rules: [{name: a, effect: deny}]\nsignals: {on_violation: SIGSTOP}", "deny", "SIGSTOP"),
        ("blocked_actions: [deploy]\nactions: {deploy: {tools: ['t__*']}}\nsignals: {on_violation: SIGKILL}", "deny", "SIGKILL"),
        (
            "rules: [{name: a, effect: require_approval, on_violation: SIGSTOP}]\nsignals: {on_violation: SIGKILL}",
            "require_approval",
            "SIGSTOP",
        ),
        (
            "rules: [{name: a, effect: deny, on_violation: SIGKILL}, {name: b, effect: require_approval, on_violation: SIGSTOP}]",
            "deny",
            "SIGKILL",
        ),
        ("rules: [{name: a, effect: allow}]\nsignals: {on_violation: SIGKILL}", "allow", None),
        ("rules: [{name: a, effect: deny, when: {tool: other__x}, on_violation: SIGKILL}]", "allow", None),
    ],
)
def test_a_signal_follows_what_asks_for_it(text: str, effect: str, signal: str | None) -> None:
    """SIGKILL denies; SIGSTOP never makes a denial less than one; the rule's own goes before the document's."""
    decision = decided(text)
    assert (decision.effect.value, decision.signal) == (effect, signal)


@pytest.mark.parametrize(("signal", "effect"), [("SIGKILL", Ruling.DENY), ("SIGSTOP", Ruling.REQUIRE_APPROVAL)])
def test_a_warning_can_be_made_a_refusal(signal: str, effect: Ruling) -> None:
    content = "content: [{pattern: 'secret', where: [arguments], action: warn}]"
    document = load_admission(
        f'version: "1.0"\ntemplate: permissive\n{content}\nsignals: {{on_warning: {signal}}}\n', file="a.yaml"
    )
    request = CallRequest(RequestId("1"), Subject.local(), "t__x", arguments={"text": "a secret"})
    decision = Authorizer(document).evaluate(request)
    assert (decision.effect, decision.signal) == (effect, signal)
    assert decision.reason.startswith("it is warned about: ")


def test_a_rate_has_a_signal_of_its_own() -> None:
    document = load_admission('version: "1.0"\nsignals: {on_rate_limit: SIGSTOP, on_violation: SIGKILL}\n', file="a.yaml")
    refused = Decision(Ruling.DENY, ("rates[0]",), "too many calls")
    ruleset = Authorizer(document).ruleset
    assert ruleset is not None
    assert ruleset.signalled(refused, rate=True).signal == "SIGSTOP"
    assert ruleset.signalled(refused).signal == "SIGKILL"


def test_in_audit_mode_a_document_sends_nothing_for_what_the_operator_refuses() -> None:
    document = load_admission('version: "1.0"\ntemplate: audit\nsignals: {on_violation: SIGKILL}\n', file="a.yaml")
    refused = Refusal(Code.BUDGET_EXCEEDED, ("budgets.global.max_requests",), "used up")
    decision = Authorizer(document).signalled(refused)
    assert (decision.effect, decision.signal) == (Ruling.DENY, None)
    audited = Authorizer(document).evaluate(CallRequest(RequestId("1"), Subject.local(), "t__x"))
    assert (audited.effect, audited.would_be, audited.signal) == (Ruling.ALLOW, Ruling.DENY, None)


def test_the_nearer_document_says_which_signal_follows() -> None:
    """What it does not speak of stays as it is below."""
    base = load_admission('version: "1.0"\nsignals: {on_violation: SIGKILL, suspend_timeout: 1m}\n', file="a.yaml")
    own = load_admission('version: "1.0"\nsignals: {suspend_timeout: 5m}\n', file="b.yaml")
    assert (over(base, own).signals.on_violation, over(base, own).signals.suspend_s) == ("SIGKILL", 300)
