"""Counts of one process, gone with it: for tests, and for an application that keeps none.

Rule: one lock around each step, so threads are as far apart here as processes are in the other stores.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from sandbox.admission.spending.counting import USED_UP, Change, Claim, Full, Gate, Shut, Spent, Taken, added, judged


class MemoryCounts:
    """The interface is `sandbox.admission.spending.counting.UsageStore`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, dict[int, int]] = {}
        self._shut: dict[str, Shut] = {}
        self._ledger: tuple[Spent, ...] = ()

    def take(self, claims: Sequence[Claim], gates: Sequence[Gate], now_ms: int) -> Taken | Full | Shut:
        """Take all claims or none."""
        with self._lock:
            if (shut := self._first_shut(gates, now_ms)) is not None:
                return shut
            found = [(claim, self._counters.get(claim.key, {})) for claim in claims]
            places = [judged(slots, claim.slot, claim.span) for claim, slots in found]
            without = {
                at: dict(slots)
                for at, ((claim, slots), (_, held)) in enumerate(zip(found, places, strict=True))
                if claim.limit is not None and held + claim.amount > claim.limit
            }
            if without:
                for at in without:
                    self._latch(claims[at].latch, now_ms)
                return Full(without)
            for claim, (top, _) in zip(claims, places, strict=True):
                self._put(claim.key, top, claim.amount, claim.span)
            trials = self._try(gates, now_ms)
            return Taken(
                tuple(top for top, _ in places),
                tuple(held + claim.amount for claim, (_, held) in zip(claims, places, strict=True)),
                trials,
            )

    def add(self, changes: Sequence[Change], now_ms: int, spent: Sequence[Spent] = ()) -> tuple[int, ...]:  # noqa: ARG002 - the interface's
        """Make the changes."""
        with self._lock:
            for change in changes:
                slots = self._counters.setdefault(change.key, {})
                slots[change.slot] = slots.get(change.slot, 0) + change.amount
            self._ledger = added((*self._ledger, *spent)) if spent else self._ledger
            return tuple(judged(self._counters[one.key], one.slot, one.span)[1] for one in changes)

    def held(self, windows: Sequence[Claim]) -> tuple[int, ...]:
        """What the windows hold."""
        with self._lock:
            return tuple(judged(self._counters.get(one.key, {}), one.slot, one.span)[1] for one in windows)

    def shut(self, gate: Shut) -> None:
        """Shut a gate."""
        with self._lock:
            before = self._shut.get(gate.name)
            if before is None or before.until_ms is not None:
                self._shut[gate.name] = gate

    def open(self, name: str) -> bool:
        """Open a gate."""
        with self._lock:
            return self._shut.pop(name, None) is not None

    def gates(self, prefix: str = "") -> tuple[Shut, ...]:
        """The gates that are shut."""
        with self._lock:
            return tuple(shut for name, shut in sorted(self._shut.items()) if name.startswith(prefix))

    def forget(self, prefix: str) -> None:
        """Forget counters."""
        with self._lock:
            self._counters = {key: slots for key, slots in self._counters.items() if not key.startswith(prefix)}

    def spent(self, since_hour: int, until_hour: int) -> tuple[Spent, ...]:
        """What was spent."""
        with self._lock:
            return tuple(one for one in self._ledger if since_hour <= one.hour < until_hour)

    def close(self) -> None:
        """Nothing to let go of."""

    def _first_shut(self, gates: Sequence[Gate], now_ms: int) -> Shut | None:
        found = (self._shut.get(gate.name) for gate in gates)
        return next((shut for shut in found if shut is not None and (shut.until_ms is None or shut.until_ms > now_ms)), None)

    def _try(self, gates: Sequence[Gate], now_ms: int) -> tuple[str, ...]:
        on_trial = tuple(gate for gate in gates if gate.name in self._shut)
        for gate in on_trial:
            self._shut[gate.name] = replace(self._shut[gate.name], until_ms=now_ms + gate.trial_ms)
        return tuple(gate.name for gate in on_trial)

    def _latch(self, name: str | None, now_ms: int) -> None:
        if name is not None and name not in self._shut:
            self._shut[name] = Shut(name, None, USED_UP, now_ms)

    def _put(self, key: str, top: int, amount: int, span: int) -> None:
        slots = {slot: held for slot, held in self._counters.get(key, {}).items() if slot > top - span}
        self._counters[key] = {**slots, top: slots.get(top, 0) + amount}
