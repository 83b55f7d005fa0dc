"""Budgets and rates: what is refused, until when, and what is settled, whatever the end of a call was."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from sandbox.admission import Authorizer, CallRequest, Subject, new_request_id
from sandbox.admission.document.load import load_admission
from sandbox.admission.spending.budgets import whose_of
from sandbox.admission.spending.costs import CostTracker
from sandbox.admission.spending.counting import UsageStore
from sandbox.admission.spending.memory_counts import MemoryCounts
from sandbox.admission.spending.prices import PriceList, Tokens
from sandbox.admission.spending.refusing import Refusal
from sandbox.admission.spending.reserving import A_MODEL_CALL, Budgets, Reservation
from sandbox.admission.spending.terms import Terms, terms_of
from sandbox.config.spending import Budget, BudgetSection, Metric, Prices, Rate
from sandbox.errors import Code, SandboxError

NOW = 1_795_348_800.0
"""2026-11-22, a Sunday, 12:00 in UTC."""
PRICES = PriceList(Prices.model_validate({"per_call": {"weather__*": 1}, "cpu_second": "0.5"}))
HALF_A_DAY = 12 * 3_600


def request(
    user: str = "alice", *, tenant: str | None = None, tool: str = "weather__now", session: str | None = "s", **more: Any
) -> CallRequest:
    return CallRequest(new_request_id(), Subject(user, tenant=tenant), tool, component="weather", session=session, **more)


def budgets(
    section: Mapping[str, Any] | None = None, *, rates: tuple[Rate, ...] = (), store: UsageStore | None = None, **terms: Any
) -> Budgets:
    document = None if section is None else BudgetSection.model_validate(section)
    given = Terms(budgets=document, rates=rates, prices=PRICES, **terms)
    return Budgets(MemoryCounts() if store is None else store, given)


def reserved(held: Budgets, now: float = NOW, asked: CallRequest | None = None, **more: Any) -> Reservation:
    found = held.reserve(request() if asked is None else asked, now, **more)
    assert isinstance(found, Reservation), found
    return found


def refused(held: Budgets, now: float = NOW, asked: CallRequest | None = None, **more: Any) -> Refusal:
    found = held.reserve(request() if asked is None else asked, now, **more)
    assert isinstance(found, Refusal)
    return found


@pytest.mark.parametrize(
    "section",
    [
        {"users": {"alice": {"max_requests": -1}}},
        {"users": {"alice": {"max_requests": 1.5}}},
        {"users": {"alice": {"max_cost": "0.0000001"}}},
        {"users": {"alice": {"max_cost": "much"}}},
        {"users": {"alice": {"max_requests": 1, "period": "year"}}},
        {"users": {"alice": {"max_requests": 1, "soft_limit_percent": 100}}},
        {"users": {"alice": {"period": "day"}}},
        {"users": {"alice": {"soft_limit_percent": 80}}},
        {"users": {"alice": {"max_cost_per_call": 1, "period": "day"}}},
        {"users": {"alice": {"max_egress_bytes": "1G"}}},
        {"runs": {"default": {"max_cost": 1, "period": "day"}}},
        {"default_run": {"max_cost": 1}},
        {"circuit_breaker": {"failures": 0}},
    ],
)
def test_a_budget_that_cannot_be_held_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BudgetSection.model_validate(section)


@pytest.mark.parametrize(
    "rate",
    [
        {"limit": "5/s"},
        {"tool": "*", "action": "a", "limit": "5/s"},
        {"tool": "*", "limit": "5/week"},
        {"tool": "*", "limit": "0/s"},
    ],
)
def test_a_rate_that_cannot_be_held_is_refused(rate: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Rate.model_validate(rate)


@pytest.mark.parametrize(
    ("whose", "mine", "others"),
    [
        ("global", "alice", None),
        ("users", "alice", "bob"),
        ("default_user", "alice", "bob"),
    ],
)
def test_a_budget_is_of_whom_it_names(whose: str, mine: str, others: str | None) -> None:
    budget = {"max_requests": 1, "period": "day"}
    held = budgets({whose: {mine: budget} if whose == "users" else budget})
    reserved(held, asked=request(mine))
    assert refused(held, asked=request(mine)).code is Code.BUDGET_EXCEEDED
    if others is not None:
        reserved(held, asked=request(others))
    else:
        refused(held, asked=request("bob"))


def test_tenants_components_and_runs_have_budgets_too() -> None:
    held = budgets(
        {
            "tenants": {"t": {"max_requests": 1}},
            "components": {"weather": {"max_requests": 3}},
            "runs": {"default": {"max_tool_calls": 1}, "long": {"max_tool_calls": 9}},
        }
    )
    reserved(held, asked=request(tenant="t", session="1"))
    assert refused(held, asked=request(tenant="t", session="2")).rules == ("budgets.tenants.t.max_requests",)
    assert refused(held, asked=request(session="1")).rules == ("budgets.runs.default.max_tool_calls",)
    reserved(held, asked=request(session="3", metadata={"run": "long"}))
    reserved(held, asked=request(session="4"))
    assert refused(held, asked=request(session="5")).rules == ("budgets.components.weather.max_requests",)


def test_a_refusal_says_what_is_used_up_and_when_there_is_room() -> None:
    held = budgets({"users": {"alice": {"max_cost": 2, "period": "day"}}})
    reserved(held)
    reserved(held)
    no = refused(held)
    assert no.reason == (
        "the budget is used up: cost of 2 each day for the user `alice`, of which 2 is taken (`budgets.users.alice.max_cost`)"
    )
    assert (no.retry_after_s, no.decision.allowed, no.decision.retry_after_s) == (HALF_A_DAY, False, HALF_A_DAY)
    reserved(held, NOW + HALF_A_DAY)


def test_of_several_bounds_without_room_the_longest_wait_counts() -> None:
    month = {"max_requests": 1, "period": "month"}
    held = budgets({"users": {"alice": {**month, "period": "hour"}}, "default_tenant": month})
    reserved(held, asked=request(tenant="t"))
    no = refused(held, asked=request(tenant="t"))
    assert no.rules == ("budgets.users.alice.max_requests", "budgets.default_tenant.max_requests")
    assert no.retry_after_s == 8 * 86_400 + HALF_A_DAY


def test_a_clock_that_was_set_back_opens_nothing() -> None:
    """Neither the day before, whose budget was never used, nor a rate's earlier minute."""
    held = budgets({"default_user": {"max_requests": 1, "period": "day"}}, rates=(Rate(tool="*", limit="1/min"),))
    reserved(held)
    for back in (1, 60, 86_400, 40 * 86_400):
        no = refused(held, NOW - back)
        assert no.retry_after_s == HALF_A_DAY + back


def test_of_a_hundred_parallel_calls_against_one_credit_exactly_one_runs() -> None:
    held = budgets({"users": {"alice": {"max_cost": 1, "period": "day"}}})
    found: list[Reservation | Refusal] = []
    threads = [threading.Thread(target=lambda: found.append(held.reserve(request(), NOW))) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(one, Reservation) for one in found) == 1
    assert len(found) == 100


@pytest.mark.parametrize(
    ("limit", "metric", "used"),
    [
        ({"max_cpu_seconds": 2}, Metric.CPU, 2_000),
        ({"max_seconds": 2}, Metric.SECONDS, 2_000),
        ({"max_egress_bytes": "1Ki"}, Metric.EGRESS, 1_024),
        ({"max_tokens": 5}, Metric.TOKENS, 5),
    ],
)
def test_what_is_known_afterwards_is_settled_and_then_bounds(limit: dict[str, Any], metric: Metric, used: int) -> None:
    held = budgets({"users": {"alice": {**limit, "period": "day"}}})
    held.settle(reserved(held), {metric: used - 1}, NOW)
    held.settle(reserved(held), {metric: 1}, NOW)
    assert refused(held).code is Code.BUDGET_EXCEEDED
    reserved(held, NOW + HALF_A_DAY)


def test_what_was_estimated_and_not_used_is_given_back_once() -> None:
    held = budgets({"users": {"alice": {"max_cost": 10, "period": "day"}}})
    taken = reserved(held, estimate={Metric.REQUESTS: 1, Metric.COST: 9_000_000})
    refused(held)
    held.settle(taken, {}, NOW)
    held.settle(taken, {}, NOW)
    ((_, spent),) = held.standing(whose_of(request()), NOW)
    assert spent == 1_000_000


def test_a_call_is_settled_in_the_day_in_which_it_began() -> None:
    held = budgets({"users": {"alice": {"max_cpu_seconds": 10, "period": "day"}}})
    late = reserved(held)
    held.settle(late, {Metric.CPU: 9_999}, NOW + HALF_A_DAY)
    ((_, spent),) = held.standing(whose_of(request()), NOW + HALF_A_DAY)
    assert spent == 0


def test_a_running_call_that_passes_its_budget_is_told_to_stop() -> None:
    held = budgets({"users": {"alice": {"max_cpu_seconds": 2, "period": "day"}}})
    one, other = reserved(held), reserved(held)
    assert one.measured
    assert held.charge(one, {Metric.CPU: 1_500}, NOW) is None
    stop = held.charge(other, {Metric.CPU: 501}, NOW)
    assert stop is not None
    assert (stop.code, stop.rules) == (Code.BUDGET_EXCEEDED, ("budgets.users.alice.max_cpu_seconds",))
    held.settle(one, {Metric.CPU: 1_500}, NOW)
    held.settle(other, {Metric.CPU: 501}, NOW)
    ((_, spent),) = held.standing(whose_of(request()), NOW)
    assert spent == 2_001


def test_cpu_time_costs_what_it_costs_while_it_runs() -> None:
    """`cpu_second: 0.5`, and a call of the tool 1."""
    held = budgets({"users": {"alice": {"max_cost": 2, "period": "day"}}})
    taken = reserved(held)
    assert held.charge(taken, {Metric.CPU: 2_000}, NOW) is None
    assert held.charge(taken, {Metric.CPU: 2_001}, NOW) is not None


@pytest.mark.parametrize(
    ("caps", "used"),
    [
        ({"max_cost_per_call": "1.1"}, {Metric.CPU: 201}),
        ({"max_cpu_seconds_per_call": "0.2"}, {Metric.CPU: 201}),
        ({"max_egress_bytes_per_call": "1Ki"}, {Metric.EGRESS: 1_025}),
        ({"max_seconds_per_call": 1}, {Metric.SECONDS: 1_001}),
        ({"max_tokens_per_call": 7}, {Metric.TOKENS: 8}),
    ],
)
def test_one_call_may_use_so_much_and_is_stopped_beyond_it(caps: dict[str, Any], used: dict[Metric, int]) -> None:
    held = budgets({"runs": {"default": caps}})
    taken = reserved(held)
    assert taken.measured
    assert held.charge(taken, {metric: amount - 1 for metric, amount in used.items()}, NOW) is None
    stop = held.charge(taken, used, NOW)
    assert stop is not None
    assert stop.retry_after_s is None
    reserved(held)


def test_a_call_whose_price_is_above_the_cap_does_not_begin() -> None:
    no = refused(budgets({"runs": {"default": {"max_cost_per_call": "0.1"}}}))
    assert no.reason == ("one call for the run `s` may use 0.1 (`budgets.runs.default.max_cost_per_call`), and this one uses 1")


def test_an_exhausted_run_stays_shut_until_it_is_opened() -> None:
    """Also where what it used turns out to be less, and where its budget is raised."""
    store = MemoryCounts()
    held = budgets({"runs": {"default": {"max_cost": 2}}}, store=store)
    taken = reserved(held, estimate={Metric.REQUESTS: 1, Metric.COST: 1_000_000})
    assert refused(held).retry_after_s is None
    held.settle(taken, {}, NOW)
    assert "is shut: its budget was used up" in refused(held).reason
    held.terms = Terms(budgets=BudgetSection.model_validate({"runs": {"default": {"max_cost": 100}}}), prices=PRICES)
    refused(held)
    reserved(held, asked=request(session="another"))
    assert store.open("run/s")
    reserved(held)


def test_a_run_that_passes_its_budget_while_it_runs_is_shut() -> None:
    held = budgets({"runs": {"default": {"max_seconds": 1}}})
    taken = reserved(held)
    assert held.charge(taken, {Metric.SECONDS: 1_001}, NOW) is not None
    held.settle(taken, {Metric.SECONDS: 0}, NOW)
    assert "the run `s` is shut" in refused(held).reason


def test_a_soft_limit_warns_from_there_on_and_tells_once_when_it_is_passed() -> None:
    held = budgets({"users": {"alice": {"max_requests": 5, "period": "day", "soft_limit_percent": 60}}})
    told = [[warned.now for warned in reserved(held).warnings] for _ in range(5)]
    assert told == [[], [], [True], [False], [False]]
    held = budgets({"users": {"alice": {"max_cpu_seconds": 10, "soft_limit_percent": 80}}})
    (warned,) = held.settle(reserved(held), {Metric.CPU: 8_500}, NOW)
    assert (warned.now, warned.text) == (
        True,
        "85% of a budget is used: cpu_seconds of 10 for the user `alice`, of which 8.5 is taken",
    )


def test_a_rate_holds_per_user_tenant_session_component_or_tool() -> None:
    others = {"user": {"user": "bob"}, "tenant": {"tenant": "u"}, "session": {"session": "t"}, "tool": {"tool": "x"}}
    for per, other in others.items():
        held = budgets(rates=(Rate.model_validate({"tool": "*", "per": per, "limit": "1/min"}),))
        reserved(held, asked=request(tenant="t"))
        no = refused(held, asked=request(tenant="t"))
        assert (no.code, no.rules) == (Code.RATE_LIMIT_EXCEEDED, ("rates.tool.*",))
        reserved(held, asked=request(**{"tenant": "t", **other}))


def test_a_rate_is_of_the_tools_or_the_action_that_it_names() -> None:
    held = budgets(rates=(Rate(tool="weather__*", limit="1/min"), Rate(action="api_call", limit="1/s")))
    reserved(held)
    assert refused(held).reason == "too many calls: 1/min of tools `weather__*` per user"
    reserved(held, asked=request(tool="other", action="api_call"))
    assert refused(held, asked=request(tool="other", action="api_call")).retry_after_s == pytest.approx(1, abs=0.02)
    refused(held, asked=request(tool="other", kinds=("api_call",)))
    reserved(held, asked=request(tool="other", action="another"))


def test_a_rate_of_an_action_counts_the_tools_that_the_document_says_do_it() -> None:
    """As its sections mean the action: by the kinds of the document, the function's own name, and `invoke`."""
    text = 'version: "1.0"\ntemplate: permissive\nactions: {change: {tools: ["*__put"]}}\nrates: [{action: %s, limit: 1/min}]'
    for action, tool in (("change", "weather__put"), ("now", "weather__now"), ("invoke", "weather__get")):
        ruleset = Authorizer(load_admission(text % action, file="a.yaml")).ruleset
        held = Budgets(MemoryCounts(), terms_of(None, ruleset, {}))
        reserved(held, NOW, request(tool=tool))
        assert refused(held, NOW, request(tool=tool)).rules == (f"rates.action.{action}",)
    reserved(held, NOW, request("bob"))


def test_who_has_no_tenant_is_no_way_around_a_rate() -> None:
    held = budgets(rates=(Rate.model_validate({"tool": "*", "per": "tenant", "limit": "1/min"}),))
    reserved(held, asked=request("alice"))
    refused(held, asked=request("bob"))


def test_a_refused_call_takes_nothing_of_any_bound() -> None:
    held = budgets({"users": {"alice": {"max_requests": 2}}}, rates=(Rate(tool="*", limit="1/s"),))
    reserved(held)
    refused(held)
    reserved(held, NOW + 2)


def test_the_operators_budget_holds_beside_the_documents_and_the_stricter_counts() -> None:
    maxima = BudgetSection.model_validate({"default_user": {"max_requests": 1, "period": "day"}})
    held = budgets({"users": {"alice": {"max_requests": 5, "period": "day"}}}, maxima=maxima)
    reserved(held)
    assert refused(held).rules == ("budgets.default_user.max_requests",)


def test_a_budget_that_was_set_takes_the_documents_place_and_not_the_operators() -> None:
    maxima = BudgetSection.model_validate({"default_user": {"max_requests": 3, "period": "day"}})
    held = budgets({"users": {"alice": {"max_requests": 1, "period": "day"}}}, maxima=maxima)
    reserved(held)
    refused(held)
    held.terms = replace(held.terms, was_set={"users/alice": Budget.model_validate({"max_requests": 50, "period": "day"})})
    reserved(held)
    reserved(held)
    assert refused(held).rules == ("budgets.default_user.max_requests",)


def test_the_tokens_of_a_model_are_charged_at_their_price() -> None:
    store = MemoryCounts()
    held = budgets({"runs": {"default": {"max_cost": "0.01", "max_llm_calls": 2, "max_tokens": 3_000}}}, store=store)
    asked = request(tool="")
    taken = reserved(held, asked=asked, estimate=A_MODEL_CALL)
    assert held.spend(taken, NOW, model="claude-sonnet-4-5", tokens=Tokens(1_000, 200)) is None
    held.settle(taken, {}, NOW)
    assert [(line.metric, spent) for line, spent in held.standing(whose_of(asked), NOW)] == [
        (Metric.COST, 6_000),
        (Metric.TOKENS, 1_200),
        (Metric.LLM_CALLS, 1),
    ]
    taken = reserved(held, asked=asked, estimate=A_MODEL_CALL)
    stop = held.spend(taken, NOW, model="claude-sonnet-4-5", tokens=Tokens(1_000, 200))
    assert stop is not None
    assert stop.rules == ("budgets.runs.default.max_cost",)
    held.settle(taken, {}, NOW)
    assert CostTracker(store, clock=lambda: NOW).by("model")["claude-sonnet-4-5"].cost == Decimal("0.012")


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf"), 1.0, True, "1", 2**64])
def test_what_is_taken_is_a_whole_number_from_nothing(amount: Any) -> None:
    """A negative one would give back, with NaN no bound is ever passed; nothing is taken."""
    held = budgets({"global": {"max_cost": 1, "max_requests": 9}})
    with pytest.raises(SandboxError, match="`cost_micros` cannot be"):
        held.reserve(request(), NOW, estimate={Metric.REQUESTS: 1, Metric.COST: amount})
    taken = reserved(held)
    with pytest.raises(SandboxError, match="`cost_micros` cannot be"):
        held.spend(taken, NOW, cost_micros=amount)
    with pytest.raises(SandboxError, match="`output` cannot be"):
        Tokens(1, amount)
    assert (taken.cost_micros, taken.spent) == (0, [])
    held.release(taken, NOW)
    assert {used for _, used in held.standing(whose_of(request()), NOW)} == {0}


def test_what_calls_cost_is_kept_by_tool_and_user() -> None:
    store = MemoryCounts()
    held = budgets(store=store)
    held.settle(reserved(held), {Metric.CPU: 2_000, Metric.EGRESS: 7}, NOW)
    found = CostTracker(store, clock=lambda: NOW).by("tool", "day", user="alice")["weather__now"]
    assert (found.cost, found.calls, found.cpu_ms, found.egress_bytes) == (Decimal(2), 1, 2_000, 7)


def breaking(failures: int = 3, within: str = "1m") -> Budgets:
    return budgets({"circuit_breaker": {"failures": failures, "within": within, "pause": "30s"}})


def fail(held: Budgets, now: float) -> None:
    held.settle(reserved(held, now), {}, now, ok=False)


def test_a_tool_that_keeps_failing_is_not_called_for_a_while() -> None:
    held = breaking()
    for _ in range(3):
        fail(held, NOW)
    no = refused(held, NOW + 1)
    assert (no.rules, no.retry_after_s) == (("budgets.circuit_breaker",), 29.0)
    assert no.reason == "the tool `weather__now` failed 3 times within 1m: it is not called now"
    reserved(held, NOW + 1, request(tool="other"))


def test_failures_far_apart_and_successes_between_them_break_nothing() -> None:
    held = breaking(2)
    for after in range(0, 300, 62):
        fail(held, NOW + after)
    reserved(held, NOW + 300)


@pytest.mark.parametrize("works", [True, False])
def test_after_the_pause_one_call_tries(works: bool) -> None:
    held = breaking(2, within="10s")
    fail(held, NOW)
    fail(held, NOW)
    trial = reserved(held, NOW + 30)
    refused(held, NOW + 30)
    held.settle(trial, {}, NOW + 65, ok=works)
    after: Callable[..., object] = reserved if works else refused
    after(held, NOW + 66)
    if works:
        after(held, NOW + 66)


def test_what_conditions_look_at_is_counted_where_one_does() -> None:
    held = budgets(counts_usage=True, labels=("reads", "talks"), labels_of=lambda asked: (asked.tool,))
    held.settle(reserved(held, NOW, request(session="t")), {Metric.CPU: 1_000}, NOW)
    for after in (0, 30, 59.9):
        held.settle(reserved(held, NOW + after, request(tool="reads")), {Metric.TOKENS: 5}, NOW + after)
    seen = held.usage(request(), NOW + 70)
    assert (seen.requests_last_minute, seen.requests_last_hour, seen.requests_today) == (2, 4, 4)
    assert (seen.calls_in_session, seen.tokens_today) == (3, 15)
    assert (seen.spend_today, seen.spend_this_month, seen.spend_in_session) == (Decimal("1.5"), Decimal("1.5"), Decimal(0))
    assert (seen.estimated_cost, seen.labels) == (Decimal(1), frozenset({"reads"}))
    assert budgets().usage(request(), NOW).requests_today is None


def test_two_calls_that_must_not_meet_in_a_session_do_not_even_at_once() -> None:
    held = budgets(labels=("reads", "talks"), labels_of=lambda asked: (asked.tool,), never_together=(("reads", "talks"),))
    reserved(held, asked=request(tool="reads"))
    reserved(held, asked=request(tool="reads"))
    no = refused(held, asked=request(tool="talks"))
    assert (no.rules, no.reason) == (
        ("session.never_together",),
        "`talks` and `reads` must not meet in a session, and `reads` is there already",
    )
    reserved(held, asked=request(tool="talks", session="t"))


def test_with_nothing_to_count_the_store_is_not_asked() -> None:
    held = budgets(store=None, keeps_ledger=False)
    held.store.close()
    held.store = None  # type: ignore[assignment]
    held.settle(reserved(held), {}, NOW)


def test_a_call_that_did_not_begin_gives_back_what_it_took() -> None:
    held = budgets({"users": {"alice": {"max_requests": 1, "max_cost": 1}}}, rates=(Rate(tool="*", limit="1/min"),))
    taken = reserved(held)
    held.release(taken, NOW)
    held.release(taken, NOW)
    held.settle(taken, {Metric.CPU: 5}, NOW)
    reserved(held)
    refused(held)


def test_in_audit_mode_a_document_refuses_nothing_and_warns() -> None:
    """The operator's budget refuses as ever."""
    maxima = BudgetSection.model_validate({"global": {"max_requests": 3}})
    section = {
        "users": {"alice": {"max_requests": 1, "max_cost_per_call": 0, "period": "day"}},
        "circuit_breaker": {"failures": 1},
    }
    held = budgets(section, rates=(Rate(tool="*", limit="2/min"),), maxima=maxima, blocks=False)
    told = []
    for _ in range(3):
        taken = reserved(held)
        told.append([warned.rule for warned in taken.warnings])
        held.settle(taken, {}, NOW, ok=False)
    user, rate = "budgets.users.alice.max_requests", "rates.tool.*"
    assert told == [[], [user], [user, rate]]
    assert refused(held).rules == ("budgets.global.max_requests",)


DESIGNED = """
version: "1.0"
template: permissive
rates:
  - {tool: "*", per: user, limit: 60/min}
  - {action: api_call, per: tenant, limit: 1000/min}
budgets:
  global:  {max_cost: 1000, max_tokens: 10000000, max_requests: 100000, period: month, soft_limit_percent: 80}
  users:   {user-123: {max_cost: 50, max_requests: 1000, period: day}}
  tenants: {tenant-abc: {max_cost: 500, period: week}}
  runs:    {default: {max_cost: 10, max_cost_per_call: 0.1, max_tool_calls: 50, max_llm_calls: 10, max_seconds: 300}}
  default_user: {max_cpu_seconds: 600, max_egress_bytes: 1Gi, period: day}
prices: {per_call: {"weather__*": 0.001}, cpu_second: 0.0001}
"""


def test_a_document_with_all_of_it_holds_as_written() -> None:
    """Each bound where it is first met: the calls of a minute, the tool calls of a run, the cost of a call and of a user."""
    ruleset = Authorizer(load_admission(DESIGNED, file="admission.yaml")).ruleset
    held = Budgets(MemoryCounts(), terms_of(None, ruleset, {}))
    asked = request("user-123", tenant="tenant-abc")
    for second in range(50):
        held.settle(reserved(held, NOW + second, asked), {Metric.CPU: 10}, NOW + second)
    assert [(line.rule, spent) for line, spent in held.standing(whose_of(asked), NOW + 50)][:3] == [
        ("budgets.global.max_cost", 50 * 1_001),
        ("budgets.global.max_tokens", 0),
        ("budgets.global.max_requests", 50),
    ]
    assert refused(held, NOW + 50, asked).rules == ("budgets.runs.default.max_tool_calls",)
    other = request("user-123", tenant="tenant-abc", session="another")
    for _ in range(10):
        reserved(held, NOW + 50, other)
    assert refused(held, NOW + 50, other).rules == ("rates.tool.*",)
    dear = reserved(held, NOW + 120, other)
    stop = held.spend(dear, NOW + 120, cost_micros=100_000)
    assert stop is not None
    assert stop.rules == ("budgets.runs.default.max_cost_per_call",)
    held.settle(dear, {}, NOW + 120)
    rich = reserved(held, NOW + 240, request("user-123", session="third"), estimate={Metric.REQUESTS: 1})
    held.settle(rich, {Metric.COST: 49_900_000}, NOW + 240)
    assert refused(held, NOW + 241, request("user-123", session="fourth")).rules == ("budgets.users.user-123.max_cost",)
