"""What a host has done since it began, in figures: what was recorded, its processes, what its caches kept.

Decides nothing and keeps nothing: it is read when somebody asks. How figures are spelled is the edge's business
(`sandbox.server.http.metrics`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.audit.tally import Tally
from sandbox.telemetry.durations import Durations
from sandbox.template.cache import CacheMetrics


@dataclass(frozen=True, slots=True)
class BudgetFigure:
    """One limit of a budget that is written somewhere: whose, of what, how much of it is spent."""

    whose: str
    metric: str
    spent: int
    limit: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one process. `host` is empty until its processes have started."""

    tally: Tally
    templates: CacheMetrics
    documents: CacheMetrics
    host: Mapping[str, int]
    components: int
    """How many components' tools are shown."""
    deciding: Durations
    waits: Durations
    """How long decisions took, and how long calls waited for a worker."""
    budgets: tuple[BudgetFigure, ...] = ()
    pending: int | None = None
    """How many approvals wait for an answer; None where the state does not tell."""
    telemetry: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """What was sent to a collector, and what was given up; empty where none is configured."""
