"""What one section of a document says of a request, and how several such answers become one.

Pure. Deny wins, then require_approval, then allow; constraints merge to the stricter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from sandbox.admission.conditions.facts import Facts
from sandbox.admission.decision import NO_CONSTRAINTS, Constraints, Decision, Ruling
from sandbox.admission.document.fields import duration_s
from sandbox.admission.document.models import Attached
from sandbox.admission.request import CallRequest
from sandbox.admission.signal import Signal
from sandbox.admission.usage import Usage
from sandbox.admission.words import LogLevel

STRICTER = (Ruling.DENY, Ruling.REQUIRE_APPROVAL, Ruling.ALLOW)
_LEVELS = [level.value for level in LogLevel]


@dataclass(frozen=True, slots=True, eq=False)
class Vote:
    """A section's answer: what decided it, why, and what comes with it. A section that has nothing to say gives none.

    A `lasting` one is the same object whenever it is given: its decision is made once.
    """

    section: str
    effect: Ruling
    rules: tuple[str, ...]
    reason: str
    constraints: Constraints = NO_CONSTRAINTS
    warnings: tuple[str, ...] = ()
    signal: str | None = None
    lasting: bool = False


class Section(Protocol):
    """A configured part of a document."""

    @property
    def name(self) -> str:
        """What it goes by."""

    @property
    def configured(self) -> bool:
        """Whether the document says something of it."""

    def vote(self, facts: Facts) -> Vote | None:
        """What it says of a request, None where it abstains."""


class Check(Protocol):
    """A check that an application adds to a document; it speaks beside the rules of its priority."""

    name: str
    priority: int

    def check(self, request: CallRequest, usage: Usage) -> Decision | Ruling | None:
        """Allow, deny or ask for an approval; None abstains. What it raises denies."""


def strictest(effects: Iterable[Ruling]) -> Ruling:
    """The effect that wins."""
    return min(effects, key=STRICTER.index)


def sterner(signals: Iterable[str | None]) -> str | None:
    """The signal that is sent where several are asked for."""
    asked = set(signals)
    return next((each for each in (Signal.SIGKILL, Signal.SIGSTOP) if each in asked), None)


def constraints_of(attached: Attached) -> Constraints:
    """What a rule attaches, in numbers."""
    if attached == _NOTHING_ATTACHED:
        return NO_CONSTRAINTS
    return Constraints(
        approver_roles=() if attached.approver_role is None else (attached.approver_role,),
        approval_timeout_s=None if attached.approval_timeout is None else duration_s(attached.approval_timeout),
        retention_s=None if attached.retention is None else duration_s(attached.retention),
        log_level=None if attached.log_level is None else attached.log_level.value,
        duties=attached.obligations,
    )


def merged(several: Iterable[Constraints]) -> Constraints:
    """Constraints that keep to all of these: every approver, the shortest wait, the longest retention, the most detail."""
    distinct = [each for each in dict.fromkeys(several) if each is not NO_CONSTRAINTS]
    if len(distinct) < 2:
        return distinct[0] if distinct else NO_CONSTRAINTS
    waits = [each.approval_timeout_s for each in distinct if each.approval_timeout_s is not None]
    kept = [each.retention_s for each in distinct if each.retention_s is not None]
    levels = [each.log_level for each in distinct if each.log_level is not None]
    return Constraints(
        approver_roles=tuple(dict.fromkeys(role for each in distinct for role in each.approver_roles)),
        approval_timeout_s=min(waits, default=None),
        retention_s=max(kept, default=None),
        log_level=max(levels, key=_LEVELS.index, default=None),
        duties=tuple(dict.fromkeys(duty for each in distinct for duty in each.duties)),
        four_eyes=any(each.four_eyes for each in distinct),
    )


def obligations(constraints: Constraints) -> tuple[str, ...]:
    """What somebody has to do for the constraints to hold once a call is allowed, by name."""
    return (
        *(("retention",) if constraints.retention_s is not None else ()),
        *(("log_level",) if constraints.log_level is not None else ()),
        *constraints.duties,
    )


_NOTHING_ATTACHED = Attached()
