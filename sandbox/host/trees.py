"""The server's accounts of the trees that have a `max_total_size`: what lies in each, and what the calls that run add.

Decides what a call is told that a tree holds already, and when a call that reports growth has grown too much: several calls, of
several components too, may store in one tree at a time.

Rules: a tree is measured in a thread, never on the event loop, and at most a fiftieth of the time; what calls report is added
in between; before a tree is called full it is measured again, since a person may have made room; a call that its worker did not
survive leaves an account that is measured again.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from sandbox.host.measure import Tree, trees_of
from sandbox.host.units import size
from sandbox.template.template import FileRule, WasiTemplate

_FRESH_S = 1.0
"""How long an account is taken as it is, unless it says full."""
_SHARE = 50
_QUICK_S, _SHORT_S = 0.005, 0.1
"""A tree that is measured so quickly is measured before a call begins, another one beside it; and so shortly, before every call
that would be told that it is full."""
_ACCOUNTS, _TEMPLATES = 1024, 256


@dataclass(slots=True)
class _Account:
    tree: Tree
    most: int
    base: int = 0
    measured_at: float = 0.0
    took_s: float = 0.0
    running: dict[str, int] = field(default_factory=dict)
    measuring: asyncio.Task[None] | None = None

    @property
    def used(self) -> int:
        """What lies in the tree, as far as it is known."""
        return max(0, self.base + sum(self.running.values()))

    async def fresh(self) -> None:
        """Have the account measured where it is too old for what it says."""
        age = time.monotonic() - self.measured_at
        full = self.used >= self.most
        if not self.measured_at or (full and (age > self.took_s or self.took_s < _SHORT_S)):
            await asyncio.shield(self._measured())
        elif age > max(_FRESH_S, _SHARE * self.took_s):
            task = self._measured()
            if self.took_s < _QUICK_S:
                await asyncio.shield(task)

    def _measured(self) -> asyncio.Task[None]:
        if self.measuring is None:
            self.measuring = asyncio.get_running_loop().create_task(self._measure())
        return self.measuring

    async def _measure(self) -> None:
        try:
            began, before = time.monotonic(), dict(self.running)
            found = await asyncio.to_thread(self.tree.measure, self.most)
            # What the calls that still run had stored by then has been seen, and is not counted again.
            self.base = found - sum(more for call, more in before.items() if call in self.running)
            self.measured_at = time.monotonic()
            self.took_s = self.measured_at - began
        finally:
            self.measuring = None


class Trees:
    """The accounts of one host."""

    def __init__(self) -> None:
        self._accounts: dict[FileRule, _Account] = {}
        self._calls: dict[str, list[_Account]] = {}
        self._known: dict[int, tuple[tuple[FileRule, ...], tuple[FileRule, ...]]] = {}
        """By the identity of a template's rules, which are kept with it."""

    async def begin(self, template: WasiTemplate, call_id: str) -> list[tuple[int, int]]:
        """A call begins: what each tree of its template holds, by the number that its worker knows it by."""
        accounts = [self._account(rule) for rule in self._totals(template.files)]
        for account in accounts:
            await account.fresh()
        for account in accounts:
            account.running.setdefault(call_id, 0)
        if accounts:
            self._calls[call_id] = accounts
        return [(number, account.used) for number, account in enumerate(accounts)]

    def grown(self, call_id: str, stored: Any) -> str | None:
        """What a worker says that its call has stored; the sentence about a limit where that is too much by now."""
        accounts = self._calls.get(call_id, [])
        said = None
        for number, more in _pairs(stored):
            if number >= len(accounts):
                continue
            account = accounts[number]
            account.running[call_id] = more
            if more > 0 and account.used > account.most:
                said = f"`max_total_size` of {size(account.most)} was reached ({account.tree.rule.origin})"
        return said

    def end(self, call_id: str, done: dict[str, Any] | None) -> None:
        """A call has ended, with its worker's last word, or without one that can be read."""
        if call_id not in self._calls:
            return
        try:
            self.grown(call_id, done.get("stored", []) if done is not None else [])
        except (TypeError, ValueError):
            done = None
        for account in self._calls.pop(call_id, []):
            account.base += account.running.pop(call_id, 0)
            if done is None:
                account.measured_at = 0.0

    def _totals(self, rules: tuple[FileRule, ...]) -> tuple[FileRule, ...]:
        """The rules that have a total; found once for a template, whose rules may be many."""
        known = self._known.get(id(rules))
        if known is None:
            if len(self._known) >= _TEMPLATES:
                self._known.clear()
            known = self._known[id(rules)] = rules, tuple(tree.rule for tree in trees_of(rules))
        return known[1]

    def _account(self, rule: FileRule) -> _Account:
        account = self._accounts.get(rule)
        if account is None:
            if len(self._accounts) >= _ACCOUNTS:
                self._forget()
            assert rule.max_total_bytes is not None
            account = self._accounts[rule] = _Account(Tree(rule), rule.max_total_bytes)
        return account

    def _forget(self) -> None:
        for rule in [rule for rule, account in self._accounts.items() if not account.running]:
            del self._accounts[rule]


def _pairs(stored: Any) -> list[tuple[int, int]]:
    """What a worker sent, as far as it is what a worker sends. Raises ValueError for anything else."""
    if not isinstance(stored, list):
        raise ValueError("no list")  # noqa: TRY004 - it is what a worker said, not what we did
    pairs = [(number, more) for number, more in stored]
    if not all(isinstance(one, int) for pair in pairs for one in pair):
        raise ValueError("no numbers")
    return [(number, more) for number, more in pairs if number >= 0]
