"""Which patterns are covered by which others, without comparing every pair.

A pattern covers another only if its names before the first wildcard begin the other's; so candidates are found by prefix.
A document of many lines about one folder could still make this slow: the work is bounded, and beyond it the document is
refused rather than half looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sandbox.policy.globs import Segments, covers
from sandbox.policy.refusal import Refusal
from sandbox.policy.uris import static_prefix

MAX_COMPARISONS = 100_000


class Work:
    """How many comparisons are left for one document."""

    def __init__(self, comparisons: int = MAX_COMPARISONS) -> None:
        self.left = comparisons

    def spend(self) -> None:
        """Count one comparison; raises `Refusal` when there have been too many."""
        self.left -= 1
        if self.left < 0:
            raise Refusal("too many lines about the same place to compare them all", "write fewer and wider lines")


class Covering:
    """Patterns, each with a number, filed by the names before their first wildcard."""

    def __init__(self, patterns: Sequence[tuple[Segments, ...]], work: Work) -> None:
        self._filed: dict[Segments, dict[int, None]] = {}
        self._patterns = patterns
        self._work = work
        for number, alternatives in enumerate(patterns):
            for pattern in alternatives:
                self._filed.setdefault(static_prefix(pattern)[0], {})[number] = None

    def of(self, alternatives: tuple[Segments, ...]) -> Iterator[int]:
        """The numbers of those that cover every one of the alternatives; each once."""
        candidates: dict[int, None] = {}
        prefix = static_prefix(alternatives[0])[0]
        for end in range(len(prefix) + 1):
            candidates.update(self._filed.get(prefix[:end], {}))
        for number in candidates:
            if all(any(self._covers(wide, narrow) for wide in self._patterns[number]) for narrow in alternatives):
                yield number

    def _covers(self, wide: Segments, narrow: Segments) -> bool:
        self._work.spend()
        return covers(wide, narrow)
