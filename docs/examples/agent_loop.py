"""An agent that may think ten times and spend a tenth of a unit a run, and what it spent.

Its model and its tools are functions behind `guard`: each call is admitted, reserved in the budget, charged and on record. The
budget ends the run, not the agent. `ask` is your model: it gives its text and the tokens that it took.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from sandbox import NotAdmitted
from sandbox.admission import Authorizer, Subject
from sandbox.admission.document.load import load_admission
from sandbox.admission.spending.costs import CostTracker
from sandbox.admission.spending.memory_counts import MemoryCounts
from sandbox.admission.spending.prices import Tokens
from sandbox.admission.spending.reserving import A_MODEL_CALL, Budgets
from sandbox.admission.spending.terms import terms_of
from sandbox.audit import AuditLog
from sandbox.guarding import Account, Guard, guard

DOCUMENT = """
version: "1.0"
description: An agent that looks things up, and pays nobody
template: strict
rules:
  - {name: it-thinks-and-looks-up, effect: allow, when: {action: {in: [think, look_up]}}}
  - {name: it-pays-nobody, effect: deny, priority: 1, when: {action: create_billing}}
content:
  - {use: secrets, where: [arguments], action: block}
budgets:
  runs: {default: {max_cost: 0.10, max_llm_calls: 10, max_tool_calls: 20}}
prices:
  models: {small-1: {input: 0.001, output: 0.005}}
"""

Ask = Callable[[str], tuple[str, Tokens]]


def run(ask: Ask, question: str, folder: Path) -> tuple[list[str], str, CostTracker]:
    """What the agent said, why it stopped, and what it spent; `folder` is where the record lies."""
    authorizer = Authorizer(load_admission(DOCUMENT, file="agent"))
    store = MemoryCounts()
    tracker = CostTracker(store)
    log = AuditLog(folder, clock=time.time, source="agent")
    by = Guard(authorizer, Budgets(store, terms_of(None, authorizer.ruleset, {})), log)
    who, this_run = Subject("agent-7", tenant="team-a"), {"run": "run-1"}

    @guard(by, action="think", subject=who, metadata=this_run, estimate=A_MODEL_CALL)
    def think(prompt: str, account: Account) -> str:
        text, tokens = ask(prompt)
        account.spend(model="small-1", tokens=tokens)
        return text

    @guard(by, action="look_up", subject=who, metadata=this_run)
    def look_up(word: str) -> str:
        return f"{word}: a word of {len(word)} letters"

    @guard(by, action="create_billing", subject=who, metadata=this_run)
    def pay(sum_: int) -> str:
        raise AssertionError(f"{sum_} was paid")

    said: list[str] = []
    try:
        while True:
            thought = think(question if not said else said[-1])  # type: ignore[call-arg] # the guard gives the account
            said.append(look_up(thought.removeprefix("look up ")) if thought.startswith("look up ") else thought)
            if thought.startswith("pay "):
                pay(int(thought.removeprefix("pay ")))
    except NotAdmitted as refused:
        return said, refused.message, tracker
    finally:
        log.close()
