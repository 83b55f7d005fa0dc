"""How fast a guest may call the filesystem gate: `file_ops`.

Decides when a call waits. One that is too fast is held back, as the disk itself would hold it; it is not refused: a tool that
lists many files takes longer and works. Waiting is wall time, and no CPU time. Reads and writes of an open stream do not
pass the gate, and do not count.

Rules: a second's worth may come at once; the allowance is of one call, as every limit is; that a call was held back for long
is reported once.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sandbox.errors import Code
from sandbox.host.outcome import Denial
from sandbox.template.template import Limits

TOLD_S = 0.1
"""A call that was held back for less is not worth a word."""


class Pace:
    """The allowance of one call. The gate takes one of `left` for each call, and waits where none is."""

    __slots__ = ("_at", "_given", "_held", "_limits", "_rate", "left")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._rate = self._given = self.left = limits.file_ops
        self._at = time.monotonic()
        self._held = 0.0

    @property
    def taken(self) -> int:
        """How many calls the gate has taken one for."""
        return self._given - self.left

    def hold(self, report: Callable[[Denial], None]) -> None:
        """None is left: take what the time has brought, and wait for what is missing."""
        now = time.monotonic()
        came = int((now - self._at) * self._rate)
        if came:
            brought = min(self._rate, self.left + came) - self.left
            self._at, self.left = max(now - 1.0, self._at + came / self._rate), self.left + brought
            self._given += brought
        if self.left >= 0:
            return
        wait = self._at - self.left / self._rate - now
        told, self._held = self._held > TOLD_S, self._held + wait
        if self._held > TOLD_S and not told:
            target = {"resource": "file_ops", "limit": self._rate}
            reason = f"it is held to {self._rate} calls of the file system a second"
            report(Denial(Code.RESOURCE_LIMIT_EXCEEDED, target, reason, self._limits.origin("file_ops")))
        time.sleep(max(0.0, wait))
