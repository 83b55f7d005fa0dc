"""A guarded function that needs an approval waits for it, or raises with its id: in an application without WebAssembly."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sandbox.admission import Subject
from sandbox.admission.approval import ApprovalError, State
from sandbox.changes.approving import Approvals
from sandbox.errors import ApprovalPending, Code, HostUnavailable, NotAdmitted
from sandbox.guarding import Guard, guard
from sandbox.state import memory_store
from tests.guarding.conftest import Make

Recorded = Callable[[], list[dict[str, Any]]]
ASK = "template: permissive\nactions: {deploy: {default: require_approval}}"
AGENT = Subject("agent")
ANN = Subject("ann", scopes=("admin",))


def asking(make: Make, text: str = ASK, **options: Any) -> tuple[Guard, Approvals]:
    """A guard whose approvals are in memory."""
    found = make(text, **options)
    found.approvals = Approvals(memory_store(), found.authorizer, found.log, found.clock)
    return found, found.approvals


def deploying(by: Guard, **told: Any) -> tuple[Callable[..., Any], list[str]]:
    ran: list[str] = []

    @guard(by, subject=AGENT, resource="apps/{app}", **told)
    def deploy(app: str, version: int = 1) -> str:
        ran.append(f"{app} {version}")
        return app

    return deploy, ran


def test_without_approvals_it_is_refused(make: Make) -> None:
    deploy, ran = deploying(make(ASK))
    with pytest.raises(NotAdmitted, match="nobody can be asked") as refused:
        deploy("shop")
    assert (refused.value.code, isinstance(refused.value, ApprovalPending), ran) == (Code.APPROVAL_REQUIRED, False, [])


def test_what_is_recorded_of_an_approval_is_kept_as_long_as_the_rule_says(make: Make, recorded: Recorded) -> None:
    rule = "{name: r, effect: require_approval, when: {action: deploy}, constraints: {retention: 90d, log_level: detailed}}"
    by, approvals = asking(make, f"template: permissive\nrules: [{rule}]", handles=("retention", "log_level"))
    deploy, _ = deploying(by)
    with pytest.raises(ApprovalPending) as pending:
        deploy("shop")
    approvals.approve(pending.value.approval, ANN)
    deploy("shop")
    kept = {each["event"]: each["kept_until"] is not None for each in recorded()}
    assert {"approval_requested", "approval_approved", "approval_used", "tool_invoke"} <= kept.keys()
    assert all(kept.values()), kept


def test_it_raises_with_the_id_and_runs_once_after_a_yes(make: Make, recorded: Recorded) -> None:
    by, approvals = asking(make)
    deploy, ran = deploying(by)
    with pytest.raises(ApprovalPending) as pending:
        deploy("shop")
    approval = approvals.seen(pending.value.approval)
    assert (approval.bound.action, approval.bound.resource, approval.bound.digest) == ("deploy", "apps/shop", None)
    assert approvals.arguments(approval) == '{"app":"shop","version":1}'
    with pytest.raises(ApprovalError, match="in his own name"):
        approvals.approve(approval.id, Subject("agent", scopes=("admin",)))
    approvals.approve(approval.id, ANN)
    for other in (("shop", 2), ("another", 1)):
        with pytest.raises(ApprovalPending):
            deploy(*other)
    assert deploy("shop") == "shop"
    assert ran == ["shop 1"]
    with pytest.raises(ApprovalPending):
        deploy("shop")
    invoked = next(one for one in recorded() if one["event"] == "tool_invoke")
    assert invoked["rules"] == ["action:deploy", f"approval:{approval.id}"]
    assert [one["event"] for one in recorded()][-5:-2] == ["approval_used", "tool_invoke", "tool_success"]


def test_a_no_is_raised_too(make: Make) -> None:
    by, approvals = asking(make)
    deploy, ran = deploying(by)
    with pytest.raises(ApprovalPending) as pending:
        deploy("shop")
    approvals.deny(pending.value.approval, ANN, "not today")
    with pytest.raises(NotAdmitted, match="was denied by ann: not today"):
        deploy("shop")
    assert not ran


def test_what_no_person_can_read_is_not_asked_about(make: Make) -> None:
    """An approval of `x` is none of another object beside it."""
    by, approvals = asking(make)

    @guard(by, subject=AGENT)
    def deploy(app: str, how: object) -> None:
        raise AssertionError("it ran")

    with pytest.raises(NotAdmitted, match="cannot be asked about `how`"):
        deploy("shop", object())
    assert approvals.listed() == ()


class Box:
    """Something that has a name which no argument of its methods tells."""

    def __init__(self, name: str) -> None:
        self.name = name


class Named(str):
    """Something that is its name."""


def test_a_yes_is_of_no_method_whose_object_nothing_names(make: Make, recorded: Recorded) -> None:
    by, approvals = asking(make)

    @guard(by, subject=AGENT, action="deploy")
    def plain() -> str:
        return "plain"

    @guard(by, subject=AGENT, action="deploy")
    def deploy(self: Any) -> str:
        raise AssertionError("it ran")

    @guard(by, subject=AGENT, action="deploy", wait=0.01)
    async def waiting(cls: Any) -> str:
        raise AssertionError("it ran")

    calls: tuple[Callable[[], Any], ...] = (lambda: deploy(Box("toy")), lambda: asyncio.run(waiting(Box)))
    for call in calls:
        with pytest.raises(NotAdmitted):
            call()
    assert approvals.listed() == ()
    with pytest.raises(ApprovalPending) as pending:
        plain()
    approvals.approve(pending.value.approval, ANN)
    for call in calls:
        with pytest.raises(NotAdmitted, match=r"which object its `(self|cls)` is") as refused:
            call()
        assert (refused.value.code, isinstance(refused.value, ApprovalPending)) == (Code.APPROVAL_REQUIRED, False)
        assert "that is given the object's name" in (refused.value.help or "")
        assert recorded()[-1]["event"] == "access_denied"
    assert [one.id for one in approvals.listed()] == [pending.value.approval]
    assert plain() == "plain"


def test_a_method_that_needs_no_approval_and_an_object_that_is_its_name_are_asked_as_ever(make: Make) -> None:
    by, approvals = asking(make)

    @guard(by, subject=AGENT)
    def look(self: Box) -> str:
        return self.name

    @guard(by, subject=AGENT)
    def deploy(self: Named) -> str:
        return f"deployed {self}"

    assert look(Box("toy")) == "toy"
    with pytest.raises(ApprovalPending) as pending:
        deploy(Named("toy"))
    approvals.approve(pending.value.approval, ANN)
    with pytest.raises(ApprovalPending):
        deploy(Named("production"))
    assert deploy(Named("toy")) == "deployed toy"


def test_a_budget_that_is_used_up_leaves_the_approval_as_it_was(make: Make) -> None:
    by, approvals = asking(make, f"{ASK}\nbudgets: {{users: {{agent: {{max_requests: 1, period: day}}}}}}")
    deploy, ran = deploying(by)
    ids = []
    for app in ("shop", "desk"):
        with pytest.raises(ApprovalPending) as pending:
            deploy(app)
        ids.append(pending.value.approval)
        approvals.approve(ids[-1], ANN)
    assert deploy("shop") == "shop"
    with pytest.raises(NotAdmitted) as refused:
        deploy("desk")
    assert refused.value.code is Code.BUDGET_EXCEEDED
    assert (approvals.seen(ids[1]).state, ran) == (State.APPROVED, ["shop 1"])


def test_a_coroutine_function_waits_for_the_answer(make: Make) -> None:
    by, approvals = asking(make)

    @guard(by, subject=AGENT, wait=20.0)
    async def deploy(app: str) -> str:
        return app

    async def both() -> str:
        calling = asyncio.create_task(deploy("shop"))
        while not approvals.listed(State.PENDING):
            await asyncio.sleep(0.005)
        (waiting,) = approvals.listed()
        approvals.approve(waiting.id, ANN)
        return await calling

    assert inspect.iscoroutinefunction(deploy)
    assert asyncio.run(both()) == "shop"


def test_one_that_nobody_answers_in_time_raises_with_the_id(make: Make) -> None:
    by, approvals = asking(make)

    @guard(by, subject=AGENT, wait=0.01)
    async def deploy() -> None:
        raise AssertionError("it ran")

    with pytest.raises(ApprovalPending) as pending:
        asyncio.run(deploy())
    assert approvals.seen(pending.value.approval).state is State.PENDING


def test_what_is_no_coroutine_function_cannot_wait(make: Make) -> None:
    by, _ = asking(make)
    with pytest.raises(TypeError, match="`deploy` cannot wait"):
        deploying(by, wait=1.0)


def test_in_another_thread_than_the_stores_it_is_refused_in_words_that_say_so(make: Make) -> None:
    by, _ = asking(make)
    deploy, ran = deploying(by)
    with ThreadPoolExecutor(1) as other, pytest.raises(HostUnavailable, match="in the thread that opened it") as refused:
        other.submit(deploy, "shop").result()
    assert ("SQLite" in str(refused.value), ran) == (False, [])


def test_no_wasm_is_loaded_for_it() -> None:
    program = "import sys, sandbox.changes.approving, sandbox.guarding; print('wasmtime' in sys.modules, 'mcp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
