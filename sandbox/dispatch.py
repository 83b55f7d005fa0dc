"""Carry one call through, from the request to its result. The one place that knows every stage.

    1. find     the tool and its component, by what the store says now
    2. spell    the arguments in their one form: what is decided about is what runs
    3. decide   may this subject make this call now, under the template that holds now, with the secrets of now
    4. reserve  what it may use of its budgets and rates; what does not begin gives it back
    5. count    one use of each grant that counts its uses; where one is gone, from 1 again without it
    6. record   the attempt with its decision: no record, no call
    7. invoke   the host, with the admission and the template, and charge it what it uses while it runs
    8. keep     its denials, so that a person can grant from one
    9. settle   what it used, whatever its end was
   10. record   the denials, and the outcome, whatever it was
   11. answer   with the outcome, and the body that says what is missing

Rule: between 3 and 7 nothing is awaited but the host, so a revoke finds a call either undecided or running.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any, Protocol

from sandbox.admission import (
    Admission,
    Authorizer,
    CallRequest,
    Decision,
    Ruling,
    Subject,
    canonical_json,
    digest_of,
    new_request_id,
)
from sandbox.admission.denied import STOPPED, not_admitted
from sandbox.admission.looking_back.asked import ASKED, told_of
from sandbox.admission.spending.refusing import Refusal, Warned
from sandbox.admission.spending.reserving import Reservation
from sandbox.admission.subject import nothing
from sandbox.admission.usage import UNKNOWN
from sandbox.audit import AuditLog, Event, EventType, Redactor
from sandbox.components import Components, Loaded, Running
from sandbox.config.spending import Metric
from sandbox.errors import Code, NotFound, SandboxError
from sandbox.host.ending import CalledOff
from sandbox.host.outcome import BUDGET, Denial, Ending, Outcome, Usage
from sandbox.in_force.in_use import InUse, Secrets
from sandbox.in_force.inspecting import events_of, inspect, kinds_of
from sandbox.in_force.keeping import Keep, Keeping
from sandbox.in_force.metering import Metering
from sandbox.in_force.stopped import said_of
from sandbox.result import CallResult, body_of, code_of
from sandbox.state import Store, StoredDenial
from sandbox.state.tables import LostError
from sandbox.template.smallest import SmallestGrant
from sandbox.template.template import WasiTemplate
from sandbox.wit.tools import Tool
from sandbox.wit.types import Export

MAX_KEPT = 16
"""Denials of one call that are kept and recorded each for itself; `usage.denials` of the outcome's record counts them all."""

_USAGE = tuple(each.name for each in dataclasses.fields(Usage))
_used = attrgetter(*_USAGE)
_COUNTED = (Metric.COST, Metric.TOKENS)
_KILLED = {Ending.REVOKED, Ending.CANCELLED, Ending.KILLED}


class Invoker(Protocol):
    """What of the host a call needs: `sandbox.host.host.Host`."""

    async def invoke(
        self,
        admission: Admission,
        template: WasiTemplate,
        export: Export,
        arguments: Mapping[str, Any],
        *,
        call_id: str,
        secrets: Mapping[str, str],
        ask: Callable[[Denial], Awaitable[str | None]] | None,
        keep: Keep | None,
    ) -> Outcome:
        """Run one admitted call; `secrets` are the values of those that the template names, `ask` puts a rule's questions.

        `keep` answers what the call asks of the values that its component keeps.
        """


@dataclass(frozen=True, slots=True)
class Call:
    """What somebody asks for. `session` and `subject` are the edge's word for who asks, `metadata` what it says of itself.

    `ask` has a person asked about what an ask rule keeps back, given the running call, its request id and what it wants: None for
    a yes, else why not. Without it nobody can be asked.
    """

    tool: str
    arguments: Mapping[str, Any]
    subject: Subject
    session: str | None
    call_id: str
    metadata: Mapping[str, Any] = field(default_factory=nothing)
    ask: Callable[[Running, str, Denial], Awaitable[str | None]] | None = None


@dataclass(slots=True)
class Dispatch:
    """The procedure, and what it carries a call through. `refresh` applies what changed in the store.

    `why_not` says of what would permit a denied effect why it could not hold here.
    """

    components: Components
    authorizer: Authorizer
    log: AuditLog
    store: Store
    host: Callable[[], Invoker]
    clock: Callable[[], float]
    refresh: Callable[[], Awaitable[None]]
    secrets: Secrets
    keeping: Keeping
    why_not: Callable[[Loaded, SmallestGrant], str | None]
    metering: Metering
    signalled: Callable[[CallRequest, Decision], Awaitable[None]] | None = None
    """Sends what a refusal asks for: a signal to the calls of its session."""

    async def call(self, call: Call) -> CallResult:
        """Carry a call through.

        Raises NotFound for a tool that is not there, SandboxError for arguments that JSON cannot carry, HostUnavailable where the
        attempt or the outcome cannot be recorded. What the guest does is in the outcome.
        """
        try:
            attempt = await self._admitted(call)
        except LostError as error:
            self._record_lost(call, error)
            raise
        running = Running(call.call_id, attempt.component.name, call.tool, attempt.template, attempt.grants, call.session)
        self.components.running[call.call_id] = running
        try:
            with self.metering.watched(attempt.reservation, call.call_id):
                outcome = await self.host().invoke(
                    attempt.admission,
                    attempt.template,
                    attempt.tool.export,
                    call.arguments,
                    call_id=call.call_id,
                    secrets=attempt.in_use.values,
                    ask=None if call.ask is None else partial(call.ask, running, attempt.request.request_id),
                    keep=self.keeping.of_call(attempt.component.name, attempt.template.keyvalue),
                )
        except BaseException as error:
            # Cancelled, or a fault of our own: the attempt is on record, so its end must be too.
            self._end(attempt, _failed(error))
            raise
        finally:
            del self.components.running[call.call_id]
        outcome, noticed = self._inspected(attempt, attempt.in_use.told(outcome))
        kept, warned = self._end(attempt, outcome)
        why_not = partial(self.why_not, attempt.component)
        body = body_of(outcome, kept, request_id=attempt.request.request_id, template=attempt.template, why_not=why_not)
        warnings = (*attempt.admission.decision.warnings, *noticed, *(one.text for one in warned))
        return CallResult(outcome, attempt.request.request_id, body, attempt.grants, warnings)

    async def _admitted(self, call: Call) -> _Attempt:
        while True:
            await self.refresh()
            if call.call_id in self.components.running:
                raise SandboxError(f"a call `{call.call_id}` runs already")
            found = self.components.find(call.tool)
            request = self._request(call, found)
            if (stop := self.components.stops.of(call.session)) is not None:
                raise self._refused(request, call, Decision(Ruling.DENY, STOPPED, said_of(stop)), found)
            now = self.clock()
            seen = self.metering.seen(request, now) if self.authorizer.needs_usage else UNKNOWN
            verdict = self.authorizer.admit(request, seen, now=now)
            if found is None or verdict.admission is None:
                await self._signal(request, verdict.decision)
                raise self._refused(request, call, verdict.decision, found)
            component, tool = found
            reservation = self.metering.reserve(request, now)
            if isinstance(reservation, Refusal):
                decision = self.authorizer.signalled(reservation)
                await self._signal(request, decision)
                raise self._refused(request, call, decision, found, reservation.code)
            try:
                effective = component.effective_for(call.session)
                if not effective.counted or self.store.take_uses(effective.counted, now):
                    grants = tuple(grant.id for grant in effective.grants)
                    in_use = self.secrets.of_call(effective.secrets, effective.redactor)
                    given = (component, tool, effective.template, in_use, grants, now, reservation)
                    return self._begun(_Attempt(request, verdict.admission, *given))
            except BaseException:
                self.metering.release(reservation)
                raise
            self.metering.release(reservation)

    def _begun(self, attempt: _Attempt) -> _Attempt:
        """The attempt, on record."""
        decision = attempt.admission.decision
        told = {"arguments": attempt.request.arguments, "rules": decision.rules, "reason": decision.reason}
        event = attempt.event(EventType.TOOL_INVOKE, decision=decision.effect.value, **told, **self._asked(attempt.request))
        self.log.append(event, attempt.redactor)
        return attempt

    def _request(self, call: Call, found: tuple[Loaded, Tool] | None) -> CallRequest:
        try:
            digest = digest_of(canonical_json(call.arguments))
        except (ValueError, TypeError) as error:
            request = CallRequest(new_request_id(), call.subject, call.tool, session=call.session, metadata=call.metadata)
            decision = Decision(Ruling.DENY, ("arguments-are-json",), f"the arguments are not JSON: {error}")
            raise self._refused(request, call, decision, found) from None
        name, component = (found[0].name, found[0].digest) if found is not None else ("", None)
        template = None if found is None else found[0].effective_for(call.session).template
        generation = "" if template is None else template.generation
        kinds = () if template is None or self.authorizer.ruleset is None else kinds_of(template)
        subject = self.components.assigned.given(call.subject)
        ids = (new_request_id(), subject, call.tool, name, component, digest, generation, call.session)
        return CallRequest(*ids, arguments=call.arguments, metadata=call.metadata, kinds=kinds)

    def _asked(self, request: CallRequest) -> dict[str, Any]:
        """What the record keeps of a request that a document decides about, so that it can be asked again."""
        return {} if self.authorizer.ruleset is None else {"detail": {ASKED: told_of(request)}}

    async def _signal(self, request: CallRequest, decision: Decision) -> None:
        """Send what follows a refusal."""
        if decision.signal is not None and self.signalled is not None:
            await self.signalled(request, decision)

    def _record_lost(self, call: Call, error: LostError) -> None:
        """Nothing can be decided without the state: that is a refusal, and on record as one."""
        request = CallRequest(new_request_id(), call.subject, call.tool[:80], session=call.session)
        told: dict[str, Any] = {"decision": Ruling.DENY.value, "code": error.code.value, "reason": error.message}
        self.log.append(Event(EventType.ACCESS_DENIED, **told, **_who(request)), Redactor())

    def _refused(
        self, request: CallRequest, call: Call, decision: Decision, found: object, code: Code | None = None
    ) -> SandboxError:
        """The error of a call that is not admitted; it is recorded first."""
        told: dict[str, Any] = {"decision": decision.effect.value, "rules": decision.rules, "reason": decision.reason}
        kind, redactor = EventType.ACCESS_DENIED if code is None else EventType(code.value), Redactor()
        if request.digest is not None:
            # Of a tool that is there alone: whoever asks for what is not there must not fill the record with what he likes.
            assert isinstance(found, tuple)
            effective = found[0].effective_for(call.session)
            redactor = self.secrets.of_call(effective.secrets, effective.redactor).redactor
            # What may not go in is not written down either.
            shown = {} if any(rule.startswith("content:") for rule in decision.rules) else {"arguments": call.arguments}
            told |= {**shown, **self._asked(request)}
        self.log.append(Event(kind, **told, **_who(request)), redactor)
        if not request.arguments_digest:
            return SandboxError(decision.reason, code=Code.INVALID_ARGUMENTS)
        if found is None:
            return NotFound(f"there is no tool `{call.tool[:80]}`", code=Code.TOOL_NOT_FOUND)
        return not_admitted(decision, code)

    def _inspected(self, attempt: _Attempt, outcome: Outcome) -> tuple[Outcome, tuple[str, ...]]:
        """The outcome as the admission document lets it leave, and what it warns of."""
        if self.authorizer.ruleset is None:
            return outcome, ()
        outcome, found = inspect(self.authorizer, outcome, attempt.redactor)
        if found is None:
            return outcome, ()
        for kind, told in events_of(found):
            self.log.append(attempt.event(kind, detail=dict(told)), attempt.redactor)
        return outcome, found.warnings

    def _end(self, attempt: _Attempt, outcome: Outcome) -> tuple[tuple[StoredDenial, ...], tuple[Warned, ...]]:
        """Steps 8 to 10, each even where the one before it fails."""
        kept = self._denials(attempt, outcome)
        warned: tuple[Warned, ...] = ()
        try:
            try:
                if kept:
                    self.store.add_denials(kept)
            finally:
                warned = self.metering.settle(attempt.reservation, outcome)
        finally:
            self._record_end(attempt, outcome, kept, warned)
        return kept, warned

    def _denials(self, attempt: _Attempt, outcome: Outcome) -> tuple[StoredDenial, ...]:
        if not outcome.denials:
            return ()
        distinct = {(one.code, str(sorted(one.target.items(), key=str))): one for one in outcome.denials}
        # The last ones: a call that gave up did so at one of them.
        return tuple(
            StoredDenial(
                id=f"d-{secrets.token_hex(6)}",
                at=self.clock(),
                component=attempt.component.name,
                digest=attempt.component.digest,
                tool=attempt.request.tool,
                subject=attempt.request.subject_id,
                request_id=attempt.request.request_id,
                denial=denial,
            )
            for denial in list(distinct.values())[-MAX_KEPT:]
        )

    def _record_end(
        self, attempt: _Attempt, outcome: Outcome, kept: tuple[StoredDenial, ...], warned: tuple[Warned, ...]
    ) -> None:
        for warning in warned:
            if warning.now:
                self.log.append(attempt.event(EventType.BUDGET_WARNING, rules=(warning.rule,), reason=warning.text), Redactor())
        if outcome.limit == BUDGET:
            self.log.append(attempt.event(EventType.BUDGET_EXCEEDED, reason=outcome.message), attempt.redactor)
        for one in kept:
            told = {"denial_id": one.id, **one.denial.target}
            denied = attempt.event(EventType.ACCESS_DENIED, code=one.denial.code.value, reason=one.denial.reason, denials=(told,))
            self.log.append(denied, attempt.redactor)
        if (event := _end_of_worker(outcome)) is not None:
            self.log.append(attempt.event(event, ending=outcome.ending.value, reason=outcome.message), attempt.redactor)
        code = code_of(outcome)
        ended = attempt.event(
            EventType.TOOL_SUCCESS if outcome.ok else EventType.TOOL_FAILURE,
            ending=outcome.ending.value,
            code=None if code is None else code.value,
            reason=outcome.message or None,
            detail=_detail(outcome),
            denials=tuple({"code": one.code.value, **one.target} for one in outcome.denials[:MAX_KEPT]),
            stdout=outcome.stdout,
            stderr=outcome.stderr,
            usage={**dict(zip(_USAGE, _used(outcome.usage), strict=True)), **_spent(attempt.reservation)},
            duration_ms=(self.clock() - attempt.began) * 1000,
        )
        self.log.append(ended, attempt.redactor)


@dataclass(frozen=True, slots=True)
class _Attempt:
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

    @property
    def redactor(self) -> Redactor:
        """What hides the call's secrets in its records."""
        return self.in_use.redactor

    def event(self, kind: EventType, **told: Any) -> Event:
        return Event(kind, **_who(self.request), grants=self.grants, **told)


def _who(request: CallRequest) -> dict[str, Any]:
    return {
        "audit_id": request.request_id,
        "subject": request.subject_id or None,
        "session": request.session or None,
        "component": request.component or None,
        "digest": request.digest or None,
        "tool": request.tool or None,
        "arguments_digest": request.arguments_digest or None,
        "generation": request.generation or None,
    }


def _spent(reservation: Reservation | None) -> dict[str, int]:
    """What a call cost, where anybody counts."""
    return {} if reservation is None else {metric.value: reservation.used.get(metric, 0) for metric in _COUNTED}


def _end_of_worker(outcome: Outcome) -> EventType | None:
    if outcome.ending is Ending.CRASHED:
        return EventType.WORKER_CRASHED
    killed = outcome.ending in _KILLED or (outcome.ending is Ending.LIMIT and outcome.limit in ("wall_time", "cpu_time", BUDGET))
    return EventType.WORKER_KILLED if killed else None


def _detail(outcome: Outcome) -> dict[str, Any]:
    """What the guest itself said was wrong, and how many of its effects were refused."""
    said = {"error": outcome.value} if outcome.ending is Ending.GUEST_ERROR else {}
    return {**said, "denials": outcome.usage.denials} if outcome.denials else said


def _failed(error: BaseException) -> Outcome:
    if isinstance(error, CalledOff):
        return error.outcome
    if isinstance(error, SandboxError):
        return Outcome(Ending.UNAVAILABLE, message=error.message)
    return Outcome(Ending.CANCELLED, message="the caller went away" if not isinstance(error, Exception) else type(error).__name__)
