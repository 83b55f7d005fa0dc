"""Have a person approve a call: ask, wait, hear the answer, and let what was approved be used once. Stands on its own.

Decides who is asked and what is recorded; which answer makes what of it is `sandbox.admission.approval`'s, that a change is made
in one step the store's. How a question reaches the person at a client is the edge's (`sandbox.changes.asking.Person`).

A call that needs an approval, in order:
1. one that was approved, of exactly this request, is used up in the step that finds it: then the call runs
2. one that was denied, while its time lasts: no
3. else it is asked for, once however often the call is made, and told of (`told`: the webhook)
4. the person at its client is asked, where no role and no second person is needed; meanwhile anybody else may answer
5. no yes in time: the call is refused with the id, and may be made again

Rules: every change is recorded before it is kept; no answer is a no; arguments that are too long to be read are not asked about,
nor those that hold what is no value of JSON's; whoever answers holds the scope `admin`, and answers nothing of another tenant's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sandbox.admission import Authorizer, CallRequest, Decision, Subject, canonical_json, digest_of
from sandbox.admission.approval import (
    DEFAULT_TIMEOUT_S,
    Approval,
    ApprovalError,
    Approver,
    State,
    allowed,
    bound_of,
    denied,
    new_approval_id,
    question_of,
    used,
    withdrawn,
)
from sandbox.audit import AuditLog, Event, EventType, Redactor, rfc3339
from sandbox.audit.terms import wanted_of
from sandbox.changes.asking import Answer, Person
from sandbox.errors import ApprovalPending, Code, NotAdmitted, NotFound
from sandbox.host.asking import ANSWER_SECONDS
from sandbox.state.approvals import StoredApprovals
from sandbox.state.hidden import Hidden

MAX_ARGUMENTS = 64 << 10
"""Bytes of arguments that a person is asked about."""
LOOK_S = 0.2
"""How often a call that waits looks whether another process has heard the answer."""
ADMIN = "admin"
CLIENT = "client"

_EVENTS = {
    State.PENDING: EventType.APPROVAL_REQUESTED,
    State.APPROVED: EventType.APPROVAL_APPROVED,
    State.DENIED: EventType.APPROVAL_DENIED,
    State.EXPIRED: EventType.APPROVAL_EXPIRED,
    State.WITHDRAWN: EventType.APPROVAL_WITHDRAWN,
    State.USED: EventType.APPROVAL_USED,
}


@dataclass(frozen=True, slots=True)
class ApprovalQuestion:
    """What the person at a client is asked: yes for this once, or no."""

    text: str
    choices: tuple[Answer, ...] = (Answer.ONCE, Answer.NO)


def _as_it_is(subject: Subject) -> Subject:
    return subject


@dataclass(slots=True)
class Approvals:
    """The approvals of one store. `given` adds the roles that a subject was given at run time; `told` hears of each request."""

    store: StoredApprovals
    authorizer: Authorizer
    log: AuditLog | None = None
    clock: Callable[[], float] = time.time
    hidden: Hidden = field(default_factory=Hidden.here_alone)
    given: Callable[[Subject], Subject] = _as_it_is
    told: Callable[[Approval, str], None] | None = None
    wait_s: float = 0.0
    """How long a call waits for an answer where its client cannot ask a person."""
    _asking: set[str] = field(default_factory=set)

    def standing(self, request: CallRequest, decision: Decision) -> Approval | None:
        """One that was approved, of exactly this, and is not used yet."""
        latest = self.store.latest_approval(bound_of(request, decision, self._document()))
        stands = latest is not None and latest.state is State.APPROVED and latest.open_at(self.clock())
        return latest if stands else None

    def use(self, approval: Approval, request: CallRequest) -> Approval | None:
        """Use it up; None where another call was first, or its time is over."""
        now, taking = self.clock(), partial(used, request_id=request.request_id, now=self.clock())
        try:
            return self.store.change_approval(approval.id, taking, now, before_commit=self._record)
        except ApprovalError:
            return None

    async def answered(self, request: CallRequest, decision: Decision, person: Person | None, *, again: bool = False) -> None:
        """Wait until somebody has approved the request. Raises ApprovalPending, NotAdmitted, HostUnavailable.

        `again` is where the same call has waited once: then nobody is asked by its client, and nothing is waited for.
        """
        approval = self.request(request, decision)
        asks = person is not None and not again and not approval.needs_more_than_a_client and approval.id not in self._asking
        if person is not None and asks:
            approval = await self._put(approval, person)
        elif self.wait_s > 0 and not again:
            approval = await self.wait(approval.id, self.wait_s)
        if approval.state is not State.APPROVED:
            raise self.refusal(approval, client=person is not None)

    def request(self, request: CallRequest, decision: Decision) -> Approval:
        """Ask for an approval; the one that is pending or approved, where it was asked for. Raises NotAdmitted."""
        self.expire()
        bound, now = bound_of(request, decision, self._document()), self.clock()
        latest = self.store.latest_approval(bound)
        if latest is not None and latest.open_at(now):
            if latest.state in (State.PENDING, State.APPROVED):
                return latest
            if latest.state is State.DENIED:
                raise self.refusal(latest)
        wanted, arguments = self._wanted(request, decision, now)
        try:
            kept = self.store.request_approval(wanted, before_commit=self._record)
        except ApprovalError as error:
            raise NotAdmitted(error.message, help=error.help, rules=decision.rules) from None
        if kept.id == wanted.id and self.told is not None:
            self.told(kept, arguments)
        return kept

    async def wait(self, approval_id: str, seconds: float) -> Approval:
        """The approval once it is pending no more, or after so many seconds."""
        until = time.monotonic() + seconds
        while True:
            self.expire()
            approval = self.store.approval(approval_id)
            left = until - time.monotonic()
            if approval.state is not State.PENDING or left <= 0:
                return approval
            await asyncio.sleep(min(LOOK_S, left))

    def approve(self, approval_id: str, by: Subject, note: str = "", *, by_way_of: str = "python") -> Approval:
        """Say yes. It is approved when everybody has who is needed. Raises NotFound, ApprovalError."""
        return self._answer(allowed, self._approver(approval_id, by, by_way_of), approval_id, note)

    def deny(self, approval_id: str, by: Subject, note: str = "", *, by_way_of: str = "python") -> Approval:
        """Say no. Raises NotFound, ApprovalError."""
        return self._answer(denied, self._approver(approval_id, by, by_way_of), approval_id, note)

    def withdraw(self, approval_id: str, by: Subject, note: str = "", *, by_way_of: str = "python") -> Approval:
        """Ask for it no more: whoever asked, or who may answer. Raises NotFound, ApprovalError."""
        asked = self.seen(approval_id, by)
        own = (asked.bound.subject, asked.bound.tenant) == (by.id, by.tenant)
        who = Approver(by.id, frozenset(), by.tenant, by_way_of) if own else self._approver(approval_id, by, by_way_of)
        return self._answer(withdrawn, who, approval_id, note)

    def seen(self, approval_id: str, by: Subject | None = None) -> Approval:
        """The approval of that id, as far as `by` may know of it. Raises NotFound."""
        self.expire()
        approval = self.store.approval(approval_id)
        if by is not None and by.tenant is not None and by.tenant != approval.bound.tenant:
            told = f"there is no approval `{approval_id[:80]}`"
            raise NotFound(told, help="`sandbox approvals list` shows them", code=Code.APPROVAL_NOT_FOUND)
        return approval

    def listed(self, state: State | None = None, by: Subject | None = None) -> tuple[Approval, ...]:
        """Those that are known, the oldest first, as far as `by` may know of them."""
        self.expire()
        found = self.store.approvals(state)
        return tuple(each for each in found if by is None or by.tenant is None or by.tenant == each.bound.tenant)

    def arguments(self, approval: Approval) -> str | None:
        """The arguments that it was asked with, in their one spelling; None once it is closed. Raises HostUnavailable."""
        if approval.sealed is None:
            return None
        shown = self.hidden.show(approval.id, approval.requested_at, approval.sealed)
        if digest_of(shown.encode()) != approval.bound.arguments_digest:
            raise NotFound(f"the arguments of `{approval.id}` are not those that were asked about", code=Code.APPROVAL_NOT_FOUND)
        return shown

    def question(self, approval: Approval) -> str:
        """What a person reads before the answer."""
        arguments = self.arguments(approval)
        return question_of(approval, "(erased: it is closed)" if arguments is None else arguments)

    def expire(self) -> None:
        """Close what nobody has answered in time."""
        self.store.expire_approvals(self.clock(), before_commit=self._record)

    async def _put(self, approval: Approval, person: Person) -> Approval:
        """Ask the person at the client; whoever answers first has answered."""
        question, seconds = ApprovalQuestion(self.question(approval)), min(ANSWER_SECONDS, approval.expires_at - self.clock())
        self._asking.add(approval.id)
        asking = asyncio.ensure_future(person.ask(question))
        waiting = asyncio.ensure_future(self.wait(approval.id, seconds))
        try:
            await asyncio.wait({asking, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
            return self._heard(approval, asking.result(), person.who)
        finally:
            self._asking.discard(approval.id)
            for each in (asking, waiting):
                each.cancel()
            await asyncio.gather(asking, waiting, return_exceptions=True)

    def _heard(self, approval: Approval, answer: Answer, who: str) -> Approval:
        """What the answer of the person at a client comes to; where another was first, that one's."""
        said = {Answer.ONCE: allowed, Answer.NO: denied}.get(answer)
        if said is None:
            return approval
        try:
            return self._answer(said, Approver(who, by_way_of=CLIENT), approval.id, "")
        except ApprovalError:
            return self.store.approval(approval.id)

    def _answer(self, said: Callable[..., Approval], who: Approver, approval_id: str, note: str) -> Approval:
        now = self.clock()
        recording = partial(self._record, who=who)
        return self.store.change_approval(approval_id, lambda one: said(one, who, now, note), now, before_commit=recording)

    def _approver(self, approval_id: str, by: Subject, by_way_of: str) -> Approver:
        """Who answers, with the roles held by the document in force. Raises NotFound, ApprovalError."""
        self.seen(approval_id, by)
        ruleset, by = self.authorizer.ruleset, self.given(by)
        scopes = frozenset(by.scopes) if ruleset is None else ruleset.scopes.held[by.scopes]
        if ADMIN not in scopes:
            raise ApprovalError(f"`{by.id}` does not have the scope `{ADMIN}`, which whoever answers needs")
        roles = frozenset(by.roles) if ruleset is None else ruleset.roles.held[by.id, by.roles]
        return Approver(by.id, roles, by.tenant, by_way_of)

    def _wanted(self, request: CallRequest, decision: Decision, now: float) -> tuple[Approval, str]:
        arguments, ruleset = canonical_json(dict(request.arguments)).decode(), self.authorizer.ruleset
        if ruleset is not None and (unmet := ruleset.unmet(decision)):
            # What could not run after a yes is not asked for.
            told = f"nobody here sees to {', '.join(f'`{each}`' for each in unmet)}, which {decision.rules[0]} demands"
            raise NotAdmitted(told, rules=decision.rules)
        if request.left_out:
            told = f"a person cannot be asked about `{'`, `'.join(request.left_out)}`: no value of JSON's"
            raise NotAdmitted(told, code=Code.APPROVAL_REQUIRED, rules=decision.rules)
        if len(arguments) > MAX_ARGUMENTS:
            told = f"a person cannot be asked about {len(arguments):,} bytes of arguments; {MAX_ARGUMENTS:,} can be read"
            raise NotAdmitted(told, code=Code.APPROVAL_REQUIRED, rules=decision.rules)
        approval_id, bound = new_approval_id(), bound_of(request, decision, self._document())
        until = now + (decision.constraints.approval_timeout_s or DEFAULT_TIMEOUT_S)
        about = (decision.reason, request.request_id, request.session, len(arguments), now, until)
        sealed = self.hidden.hide(approval_id, now, arguments)
        return Approval(approval_id, bound, *about, sealed=sealed, **wanted_of(decision)), arguments

    def refusal(self, approval: Approval, *, client: bool = False) -> NotAdmitted:
        """The error of a request that nobody has approved; `client` says that its client could ask a person."""
        rules, needs = approval.bound.rules, approval.needs
        if approval.state is State.PENDING:
            more = ": the person at this client cannot give that alone" if client and approval.needs_more_than_a_client else ""
            told = f"the call waits for an approval ({approval.reason}); it needs {needs}{more}"
            return ApprovalPending(told, approval.id, rules=rules)
        why = f": {approval.note}" if approval.note else ""
        who = f" by {approval.closed_by}" if approval.closed_by else ""
        return NotAdmitted(f"the approval `{approval.id}` was {approval.state.value}{who}{why}", rules=rules)

    def _document(self) -> str:
        return "" if self.authorizer.ruleset is None else self.authorizer.ruleset.identity

    def _record(self, approval: Approval, who: Approver | None = None) -> None:
        if self.log is None:
            return
        bound = approval.bound
        told: dict[str, Any] = {"approval": approval.id, "requested_by": bound.subject, "needs": approval.needs}
        told |= {} if who is None else {"by_way_of": who.by_way_of, "yeses": [yes.who for yes in approval.yeses]}
        told |= {"note": approval.note} if approval.note else {}
        event = Event(
            # A yes that does not suffice leaves it pending, and is an answer of its own.
            EventType.APPROVAL_APPROVED if who is not None and approval.state is State.PENDING else _EVENTS[approval.state],
            approval.used_by or approval.request_id,
            subject=bound.subject if who is None else who.id,
            tenant=bound.tenant if who is None else who.tenant,
            session=approval.session,
            component=bound.component or None,
            digest=bound.digest,
            tool=bound.tool or bound.action or None,
            rules=bound.rules,
            arguments_digest=bound.arguments_digest or None,
            generation=bound.generation or None,
            reason=approval.reason,
            decision=approval.state.value,
            detail=told,
            keep_s=approval.keep_s,
            level=approval.level,
        )
        self.log.append(event, Redactor(), sync=True)


def approval_json(approval: Approval) -> dict[str, Any]:
    """An approval as a JSON object, without its arguments."""
    bound = approval.bound
    about = {"id": approval.id, "state": approval.state.value, "subject": bound.subject, "tenant": bound.tenant}
    about |= {"tool": bound.tool, "action": bound.action, "resource": bound.resource, "component": bound.component}
    of = {"digest": bound.digest, "arguments_digest": bound.arguments_digest, "length": approval.length}
    of |= {"generation": bound.generation, "document": bound.document, "session": approval.session}
    why = {"rules": list(bound.rules), "reason": approval.reason, "approver_roles": list(bound.approver_roles)}
    yeses = [{"who": yes.who, "roles": list(yes.roles), "by": yes.by_way_of, "note": yes.note} for yes in approval.yeses]
    times = {"requested_at": rfc3339(approval.requested_at), "expires_at": rfc3339(approval.expires_at)}
    closed = None if approval.closed_at is None else rfc3339(approval.closed_at)
    ended = {"closed_by": approval.closed_by, "closed_at": closed, "note": approval.note, "used_by": approval.used_by}
    return {**about, **of, **why, "four_eyes": bound.four_eyes, "needs": approval.needs, "yeses": yeses, **times, **ended}


__all__ = ["Approval", "ApprovalError", "ApprovalQuestion", "Approvals", "approval_json"]
