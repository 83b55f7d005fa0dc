"""Carry one action of an application through admission: `Guard`.

    1. look      at what was used so far, where the document looks at it
    2. decide    may this subject do this now
    3. approve   where a person has to: one that was approved, or the error with its id
    4. reserve   what the budgets in force bound
    5. use       the approval up
    6. record    the attempt with its decision: no record, no action
    7. run       the application's own code; it may charge what it spends meanwhile
    8. settle    the truth in place of what was reserved, at every end
    9. record    the end

Rules: what is refused is recorded and raised (`NotAdmitted`), and reserves nothing; an error on the way to the application's code
is a refusal. Nobody is asked about a method, whose object (`receiver`) no argument names: a yes would be of any object.
Which obligations the application meets, it tells its authorizer (`handles`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.admission import Authorizer, CallRequest, Decision, Ruling, canonical_json, digest_of
from sandbox.admission.denied import not_admitted
from sandbox.admission.spending.prices import NO_TOKENS, Tokens, whole
from sandbox.admission.spending.refusing import Refusal
from sandbox.admission.spending.reserving import A_TOOL_CALL, Amounts, Budgets, Reservation
from sandbox.admission.usage import UNKNOWN
from sandbox.audit import AuditLog, Event, EventType
from sandbox.audit.asked import asked, spent
from sandbox.audit.terms import Terms, terms_of, wanted_of
from sandbox.config.spending import Metric
from sandbox.errors import Code, NotAdmitted
from sandbox.redaction.redact import Redactor

if TYPE_CHECKING:
    from sandbox.admission.approval import Approval
    from sandbox.changes.approving import Approvals

ARGUMENTS = Decision(Ruling.DENY, ("arguments-are-json",), "the arguments are not JSON")


@dataclass(slots=True)
class Account:
    """One action that runs: what was decided, and what it has spent. Good until its block ends."""

    request: CallRequest
    decision: Decision
    _guard: Guard
    _reservation: Reservation | None = None
    warnings: tuple[str, ...] = ()
    ok: bool = True
    """Whether it went well, for the record and the circuit breaker; what raises did not."""

    def spend(self, *, cost_micros: int = 0, model: str = "", tokens: Tokens = NO_TOKENS) -> None:
        """Charge money, in millionths, or the tokens of a model at their price. Raises NotAdmitted where that passes a budget.

        What is no whole number from 0 is a SandboxError, and nothing is charged.
        """
        whole(cost_micros=cost_micros)
        if self._reservation is None or self._guard.budgets is None:
            return
        refusal = self._guard.budgets.spend(
            self._reservation, self._guard.clock(), cost_micros=cost_micros, model=model, tokens=tokens
        )
        if refusal is not None:
            raise not_admitted(refusal.decision, refusal.code)


@dataclass(slots=True)
class Guard:
    """An authorizer, with the budgets and the record that go with it; `source` of the record is the log's own."""

    authorizer: Authorizer
    budgets: Budgets | None = None
    log: AuditLog | None = None
    redactor: Redactor = field(default_factory=Redactor)
    clock: Callable[[], float] = time.time
    approvals: Approvals | None = None
    """Who is asked where the document wants an approval; without it such an action is refused."""

    def __post_init__(self) -> None:
        # What the document says of the record holds here too; one that says nothing leaves it as the application has it.
        if self.log is not None and (terms := terms_of(self.authorizer)) != Terms():
            self.log.hold(terms)

    def decide(self, request: CallRequest) -> Decision:
        """What would be decided now; takes nothing and records nothing."""
        now = self.clock()
        usage = UNKNOWN if self.budgets is None else self.budgets.usage(request, now)
        return self.authorizer.evaluate(request, usage, now)

    @contextmanager
    def running(self, request: CallRequest, estimate: Amounts = A_TOOL_CALL, *, receiver: str = "") -> Iterator[Account]:
        """Run the block if the request is admitted, and settle it. Raises NotAdmitted, HostUnavailable."""
        account, began = self._admitted(request, estimate, receiver), time.monotonic()
        try:
            yield account
        except BaseException as error:
            account.ok = False
            self._end(account, began, type(error).__name__)
            raise
        self._end(account, began, None)

    def _admitted(self, request: CallRequest, estimate: Amounts, receiver: str) -> Account:
        decision = self.decide(request)
        approval = self._standing(request, decision, receiver)
        if approval is None and not decision.allowed:
            raise self.refused(request, decision)
        reserved = None if self.budgets is None else self.budgets.reserve(request, self.clock(), estimate)
        if isinstance(reserved, Refusal):
            raise self.refused(request, reserved.decision, reserved.code)
        try:
            decision = decision if approval is None else self._by_approval(request, decision, approval)
        except BaseException:
            self._release(reserved)
            raise
        said = () if reserved is None else tuple(each.text for each in reserved.warnings)
        account = Account(request, decision, self, reserved, (*decision.warnings, *said))
        try:
            self._record(EventType.TOOL_INVOKE, request, decision=decision, arguments=dict(request.arguments))
        except BaseException:
            self._release(reserved)
            raise
        return account

    async def answered(self, request: CallRequest, seconds: float) -> None:
        """Where a request needs an approval, ask for it, and wait for the answer as long as that. Raises NotAdmitted."""
        decision = self.decide(request)
        if self.approvals is not None and decision.effect is Ruling.REQUIRE_APPROVAL:
            await self.approvals.wait(self.approvals.request(request, decision).id, seconds)

    def _standing(self, request: CallRequest, decision: Decision, receiver: str) -> Approval | None:
        """The approval of a request that needs one; None where it needs none. Raises ApprovalPending, NotAdmitted."""
        if self.approvals is None or decision.effect is not Ruling.REQUIRE_APPROVAL:
            return None
        if receiver:
            raise self._nameless(request, decision, receiver)
        approval = self.approvals.standing(request, decision)
        if approval is None:
            raise self._pending(request, decision)
        return approval

    def _by_approval(self, request: CallRequest, decision: Decision, approval: Approval) -> Decision:
        used = None if self.approvals is None else self.approvals.use(approval, request)
        if used is None:
            raise self._pending(request, decision)
        return self.authorizer.by_approval(request, decision, used)

    def _pending(self, request: CallRequest, decision: Decision) -> NotAdmitted:
        """The error of an action that waits for its approval, or that somebody has denied; it is on record by now."""
        assert self.approvals is not None
        try:
            error = self.approvals.refusal(self.approvals.request(request, decision))
        except NotAdmitted as refused:
            error = refused
        self._record(EventType.ACCESS_DENIED, request, decision=decision, code=error.code.value)
        return error

    def _nameless(self, request: CallRequest, decision: Decision, receiver: str) -> NotAdmitted:
        """The error of a method that needs an approval; it is on record by now."""
        told = f"a person cannot be asked about a method: nothing says which object its `{receiver}` is ({decision.reason})"
        help_ = f"guard a function without `{receiver}`, one that is given the object's name"
        error = NotAdmitted(told, code=Code.APPROVAL_REQUIRED, help=help_, rules=decision.rules)
        self._record(EventType.ACCESS_DENIED, request, decision=decision, code=error.code.value)
        return error

    def _release(self, reserved: Reservation | None) -> None:
        if self.budgets is not None and reserved is not None:
            self.budgets.release(reserved, self.clock())

    def _end(self, account: Account, began: float, reason: str | None) -> None:
        seconds = time.monotonic() - began
        try:
            self._settle(account, {Metric.SECONDS: round(seconds * 1000)}, ok=account.ok)
        finally:
            kind = EventType.TOOL_SUCCESS if account.ok else EventType.TOOL_FAILURE
            told: dict[str, Any] = {"usage": spent(account._reservation), **wanted_of(account.decision)}
            self._record(kind, account.request, reason=reason, duration_ms=seconds * 1000, **told)

    def _settle(self, account: Account, used: Amounts, *, ok: bool | None) -> None:
        if self.budgets is not None and account._reservation is not None:
            warned = self.budgets.settle(account._reservation, used, self.clock(), ok=ok)
            account.warnings = (*account.warnings, *(each.text for each in warned))

    def refused(self, request: CallRequest, decision: Decision, code: Code | None = None) -> NotAdmitted:
        """The error of a request that is refused, which is on record by now. Raises HostUnavailable."""
        error = not_admitted(decision, code)
        self._record(EventType.ACCESS_DENIED, request, decision=decision, code=error.code.value)
        return error

    def _record(self, kind: EventType, request: CallRequest, *, decision: Decision | None = None, **told: Any) -> None:
        if self.log is None:
            return
        if decision is not None:
            told = {"reason": decision.reason, **told, "decision": decision.effect.value, "rules": decision.rules}
            told |= wanted_of(decision)
        told |= asked(request) | {"tool": request.tool or request.action or None}
        detail = {"resource": request.resource.name} if request.resource.name else {}
        write = self.log.refused if kind is EventType.ACCESS_DENIED else self.log.append
        write(Event(kind, detail=detail, **told), self.redactor)


def digest_of_arguments(arguments: Any) -> str:
    """The digest that a request's arguments are known by. Raises NotAdmitted for what is not JSON."""
    try:
        return digest_of(canonical_json(arguments))
    except (TypeError, ValueError):
        raise not_admitted(ARGUMENTS, Code.INVALID_ARGUMENTS) from None
