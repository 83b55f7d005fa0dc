"""How long things took, as a histogram: how many fell below each of a few bounds, and their sum."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

CALLS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The upper bounds for what a person may wait for, in seconds; above the last one there is one more."""
STEPS_S = (0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5)
"""The same for the steps of a call."""


@dataclass(slots=True)
class Durations:
    """Of one thing that is done again and again."""

    bounds: tuple[float, ...] = CALLS_S
    buckets: list[int] = field(init=False)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.buckets = [0] * (len(self.bounds) + 1)

    def add(self, seconds: float) -> None:
        """Once more."""
        self.buckets[bisect_left(self.bounds, seconds)] += 1
        self.seconds += seconds
