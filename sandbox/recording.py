"""What is recorded of one call: its attempt, its refusal, its end. `dispatch` says when.

Decides which events a call leaves behind and what stands in each; leaves the spelling, the redaction and the chain to
`sandbox.audit`. Rules: an attempt is on record before its call begins; of a tool that is not there the arguments are not kept;
what a document keeps out of a call is not written down either.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from sandbox.admission import Admission, CallRequest, Decision
from sandbox.admission.looking_back.asked import ASKED, told_of
from sandbox.admission.spending.refusing import Warned
from sandbox.admission.spending.reserving import Reservation
from sandbox.audit import AuditLog, Event, EventType, Redactor
from sandbox.audit.asked import asked, spent
from sandbox.audit.terms import wanted_of
from sandbox.components import Loaded
from sandbox.errors import Code, SandboxError
from sandbox.host.outcome import BUDGET, Ending, Outcome, Usage
from sandbox.in_force.in_use import InUse
from sandbox.result import code_of
from sandbox.state import StoredDenial
from sandbox.template.template import WasiTemplate
from sandbox.wit.tools import Tool

MAX_KEPT = 16
"""Denials of one call that are kept and recorded each for itself; `usage.denials` of the outcome's record counts them all."""

_USAGE = tuple(each.name for each in dataclasses.fields(Usage))
_used = attrgetter(*_USAGE)
_KILLED = {Ending.REVOKED, Ending.CANCELLED, Ending.KILLED}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call that was admitted, with all that its records say."""

    request: CallRequest
    admission: Admission
    component: Loaded
    tool: Tool
    template: WasiTemplate
    in_use: InUse
    grants: tuple[str, ...]
    began: float
    reservation: Reservation | None

    def event(self, kind: EventType, **told: Any) -> Event:
        """Something that happened in it."""
        return Event(kind, **asked(self.request), grants=self.grants, **wanted_of(self.admission.decision), **told)


@dataclass(frozen=True, slots=True)
class Recording:
    """The record of calls. `asks_again`: whether a document decides, so that a request is kept to be asked again."""

    log: AuditLog
    clock: Callable[[], float]
    asks_again: Callable[[], bool]

    def begun(self, attempt: Attempt) -> None:
        """The attempt: no record, no call."""
        decision = attempt.admission.decision
        told = {"arguments": attempt.request.arguments, "rules": decision.rules, "reason": decision.reason}
        event = attempt.event(EventType.TOOL_INVOKE, decision=decision.effect.value, **told, **self._asked(attempt.request))
        self.log.append(event, attempt.in_use.redactor)

    def refused(self, request: CallRequest, decision: Decision, code: Code | None, shown: InUse | None) -> None:
        """A call that is not admitted; `shown` are the secrets of its component, None where it has none that is there."""
        told: dict[str, Any] = {"decision": decision.effect.value, "rules": decision.rules, "reason": decision.reason}
        kind = EventType.ACCESS_DENIED if code is None else EventType(code.value)
        if shown is not None:
            # What may not go in is not written down either.
            kept_out = any(rule.startswith("content:") for rule in decision.rules)
            told |= {**({} if kept_out else {"arguments": request.arguments}), **self._asked(request)}
        event = Event(kind, **told, **asked(request), **wanted_of(decision))
        self.log.refused(event, Redactor() if shown is None else shown.redactor)

    def lost(self, request: CallRequest, error: SandboxError) -> None:
        """Nothing can be decided without the state: that is a refusal, and on record as one."""
        told: dict[str, Any] = {"decision": "deny", "code": error.code.value, "reason": error.message}
        self.log.refused(Event(EventType.ACCESS_DENIED, **told, **asked(request)), Redactor())

    def noticed(self, attempt: Attempt, kind: EventType, told: Mapping[str, Any]) -> None:
        """What an admission document found in a result."""
        self.log.append(attempt.event(kind, detail=dict(told)), attempt.in_use.redactor)

    def ended(
        self, attempt: Attempt, told: Outcome, ran: Outcome, kept: tuple[StoredDenial, ...], warned: tuple[Warned, ...]
    ) -> None:
        """How it ended, whatever it was, and before it what was refused, passed or killed.

        `told` is what its caller got, `ran` how it really ended: another one where a document kept the result back.
        """
        redactor = attempt.in_use.redactor
        for warning in warned:
            if warning.now:
                self.log.append(attempt.event(EventType.BUDGET_WARNING, rules=(warning.rule,), reason=warning.text), Redactor())
        if ran.limit == BUDGET:
            self.log.append(attempt.event(EventType.BUDGET_EXCEEDED, reason=ran.message), redactor)
        for one in kept:
            tried = {"denial_id": one.id, **one.denial.target}
            denied = attempt.event(
                EventType.ACCESS_DENIED, code=one.denial.code.value, reason=one.denial.reason, denials=(tried,)
            )
            self.log.append(denied, redactor)
        if (event := _end_of_worker(ran)) is not None:
            self.log.append(attempt.event(event, ending=ran.ending.value, reason=ran.message), redactor)
        self.log.append(self._end(attempt, told, ran), redactor)

    def _end(self, attempt: Attempt, outcome: Outcome, ran: Outcome) -> Event:
        code = code_of(outcome)
        return attempt.event(
            EventType.TOOL_SUCCESS if outcome.ok else EventType.TOOL_FAILURE,
            ending=outcome.ending.value,
            code=None if code is None else code.value,
            reason=outcome.message or None,
            detail=_detail(outcome, ran),
            denials=tuple({"code": one.code.value, **one.target} for one in ran.denials[:MAX_KEPT]),
            stdout=outcome.stdout,
            stderr=outcome.stderr,
            usage={**dict(zip(_USAGE, _used(outcome.usage), strict=True)), **spent(attempt.reservation)},
            duration_ms=(self.clock() - attempt.began) * 1000,
        )

    def _asked(self, request: CallRequest) -> dict[str, Any]:
        return {"detail": {ASKED: told_of(request)}} if self.asks_again() else {}


def _end_of_worker(outcome: Outcome) -> EventType | None:
    if outcome.ending is Ending.CRASHED:
        return EventType.WORKER_CRASHED
    killed = outcome.ending in _KILLED or (outcome.ending is Ending.LIMIT and outcome.limit in ("wall_time", "cpu_time", BUDGET))
    return EventType.WORKER_KILLED if killed else None


def _detail(outcome: Outcome, ran: Outcome) -> dict[str, Any]:
    """What the guest itself said was wrong, how it ended where its caller is not told, how many of its effects were refused."""
    said = {"error": outcome.value} if outcome.ending is Ending.GUEST_ERROR else {}
    said |= {} if outcome.ending is ran.ending else {"ran": ran.ending.value}
    return {**said, "denials": ran.usage.denials} if ran.denials else said
