"""What was spent on what: by period, model, tool, user or tenant. Stands alone: `CostTracker().record(...)`.

Decides nothing: budgets are `sandbox.admission.spending.reserving`, which writes into the same store, so that a tracker over a
host's store sees its calls too. Kept by the hour; a day, a week, a month are those of the calendar in UTC.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from sandbox.admission.spending.counting import Spent, UsageStore, added
from sandbox.admission.spending.memory_counts import MemoryCounts
from sandbox.admission.spending.periods import HOUR_MS, milliseconds, slot_begins_ms, slot_of
from sandbox.admission.spending.prices import PriceList, Tokens
from sandbox.config.spending import Period, Prices
from sandbox.errors import Code, SandboxError

Dimension = Literal["model", "tool", "user", "tenant", "hour"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Money in the currency of the prices, exact to a millionth, and what it was for."""

    cost_micros: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cpu_ms: int = 0
    egress_bytes: int = 0

    @property
    def cost(self) -> Decimal:
        """The money in whole units."""
        return Decimal(self.cost_micros).scaleb(-6)

    @property
    def tokens(self) -> int:
        """Input and output."""
        return self.input_tokens + self.output_tokens


NONE = Cost()


class CostTracker:
    """Records what calls cost and adds it up. Without a store it remembers as long as it lives."""

    def __init__(
        self, store: UsageStore | None = None, *, prices: Prices | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._store: UsageStore = MemoryCounts() if store is None else store
        self._prices = PriceList(prices)
        self._clock = clock

    def estimate(self, model: str, *, input_tokens: int, output_tokens: int = 0, cached_tokens: int = 0) -> Decimal:
        """What a call of a model would cost; raises SandboxError for a model without a price."""
        micros = self._prices.tokens_micros(model, Tokens(input_tokens, output_tokens, cached_tokens))
        return Decimal(micros).scaleb(-6)

    def record(
        self,
        model: str = "",
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cached_tokens: int = 0,
        tool: str = "",
        user: str = "",
        tenant: str = "",
    ) -> Cost:
        """Record one call of a model, of a tool, or of a model for a tool; what it cost.

        `cached_tokens` are those of the input that came from the model's cache. Raises SandboxError for a model without a price.
        """
        now_ms = milliseconds(self._clock())
        tokens = Tokens(input_tokens, output_tokens, cached_tokens)
        cost = self._prices.tokens_micros(model, tokens) if model else 0
        cost += self._prices.call_micros(tool) if tool else 0
        row = Spent(
            hour=now_ms // HOUR_MS,
            user=user,
            tenant=tenant,
            tool=tool,
            model=model,
            calls=1,
            cost_micros=cost,
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            cached_tokens=tokens.cached,
        )
        self._store.add((), now_ms, (row,))
        return _cost(row)

    def total(
        self,
        period: Period | str | None = None,
        *,
        model: str | None = None,
        tool: str | None = None,
        user: str | None = None,
        tenant: str | None = None,
    ) -> Cost:
        """What was spent in the period that runs now, in all without one: on a model, a tool, a user, a tenant."""
        rows = self._rows(period, {"model": model, "tool": tool, "user": user, "tenant": tenant})
        (sum_,) = added(rows, by=()) or (Spent(0),)
        return _cost(sum_)

    def by(
        self,
        dimension: Dimension,
        period: Period | str | None = None,
        *,
        model: str | None = None,
        tool: str | None = None,
        user: str | None = None,
        tenant: str | None = None,
    ) -> dict[str, Cost]:
        """The same, apart for each model, tool, user, tenant or hour (since 1970); the dearest first."""
        rows = self._rows(period, {"model": model, "tool": tool, "user": user, "tenant": tenant})
        sums = sorted(added(rows, by=(dimension,)), key=lambda row: -row.cost_micros)
        return {str(getattr(row, dimension)): _cost(row) for row in sums}

    def _rows(self, period: Period | str | None, only: dict[str, str | None]) -> list[Spent]:
        now_ms = milliseconds(self._clock())
        chosen = None if period is None else Period(period)
        if chosen is Period.MINUTE:
            raise SandboxError("what was spent is kept by the hour", help="write `hour`", code=Code.INVALID_ARGUMENTS)
        begins = slot_begins_ms(chosen, slot_of(chosen, now_ms)) or 0
        found = self._store.spent(begins // HOUR_MS, now_ms // HOUR_MS + 1)
        return [row for row in found if all(value is None or getattr(row, name) == value for name, value in only.items())]


def _cost(row: Spent) -> Cost:
    return Cost(row.cost_micros, row.calls, row.input_tokens, row.output_tokens, row.cached_tokens, row.cpu_ms, row.egress_bytes)
