"""An approval: what a person is asked to allow, who may answer, and which answer makes what of it.

Pure. One table says which state follows which, and nothing else does:

    pending   → approved, denied, expired, withdrawn
    approved  → used, once

Rules: an approval is of one request as it would run (`Bound`), and of no other; nobody answers what he asked for himself; where
roles are named, whoever answers has one of them, and a yes counts once for each person; past its time it gives nothing. Who is
who the edge says; where rows lie, and that a change is made in one step, is the store's.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from sandbox.admission.decision import Decision
from sandbox.admission.request import CallRequest, canonical_json, digest_of
from sandbox.errors import Code, SandboxError
from sandbox.policy.refusal import visible

DEFAULT_TIMEOUT_S = 3600.0
"""How long a request is open, to its use, where no rule says it."""
MAX_NOTE = 500
RULE = "approval:"
"""What the rule begins with that stands beside those that asked, once an approval was used."""


class State(StrEnum):
    """What has become of a request for an approval."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    USED = "used"


class Move(StrEnum):
    """What happens to it."""

    APPROVE = "approve"
    DENY = "deny"
    EXPIRE = "expire"
    WITHDRAW = "withdraw"
    USE = "use"


TRANSITIONS: Mapping[tuple[State, Move], State] = MappingProxyType(
    {
        (State.PENDING, Move.APPROVE): State.APPROVED,
        (State.PENDING, Move.DENY): State.DENIED,
        (State.PENDING, Move.EXPIRE): State.EXPIRED,
        (State.PENDING, Move.WITHDRAW): State.WITHDRAWN,
        (State.APPROVED, Move.USE): State.USED,
    }
)
"""Every way there is; what does not stand here is refused."""


class ApprovalError(SandboxError):
    """An answer that does not count, or a request that cannot be made."""

    code = Code.NOT_YOURS_TO_ANSWER


@dataclass(frozen=True, slots=True)
class Bound:
    """What an approval is of: who asks, for what, under what. Another one of any of these is another request."""

    subject: str
    tenant: str | None
    roles: tuple[str, ...]
    tool: str
    action: str
    resource: str
    component: str
    digest: str | None
    arguments_digest: str
    generation: str
    document: str
    rules: tuple[str, ...]
    approver_roles: tuple[str, ...]
    four_eyes: bool

    @property
    def key(self) -> str:
        """The digest of it all."""
        return digest_of(canonical_json(asdict(self)))


def bound_of(request: CallRequest, decision: Decision, document: str) -> Bound:
    """What an approval of this request would be of; `document` is the digest of the admission document."""
    subject, needs = request.subject, decision.constraints
    return Bound(
        subject.id,
        subject.tenant,
        tuple(sorted(subject.roles)),
        request.tool,
        request.action,
        request.resource.name,
        request.component,
        request.digest,
        request.arguments_digest,
        request.generation,
        document,
        decision.rules,
        needs.approver_roles,
        needs.four_eyes,
    )


@dataclass(frozen=True, slots=True)
class Yes:
    """One person's yes: who, with which of the approver's roles, by which way, when (seconds since 1970), and a note."""

    who: str
    roles: tuple[str, ...]
    by_way_of: str
    at: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Approval:
    """A request for an approval, and what has become of it; times in seconds since 1970.

    `sealed` are its arguments while it is pending, encrypted, and None from then on; `length` is how many bytes they have, in
    their one spelling. `closed_by` is who ended it; `used_by` the call that used it, by its request id.
    """

    id: str
    bound: Bound
    reason: str
    request_id: str
    session: str | None
    length: int
    requested_at: float
    expires_at: float
    state: State = State.PENDING
    sealed: str | None = None
    yeses: tuple[Yes, ...] = ()
    closed_by: str | None = None
    closed_at: float | None = None
    note: str = ""
    used_by: str | None = None
    keep_s: float | None = None
    """How long the rules that asked want its records kept, in seconds, and how much said in them, as of any call."""
    level: str | None = None

    @property
    def people(self) -> int:
        """How many different people have to say yes."""
        return 2 if self.bound.four_eyes else 1

    @property
    def missing_roles(self) -> tuple[str, ...]:
        """The approver's roles of which nobody has said yes."""
        said = {role for yes in self.yeses for role in yes.roles}
        return tuple(role for role in self.bound.approver_roles if role not in said)

    @property
    def needs_more_than_a_client(self) -> bool:
        """Whether the person at the client that asked cannot answer: a role, or a second person, is needed."""
        return bool(self.bound.approver_roles) or self.bound.four_eyes

    @property
    def needs(self) -> str:
        """Who has to say yes, in words."""
        roles = ", ".join(f"`{role}`" for role in self.bound.approver_roles)
        whose = f"a yes of {roles}" if roles else "a yes"
        return f"{whose}, of two different people" if self.bound.four_eyes else whose

    def open_at(self, now: float) -> bool:
        """Whether its time is not over."""
        return now < self.expires_at


@dataclass(frozen=True, slots=True)
class Approver:
    """Who answers: a name, the roles held, and by which way the answer comes (`terminal`, `http`, `client`, `callback`)."""

    id: str
    roles: frozenset[str] = frozenset()
    tenant: str | None = None
    by_way_of: str = "python"


def new_approval_id() -> str:
    """A fresh id of 128 random bits, which nobody can guess."""
    return f"a-{secrets.token_hex(16)}"


def allowed(approval: Approval, who: Approver, now: float, note: str = "") -> Approval:
    """The approval after a yes: approved where nobody else is needed, else pending with one yes more. Raises ApprovalError."""
    _refuse(approval, Move.APPROVE, now)
    _refuse_answer(approval, who)
    if any(yes.who == who.id for yes in approval.yeses):
        raise ApprovalError(f"`{who.id}` has said yes already, and somebody else is needed", help=f"it needs {approval.needs}")
    held = tuple(role for role in approval.bound.approver_roles if role in who.roles)
    after = replace(approval, yeses=(*approval.yeses, Yes(who.id, held, who.by_way_of, now, noted(note))))
    if after.missing_roles or len(after.yeses) < after.people:
        return after
    return _closed(after, Move.APPROVE, who.id, now, note)


def denied(approval: Approval, who: Approver, now: float, note: str = "") -> Approval:
    """The approval after a no. Raises ApprovalError."""
    _refuse(approval, Move.DENY, now)
    _refuse_answer(approval, who)
    return _closed(approval, Move.DENY, who.id, now, note)


def withdrawn(approval: Approval, who: Approver, now: float, note: str = "") -> Approval:
    """The approval that is asked for no more. Raises ApprovalError."""
    _refuse(approval, Move.WITHDRAW, now)
    return _closed(approval, Move.WITHDRAW, who.id, now, note)


def expired(approval: Approval, now: float) -> Approval:
    """The approval that nobody gave in time. Raises ApprovalError for one whose time is not over."""
    after = moved(approval, Move.EXPIRE)
    if approval.open_at(now):
        raise ApprovalError(f"the approval `{approval.id}` is open still", code=Code.NO_LONGER_PENDING)
    return replace(after, sealed=None, closed_at=now)


def used(approval: Approval, request_id: str, now: float) -> Approval:
    """The approval that a call takes, once and in time. Raises ApprovalError."""
    after = moved(approval, Move.USE)
    if not approval.open_at(now):
        raise ApprovalError(f"the time of the approval `{approval.id}` is over", code=Code.NO_LONGER_PENDING)
    return replace(after, used_by=request_id, closed_at=now)


def moved(approval: Approval, move: Move) -> Approval:
    """The approval in the state that follows; raises ApprovalError where none does."""
    state = TRANSITIONS.get((approval.state, move))
    if state is None:
        raise ApprovalError(f"the approval `{approval.id}` is {approval.state.value} already", code=Code.NO_LONGER_PENDING)
    return replace(approval, state=state)


def question_of(approval: Approval, arguments: str) -> str:
    """What a person reads: who wants what, with which arguments, escaped and whole, and who has to say yes."""
    bound = approval.bound
    tenant = f" of the tenant `{visible(bound.tenant)}`" if bound.tenant is not None else ""
    about = f"call the tool `{visible(bound.tool)}`" if bound.tool else f"do `{visible(bound.action)}`"
    about += f" on `{visible(bound.resource)}`" if bound.resource else ""
    component = f"Component: `{visible(bound.component)}`, sha256:{bound.digest}" if bound.component else ""
    lines = (
        f"`{visible(bound.subject)}`{tenant} wants to {about}, once, with these arguments ({approval.length} bytes):",
        f"  {escaped(arguments)}",
        f"It needs {approval.needs}: {visible(approval.reason)} ({', '.join(map(visible, bound.rules))})",
        component,
        f"Approval: {approval.id}",
    )
    return "\n".join(line for line in lines if line)


def escaped(canonical: str) -> str:
    """Arguments in their one spelling, which is ASCII, with the one control character left that JSON does not escape."""
    return canonical.replace("\x7f", "\\u007f")


def noted(note: str) -> str:
    """A note, as it is kept."""
    return note[:MAX_NOTE]


def _closed(approval: Approval, move: Move, who: str, now: float, note: str) -> Approval:
    return replace(moved(approval, move), sealed=None, closed_by=who, closed_at=now, note=noted(note))


def _refuse(approval: Approval, move: Move, now: float) -> None:
    moved(approval, move)
    if not approval.open_at(now):
        raise ApprovalError(f"the time of the approval `{approval.id}` is over", code=Code.NO_LONGER_PENDING)


def _refuse_answer(approval: Approval, who: Approver) -> None:
    needed = approval.bound.approver_roles
    if who.id == approval.bound.subject:
        raise ApprovalError(f"`{who.id}` asked for this, and nobody answers in his own name", help="somebody else has to")
    if needed and not set(needed) & who.roles:
        there = " or ".join(f"`{role}`" for role in needed)
        help_ = f"`sandbox role assign {who.id} {needed[0]}` gives it, or write it under `assignments:`"
        raise ApprovalError(f"`{who.id}` does not have the role {there}, which has to answer this", help=help_)
