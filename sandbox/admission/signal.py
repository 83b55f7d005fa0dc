"""The signals that a running call can get, and what a handler is told of one.

Decides nothing: `sandbox.changes.signals` sends them, `sandbox.host.suspension` holds up what is suspended.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Signal(StrEnum):
    """SIGKILL ends the process that runs a call, SIGSTOP suspends it for a person to look, SIGCONT lets it go on."""

    SIGKILL = "SIGKILL"
    SIGSTOP = "SIGSTOP"
    SIGCONT = "SIGCONT"


@dataclass(frozen=True, slots=True)
class SignalledCall:
    """The call that a signal was for. One that was refused before it ran has no `call_id`."""

    tool: str
    component: str
    call_id: str | None
    session: str | None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class SignalContext:
    """Why a signal was sent: `action` is what asked for it (`signal`, `stop`, `violation`, `warning`, `rate_limit`, `budget`)."""

    reason: str
    action: str
    approved_by: str | None = None
    """The person who sent it; None where a rule did."""
