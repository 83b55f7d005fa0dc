"""What is counted, and the one step in which it is judged and taken: the values between the arithmetic and a store of counts.

A counter has a key and slots (`sandbox.admission.spending.periods`), each slot an amount. A claim asks for more of one; a store
takes all claims of a call or none, in one step that no other process comes between (`UsageStore`).

Rules: whole numbers; a counter is judged at the highest slot that it ever had, so a clock that was set back finds what was spent
later; what a store cannot read or write is an error, never a zero.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol
from urllib.parse import quote

KEPT_MS = 100 * 86_400_000
"""How long a counter is kept after it was last touched: longer than any period. What was shut stays shut."""
USED_UP = "its budget was used up"
"""Why a gate is shut that a claim without room has latched."""
_LONGEST_KEY = 240


@dataclass(frozen=True, slots=True)
class Claim:
    """`amount` more of a counter, where the `span` slots up to its latest one then hold at most `limit`.

    `latch` is the gate that is shut for good where there is no room.
    """

    key: str
    slot: int
    amount: int
    limit: int | None = None
    span: int = 1
    latch: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """`amount` more or less of one slot of a counter, whatever its limit is."""

    key: str
    slot: int
    amount: int
    span: int = 1


@dataclass(frozen=True, slots=True)
class Gate:
    """What has to be open for a call. One shut for a time lets one call try after it, and is shut for `trial_ms` more."""

    name: str
    trial_ms: int = 0


@dataclass(frozen=True, slots=True)
class Shut:
    """A gate that is shut: until when (None: until somebody opens it), why, and since when."""

    name: str
    until_ms: int | None
    why: str
    since_ms: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """All claims were taken: of each the slot that it was taken in and what its slots hold now. `trials` are gates on trial."""

    slots: tuple[int, ...]
    held: tuple[int, ...]
    trials: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Full:
    """Nothing was taken: by the number of each claim without room, what its slots hold."""

    without_room: Mapping[int, Mapping[int, int]]


@dataclass(frozen=True, slots=True)
class Spent:
    """What went where in one hour (`hour`: hours since 1970), for whoever asks later what was spent on what."""

    hour: int
    user: str = ""
    tenant: str = ""
    tool: str = ""
    model: str = ""
    calls: int = 0
    cost_micros: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cpu_ms: int = 0
    egress_bytes: int = 0


class UsageStore(Protocol):
    """Where counts lie: `sandbox.state.usage` has one in SQLite, one in Redis or Valkey, `memory_counts` one in memory.

    Every method raises HostUnavailable where the counts cannot be read or written.
    """

    def take(self, claims: Sequence[Claim], gates: Sequence[Gate], now_ms: int) -> Taken | Full | Shut:
        """Take all claims, or none where a gate is shut or one has no room; then the latches of those are shut."""

    def add(self, changes: Sequence[Change], now_ms: int, spent: Sequence[Spent] = ()) -> tuple[int, ...]:
        """Make the changes and keep what was spent, all together; what the slots of each then hold."""

    def held(self, windows: Sequence[Claim]) -> tuple[int, ...]:
        """What each counter holds in the slots that a claim would be judged by."""

    def shut(self, gate: Shut) -> None:
        """Shut a gate; one that is shut for good stays so."""

    def open(self, name: str) -> bool:
        """Open a gate; False where it was not shut."""

    def gates(self, prefix: str = "") -> tuple[Shut, ...]:
        """The gates that were shut and not opened, by name."""

    def forget(self, prefix: str) -> None:
        """Forget the counters whose keys begin so."""

    def spent(self, since_hour: int, until_hour: int) -> tuple[Spent, ...]:
        """What was spent from an hour to before another."""

    def close(self) -> None:
        """Let go of the store."""


def key_of(*parts: str) -> str:
    """The key of a counter or gate: its parts, so spelled that no part can look like two."""
    key = "/".join(quote(part, safe="@:.,*+") for part in parts)
    return key if len(key) <= _LONGEST_KEY else f"{key[:100]}/sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def judged(slots: Mapping[int, int], slot: int, span: int) -> tuple[int, int]:
    """The slot that a claim at `slot` is judged at, never one before the counter's latest, and what its span holds."""
    latest = max(slots, default=slot)
    top = max(latest, slot)
    return top, sum(amount for each, amount in slots.items() if each > top - span)


SPENT_ON = ("hour", "user", "tenant", "tool", "model")
"""What two rows of `Spent` have in common that are added up."""
SPENT_OF = tuple(each.name for each in fields(Spent) if each.name not in SPENT_ON)


def added(rows: Iterable[Spent], by: Sequence[str] = SPENT_ON) -> tuple[Spent, ...]:
    """The rows added up that agree in `by`; what they do not agree in is left empty."""
    sums: dict[tuple[object, ...], Spent] = {}
    for row in rows:
        key = tuple(getattr(row, name) for name in by)
        sum_ = sums.get(key) or replace(Spent(0), **dict(zip(by, key, strict=True)))
        sums[key] = replace(sum_, **{name: getattr(sum_, name) + getattr(row, name) for name in SPENT_OF})
    return tuple(sums.values())
