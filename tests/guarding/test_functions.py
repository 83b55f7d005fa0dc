"""Functions behind admission: what is refused never runs, and what runs is settled and on record."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.admission import Authorizer, Subject
from sandbox.admission.document.load import load_admission
from sandbox.admission.spending.budgets import whose_of
from sandbox.errors import Code, NotAdmitted
from sandbox.guarding import Account, Guard, guard
from tests.guarding.conftest import Make

Recorded = Callable[[], list[dict[str, Any]]]
ANN = Subject("ann", roles=("reader",))
ROLES = 'roles: {reader: {permissions: [{resource: "reports/*", actions: [read]}]}}'


def test_what_is_refused_does_not_run(make: Make, recorded: Recorded) -> None:
    """The error says which rule, the record too; nothing is reserved."""
    ran = []

    @guard(make(ROLES), action="delete", resource="reports/{name}", subject=ANN)
    def delete(name: str) -> None:
        ran.append(name)

    with pytest.raises(NotAdmitted) as refused:
        delete("q3")
    assert (refused.value.code, refused.value.rules) == (Code.ACCESS_DENIED, ("roles",))
    assert not ran
    (record,) = recorded()
    assert (record["event"], record["subject"], record["tool"], record["decision"]) == ("access_denied", "ann", "delete", "deny")


@pytest.mark.parametrize("name", ["", "../billing", "q3/../../billing", "*", "a:b", "..", None, 1.5])
def test_an_argument_does_not_lead_to_another_resource(make: Make, name: Any) -> None:
    """ARG-06: what would name another resource, or all, names none."""

    @guard(make(ROLES), action="read", resource="reports/{name}", subject=ANN)
    def read(name: Any) -> None:
        raise AssertionError("it ran")

    with pytest.raises(NotAdmitted, match="`name` names no part of the resource"):
        read(name)


def test_nobody_asks_where_nobody_says_who(make: Make) -> None:
    """A subject without roles or scopes: the template decides, and a role does not."""

    @guard(make(ROLES), action="read", resource="reports/{name}")
    def read(name: str) -> str:
        return name

    with pytest.raises(NotAdmitted, match="roles of the subject: none"):
        read("q3")


def test_what_is_allowed_runs_once_and_is_on_record(make: Make, recorded: Recorded) -> None:
    @guard(make(ROLES), action="read", resource="reports/{name}", subject=ANN)
    def read(name: str, *, lines: int = 3) -> str:
        """Read a report."""
        return name * lines

    assert read("q", lines=2) == "qq"
    assert (read.__name__, read.__doc__) == ("read", "Read a report.")
    began, ended = recorded()
    assert (began["event"], began["arguments"], began["rules"]) == ("tool_invoke", {"lines": 2, "name": "q"}, ["role:reader"])
    assert (ended["event"], ended["audit_id"]) == ("tool_success", began["audit_id"])


async def test_a_coroutine_function_stays_one(make: Make, recorded: Recorded) -> None:
    """What it raises is its caller's, and on record by its type alone."""

    @guard(make(ROLES), action="read", resource="reports/{name}", subject=ANN)
    async def read(name: str) -> str:
        await asyncio.sleep(0)
        raise ValueError("a secret")

    assert inspect.iscoroutinefunction(read)
    with pytest.raises(ValueError, match="a secret"):
        await read("q3")
    assert [record["event"] for record in recorded()] == ["tool_invoke", "tool_failure"]
    assert recorded()[1]["reason"] == "ValueError"


def test_an_argument_that_is_no_json_is_not_there_for_conditions(make: Make) -> None:
    """A rule that denies by it denies; one that allows by it does not."""
    text = "rules: [{name: own, effect: allow, when: {arguments.owner: ann}}]"

    @guard(make(text), subject=ANN)
    def take(owner: Any) -> str:
        return "taken"

    assert take("ann") == "taken"
    with pytest.raises(NotAdmitted):
        take(object())


def test_a_function_that_changes_its_arguments_changes_nothing_that_was_decided_about(make: Make, recorded: Recorded) -> None:
    @guard(make("template: permissive"), subject=ANN)
    def spoil(given: dict[str, int], account: Account) -> object:
        given.clear()
        return account.request.arguments

    assert spoil({"a": 1}) == {"given": {"a": 1}}  # type: ignore[call-arg] # the guard gives the account
    assert recorded()[0]["arguments"] == {"given": {"a": 1}}


def test_a_budget_is_reserved_and_what_is_spent_is_settled(make: Make) -> None:
    """What passes it while it runs ends it; the next call is refused before it begins."""
    made = make("template: permissive\nbudgets: {users: {ann: {max_cost: 1, period: day}}}")

    @guard(made, subject=ANN)
    def think(micros: int, account: Account) -> str:
        account.spend(cost_micros=micros)
        return "thought"

    assert think(400_000) == "thought"  # type: ignore[call-arg] # the guard gives the account
    with pytest.raises(NotAdmitted) as over:
        think(700_000)  # type: ignore[call-arg] # the same
    assert over.value.code is Code.BUDGET_EXCEEDED
    with pytest.raises(NotAdmitted) as refused:
        think(0)  # type: ignore[call-arg] # the same
    assert refused.value.code is Code.BUDGET_EXCEEDED
    assert refused.value.retry_after_s is not None


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_reserved_and_not_used_is_given_back(make: Make, fails: bool) -> None:
    """However it ends: of a budget the smallest unit is taken before, and nothing of it stays."""
    made = make("template: permissive\nbudgets: {users: {ann: {max_cost: 1, max_requests: 9}}}")
    seen = []

    @guard(made, subject=ANN)
    def think(account: Account) -> None:
        seen.append(account.request)
        if fails:
            raise ValueError

    with contextlib.suppress(ValueError):
        think()  # type: ignore[call-arg] # the same
    assert made.budgets is not None
    held = {line.metric.value: taken for line, taken in made.budgets.standing(whose_of(seen[0]), 1_000_000.0)}
    assert held == {"cost_micros": 0, "requests": 1}


def test_a_rate_says_when_asking_again_helps(make: Make) -> None:
    made = make("template: permissive\nrates: [{action: think, per: user, limit: 2/min}]")

    @guard(made, subject=ANN)
    def think() -> None: ...

    think()
    think()
    with pytest.raises(NotAdmitted) as refused:
        think()
    assert refused.value.code is Code.RATE_LIMIT_EXCEEDED
    assert 0 < (refused.value.retry_after_s or 0) <= 61


def test_without_a_record_nothing_runs(make: Make) -> None:
    """What was reserved for it is given back."""
    made = make("template: permissive\nbudgets: {users: {ann: {max_requests: 1, max_cost: 1}}}")
    assert made.log is not None
    made.log.close()

    @guard(made, subject=ANN)
    def think() -> None:
        raise AssertionError("it ran")

    with pytest.raises(Exception, match="the record is closed"):
        think()


def test_an_obligation_that_nobody_meets_is_a_refusal(make: Make) -> None:
    """Named to the authorizer, it is the caller's to meet."""
    text = "rules: [{name: r, effect: allow, constraints: {obligations: [tell-the-boss]}}]"

    @guard(make(text), subject=ANN)
    def act() -> str:
        return "done"

    @guard(make(text, handles=["tell-the-boss"]), subject=ANN)
    def act_and_tell() -> str:
        return "done"

    with pytest.raises(NotAdmitted, match="tell-the-boss"):
        act()
    assert act_and_tell() == "done"


def test_an_authorizer_alone_is_enough() -> None:
    """Without budgets and without a record."""
    document = load_admission('version: "1.0"\nrules: [{name: a, effect: allow, when: {action: read}}]\n', file="a.yaml")

    @guard(Authorizer(document), subject=lambda arguments: Subject(arguments["who"]))
    def read(who: str) -> str:
        return who

    assert read("ann") == "ann"
    assert Guard(Authorizer(document)).log is None
