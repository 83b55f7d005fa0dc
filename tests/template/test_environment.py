"""The variables of a call: names from the policy, values when the call comes."""

from __future__ import annotations

import pytest

from sandbox.template.environment import EnvironmentRules
from sandbox.template.template import Effect, EnvironmentRule
from tests.template.compiling import compiled

HOST = {"LANG": "C", "W_ONE": "1", "W_TWO": "2", "AWS_SECRET": "CANARY", "PATH": "/bin"}


def variables(permissions: str, host: dict[str, str] | None = None) -> dict[str, str]:
    return dict(EnvironmentRules(compiled(permissions).template.environment).variables(HOST if host is None else host))


def test_env_01_nothing_is_there_unless_a_line_names_it() -> None:
    assert variables("{}") == {}
    assert variables("{environment: {allow: [{key: LANG}]}}") == {"LANG": "C"}


@pytest.mark.parametrize("deny", ["W_ONE", "W_*", "*", "W_ON?"])
def test_pol_08_a_deny_wins_over_every_allow(deny: str) -> None:
    text = f'{{environment: {{allow: [{{key: "*"}}, {{key: W_ONE, value: mine}}], deny: [{{key: "{deny}"}}]}}}}'
    assert "W_ONE" not in variables(text)


def test_names_differ_by_case() -> None:
    assert variables("{environment: {allow: [{key: lang}]}}") == {}


def test_a_written_value_is_the_value_and_beats_a_pattern() -> None:
    text = "{environment: {allow: [{key: W_*}, {key: W_ONE, value: mine}, {key: NEW, value: ''}]}}"
    assert variables(text) == {"W_ONE": "mine", "W_TWO": "2", "NEW": ""}


def test_a_variable_that_the_host_has_not_is_absent() -> None:
    assert variables("{environment: {allow: [{key: LANG}, {key: W_*}]}}", {}) == {}


def test_what_is_no_text_is_left_out() -> None:
    assert variables("{environment: {allow: [{key: LANG}, {key: W_*}]}}", {"LANG": "\udcff", "W_A": "b"}) == {"W_A": "b"}


def test_the_line_that_decided_is_named() -> None:
    rules = EnvironmentRules(
        [EnvironmentRule(Effect.ALLOW, "A_*", None, "one"), EnvironmentRule(Effect.DENY, "A_B", None, "two")]
    )
    assert rules.decide("A_C").origin == "one"
    assert rules.decide("A_B").origin == "two"
    assert rules.decide("B").origin is None


def test_what_was_asked_for_and_taken_away_is_named_with_its_line() -> None:
    done = compiled(
        "{environment: {allow: [{key: LANG}, {key: W_*}, {key: GONE}], deny: [{key: LANG}, {key: W_T*}, {key: GONE}]}}"
    )
    names = [name for name, _ in done.template.denied_environment]
    assert names == ["GONE", "LANG", "W_TWO"], "GONE is asked for by name, whether the host has it or not"
    assert all(line.startswith("p.yaml:2:") for _, line in done.template.denied_environment)
