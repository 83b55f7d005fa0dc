"""`sandbox audit stats`: what users, tools or days add up to: calls, refusals, failures, costs."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.audit import EventType
from sandbox.cli.audit.asked import Record, answers, query_of, refuse_unknown, said
from sandbox.cli.exits import Exit
from sandbox.cli.home import home_of
from sandbox.cli.terminal import Terminal
from sandbox.errors import Code, SandboxError
from sandbox.policy.refusal import one_of
from sandbox.state.home import Home

MOST = 10_000
"""Names that are told apart; all others are counted under `OTHERS`."""
OTHERS = "(others)"
_BY: dict[str, Callable[[Record], str]] = {
    "subject": lambda record: str(record.get("subject") or ""),
    "tenant": lambda record: str(record.get("tenant") or ""),
    "tool": lambda record: str(record.get("tool") or ""),
    "component": lambda record: str(record.get("component") or ""),
    "type": lambda record: str(record["event"]),
    "day": lambda record: str(record["time"])[:10],
    "hour": lambda record: str(record["time"])[:13],
}
_REFUSALS = frozenset({EventType.ACCESS_DENIED, EventType.RATE_LIMIT_EXCEEDED, EventType.BUDGET_EXCEEDED})


@dataclass(slots=True)
class Sum:
    """What one name adds up to. `refused` are calls and effects that were denied, those of a flood's summary too."""

    name: str
    events: int = 0
    calls: int = 0
    refused: int = 0
    failed: int = 0
    cost: float = 0.0
    tokens: int = 0
    cpu_ms: float = 0.0
    duration_ms: float = 0.0

    def add(self, record: Record) -> None:
        """One more record."""
        kind, usage = record["event"], record.get("usage") or {}
        self.events += 1
        self.calls += kind == EventType.TOOL_INVOKE
        self.failed += kind == EventType.TOOL_FAILURE
        if kind in _REFUSALS:
            self.refused += (record.get("detail") or {}).get("flood", {}).get("refusals", 1)
        self.cost += usage.get("cost_micros", 0) / 1_000_000
        self.tokens += usage.get("tokens", 0)
        self.cpu_ms += usage.get("cpu_ms", 0)
        self.duration_ms += record.get("duration_ms") or 0

    def to_json(self) -> dict[str, Any]:
        """The sums as a JSON object."""
        return {key: round(value, 6) if isinstance(value, float) else value for key, value in asdict(self).items()}


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run `audit stats`."""
    if arguments.by not in _BY:
        told = f"nothing is counted by `{arguments.by}`"
        raise SandboxError(told, help=one_of(arguments.by, tuple(_BY)), code=Code.INVALID_ARGUMENTS)
    home, query = Home.open(home_of(arguments), os.environ), query_of(arguments)
    sums: dict[str, Sum] = {}
    for record in answers(home, query):
        name = _BY[arguments.by](record)
        name = name if name in sums or len(sums) < MOST else OTHERS
        sums.setdefault(name, Sum(name)).add(record)
    if not sums:
        refuse_unknown(home, query)
    timely = arguments.by in ("day", "hour")
    found = sorted(sums.values(), key=lambda each: each.name if timely else (-each.cost, -each.calls, -each.events, each.name))
    found = found[-arguments.limit :] if timely else found[: arguments.limit]
    if terminal.json:
        terminal.data([each.to_json() for each in found])
    else:
        headers = (arguments.by.upper(), "CALLS", "REFUSED", "FAILED", "EVENTS", "COST", "CPU")
        terminal.table(headers, map(_row, found), none=said(query))
    return Exit.OK


def _row(each: Sum) -> tuple[object, ...]:
    return (
        each.name or "-",
        each.calls,
        each.refused,
        each.failed,
        each.events,
        f"{each.cost:.6g}",
        f"{each.cpu_ms / 1000:.3f} s",
    )
