"""What may be done with a path: the file rules of a template, indexed.

A trie over path segments: names without a wildcard are dictionary keys, names with one are filed under the text before and
after their wildcards, `**` is a node that stays where it is. A lookup costs a few dictionary reads for each name of the path,
whatever the number of rules (`benchmarks/checks.py`).

Rules: paths are real, absolute, normalised host paths; any other path is refused. What any allow gives is given, minus what
any ask keeps back for a person's yes and any deny takes; what was granted is that yes. Absence is deny. Nothing here looks at a
disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sandbox.policy.globs import DEEP, expand, literal, name_matcher, shape
from sandbox.template.template import Access, Effect, FileRule

MEMO = 8192
"""Decisions kept, by path; the memo is emptied when it is full."""


@dataclass(frozen=True, slots=True)
class FileDecision:
    """Whether all that was wanted may be, what of it may not, and the line that decided (None: no rule allows it)."""

    allowed: bool
    missing: Access
    origin: str | None


class _Node:
    """What the rules say that end here, and where others go on."""

    __slots__ = (
        "allow",
        "ask",
        "deep",
        "deep_here",
        "deny",
        "given_below",
        "granted",
        "literals",
        "origins",
        "patterns",
        "shapes",
    )

    def __init__(self, *, deep_here: bool = False) -> None:
        self.deep_here = deep_here
        self.allow = 0
        self.granted = 0
        self.ask = 0
        self.deny = 0
        self.given_below = 0
        """What allows and asks give here or below."""
        self.origins: dict[tuple[Effect, int], str] = {}
        self.literals: dict[str, _Node] = {}
        self.patterns: dict[tuple[str, str], dict[str, _Node]] = {}
        self.shapes: frozenset[tuple[int, int]] = frozenset()
        self.deep: _Node | None = None

    def child(self, segment: str) -> _Node:
        """The node after one more segment, made where it is not there yet."""
        if segment == DEEP:
            if self.deep_here:
                return self
            if self.deep is None:
                self.deep = _Node(deep_here=True)
            return self.deep
        name = literal(segment)
        if name is not None:
            return self.literals.setdefault(name, _Node())
        form = shape(segment)
        self.shapes |= {(len(form.prefix), len(form.suffix))}
        return self.patterns.setdefault((form.prefix, form.suffix), {}).setdefault(segment, _Node())

    def ends(self, rule: FileRule) -> None:
        """Take the rule that ends here; the first line to say something keeps the credit."""
        access = int(rule.access)
        match rule.effect:
            case Effect.ALLOW:
                self.allow |= access
                self.granted |= access if rule.granted else 0
            case Effect.ASK:
                self.ask |= access
            case Effect.DENY:
                self.deny |= access
        for bit in (1, 2, 4, 8):
            if rule.access & bit:
                self.origins.setdefault((rule.effect, bit), rule.origin)

    def matching(self, name: str) -> Iterator[_Node]:
        """The nodes after the patterns that match the name."""
        for before, behind in self.shapes:
            if before + behind > len(name):
                continue
            same = self.patterns.get((name[:before], name[len(name) - behind :]))
            if same is not None:
                yield from (child for segment, child in same.items() if name_matcher(segment)(name))

    @property
    def goes_on(self) -> bool:
        """Whether a rule goes on below, other than `**` staying where it is."""
        return bool(self.literals or self.patterns)


class FileRules:
    """The rules of a template, indexed; made once for a template, asked for every path.

    Not for several threads at a time: a worker has one, and the memo is a plain dictionary.
    """

    def __init__(self, rules: Iterable[FileRule]) -> None:
        self._root = _Node()
        self._memo: dict[str, Access] = {}
        self.asks = False
        """Whether any rule has a person asked."""
        for rule in rules:
            self.asks = self.asks or rule.effect is Effect.ASK
            for pattern in expand(rule.pattern) if "{" in rule.pattern else (rule.pattern,):
                self._insert(rule, pattern)

    def access(self, path: str) -> Access:
        """What may be done with the path, without a question."""
        known = self._memo.get(path)
        if known is not None:
            return known
        if len(self._memo) >= MEMO:
            self._memo.clear()
        found = self._memo[path] = _effective(self._reached(path))
        return found

    def asked(self, path: str) -> Access:
        """What may be done with the path after a person's yes."""
        return _asked(self._reached(path)) if self.asks else Access.NONE

    def asking(self, path: str, wanted: Access) -> str | None:
        """The ask line that keeps some of `wanted` back; None where none does."""
        return self._origin(path, Effect.ASK, wanted & self.asked(path)) if self.asks else None

    def decide(self, path: str, wanted: Access) -> FileDecision:
        """Whether all of `wanted` may be done, and which line decided: of what is only asked about, none did yet."""
        missing = wanted & ~self.access(path)
        if not missing:
            return FileDecision(True, Access.NONE, self._origin(path, Effect.ALLOW, wanted))
        return FileDecision(False, missing, self._origin(path, Effect.DENY, missing))

    def visible(self, path: str, wanted: Access = ~Access.NONE) -> bool:
        """Whether some of `wanted` may be done with the path, or with something below it, be it after a yes."""
        if self.access(path) & wanted:
            return True
        nodes = self._reached(path)
        below = 0
        for node in nodes:
            below |= node.given_below
        return bool(below & int(wanted) & ~_deny_below(nodes))

    def uniform_below(self, path: str) -> bool:
        """Whether no rule can decide differently anywhere below the path than at it: such a folder may be renamed."""
        nodes = self._reached(path)
        if any(node.goes_on for node in nodes):
            return False
        deep = [node for node in nodes if node.deep_here]
        return _effective(nodes) == _effective(deep) and _asked(nodes) == _asked(deep)

    def _insert(self, rule: FileRule, pattern: str) -> None:
        path = [self._root]
        for segment in pattern.split("/")[1:] if pattern != "/" else ():
            path.append(path[-1].child(segment))
        path[-1].ends(rule)
        if rule.effect is not Effect.DENY:
            for node in path:
                node.given_below |= int(rule.access)

    def _reached(self, path: str) -> list[_Node]:
        names = _names(path)
        if names is None:
            return []
        nodes = _with_deep([self._root])
        for name in names:
            after: list[_Node] = []
            for node in nodes:
                if node.deep_here:
                    after.append(node)
                child = node.literals.get(name)
                if child is not None:
                    after.append(child)
                if node.shapes:
                    after.extend(node.matching(name))
            if not after:
                return after
            nodes = _with_deep(after)
        return nodes

    def _origin(self, path: str, effect: Effect, wanted: Access) -> str | None:
        for node in self._reached(path):
            for bit in (1, 2, 4, 8):
                if wanted & bit and (effect, bit) in node.origins:
                    return node.origins[effect, bit]
        return None


def _with_deep(nodes: list[_Node]) -> list[_Node]:
    """The nodes and the `**` nodes that follow them, for `**` may stand for no name at all; each once."""
    deep = [node.deep for node in nodes if node.deep is not None]
    return list(dict.fromkeys(nodes + deep)) if deep else nodes


def _effective(nodes: Iterable[_Node]) -> Access:
    allow = granted = ask = deny = 0
    for node in nodes:
        allow |= node.allow
        granted |= node.granted
        ask |= node.ask
        deny |= node.deny
    return Access(allow & ~(ask & ~granted) & ~deny)


def _asked(nodes: Iterable[_Node]) -> Access:
    granted = ask = deny = 0
    for node in nodes:
        granted |= node.granted
        ask |= node.ask
        deny |= node.deny
    return Access(ask & ~granted & ~deny)


def _deny_below(nodes: Iterable[_Node]) -> int:
    """What is denied at every path below: the denies that end in `**`."""
    deny = 0
    for node in nodes:
        if node.deep_here:
            deny |= node.deny
    return deny


def _names(path: str) -> list[str] | None:
    """The names of a normalised absolute path; None for any other text, which no rule matches."""
    if path == "/":
        return []
    if not path.startswith("/"):
        return None
    names = path[1:].split("/")
    return None if not all(names) or "." in names or ".." in names or "\0" in path else names
