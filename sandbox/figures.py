"""What a host has done since it began, in figures: what was recorded, its processes, what its caches kept.

Decides nothing and keeps nothing: it is read when somebody asks. How figures are spelled is the edge's business
(`sandbox.server.http.metrics`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.audit.tally import Tally
from sandbox.template.cache import CacheMetrics


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one process. `host` is empty until its processes have started."""

    tally: Tally
    templates: CacheMetrics
    documents: CacheMetrics
    host: Mapping[str, int]
    components: int
    """How many components' tools are shown."""
