"""What is said over the HTTP API: one model for each body and each answer, and what they share.

Decides shapes and bounds alone. Rules: an unknown key is refused; every text and list is bounded. Money is a JSON number, exact
to six decimals: that is at most fifteen digits, which every reader of JSON numbers keeps. What is finer counts against who asks:
a limit is rounded down, an amount up.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from sandbox.changes.runs import RunBudget
from sandbox.config.spending import MOST_MONEY
from sandbox.policy.entries import Strict
from sandbox.policy.grants import GrantKind
from sandbox.policy.refusal import Refusal, quoted

MICRO = Decimal("0.000001")
_BINARY_NOISE = Decimal("0.000000001")
_COMPONENT = r"^[A-Za-z0-9_-]{1,64}$"

_RESERVED = ["can-spend", "create", "spend"]


def _is_free(run: str) -> str:
    if run in _RESERVED:
        raise Refusal(f"{quoted(run)} is an operation of its own", "name the run otherwise")
    return run


RunId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$",
        description="The application's name of a run",
        json_schema_extra={"not": {"enum": list(_RESERVED)}},
    ),
    AfterValidator(_is_free),
]
ComponentName = Annotated[str, Field(pattern=_COMPONENT, description="A component, by the name that the operator gave it")]
GrantId = Annotated[str, Field(pattern=r"^g-[0-9a-f]{12}$", description="The id of a grant")]
Limit = Annotated[
    float, Field(ge=float(MICRO), le=MOST_MONEY, description="What the run may spend; exact to six decimals, finer is less")
]
Amount = Annotated[float, Field(gt=0, le=MOST_MONEY, description="How much; exact to six decimals, finer is more")]
ApprovalId = Annotated[str, Field(pattern=r"^a-[0-9a-f]{32}$", description="The id of an approval")]
State = Literal["pending", "approved", "denied", "expired", "withdrawn", "used"]
Text = Annotated[str, Field(max_length=500)]


def limit_micros(limit: float) -> int:
    """A limit in millionths."""
    return _micros(limit, ROUND_FLOOR)


def amount_micros(amount: float) -> int:
    """An amount that is spent in millionths: never nothing."""
    return max(1, _micros(amount, ROUND_CEILING))


def _micros(money: float, rounding: str) -> int:
    # As it was written: the shortest decimal of the double, without what arithmetic in doubles leaves behind.
    return int(Decimal(repr(money)).quantize(_BINARY_NOISE).quantize(MICRO, rounding).scaleb(6))


class Answer(BaseModel):
    """What the host answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Context(BaseModel):
    """What is known of the action: conditions know it as `arguments`. Any further key is one of the application's own."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", hide_input_in_errors=True)

    component: Annotated[str, Field(max_length=64, description="The component that would do it")] = ""
    tool: Annotated[str, Field(max_length=256, description="The tool, where the action is a call of one")] = ""
    resource: Annotated[str, Field(max_length=1024, description="What it is about, as in `reports/2026/q3`")] = ""


class Check(Strict):
    """An action that somebody is about to do."""

    action: Annotated[str, Field(min_length=1, max_length=128, description="As in `deploy`, `network_access`")]
    context: Context = Field(default_factory=Context)


class CheckAnswer(Answer):
    """Whether it is allowed. What needs an approval is not allowed yet."""

    allowed: bool
    reason: Annotated[str, Field(description="What decided, in words")]
    requires_approval: bool


class NewBudget(Strict):
    """What a run may spend."""

    run_id: RunId
    limit: Limit


class Spending(Strict):
    """An amount, in a run."""

    run_id: RunId
    amount: Amount


class BudgetStatus(Answer):
    """How a run's money stands."""

    run_id: str
    spent: float
    limit: float
    remaining: float
    exceeded: Annotated[bool, Field(description="Whether nothing more may be spent: nothing is left, or the run was shut")]

    @classmethod
    def of(cls, budget: RunBudget) -> BudgetStatus:
        """As it stands."""
        spent, limit, remaining = (_money(each) for each in (budget.spent_micros, budget.limit_micros, budget.remaining_micros))
        return cls(run_id=budget.run, spent=spent, limit=limit, remaining=remaining, exceeded=budget.exceeded)


class CanSpend(Answer):
    """Whether an amount would be taken now; others may spend meanwhile."""

    can_spend: bool
    current_status: BudgetStatus


class Tool(Answer):
    """A tool, as clients of MCP see it; title and description are its author's words."""

    name: str
    title: str | None = None
    description: str | None = None


class Component(Answer):
    """A component whose tools are shown, and those of its tools that this subject may call."""

    name: ComponentName
    digest: str
    tools: tuple[Tool, ...]
    warnings: tuple[str, ...] = ()


class ComponentPage(Answer):
    """Components by name; `next` is the `after` of the next page, where there is one."""

    components: tuple[Component, ...]
    next: str | None = None


class Rule(Answer):
    """A line in force, and where it comes from."""

    line: str
    origin: str | None = None
    enforced_by: str | None = None


class PolicyInForce(Answer):
    """What a component may touch now; no file of the operator's and no value of a variable."""

    component: str
    digest: str
    rules: tuple[Rule, ...]
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    generation: str


Effect = Literal["allow", "deny"]


class NewGrant(Strict):
    """One line of a policy, for a component that is in use."""

    component: ComponentName
    kind: GrantKind
    entry: Annotated[dict[str, Any], Field(description="The line, as a policy has it: docs/policy.md")]
    effect: Effect = "allow"
    reason: Annotated[str, Field(max_length=500, description="Why, for the record")] | None = None
    expires_in_s: Annotated[float, Field(gt=0, le=31_536_000, description="Ends by itself after so many seconds")] | None = None
    max_uses: Annotated[int, Field(ge=1, le=1_000_000, description="Ends after so many calls")] | None = None
    lifetime: Annotated[Literal["once", "lasting"], Field(description="One call, or until it is revoked")] = "lasting"


class Grant(Answer):
    """A grant that holds."""

    id: str
    component: str
    digest: str
    kind: GrantKind
    effect: Literal["allow", "deny", "ask"]
    entry: Annotated[dict[str, Any], Field(description="The line; the value of a variable is not shown")]
    who: str
    why: str | None
    created_at: str
    expires_at: str | None
    max_uses: int | None
    uses: int
    lifetime: Literal["once", "session", "lasting"]
    session: str | None


class GrantPage(Answer):
    """Grants by id; `next` is the `after` of the next page, where there is one."""

    grants: tuple[Grant, ...]
    next: str | None = None


class Revoked(Answer):
    """What a revoke did: how many running calls it stopped, and which servers did not confirm it yet."""

    grant: str
    stopped_calls: int
    unconfirmed_servers: tuple[str, ...] = ()


class Yes(Answer):
    """One person's yes."""

    who: str
    roles: tuple[str, ...]
    by_way_of: str
    at: str
    note: str


class Approval(Answer):
    """What somebody is asked to allow, once, and what has become of it."""

    id: str
    state: State
    subject: Annotated[str, Field(description="Who asks")]
    tenant: str | None
    tool: str
    action: str
    resource: str
    component: str
    digest: Annotated[str | None, Field(description="Of the component: another one needs another approval")]
    arguments_digest: str
    arguments_bytes: int
    reason: str
    rules: tuple[str, ...]
    approver_roles: tuple[str, ...]
    four_eyes: Annotated[bool, Field(description="Whether two different people have to say yes")]
    requested_at: str
    expires_at: str
    yeses: tuple[Yes, ...]
    closed_by: str | None
    closed_at: str | None
    note: str
    arguments: Annotated[str | None, Field(description="JSON in ASCII, while it is pending; told where one is shown")] = None
    question: Annotated[str | None, Field(description="What a person reads before the answer; told where one is shown")] = None


class ApprovalPage(Answer):
    """Approvals by id; `next` is the `after` of the next page, where there is one."""

    approvals: tuple[Approval, ...]
    next: str | None = None


class RecordPage(Answer):
    """Records as they were written; `next` is the `after` of the next page, where there is one, which may be an empty one."""

    records: tuple[dict[str, Any], ...]
    next: str | None = None


class Note(Strict):
    """An answer's words, for the record and for who asked."""

    note: Text = ""


class Wrong(Answer):
    """One thing wrong with a request: where, what, and what to write instead."""

    where: str
    message: str
    help: str | None = None


class Problem(Answer):
    """Why a request was not done (RFC 9457)."""

    type: Annotated[str, Field(description="A name of the kind of problem: `urn:sandbox:` and the code")]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    code: Annotated[str, Field(description="The code of the closed list that MCP and the command line use, too")]
    help: Annotated[str, Field(description="What to do about it")] | None = None
    problems: tuple[Wrong, ...] | None = None
    rules: Annotated[tuple[str, ...], Field(description="The rules that decided")] | None = None
    retry_after_s: Annotated[float, Field(ge=0, description="When asking again may help")] | None = None
    audit_id: Annotated[str, Field(description="The id of its records")] | None = None


def _money(micros: int) -> float:
    return micros / 1_000_000
