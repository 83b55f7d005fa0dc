"""Carry one call through, from the request to its result. The one place that knows every stage.

    1. find     the tool and its component, by what the store says now
    2. spell    the arguments in their one form: what is decided about is what runs
    3. decide   may this subject make this call now, under the template that holds now, with the secrets of now
    4. approve  where a person has to: wait for the answer, and go from 1 again with it
    5. reserve  what it may use of its budgets and rates; what does not begin gives it back
    6. count    one use of each grant that counts its uses, and of the approval; where one is gone, from 1 again without it
    7. record   the attempt with its decision: no record, no call
    8. invoke   the host, with the admission and the template, and charge it what it uses while it runs
    9. keep     its denials, so that a person can grant from one
   10. settle   what it used, whatever its end was
   11. record   the denials, and the outcome, whatever it was
   12. answer   with the outcome, and the body that says what is missing

Rule: between 3 and 8 nothing is awaited but the host, so a revoke finds a call either undecided or running; after the wait of 4
all begins anew.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any, Protocol

from sandbox.admission import (
    Admission,
    Authorizer,
    CallRequest,
    Decision,
    Ruling,
    Subject,
    Verdict,
    canonical_json,
    digest_of,
    new_request_id,
)
from sandbox.admission.approval import Approval
from sandbox.admission.denied import STOPPED, not_admitted
from sandbox.admission.spending.refusing import Refusal, Warned
from sandbox.admission.subject import nothing
from sandbox.admission.usage import UNKNOWN
from sandbox.components import Components, Loaded, Running
from sandbox.errors import Code, NotAdmitted, NotFound, SandboxError
from sandbox.host.ending import CalledOff
from sandbox.host.outcome import Denial, Ending, Outcome
from sandbox.host.output import heard_here
from sandbox.in_force.in_use import InUse, Secrets
from sandbox.in_force.inspecting import events_of, kinds_of, looked_through, unseen
from sandbox.in_force.keeping import Keep, Keeping
from sandbox.in_force.metering import Metering
from sandbox.in_force.stopped import said_of
from sandbox.recording import MAX_KEPT, Attempt, Recording
from sandbox.redaction import Redactor
from sandbox.result import CallResult, body_of
from sandbox.state import Store, StoredDenial
from sandbox.state.tables import LostError
from sandbox.telemetry.durations import STEPS_S, Durations
from sandbox.telemetry.spans import trace_here
from sandbox.template.smallest import SmallestGrant
from sandbox.template.template import WasiTemplate
from sandbox.wit.tools import Tool
from sandbox.wit.types import Export


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


class Approving(Protocol):
    """What of approvals a call needs: `sandbox.changes.approving.Approvals`."""

    def standing(self, request: CallRequest, decision: Decision) -> Approval | None:
        """One that was approved, of exactly this request, and is not used yet."""

    def use(self, approval: Approval, request: CallRequest) -> Approval | None:
        """Use it up; None where another call was first."""

    async def answered(self, request: CallRequest, decision: Decision, person: Any, *, again: bool) -> None:
        """Wait until somebody has approved the request; raises NotAdmitted where nobody has. `person` is the client's."""


@dataclass(frozen=True, slots=True)
class Call:
    """What somebody asks for. `session` and `subject` are the edge's word for who asks, `metadata` what it says of itself.

    `ask` has a person asked about what an ask rule keeps back, given the running call, its request id and what it wants: None for
    a yes, else why not. Without it nobody can be asked. `person` is who is asked to approve the call, where somebody is there.
    """

    tool: str
    arguments: Mapping[str, Any]
    subject: Subject
    session: str | None
    call_id: str
    metadata: Mapping[str, Any] = field(default_factory=nothing)
    ask: Callable[[Running, str, Denial], Awaitable[str | None]] | None = None
    person: Any = None


@dataclass(slots=True)
class Dispatch:
    """The procedure, and what it carries a call through. `refresh` applies what changed in the store.

    `why_not` says of what would permit a denied effect why it could not hold here.
    """

    components: Components
    authorizer: Authorizer
    recording: Recording
    store: Store
    host: Callable[[], Invoker]
    clock: Callable[[], float]
    refresh: Callable[[], Awaitable[None]]
    secrets: Secrets
    keeping: Keeping
    why_not: Callable[[Loaded, SmallestGrant], str | None]
    metering: Metering
    approvals: Approving
    signalled: Callable[[CallRequest, Decision], Awaitable[None]] | None = None
    """Sends what a refusal asks for: a signal to the calls of its session."""
    deciding: Durations = field(default_factory=lambda: Durations(STEPS_S))
    """How long decisions took."""

    async def call(self, call: Call) -> CallResult:
        """Carry a call through.

        Raises NotFound for a tool that is not there, SandboxError for arguments that JSON cannot carry, HostUnavailable where the
        attempt or the outcome cannot be recorded. What the guest does is in the outcome.
        """
        try:
            attempt = await self._admitted(call)
        except LostError as error:
            self._lost(call, error)
            raise
        if (hearer := heard_here()) is not None:
            hearer.may = partial(self._told_live, attempt.in_use.redactor)
        running = Running(call.call_id, attempt.component.name, call.tool, attempt.template, attempt.grants, call.session)
        self.components.running[call.call_id] = running
        ended: Outcome | None = None
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
            ended = attempt.in_use.told(outcome)
            outcome, ran, noticed = await self._inspected(attempt, ended)
        except BaseException as error:
            # Cancelled, or a fault of our own: the attempt is on record, so its end must be too.
            failed = _failed(error)
            self._end(attempt, failed, failed if ended is None else unseen(ended))
            raise
        finally:
            del self.components.running[call.call_id]
        kept, warned = self._end(attempt, outcome, ran)
        why_not = partial(self.why_not, attempt.component)
        body = body_of(outcome, kept, request_id=attempt.request.request_id, template=attempt.template, why_not=why_not)
        warnings = (*attempt.admission.decision.warnings, *noticed, *(one.text for one in warned))
        return CallResult(outcome, attempt.request.request_id, body, attempt.grants, warnings, attempt.in_use.redactor)

    async def _admitted(self, call: Call) -> Attempt:
        waited = False
        while True:
            await self.refresh()
            if call.call_id in self.components.running:
                raise SandboxError(f"a call `{call.call_id}` runs already")
            found = self.components.find(call.tool)
            request = self._request(call, found)
            if (stop := self.components.stops.of(call.session)) is not None:
                raise self._refused(request, call, Decision(Ruling.DENY, STOPPED, said_of(stop)), found)
            now, began = self.clock(), monotonic()
            seen = self.metering.seen(request, now) if self.authorizer.needs_usage else UNKNOWN
            verdict, approval = self.authorizer.admit(request, seen, now=now), None
            self._decided(request, verdict.decision, monotonic() - began)
            if found is not None and verdict.decision.effect is Ruling.REQUIRE_APPROVAL:
                approval = self.approvals.standing(request, verdict.decision)
                if approval is None:
                    await self._approved(request, call, verdict.decision, found, again=waited)
                    waited = True
                    continue
            if found is None or (verdict.admission is None and approval is None):
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
                    if approval is not None:
                        verdict = self._by_approval(request, verdict, approval, now)
                    if verdict.admission is not None:
                        grants = tuple(grant.id for grant in effective.grants)
                        in_use = self.secrets.of_call(effective.secrets, effective.redactor)
                        given = (component, tool, effective.template, in_use, grants, now, reservation)
                        attempt = Attempt(request, verdict.admission, *given)
                        self.recording.begun(attempt)
                        return attempt
            except BaseException:
                self.metering.release(reservation)
                raise
            self.metering.release(reservation)

    def _decided(self, request: CallRequest, decision: Decision, seconds: float) -> None:
        self.deciding.add(seconds)
        if (trace := trace_here()) is not None:
            trace.passed(
                "admission", seconds, {"sandbox.audit_id": request.request_id, "sandbox.decision": decision.effect.value}
            )

    async def _approved(
        self, request: CallRequest, call: Call, decision: Decision, found: tuple[Loaded, Tool], *, again: bool
    ) -> None:
        """Wait until somebody has approved the call. Raises NotAdmitted where nobody has, which is recorded first."""
        if not again:
            await self._signal(request, decision)
        try:
            await self.approvals.answered(request, decision, call.person, again=again)
        except NotAdmitted as error:
            self._refused(request, call, decision, found)
            raise error from None

    def _by_approval(self, request: CallRequest, verdict: Verdict, approval: Approval, now: float) -> Verdict:
        """The admission by an approval, which is used up in the same step; the verdict as it was where it is gone."""
        used = self.approvals.use(approval, request)
        return verdict if used is None else self.authorizer.approved(request, verdict.decision, used, now)

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

    async def _signal(self, request: CallRequest, decision: Decision) -> None:
        """Send what follows a refusal."""
        if decision.signal is not None and self.signalled is not None:
            await self.signalled(request, decision)

    def _lost(self, call: Call, error: LostError) -> None:
        request = CallRequest(new_request_id(), call.subject, call.tool[:80], session=call.session)
        self.recording.lost(request, error)

    def _refused(
        self, request: CallRequest, call: Call, decision: Decision, found: object, code: Code | None = None
    ) -> SandboxError:
        """The error of a call that is not admitted; it is recorded first."""
        shown: InUse | None = None
        if request.digest is not None:
            # Of a tool that is there alone: whoever asks for what is not there must not fill the record with what he likes.
            assert isinstance(found, tuple)
            effective = found[0].effective_for(call.session)
            shown = self.secrets.of_call(effective.secrets, effective.redactor)
        self.recording.refused(request, decision, code, shown)
        if not request.arguments_digest:
            return SandboxError(decision.reason, code=Code.INVALID_ARGUMENTS)
        if found is None:
            return NotFound(f"there is no tool `{call.tool[:80]}`", code=Code.TOOL_NOT_FOUND)
        return not_admitted(decision, code)

    def _told_live(self, redactor: Redactor, text: str) -> str | None:
        """What of a running call's text may be told before its end; None where the end has to be looked through first."""
        return None if self.authorizer.inspects else str(redactor.redact(text).value)

    async def _inspected(self, attempt: Attempt, outcome: Outcome) -> tuple[Outcome, Outcome, tuple[str, ...]]:
        """The outcome as the admission document lets it leave, as it is recorded, and what the document warns of."""
        if not self.authorizer.inspects:
            return outcome, outcome, ()
        looked = await looked_through(self.authorizer, outcome, attempt.in_use.redactor, attempt.tool.export.gives)
        if looked.found is None:
            return looked.told, looked.ran, ()
        for kind, told in events_of(looked.found):
            self.recording.noticed(attempt, kind, told)
        return looked.told, looked.ran, looked.found.warnings

    def _end(self, attempt: Attempt, told: Outcome, ran: Outcome) -> tuple[tuple[StoredDenial, ...], tuple[Warned, ...]]:
        """Steps 8 to 10, each even where the one before it fails: what the caller is told, and how the call `ran`."""
        kept = self._denials(attempt, ran)
        warned: tuple[Warned, ...] = ()
        try:
            try:
                if kept:
                    self.store.add_denials(attempt.in_use.stored(kept))
            finally:
                warned = self.metering.settle(attempt.reservation, ran)
        finally:
            self.recording.ended(attempt, told, ran, kept, warned)
        return kept, warned

    def _denials(self, attempt: Attempt, outcome: Outcome) -> tuple[StoredDenial, ...]:
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


def _failed(error: BaseException) -> Outcome:
    if isinstance(error, CalledOff):
        return error.outcome
    if isinstance(error, SandboxError):
        return Outcome(Ending.UNAVAILABLE, message=error.message)
    return Outcome(Ending.CANCELLED, message="the caller went away" if not isinstance(error, Exception) else type(error).__name__)
