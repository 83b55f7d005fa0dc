"""Prices and the tracker of costs."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import ValidationError

from sandbox.admission.spending.costs import CostTracker
from sandbox.admission.spending.prices import PriceList, Tokens, shipped_prices
from sandbox.config.spending import Prices
from sandbox.errors import SandboxError

WRITTEN = Prices.model_validate(
    {
        "per_call": {"weather__*": "0.001", "*": "0.0000001"},
        "cpu_second": "0.0001",
        "models": {"ours": {"input": "0.001", "output": "0.002"}, "gpt-4o": {"input": 1, "output": 1}},
    }
)
NOON = 1_795_348_800.0
"""2026-11-22, a Sunday, 12:00 in UTC."""


@pytest.fixture
def tracker() -> CostTracker:
    return CostTracker(prices=WRITTEN, clock=lambda: NOON)


def test_a_model_without_a_price_is_refused_and_never_free() -> None:
    with pytest.raises(SandboxError, match="the model `gpt-9` has no price") as refused:
        PriceList().tokens_micros("gpt-9", Tokens(1))
    assert "prices.models" in str(refused.value.help)


@pytest.mark.parametrize(("all_", "output", "cached"), [(-1, 0, 0), (0, -1, 0), (1, 0, 2)])
def test_tokens_that_cannot_be_are_refused(all_: int, output: int, cached: int) -> None:
    with pytest.raises(SandboxError, match="cannot be"):
        Tokens(all_, output, cached)


@pytest.mark.parametrize("price", ["-1", "1e-10", "0.0000000001", "free", "nan", "inf", "1000000001", True, None])
def test_what_is_no_price_is_refused(price: object) -> None:
    with pytest.raises(ValidationError):
        Prices.model_validate({"cpu_second": price if price is not None else [1]})


def test_the_first_pattern_that_fits_is_a_tools_price() -> None:
    prices = PriceList(WRITTEN)
    assert prices.call_micros("weather__now") == 1_000
    assert PriceList().call_micros("weather__now", 10_000) == 0


def test_a_cost_is_rounded_up_once_and_not_down() -> None:
    """A tenth of a millionth is a millionth: a thousand calls that cost something never cost nothing."""
    prices = PriceList(WRITTEN)
    assert prices.call_micros("other") == 1
    assert prices.call_micros("weather__now", 15) == 1_002
    assert prices.tokens_micros("ours", Tokens(1)) == 1
    assert prices.tokens_micros("ours", Tokens(500, 250)) == 1_000


def test_cached_tokens_cost_what_they_cost_and_else_as_much_as_others() -> None:
    assert PriceList().tokens_micros("claude-sonnet-4-5", Tokens(2_000, 0, 1_000)) == 3_000 + 300
    assert PriceList(WRITTEN).tokens_micros("ours", Tokens(2_000, 0, 1_000)) == 2_000


@pytest.mark.parametrize("name", ["gpt-4o-mini", "openai/gpt-4o-mini", "gpt-4o-mini-2024-07-18", "gpt-4o-mini-latest"])
def test_a_model_is_known_with_its_provider_and_its_date(name: str) -> None:
    assert PriceList().of_model(name) == shipped_prices().models["gpt-4o-mini"]


def test_a_written_price_is_before_the_shipped_one() -> None:
    assert PriceList(WRITTEN).tokens_micros("gpt-4o", Tokens(1_000)) == 1_000_000


def test_the_shipped_prices_say_of_which_day_they_are() -> None:
    shipped = shipped_prices()
    assert shipped.as_of.isoformat() == "2026-10-10"
    assert shipped.currency == "USD"
    assert all(0 < (price.cached or price.input) <= price.input < price.output for price in shipped.models.values())


def test_the_tracker_adds_up_by_model_tool_and_user(tracker: CostTracker) -> None:
    cost = tracker.record("ours", input_tokens=1_000, output_tokens=500, user="alice")
    assert (cost.cost, cost.tokens) == (Decimal("0.002"), 1_500)
    tracker.record("gpt-4o", input_tokens=1_000, user="bob")
    tracker.record(tool="weather__now", user="alice")
    assert tracker.total("day").cost == Decimal("1.003")
    assert tracker.total("month", user="alice").cost == Decimal("0.003")
    assert list(tracker.by("model", "day")) == ["gpt-4o", "ours", ""]
    assert tracker.by("tool")["weather__now"].calls == 1
    assert tracker.by("user", "week", model="ours")["alice"].output_tokens == 500


def test_a_period_that_is_over_is_not_added_up() -> None:
    now = [NOON]
    tracker = CostTracker(prices=WRITTEN, clock=lambda: now[0])
    tracker.record(tool="weather__now")
    for seconds, left in ((3_600, {"day", "week", "month"}), (12 * 3_600, {"month"}), (9 * 86_400, set())):
        now[0] = NOON + seconds
        assert {name for name in ("hour", "day", "week", "month") if tracker.total(name).calls} == left
    assert tracker.total().calls == 1


def test_an_estimate_records_nothing(tracker: CostTracker) -> None:
    assert tracker.estimate("ours", input_tokens=2_000, cached_tokens=1_000) == Decimal("0.002")
    assert tracker.total().calls == 0
    with pytest.raises(SandboxError, match="kept by the hour"):
        tracker.total("minute")
