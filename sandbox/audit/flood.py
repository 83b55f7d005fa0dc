"""A flood of refusals becomes summaries, so that whoever is refused cannot fill the disk.

Decides which refusal is recorded by itself and which is only counted. Leaves writing to `sandbox.audit.log`.

Rules: each subject has refusals that are recorded by themselves (`BURST` at once, then one every `EVERY_S`), so that one's flood
hides no other's refusals; what goes beyond is counted, by subject, type, code and tool, and said in a summary after `MOST` of
them or `WITHIN_S`, whichever is first. Only refusals: an attempt that is allowed is always recorded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sandbox.audit.record import Event

BURST = 100
EVERY_S = 6.0
MOST = 1000
WITHIN_S = 60.0
MAX_SUBJECTS = 256
"""Subjects that are told apart; all others share what one has."""
_SHOWN = 16
_TOLD = ("tenant", "subject", "type", "code", "tool")


@dataclass(slots=True)
class _Allowance:
    left: float = BURST
    at: float = 0.0

    def take(self, now: float) -> bool:
        # A clock set back gives nothing and takes nothing.
        self.left = min(BURST, self.left + max(0.0, now - self.at) / EVERY_S)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


@dataclass(slots=True)
class Flood:
    """What one process has refused and not recorded one by one."""

    pending: int = 0
    keep_s: float | None = None
    """The longest that a rule wants one of them kept."""
    _since: float = 0.0
    _of: dict[tuple[str | None, str | None], _Allowance] = field(default_factory=dict)
    _counted: Counter[tuple[str | None, ...]] = field(default_factory=Counter)

    def singly(self, event: Event, now: float) -> bool:
        """Whether this refusal is recorded by itself; if not it is counted."""
        who = (event.tenant, event.subject)
        if who not in self._of and len(self._of) >= MAX_SUBJECTS:
            self._of = {one: each for one, each in self._of.items() if each.left + (now - each.at) / EVERY_S < BURST}
            who = who if len(self._of) < MAX_SUBJECTS else (None, None)
        if self._of.setdefault(who, _Allowance(at=now)).take(now):
            return True
        if not self.pending:
            self._since = now
        self.pending += 1
        self.keep_s = max(self.keep_s or 0.0, event.keep_s or 0.0) or None
        key = (*who, event.type.value, event.code, event.tool)
        self._counted[key if key in self._counted or len(self._counted) < _SHOWN else (None,) * len(key)] += 1
        return False

    def due(self, now: float) -> bool:
        """Whether what was counted has to be said now."""
        return self.pending >= MOST or (self.pending > 0 and not 0 <= now - self._since < WITHIN_S)

    def summary(self) -> dict[str, Any]:
        """What was counted; `said` begins anew."""
        rows = [{**dict(zip(_TOLD, key, strict=True)), "refusals": count} for key, count in self._counted.most_common()]
        return {"refusals": self.pending, "since": self._since, "of": rows}

    def said(self) -> None:
        """The summary is on record."""
        self.pending, self.keep_s = 0, None
        self._counted.clear()
