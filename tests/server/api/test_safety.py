"""Checks and the budgets of runs over HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sandbox import Sandbox
from tests.server.api.conftest import Callers

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.mark.parametrize(
    ("action", "context", "reason"),
    [
        ("create_billing", {}, "create_billing"),
        ("summarise", {"topic": "secret"}, "not about that"),
        ("network_access", {"url": "https://evil.test/", "component": "traps"}, "no rule allows `evil.test`"),
        ("network_access", {"url": "https://api.example.com/"}, "name the `component`"),
        ("network_access", {"url": ["https://api.example.com/"], "component": "traps"}, "only http"),
        ("network_access", {"url": "https://api.example.com/", "component": "nobody"}, "there is no component `nobody`"),
        ("delete_files", {"path": "/etc/passwd", "component": "traps"}, "/etc/passwd"),
        ("delete_files", {"path": 7, "component": "traps"}, "denied"),
    ],
)
async def test_what_is_not_allowed_is_told_with_its_reason(
    callers: Callers, action: str, context: dict[str, object], reason: str
) -> None:
    said = await callers.ann.done("POST", "safety/check", {"action": action, "context": context})
    assert said.keys() == {"allowed", "reason", "requires_approval"}
    assert (said["allowed"], said["requires_approval"]) == (False, False), said
    assert reason in said["reason"]


async def test_what_needs_an_approval_is_not_allowed_yet(callers: Callers) -> None:
    said = await callers.ann.done("POST", "safety/check", {"action": "deploy", "context": {"to": "production"}})
    assert (said["allowed"], said["requires_approval"]) == (False, True)


async def test_what_the_document_and_the_template_allow_is_allowed(callers: Callers, sandbox: Sandbox) -> None:
    data = next(rule["line"].split()[-1] for rule in _rules(sandbox) if "/data" in rule["line"])
    for action, context in (
        ("summarise", {"topic": "weather"}),
        ("network_access", {"url": "https://api.example.com/v1", "component": "traps"}),
        ("network_access", {"url": "https://api.example.com/v1", "tool": "traps__fine"}),
        ("delete_files", {"path": f"{Path(data.removeprefix('fs://').rstrip('*/'))}/x", "component": "traps"}),
    ):
        said = await callers.ann.done("POST", "safety/check", {"action": action, "context": context})
        assert said["allowed"], (context, said)


def _rules(sandbox: Sandbox) -> list[dict[str, str]]:
    rules: list[dict[str, str]] = sandbox.get_policy("traps").to_json()["rules"]
    return rules


async def test_a_check_is_of_who_asks_and_of_what_holds_now(callers: Callers) -> None:
    check = {"action": "read", "context": {}}
    assert (await callers.ann.done("POST", "safety/check", check))["allowed"]
    refused = await callers.reader.refused(403, "POST", "safety/check", check)
    assert refused["rules"] == ["scope:tools:invoke"]


async def test_a_run_s_money_is_exact(callers: Callers) -> None:
    made = await callers.ann.done("POST", "safety/budget/create", {"run_id": "exact", "limit": 1})
    assert made == {"run_id": "exact", "spent": 0, "limit": 1, "remaining": 1, "exceeded": False}
    for _ in range(3):
        status = await callers.ann.done("POST", "safety/budget/spend", {"run_id": "exact", "amount": 0.1})
    assert (status["spent"], status["remaining"]) == (0.3, 0.7)
    # As a program adds it up, and finer than is counted: against who spends it.
    await callers.ann.done("POST", "safety/budget/spend", {"run_id": "exact", "amount": 0.1 + 0.2})
    status = await callers.ann.done("POST", "safety/budget/spend", {"run_id": "exact", "amount": 1e-12})
    assert (status["spent"], status["remaining"]) == (0.600001, 0.399999)
    assert await callers.ann.done("GET", "safety/budget/exact") == status


async def test_what_there_is_no_room_for_shuts_the_run(callers: Callers) -> None:
    await callers.ann.done("POST", "safety/budget/create", {"run_id": "short", "limit": 1})
    amount = {"run_id": "short", "amount": 0.6}
    can = await callers.ann.done("POST", "safety/budget/can-spend", amount)
    assert (can["can_spend"], can["current_status"]["remaining"]) == (True, 1)
    await callers.ann.done("POST", "safety/budget/spend", amount)
    assert not (await callers.ann.done("POST", "safety/budget/can-spend", amount))["can_spend"]
    assert not (await callers.ann.done("GET", "safety/budget/short"))["exceeded"]
    problem = await callers.ann.refused(429, "POST", "safety/budget/spend", amount)
    assert problem["code"] == "budget_exceeded"
    assert (await callers.ann.done("GET", "safety/budget/short"))["exceeded"]
    small = {"run_id": "short", "amount": 0.1}
    await callers.ann.refused(429, "POST", "safety/budget/spend", small)
    assert not (await callers.ann.done("POST", "safety/budget/can-spend", small))["can_spend"]
    callers.sandbox.reopen("runs/short")
    await callers.ann.done("POST", "safety/budget/spend", small)


async def test_of_many_at_once_so_many_spend_as_there_is_money(callers: Callers) -> None:
    await callers.ann.done("POST", "safety/budget/create", {"run_id": "race", "limit": 0.000005})
    amount = {"run_id": "race", "amount": 0.000001}
    answers = await asyncio.gather(*(callers.ann.ask("POST", "safety/budget/spend", amount) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [200] * 5 + [429] * 15


async def test_what_is_said_again_with_its_key_is_spent_once(callers: Callers) -> None:
    await callers.ann.done("POST", "safety/budget/create", {"run_id": "again", "limit": 1})
    amount = {"run_id": "again", "amount": 1.0}
    for _ in range(3):
        status = await callers.ann.done("POST", "safety/budget/spend", amount, Idempotency_Key="charge-1")
        assert status["spent"] == 1
    less = {"run_id": "again", "amount": 0.5}
    assert (await callers.ann.refused(409, "POST", "safety/budget/spend", less, Idempotency_Key="charge-1"))["code"] == "conflict"
    await callers.ann.refused(429, "POST", "safety/budget/spend", amount, Idempotency_Key="charge-2")
    for key in ("", "two words", "x" * 129):
        await callers.ann.refused(422, "POST", "safety/budget/spend", amount, Idempotency_Key=key)
    other = {"run_id": "another", "limit": 1}
    await callers.ann.refused(422, "POST", "safety/budget/create", other, Idempotency_Key="charge-1")


async def test_a_key_is_of_its_subject(callers: Callers) -> None:
    for caller in (callers.ann, callers.eve):
        run = f"of-{caller.name}"
        await caller.done("POST", "safety/budget/create", {"run_id": run, "limit": 1})
        spent = await caller.done("POST", "safety/budget/spend", {"run_id": run, "amount": 0.5}, Idempotency_Key="same")
        assert spent["spent"] == 0.5


async def test_a_run_is_its_subjects_and_an_operators(callers: Callers) -> None:
    await callers.ann.done("POST", "safety/budget/create", {"run_id": "mine", "limit": 1})
    # `chief` has `admin`, of another tenant.
    for caller in (callers.bob, callers.eve, callers.chief, callers.reader):
        status = 403 if caller.name == "reader" else 404
        await caller.refused(status, "GET", "safety/budget/mine")
        await caller.refused(status, "DELETE", "safety/budget/mine")
        for path in ("spend", "can-spend"):
            await caller.refused(status, "POST", f"safety/budget/{path}", {"run_id": "mine", "amount": 0.1})
    assert (await callers.operator.done("GET", "safety/budget/mine"))["limit"] == 1
    assert (await callers.bob.refused(409, "POST", "safety/budget/create", {"run_id": "mine", "limit": 1}))["code"] == "conflict"


async def test_a_budget_is_not_changed_and_a_run_not_begun_again(callers: Callers) -> None:
    made = {"run_id": "once", "limit": 1}
    for _ in range(2):
        await callers.ann.done("POST", "safety/budget/create", made)
    await callers.ann.refused(409, "POST", "safety/budget/create", {**made, "limit": 2})
    await callers.ann.done("DELETE", "safety/budget/once")
    await callers.ann.refused(404, "GET", "safety/budget/once")
    await callers.ann.refused(409, "POST", "safety/budget/create", made)


async def test_a_run_is_bound_by_every_other_budget_too(callers: Callers) -> None:
    """Bob's day has 1, whatever his runs have; and the document's run is lowered by its own budget, never raised."""
    await callers.bob.done("POST", "safety/budget/create", {"run_id": "rich", "limit": 100})
    problem = await callers.bob.refused(429, "POST", "safety/budget/spend", {"run_id": "rich", "amount": 2})
    assert problem["rules"] == ["budgets.users.bob.max_cost"]
    status = await callers.ann.done("POST", "safety/budget/create", {"run_id": "named", "limit": 100})
    assert status["limit"] == 5


async def test_it_is_the_command_line_s_budget(callers: Callers) -> None:
    await callers.ann.done("POST", "safety/budget/create", {"run_id": "shared", "limit": 2.5})
    await callers.ann.done("POST", "safety/budget/spend", {"run_id": "shared", "amount": 0.5})
    (standing,) = callers.sandbox.budgets("runs/shared")
    assert (standing.limit, standing.spent) == (2_500_000, 500_000)
    await callers.sandbox.drop_budget("runs/shared")
    await callers.ann.refused(404, "GET", "safety/budget/shared")


async def test_one_subject_has_so_many_runs(callers: Callers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.changes.runs.MOST_RUNS", 1)
    await callers.chief.done("POST", "safety/budget/create", {"run_id": "first", "limit": 1})
    await callers.chief.refused(409, "POST", "safety/budget/create", {"run_id": "second", "limit": 1})
