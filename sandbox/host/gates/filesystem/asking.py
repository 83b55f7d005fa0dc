"""What a rule keeps back until a person says yes: the gate's side of the question.

Decides whether there is anything to ask: only where an ask rule is all that stands between the guest and what it wants. Leaves
to the host whether a person is asked, and what a yes is worth beyond this call.

Rules:
- what is denied, or what no rule gives, is refused at once and never asked about;
- nothing is told of a path before the answer, not even whether it is there;
- an answer is of one path and of what lay there when it was asked: something else that lies there since gets nothing by it;
- a no holds for the rest of the call, and a call asks at most `QUESTIONS` times.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sandbox.errors import Code
from sandbox.host.gates.filesystem.stats import identity
from sandbox.host.outcome import Denial
from sandbox.template.template import Access

if TYPE_CHECKING:
    from sandbox.host.gates.call import Call

QUESTIONS = 32
TOO_MANY = f"a call asks for at most {QUESTIONS} things"
SWAPPED = "something else lies there since the question was asked"

Identity = tuple[int, int] | None
"""What lies at a path, None for nothing."""


class Answers:
    """What a person has said in this call."""

    __slots__ = ("_call", "_given", "_left", "_refused")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._given: dict[str, tuple[int, Identity]] = {}
        self._refused: dict[str, tuple[int, str]] = {}
        self._left = QUESTIONS

    def given(self, host: str) -> int:
        """What may be done with a host path by the answers, as bits of `Access`."""
        return self._given[host][0] if host in self._given else 0

    def why_not(self, host: str) -> str | None:
        """Why what was asked about a path is refused; None where nothing was."""
        return self._refused[host][1] if host in self._refused else None

    def holds_for(self, host: str, there: Identity) -> None:
        """Something is about to be done with what lies `there`: an answer about something else counts no more."""
        if host in self._given and self._given[host][1] != there:
            del self._given[host]

    def made(self, host: str, there: os.stat_result) -> None:
        """The guest itself has made what lies there."""
        if host in self._given:
            self._given[host] = (self._given[host][0], identity(there))

    def ask(self, guest: str, host: str, operation: str, missing: int, folder: int, name: str) -> int:
        """Have a person asked, once for each thing; what of `missing` may be done now."""
        bits, _ = self._refused.get(host, (0, ""))
        if missing & bits:
            return 0
        before = there(folder, name)
        why = self._answer(guest, host, operation, missing)
        if why is None and there(folder, name) != before:
            why = SWAPPED
        if why is not None:
            self._refused[host] = (bits | missing, why)
            return 0
        self._given[host] = (self.given(host) | missing, before)
        return missing

    def _answer(self, guest: str, host: str, operation: str, missing: int) -> str | None:
        if self._left <= 0:
            return TOO_MANY
        self._left -= 1
        private = {"host_path": host, "access": list(Access(missing).words)}
        wanted = Denial(Code.FILESYSTEM_ACCESS_DENIED, {"path": guest, "operation": operation}, "", None, private)
        return self._call.bound.ask(wanted)


def there(folder: int, name: str) -> Identity:
    """What lies under a name of a folder, links not followed; the folder itself, where there is no name."""
    try:
        return identity(os.stat(name or ".", dir_fd=folder, follow_symlinks=False))
    except OSError:
        return None
