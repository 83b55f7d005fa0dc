"""`sandbox budget`: how budgets stand, set one while servers run, take it back, open again what a budget shut.

Leaves what a budget means to `sandbox.admission.spending.budgets`.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace
from typing import Any

from pydantic import ValidationError

from sandbox.admission.spending.budgets import shown
from sandbox.admission.spending.refusing import TOOL_GATE
from sandbox.api import Sandbox
from sandbox.audit import rfc3339
from sandbox.changes.budgeting import TOOLS
from sandbox.cli.exits import Exit
from sandbox.cli.hosting import open_sandbox
from sandbox.cli.local_user import local_user
from sandbox.cli.terminal import Terminal
from sandbox.cli.times import clock
from sandbox.config.spending import FIELDS, Budget
from sandbox.errors import Code, SandboxError
from sandbox.policy.refusal import Refusal

_WHOLE = frozenset({"max_tokens", "max_requests", "max_tool_calls", "max_llm_calls", "max_tokens_per_call", "soft_limit_percent"})


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run `budget show`, `set`, `drop` or `reopen`."""
    return asyncio.run(_run(arguments, terminal))


async def _run(arguments: Namespace, terminal: Terminal) -> int:
    work = {"show": _show, "set": _set, "drop": _drop, "reopen": _reopen}[arguments.action]
    async with open_sandbox(arguments, source="terminal") as sandbox:
        return await work(arguments, terminal, sandbox)


async def _show(arguments: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    found, shut = sandbox.budgets(*arguments.words), sandbox.shut_by_budgets()
    if terminal.json:
        budgets = [
            {
                "whose": one.whose,
                "limit": FIELDS[one.metric],
                "spent": shown(one.metric, one.spent),
                "of": shown(one.metric, one.limit),
                "remaining": shown(one.metric, one.remaining),
                "exceeded": one.exceeded,
                "period": one.period,
                "ends_at": None if one.ends_at is None else rfc3339(one.ends_at),
                "rule": one.rule,
            }
            for one in found
        ]
        ends = {gate: None if (until := _until(gate.until_ms)) is None else rfc3339(until) for gate in shut}
        gates = [{"what": _what(gate.name), "why": gate.why, "until": until} for gate, until in ends.items()]
        terminal.data({"budgets": budgets, "shut": gates})
        return Exit.OK
    rows = [
        (
            one.whose,
            FIELDS[one.metric],
            f"{shown(one.metric, one.spent)} of {shown(one.metric, one.limit)}",
            "ever" if one.period is None else f"this {one.period}",
            "-" if one.ends_at is None else clock(one.ends_at),
            one.rule,
        )
        for one in found
    ]
    terminal.table(("WHOSE", "LIMIT", "USED", "IN", "UNTIL", "WHERE FROM"), rows, none="no budget names anybody here")
    for gate in shut:
        until = _until(gate.until_ms)
        told = "until `sandbox budget reopen`" if until is None else f"until {clock(until)}"
        terminal.note(f"{_what(gate.name)} is shut {told}: {gate.why}")
    return Exit.OK


async def _set(arguments: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    (whose,) = arguments.words
    budget = _budget(arguments)
    await sandbox.set_budget(whose, budget, who=local_user())
    if terminal.json:
        terminal.data({"whose": whose, "budget": budget.model_dump(mode="json", exclude_none=True)})
    else:
        terminal.line(f"the budget of {whose} holds from the next call on, in every server")
    return Exit.OK


async def _drop(arguments: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    (whose,) = arguments.words
    await sandbox.drop_budget(whose, who=local_user())
    if terminal.json:
        terminal.data({"whose": whose, "dropped": True})
    else:
        terminal.line(f"the budget that was set for {whose} is gone: what is written holds again")
    return Exit.OK


async def _reopen(arguments: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    (what,) = arguments.words
    sandbox.reopen(what, who=local_user())
    if terminal.json:
        terminal.data({"what": what, "reopened": True})
    else:
        terminal.line(f"{what} is open again, and what it used is forgotten")
    return Exit.OK


def _budget(arguments: Namespace) -> Budget:
    given: dict[str, Any] = {}
    for name in Budget.model_fields:
        if (text := getattr(arguments, name)) is not None:
            given[name] = int(text) if name in _WHOLE and text.isdecimal() else text
    try:
        return Budget.model_validate(given)
    except ValidationError as error:
        raise _refused(error) from None


def _refused(error: ValidationError) -> SandboxError:
    """The first thing wrong, by its option."""
    detail = error.errors(include_url=False)[0]
    cause = (detail.get("ctx") or {}).get("error")
    option = "".join(f"--{str(step).replace('_', '-')}: " for step in detail["loc"][:1])
    if isinstance(cause, Refusal):
        help_ = "write a limit: `--max-cost 10`, `--max-requests 1000`" if not option else cause.help
        return SandboxError(f"{option}{cause.message}", help=help_, code=Code.INVALID_ARGUMENTS)
    return SandboxError(f"{option}{detail['msg'].lower()}", code=Code.INVALID_ARGUMENTS)


def _what(gate: str) -> str:
    kind, _, name = gate.partition("/")
    return f"{TOOLS if kind == TOOL_GATE else 'runs'}/{name}"


def _until(until_ms: int | None) -> float | None:
    return None if until_ms is None else until_ms / 1000
