"""Every field of `budgets`, `rates` and `prices`: a document with it, calls that it lets through, and one that runs into it.

A new field arrives with its row here; the names are held against the models.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from sandbox.admission import Authorizer, CallRequest, Subject, new_request_id
from sandbox.admission.document.load import load_admission
from sandbox.admission.spending.memory_counts import MemoryCounts
from sandbox.admission.spending.prices import NO_TOKENS, Tokens
from sandbox.admission.spending.refusing import Refusal
from sandbox.admission.spending.reserving import Budgets, Reservation
from sandbox.admission.spending.terms import terms_of
from sandbox.config.spending import Budget, BudgetSection, CircuitBreaker, Metric, ModelPrice, Prices, Rate

NOW = 1_795_348_800.0
HEAD = 'version: "1.0"\ntemplate: permissive\n'
ALICE = "budgets: {users: {alice: "
PRICED = "prices: {per_call: {'*': 0.5}}\n"


@dataclass(frozen=True)
class Row:
    """A field, a document that has it, what each call uses or is, how many of them run, and the rule that ends it."""

    name: str
    document: str
    runs: int
    rule: str
    used: dict[Metric, int] = field(default_factory=dict)
    tokens: Tokens = NO_TOKENS
    ok: bool = True
    every_s: float = 0.0


def of_budget(name: str, value: str, runs: int, used: dict[Metric, int] | None = None, **more: Any) -> Row:
    """A row of a limit of a user's budget."""
    return Row(
        f"Budget.{name}", f"{PRICED}{ALICE}{{{name}: {value}}}}}}}\n", runs, f"budgets.users.alice.{name}", used or {}, **more
    )


def of_section(name: str, whose: str) -> Row:
    """A row of whose budget it is: `users.alice`, `default_user`."""
    budget = "{max_requests: 2}"
    for part in reversed(whose.split(".")):
        budget = f"{{{part}: {budget}}}"
    return Row(f"BudgetSection.{name}", f"budgets: {budget}\n", 2, f"budgets.{whose}.max_requests")


ROWS = (
    of_budget("max_cost", "1", 2),
    of_budget("max_tokens", "300", 2, tokens=Tokens(100, 50)),
    of_budget("max_requests", "2", 2),
    of_budget("max_tool_calls", "2", 2),
    Row("Budget.max_llm_calls", f"{ALICE}{{max_llm_calls: 0}}}}}}\n", 0, "budgets.users.alice.max_llm_calls"),
    of_budget("max_cpu_seconds", "0.2", 2, {Metric.CPU: 100}),
    of_budget("max_egress_bytes", "2Ki", 2, {Metric.EGRESS: 1024}),
    of_budget("max_seconds", "0.2", 2, {Metric.SECONDS: 100}),
    of_budget("max_cost_per_call", "0.4", 0),
    of_budget("max_tokens_per_call", "149", 0, tokens=Tokens(100, 50)),
    of_budget("max_cpu_seconds_per_call", "0.1", 0, {Metric.CPU: 101}),
    of_budget("max_egress_bytes_per_call", "1Ki", 0, {Metric.EGRESS: 1025}),
    of_budget("max_seconds_per_call", "0.1", 0, {Metric.SECONDS: 101}),
    Row(
        "Budget.period", f"{ALICE}{{max_requests: 1, period: minute}}}}}}\n", 3, "budgets.users.alice.max_requests", every_s=60.0
    ),
    of_section("all", "global"),
    of_section("users", "users.alice"),
    of_section("tenants", "tenants.acme"),
    of_section("components", "components.weather"),
    of_section("runs", "runs.default"),
    of_section("default_user", "default_user"),
    of_section("default_tenant", "default_tenant"),
    of_section("default_component", "default_component"),
    Row("BudgetSection.circuit_breaker", "budgets: {circuit_breaker: {failures: 2}}\n", 2, "budgets.circuit_breaker", ok=False),
    Row("CircuitBreaker.failures", "budgets: {circuit_breaker: {failures: 3}}\n", 3, "budgets.circuit_breaker", ok=False),
    Row("Rate.tool", "rates: [{tool: 'weather__*', limit: 2/min}]\n", 2, "rates.tool.weather__*"),
    Row("Rate.action", "rates: [{action: forecast, limit: 2/min}]\n", 2, "rates.action.forecast"),
    Row("Rate.per", "rates: [{tool: '*', per: tenant, limit: 2/min}]\n", 2, "rates.tool.*"),
    Row("Rate.limit", "rates: [{tool: '*', limit: 3/hour}]\n", 3, "rates.tool.*"),
    Row(
        "Prices.per_call",
        f"prices: {{per_call: {{'weather__*': 0.25}}}}\n{ALICE}{{max_cost: 1}}}}}}\n",
        4,
        "budgets.users.alice.max_cost",
    ),
    Row(
        "Prices.cpu_second",
        f"prices: {{cpu_second: 0.5}}\n{ALICE}{{max_cost: 1}}}}}}\n",
        2,
        "budgets.users.alice.max_cost",
        {Metric.CPU: 1_000},
    ),
    Row(
        "Prices.models",
        f"prices: {{models: {{small: {{input: 1, output: 2}}}}}}\n{ALICE}{{max_cost: 4}}}}}}\n",
        2,
        "budgets.users.alice.max_cost",
        tokens=Tokens(1_000, 500),
    ),
    Row(
        "ModelPrice.cached",
        f"prices: {{models: {{small: {{input: 1, output: 2, cached: 0.1}}}}}}\n{ALICE}{{max_cost: 0.2}}}}}}\n",
        2,
        "budgets.users.alice.max_cost",
        tokens=Tokens(1_000, 0, 1_000),
    ),
)
ELSEWHERE = {
    "Budget.soft_limit_percent": "test_budgets.py::test_a_soft_limit_warns_from_there_on_and_tells_once_when_it_is_passed",
    "CircuitBreaker.within": "test_budgets.py::test_failures_far_apart_and_successes_between_them_break_nothing",
    "CircuitBreaker.pause": "test_budgets.py::test_after_the_pause_one_call_tries",
    "ModelPrice.input": "Prices.models",
    "ModelPrice.output": "Prices.models",
}


def one_call(budgets: Budgets, row: Row, now: float) -> Refusal | None:
    """A call as the row has them; why it was refused or stopped."""
    subject = Subject("alice", tenant="acme")
    action = "" if row.tokens.count else "forecast"
    tool = "" if row.tokens.count else "weather__now"
    request = CallRequest(new_request_id(), subject, tool, "weather", session="s", action=action)
    estimate = {Metric.REQUESTS: 1, Metric.TOOL_CALLS: 1}
    if "llm" in row.name:
        estimate = {Metric.REQUESTS: 1, Metric.LLM_CALLS: 1}
    reserved = budgets.reserve(request, now, estimate)
    if isinstance(reserved, Refusal):
        return reserved
    assert isinstance(reserved, Reservation)
    refusal = budgets.spend(reserved, now, model="small", tokens=row.tokens) if "Price" in row.name and row.tokens.count else None
    used = dict(row.used) if "Price" in row.name else {**row.used, Metric.TOKENS: row.tokens.count}
    refusal = refusal or budgets.charge(reserved, used, now)
    budgets.settle(reserved, used, now, ok=row.ok)
    return refusal


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_is_written_is_enforced(row: Row) -> None:
    document = load_admission(HEAD + row.document, file="admission.yaml")
    budgets = Budgets(MemoryCounts(), terms_of(None, Authorizer(document).ruleset, {}))
    for number in range(row.runs):
        assert one_call(budgets, row, NOW + number * row.every_s) is None, f"call {number + 1}"
    last = NOW + max(row.runs - 1, 0) * row.every_s
    refusal = one_call(budgets, row, last)
    assert refusal is not None
    assert refusal.rules == (row.rule,)


def test_every_field_has_its_row() -> None:
    models: tuple[type[BaseModel], ...] = (Budget, BudgetSection, CircuitBreaker, Rate, Prices, ModelPrice)
    fields = {f"{model.__name__}.{name}" for model in models for name in model.model_fields}
    assert {row.name for row in ROWS} | set(ELSEWHERE) == fields


def test_the_documents_are_what_they_look_like() -> None:
    """Each row's document is YAML whose sections are the three."""
    for row in ROWS:
        assert set(yaml.safe_load(row.document)) <= {"budgets", "rates", "prices"}
