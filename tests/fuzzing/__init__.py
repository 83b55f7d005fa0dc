"""Whatever is given to the policy loader, the argument layer and the gateway's parser, a bounded answer comes of it.

The module of a layer has `properties()`: a context in which its properties hold. `test_layers.py` tries a few examples of each;
`python -m tests.fuzzing LAYER --seconds N` as many as the time has room for.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy


@dataclass(frozen=True)
class Property:
    """What must hold, and what it is tried with: one strategy for each argument."""

    holds: Callable[..., None]
    given: tuple[SearchStrategy[Any], ...]

    def tried(self, examples: int, number: int | None = None) -> None:
        """Try so many examples, those of the seed `number`; raises what the first that does not hold raises, made small."""
        chosen = settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        number = random.getrandbits(64) if number is None else number
        seed(number)(chosen(given(*self.given)(self.holds)))()
