"""A check asks, and takes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import Sandbox
from sandbox.admission import Subject
from sandbox.errors import NotAdmitted
from sandbox.guarding import Checked, PolicyGate, guard, reaches_by
from tests.guarding.conftest import Make
from tests.support.components import files_component

TEXT = """
rules:
  - name: production
    effect: require_approval
    priority: 1
    when: {action: modify, arguments.path: {starts_with: /production}}
  - {name: writes, effect: allow, when: {action: modify}}
  - {name: fetches, effect: allow, when: {action: network_access}}
budgets: {users: {ann: {max_requests: 1}}}
"""
ANN = Subject("ann")


def test_a_check_says_whether_why_and_whether_somebody_has_to_approve(make: Make) -> None:
    gate = PolicyGate(make(TEXT))
    assert not gate.check_action("delete", {"path": "/tmp"}, subject=ANN).allowed
    asked = gate.check_action("modify", {"path": "/production/x"}, subject=ANN)
    assert (asked.allowed, asked.requires_approval, asked.rules) == (False, True, ("production",))
    allowed = gate.check_action("modify", {"path": "/tmp/x"}, subject=ANN)
    assert allowed == Checked(True, "the rule `writes` allows it", rules=("writes",))
    assert allowed.to_json()["requires_approval"] is False


def test_a_check_takes_nothing_of_a_budget(make: Make) -> None:
    """Asked often, it may still be done; done once, the budget is used up."""
    made = make(TEXT)
    for _ in range(3):
        assert PolicyGate(made).check_action("modify", {"path": "/x"}, subject=ANN).allowed
    assert guard(made, action="modify", subject=ANN)(lambda path: "done")("/x") == "done"
    with pytest.raises(NotAdmitted, match="the budget is used up"):
        guard(made, action="modify", subject=ANN)(lambda path: "done")("/x")


def test_what_is_no_json_is_not_checked(make: Make) -> None:
    with pytest.raises(NotAdmitted, match="not JSON"):
        PolicyGate(make(TEXT)).check_action("modify", {"path": object()}, subject=ANN)


async def test_access_to_the_network_asks_the_component_s_rules(make: Make, tmp_path: Path) -> None:
    """Both must allow it; where nobody says whose rules decide, it is refused."""
    policy = tmp_path / "policy.yaml"
    policy.write_text('version: "2.0"\npermissions: {network: {allow: [{host: api.example.com}]}}\n')
    policy.chmod(0o600)
    async with Sandbox(tmp_path / "home") as sandbox:
        await sandbox.install(files_component(), policy=policy, name="files")
        gate = PolicyGate(make(TEXT), reaches=reaches_by(sandbox))

        def check(url: object, component: str = "files") -> Checked:
            return gate.check_action("network_access", {"url": url}, subject=ANN, component=component)

        assert check("https://api.example.com/v1").allowed
        for refused in (check("https://example.org/"), check(7), check("https://api.example.com/v1", component="")):
            assert (refused.allowed, refused.rules) == (False, ("network",))
    assert not PolicyGate(make(TEXT)).check_action("network_access", {"url": "https://api.example.com/"}, subject=ANN).allowed
