"""How a record is kept: how much it says, how long it stays, whether it is encrypted.

Decides what each level leaves out. An admission document says the terms (`audit:`), and a rule more detail or a longer stay for
its calls; without one everything is said, in the clear, and nothing is removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sandbox.admission.decision import NO_CONSTRAINTS, Decision
from sandbox.admission.looking_back.asked import ASKED
from sandbox.admission.words import LogLevel
from sandbox.audit.record import Event

if TYPE_CHECKING:
    from sandbox.admission.authorizer import Authorizer

_LEVELS = tuple(LogLevel)


@dataclass(frozen=True, slots=True)
class Terms:
    """The level, how many seconds a day that is over is kept (None: for ever), and whether lines are encrypted."""

    level: LogLevel = LogLevel.DETAILED
    retention_s: float | None = None
    encrypt: bool = False


def terms_of(authorizer: Authorizer) -> Terms:
    """What the document in force says of the record."""
    if authorizer.ruleset is None:
        return Terms()
    said = authorizer.ruleset.document.audit
    return Terms(said.level or LogLevel.DETAILED, said.retention_s, said.encrypt)


def wanted_of(decision: Decision) -> dict[str, Any]:
    """The fields of an `Event` in which the deciding rules say how it is kept."""
    constraints = decision.constraints
    return {} if constraints is NO_CONSTRAINTS else {"keep_s": constraints.retention_s, "level": constraints.log_level}


def shortened(event: Event, level: LogLevel) -> Event:
    """The event without what is not recorded at this level; a rule that asks for more detail gets it, for less does not."""
    most = level if event.level is None else max(level, LogLevel(event.level), key=_LEVELS.index)
    left_out: dict[str, Any] = {name: _EMPTY[name] for name in _LEFT_OUT[most]}
    asked = event.detail.get(ASKED)
    if "address" in left_out and isinstance(asked, Mapping) and "metadata" in asked:
        # What a request is asked again with says the same words once more.
        asked = {**asked, "metadata": {key: each for key, each in asked["metadata"].items() if key not in left_out}}
        left_out["detail"] = {**event.detail, ASKED: asked}
    return replace(event, **left_out) if left_out else event


_EMPTY: dict[str, Any] = {"arguments": None, "stdout": "", "stderr": "", "address": None, "user_agent": None}
_PRINTED = frozenset({"stdout", "stderr"})
_LEFT_OUT = {
    LogLevel.DETAILED: frozenset[str](),
    LogLevel.STANDARD: _PRINTED,
    LogLevel.MINIMAL: _PRINTED | {"arguments", "address", "user_agent"},
}
