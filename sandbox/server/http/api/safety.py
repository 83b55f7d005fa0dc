"""The operations of who asks before acting: may it be done, and is there money for it.

Decides nothing: checks are `Sandbox.check_action`'s, a run's money is `Sandbox.spend`'s.
"""

from __future__ import annotations

from sandbox.server.http.api.models import (
    BudgetStatus,
    CanSpend,
    Check,
    CheckAnswer,
    NewBudget,
    RunId,
    Spending,
    amount_micros,
    limit_micros,
)
from sandbox.server.http.api.operations import INVOKE, Asked, Example, Link, Operation

_STATUS = {"run_id": "nightly-7", "spent": 0.25, "limit": 10.0, "remaining": 9.75, "exceeded": False}
_NO_RUN = "No run of that name has a budget that is this subject's"
_THIS_RUN = {"run_id": "$response.body#/run_id"}
_LINKS = (Link("getBudget", _THIS_RUN), Link("endRun", _THIS_RUN))


async def _check(asked: Asked) -> CheckAnswer:
    wanted: Check = asked.body
    context = wanted.context
    # What conditions see is what was sent, and no key that was not.
    sent = context.model_dump(mode="json", exclude_unset=True)
    about = {"tool": context.tool, "component": context.component, "resource": context.resource}
    said = await asked.sandbox.check_action(wanted.action, sent, asked.who, metadata=asked.metadata, **about)
    return CheckAnswer(allowed=said.allowed, reason=said.reason, requires_approval=said.requires_approval)


async def _create(asked: Asked) -> BudgetStatus:
    wanted: NewBudget = asked.body
    return BudgetStatus.of(await asked.sandbox.set_run_budget(wanted.run_id, limit_micros(wanted.limit), asked.who))


async def _status(asked: Asked) -> BudgetStatus:
    run = asked.parameters["run_id"]
    return BudgetStatus.of(await asked.sandbox.run_budget(run, asked.who, all_runs=_sees_all_runs(asked)))


async def _spend(asked: Asked) -> BudgetStatus:
    wanted: Spending = asked.body
    standing = await asked.sandbox.spend(
        wanted.run_id,
        amount_micros(wanted.amount),
        asked.who,
        key=asked.key,
        all_runs=_sees_all_runs(asked),
        metadata=asked.metadata,
    )
    return BudgetStatus.of(standing)


async def _can_spend(asked: Asked) -> CanSpend:
    wanted: Spending = asked.body
    micros = amount_micros(wanted.amount)
    can, standing = await asked.sandbox.could_spend(wanted.run_id, micros, asked.who, all_runs=_sees_all_runs(asked))
    return CanSpend(can_spend=can, current_status=BudgetStatus.of(standing))


async def _end(asked: Asked) -> BudgetStatus:
    run = asked.parameters["run_id"]
    return BudgetStatus.of(await asked.sandbox.end_run(run, asked.who, all_runs=_sees_all_runs(asked)))


def _sees_all_runs(asked: Asked) -> bool:
    # Whose a run is, is kept as a digest: of which tenant, nobody can tell who has one himself.
    return asked.sees_all and asked.who.tenant is None


SAFETY = (
    Operation(
        id="checkAction",
        method="POST",
        path="safety/check",
        summary="Ask whether an action would be allowed",
        description="The admission document in force answers, as it would for a call; nothing is done, taken or recorded. "
        "`network_access` with a `url` in the context, and `delete_files` with a `path`, ask what the `component` of the context "
        "may touch, too: both must allow it.",
        scopes=(INVOKE,),
        does=_check,
        takes=Check,
        gives=CheckAnswer,
        example=Example(
            body={"action": "network_access", "context": {"component": "fetch", "url": "https://api.example.com/v1"}},
            answer={"allowed": False, "reason": "there is no component `fetch`", "requires_approval": False},
        ),
    ),
    Operation(
        id="createBudget",
        method="POST",
        path="safety/budget/create",
        summary="Set what a run may spend",
        description="A run is what the application calls so; its budget belongs to the subject that set it. It holds beside the "
        "budgets of the admission document and of the operator, and never in place of one. Said again with the same limit it "
        "changes nothing; it is not changed once it is set.",
        scopes=(INVOKE,),
        does=_create,
        takes=NewBudget,
        gives=BudgetStatus,
        changes=True,
        example=Example(body={"run_id": "nightly-7", "limit": 10.0}, answer={**_STATUS, "spent": 0.0, "remaining": 10.0}),
        refusals={409: "The run has a budget already, or is over"},
        links=(
            *_LINKS,
            Link("spendBudget", body={"run_id": "$response.body#/run_id", "amount": 0.25}),
            Link("canSpendBudget", body={"run_id": "$response.body#/run_id", "amount": 0.25}),
        ),
    ),
    Operation(
        id="spendBudget",
        method="POST",
        path="safety/budget/spend",
        summary="Spend in a run",
        description="Taken in one step from every budget that bounds the run and the subject, or not at all. An amount that "
        "there is no room for shuts the run until an operator opens it (`sandbox budget reopen runs/NAME`). With an "
        "`Idempotency-Key` the same amount may be said again, to any server that shares the state, and is taken once; without "
        "one it is taken each time.",
        scopes=(INVOKE,),
        does=_spend,
        takes=Spending,
        gives=BudgetStatus,
        changes=True,
        once=True,
        example=Example(body={"run_id": "nightly-7", "amount": 0.25}, answer=_STATUS),
        refusals={
            404: _NO_RUN,
            409: "The key came with another run or amount before",
            429: "A budget has no room for the amount, or the run was shut; `Retry-After` says when waiting helps",
        },
        links=_LINKS,
    ),
    Operation(
        id="canSpendBudget",
        method="POST",
        path="safety/budget/can-spend",
        summary="Ask whether there is room for an amount",
        description="Looks at all that `spend` would be bound by, and takes nothing; others may spend meanwhile.",
        scopes=(INVOKE,),
        does=_can_spend,
        takes=Spending,
        gives=CanSpend,
        example=Example(body={"run_id": "nightly-7", "amount": 0.25}, answer={"can_spend": True, "current_status": _STATUS}),
        refusals={404: _NO_RUN},
    ),
    Operation(
        id="getBudget",
        method="GET",
        path="safety/budget/{run_id}",
        summary="How a run's money stands",
        description="As `sandbox budget show runs/NAME` says it.",
        scopes=(INVOKE,),
        does=_status,
        gives=BudgetStatus,
        parameters={"run_id": RunId},
        example=Example(answer=_STATUS),
        refusals={404: _NO_RUN},
    ),
    Operation(
        id="endRun",
        method="DELETE",
        path="safety/budget/{run_id}",
        summary="End a run",
        description="Nothing more is spent in it, and its budget is forgotten; a run of that name is not begun again.",
        scopes=(INVOKE,),
        does=_end,
        gives=BudgetStatus,
        parameters={"run_id": RunId},
        changes=True,
        example=Example(answer=_STATUS),
        refusals={404: _NO_RUN},
    ),
)
