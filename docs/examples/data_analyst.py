"""A data analyst's agent under patterns, and a debugger session: a call is suspended, looked at, and goes on or does not.

The document is `data_analyst.yaml`. `tool` is whatever runs its code: the component `python` of this project, or another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox import NotAdmitted, Sandbox
from sandbox.admission import Subject
from sandbox.admission.signal import Signal, SignalContext, SignalledCall

ANN = Subject("ann", scopes=("tools:invoke",))
DOCUMENT = Path(__file__).with_name("data_analyst.yaml")
TRIED = {
    "average": "sum(sales) / len(sales)",
    "a person": "find('078-05-1120')",
    "a table": "db.execute('DROP TABLE sales')",
    "a shell": "import subprocess; subprocess.run(['ls'])",
    "production": "connect('db.production.example.com')",
}


async def refusals(sandbox: Sandbox, tool: str, more: Mapping[str, Any]) -> dict[str, str]:
    """What becomes of each attempt: `ran`, or the rule that refused it."""
    found = {}
    for name, code in TRIED.items():
        try:
            await sandbox.call(tool, {"code": code, **more}, subject=ANN, session="analysis")
        except NotAdmitted as refused:
            found[name] = f"{refused.code.value}: {', '.join(refused.rules)}"
        else:
            found[name] = "ran"
    return found


async def debugger_session(sandbox: Sandbox, tool: str, arguments: Mapping[str, Any], *, kill: bool) -> tuple[list[str], str]:
    """Suspend a call while it runs, look, and let it go on or kill it: what the handlers heard, and how the call ended."""
    heard: list[str] = []

    @sandbox.on_signal(Signal.SIGSTOP)
    async def looked_at(call: SignalledCall, context: SignalContext) -> None:
        heard.append(f"{call.tool} is suspended by {context.approved_by}: {context.reason}")

    @sandbox.on_signal(Signal.SIGCONT)
    def goes_on(call: SignalledCall, context: SignalContext) -> None:
        heard.append(f"{call.tool} goes on: {context.reason}")

    running = asyncio.create_task(sandbox.call(tool, arguments, subject=ANN, session="analysis", call_id="the-call"))
    while not sandbox.running_calls() and not running.done():
        await asyncio.sleep(0.01)
    await sandbox.signal("the-call", Signal.SIGSTOP, reason="what does it do?", who="ann")
    assert list(sandbox.suspended()) == ["the-call"]  # its deadlines stand still: take your time
    decided = Signal.SIGKILL if kill else Signal.SIGCONT
    await sandbox.signal("the-call", decided, reason="it has been looked at", who="ann")
    outcome = (await running).outcome
    return heard, outcome.message or outcome.ending.value
