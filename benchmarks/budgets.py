"""What it costs to hold a call to its budgets: reserve before it and settle after it, on each store.

1. one budget of the user (cost and requests), in memory, in SQLite, and on a Redis where a server program is installed
2. a public server's worth: budgets of all, the user, tenant, component and run, two rates, the circuit breaker

    python -m benchmarks.budgets

Microseconds for a reserve and a settle together, one after another: of elapsed time, since waiting for a disk or a server is what
they cost, the median and the 99th percentile; and the mean of this process's CPU. Fails where that is above `MAX_SQLITE_US` in
SQLite with one budget.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.admission import CallRequest, Subject, new_request_id
from sandbox.admission.spending.counting import UsageStore
from sandbox.admission.spending.memory_counts import MemoryCounts
from sandbox.admission.spending.prices import PriceList
from sandbox.admission.spending.reserving import Budgets, Reservation
from sandbox.admission.spending.terms import Terms
from sandbox.config.spending import BudgetSection, Metric, Prices, Rate
from sandbox.state import Home, state_of
from sandbox.state.usage import open_usage
from tests.support.redis_server import PROGRAMS, redis_server

PAIRS, WARM = 2_000, 200
MAX_SQLITE_US = 500.0
NOW = 1_795_348_800.0

PRICES = PriceList(Prices.model_validate({"per_call": {"weather__*": "0.001"}, "cpu_second": "0.0001"}))
ONE = {"users": {"alice": {"max_cost": 1_000_000, "max_requests": 1_000_000_000, "period": "day"}}}
MANY = {
    **ONE,
    "global": {"max_cost": 1_000_000, "max_tokens": 10**12, "max_requests": 10**12, "period": "month"},
    "tenants": {"acme": {"max_cost": 1_000_000, "period": "week"}},
    "default_component": {"max_cpu_seconds": 1_000_000, "max_egress_bytes": "1024Gi", "period": "day"},
    "runs": {"default": {"max_cost": 1_000_000, "max_tool_calls": 10**9, "max_seconds": 1_000_000}},
    "circuit_breaker": {"failures": 5},
}
RATES = (Rate(tool="*", limit="100000000/min"), Rate.model_validate({"tool": "*", "per": "tenant", "limit": "100000000/hour"}))
USED = {Metric.CPU: 3, Metric.SECONDS: 5, Metric.EGRESS: 100}


@dataclass(frozen=True, slots=True)
class _Took:
    """Microseconds of a pair: elapsed, the median and the 99th percentile; of CPU, the mean."""

    p50: float
    p99: float
    cpu: float


def pairs(store: UsageStore, terms: Terms) -> _Took:
    """Reserve and settle, again and again."""
    budgets = Budgets(store, terms)
    subject = Subject("alice", tenant="acme")
    took, cpu = [], 0.0
    for number in range(WARM + PAIRS):
        if number == WARM:
            cpu = time.process_time()
        request = CallRequest(new_request_id(), subject, "weather__now", "weather", session="s")
        now = NOW + number * 0.01
        begun = time.perf_counter()
        reserved = budgets.reserve(request, now)
        assert isinstance(reserved, Reservation), reserved
        budgets.settle(reserved, USED, now, ok=True)
        took.append((time.perf_counter() - begun) * 1e6)
    measured, cpu = sorted(took[WARM:]), (time.process_time() - cpu) / PAIRS * 1e6
    return _Took(round(measured[PAIRS // 2], 1), round(measured[PAIRS * 99 // 100], 1), round(cpu, 1))


@contextlib.contextmanager
def stores(folder: Path) -> Iterator[dict[str, UsageStore]]:
    """Each kind of store that there can be here."""
    home = Home.open(folder / "home", {})
    with contextlib.ExitStack() as opened:
        found: dict[str, UsageStore] = {"memory": MemoryCounts(), "sqlite": open_usage(state_of("sqlite"), home, {})}
        if any(map(shutil.which, PROGRAMS)):
            server = opened.enter_context(redis_server())
            found["redis"] = open_usage(state_of(server.url), home, {})
        yield found
        for store in found.values():
            store.close()


def main() -> int:
    """Measure, print one JSON object, and say whether SQLite is quick enough."""
    one = Terms(budgets=BudgetSection.model_validate(ONE), prices=PRICES)
    many = Terms(budgets=BudgetSection.model_validate(MANY), rates=RATES, prices=PRICES)
    with tempfile.TemporaryDirectory() as folder, stores(Path(folder)) as found:
        took = {
            name: {"one budget": pairs(store, one), "five budgets, two rates": pairs(store, many)}
            for name, store in found.items()
        }
    shown = {
        name: {what: {"p50_us": each.p50, "p99_us": each.p99, "cpu_us": each.cpu} for what, each in of.items()}
        for name, of in took.items()
    }
    print(json.dumps({"reserve_and_settle": shown}, indent=2))
    slow = took["sqlite"]["one budget"].cpu > MAX_SQLITE_US
    if slow:
        print(f"a reserve and a settle in SQLite take more than {MAX_SQLITE_US} µs of CPU", file=sys.stderr)
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
