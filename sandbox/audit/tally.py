"""Count what was recorded, for whoever watches from outside: a figure that the record does not bear out cannot be made.

Decides what is counted of a record that has been written, and by what it is told apart: its type, a component's name, a closed
code. Leaves the spelling of the figures to whoever shows them.

Rules: counts begin with the process and only grow; nothing that a client or a guest wrote tells them apart, so their number is
bounded by the components of this host; of one call's denials those are counted that the record names (`recording.MAX_KEPT`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.audit.record import Event, EventType
from sandbox.telemetry.durations import STEPS_S, Durations
from sandbox.telemetry.spans import trace_here

_ENDS = frozenset({EventType.TOOL_SUCCESS, EventType.TOOL_FAILURE})
_DECIDED = frozenset({EventType.TOOL_INVOKE, EventType.ACCESS_DENIED, EventType.RATE_LIMIT_EXCEEDED, EventType.BUDGET_EXCEEDED})
_NONE: Mapping[str, tuple[int, int]] = {}


@dataclass(slots=True)
class Tally:
    """What one process has recorded since it began."""

    events: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    """Of calls, by effect."""
    denials: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Of a running call's effects, by component and code."""
    checks: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Of a running call's effects, by component, kind of permission, and whether it was allowed."""
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Of calls, by component and how they ended."""
    durations: dict[str, Durations] = field(default_factory=dict)
    written: Durations = field(default_factory=lambda: Durations(STEPS_S))
    """How long a record took until it was written."""

    def wrote(self, event: Event, seconds: float) -> None:
        """How long it took to write a record."""
        self.written.add(seconds)
        if (trace := trace_here()) is not None:
            trace.passed("audit", seconds, {"sandbox.event": event.type.value})

    def count(self, event: Event) -> None:
        """Count a record that was written."""
        kind, component = event.type, event.component or ""
        self.events[kind.value] += 1
        if kind in _ENDS:
            self.ends[component, event.ending or ""] += 1
            for permission, (allowed, refused) in event.usage.get("checks", _NONE).items():
                self.checks[component, permission, "true"] += allowed
                self.checks[component, permission, "false"] += refused
            if event.duration_ms is not None:
                self.durations.setdefault(component, Durations()).add(event.duration_ms / 1000)
        elif event.decision is not None and kind in _DECIDED:
            self.decisions[event.decision] += 1
        elif kind is EventType.ACCESS_DENIED:
            self.denials[component, event.code or ""] += 1
