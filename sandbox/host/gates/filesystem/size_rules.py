"""What the sizes of a template say at one path: which rule bounds a file there, whose room is asked for, what it counts for.

Decides nothing about a call. Rules add up: a write that several rules give is bounded by the largest of their limits, by none
where one of them has none; and it counts for every tree that it lies in, whoever gave it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sandbox.host.measure import Tree, trees_of
from sandbox.template.files import FileRules
from sandbox.template.template import Access, Effect, FileRule

FILE_BYTES = 4 << 30
"""The longest file where no rule says anything."""
_GROWS = Access.WRITE | Access.CREATE
_PLACES = 4096


@dataclass(frozen=True, slots=True)
class Place:
    """What holds at one path: the longest file with its line, the tree whose room is asked for, and all that it counts for."""

    file_bytes: int
    file_origin: str
    asked: int | None
    trees: tuple[int, ...]


def longest_file(rules: Iterable[FileRule]) -> int:
    """The longest file that any of the rules gives: what the kernel holds for the whole life of a process."""
    giving = [rule for rule in rules if rule.effect is not Effect.DENY and rule.access & _GROWS]
    lengths = [FILE_BYTES if rule.max_file_bytes is None else rule.max_file_bytes for rule in giving]
    return max(lengths, default=FILE_BYTES)


@dataclass(slots=True)
class SizeRules:
    """The size limits of a template, by path."""

    rules: tuple[FileRule, ...]
    trees: list[Tree] = field(init=False)
    _limited: dict[str, list[tuple[FileRule, Tree, int | None]]] = field(init=False)
    _loose_file: FileRules = field(init=False)
    _loose_total: FileRules = field(init=False)
    _known: dict[str, Place] = field(default_factory=dict)

    def __post_init__(self) -> None:
        allows = [rule for rule in self.rules if rule.effect is Effect.ALLOW]
        self.trees = trees_of(allows)
        numbers = {id(tree.rule): number for number, tree in enumerate(self.trees)}
        self._limited = {}
        for rule in allows:
            if rule.max_file_bytes is not None or rule.max_total_bytes is not None:
                tree = Tree(rule)
                self._limited.setdefault(tree.folder, []).append((rule, tree, numbers.get(id(rule))))
        self._loose_file = FileRules(rule for rule in allows if rule.max_file_bytes is None)
        self._loose_total = FileRules(rule for rule in allows if rule.max_total_bytes is None)

    def place(self, host: str) -> Place:
        """What holds at a host path."""
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= _PLACES:
                self._known.clear()
            known = self._known[host] = self._place(host)
        return known

    def _place(self, host: str) -> Place:
        found = [(rule, number) for rule, tree, number in self._near(host) if tree.holds(host)]
        giving = [(rule, number) for rule, number in found if rule.access & _GROWS]
        files = [] if self._loose_file.access(host) & _GROWS else [rule for rule, _ in giving if rule.max_file_bytes is not None]
        longest = max(files, key=lambda rule: rule.max_file_bytes or 0, default=None)
        totals = [] if self._loose_total.access(host) & _GROWS else [number for _, number in giving if number is not None]
        asked = max(totals, key=lambda number: self.trees[number].rule.max_total_bytes or 0, default=None)
        trees = tuple(number for _, number in found if number is not None)
        if longest is None or longest.max_file_bytes is None:
            return Place(FILE_BYTES, "default", asked, trees)
        return Place(longest.max_file_bytes, longest.origin, asked, trees)

    def _near(self, host: str) -> Iterator[tuple[FileRule, Tree, int | None]]:
        """The limited rules whose folder the path lies in."""
        folder = host
        while folder:
            yield from self._limited.get(folder, ())
            folder = folder.rpartition("/")[0]
        yield from self._limited.get("/", ())
