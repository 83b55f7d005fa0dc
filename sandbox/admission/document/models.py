"""The admission document, version "1.0": what may be written, and nothing else.

Frozen and strict, as a policy is. Every section is also a value that an application makes in Python: `Role`, `Permission`,
`Scope`, `Rule`, `Budget`. A text is read by `sandbox.admission.document.load`, which says what is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, PrivateAttr, model_validator

from sandbox.admission.conditions.facts import TOLD
from sandbox.admission.conditions.when import fields_of
from sandbox.admission.decision import Ruling
from sandbox.admission.document.fields import (
    Detail,
    Duration,
    Effect,
    Expression,
    Line,
    MethodName,
    Name,
    Pattern,
    Place,
    Priority,
    ResourceWhen,
    SentSignal,
    Templates,
    ToolPattern,
    Treated,
    When,
    duration_s,
)
from sandbox.admission.document.sets import SETS
from sandbox.admission.signal import Signal
from sandbox.admission.words import Template, Treatment, Where
from sandbox.config.spending import BudgetSection, Prices, Rate
from sandbox.policy.entries import Entry, Strict
from sandbox.policy.refusal import Refusal, one_of, quoted

VERSION = "1.0"
RECORD = "audit"
"""The folder of the home in which the record lies."""
_Tools = Annotated[tuple[ToolPattern, ...], Field(strict=False)]
_Names = Annotated[tuple[Name, ...], Field(strict=False)]
_Patterns = Annotated[tuple[Pattern, ...], Field(strict=False)]


def _version(text: str) -> str:
    if text != VERSION:
        raise Refusal(f"{quoted(text)} is no version", f'write `version: "{VERSION}"`')
    return text


class Permission(Strict):
    """What a role gives: actions on resources, under conditions whose one-word fields are the resource's (`department: sales`).

    A tool is the resource `tools/NAME`; to call it is the action `invoke`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    resource: Pattern
    actions: Annotated[tuple[Pattern, ...], Field(strict=False, min_length=1)]
    conditions: ResourceWhen | None = None

    @model_validator(mode="after")
    def _trusted(self) -> Self:
        if self.conditions is not None and any(field.startswith(f"{TOLD}.") for field in fields_of(self.conditions)):
            raise _untrusted()
        return self


class Role(Strict):
    """Permissions under a name, and the roles whose permissions it has too."""

    description: str = ""
    inherits: _Names = ()
    permissions: Annotated[tuple[Permission, ...], Field(strict=False)] = ()


class Scope(Strict):
    """A scope that a token may carry, and those that it stands for too."""

    description: str = ""
    implies: _Patterns = ()


class Requirement(Strict):
    """Scopes that a tool, or a method of MCP, needs; all of them."""

    tool: ToolPattern | None = None
    method: MethodName | None = None
    scopes: Annotated[tuple[Name, ...], Field(strict=False, min_length=1)]

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.tool is None) == (self.method is None):
            raise Refusal("a requirement is of a tool or of a method", "write `tool: billing__*` or `method: tools/list`")
        return self


class ActionKind(Strict):
    """A kind of action: the tools whose calls are of it, and what holds of every one of them."""

    tools: _Tools = ()
    default: Effect | None = None


class Attached(Strict):
    """What a rule attaches to its answer; that of several rules is merged to the stricter."""

    approver_role: Name | None = None
    approval_timeout: Duration | None = None
    retention: Duration | None = None
    log_level: Detail | None = None
    obligations: _Names = ()


class Rule(Entry):
    """An answer to the requests that its condition holds of; without one, to all."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: Name
    effect: Effect
    priority: Priority = 0
    when: When | None = None
    constraints: Attached = Attached()
    message: Line | None = None
    on_violation: SentSignal | None = None

    @model_validator(mode="after")
    def _sends(self) -> Self:
        if self.on_violation is not None and self.effect is Ruling.ALLOW:
            raise Refusal("a rule that allows is not violated", "take `on_violation` out, or write `effect: deny`")
        if self.on_violation is Signal.SIGSTOP and self.effect is Ruling.DENY:
            told = "what is denied is not held up until somebody approves it"
            raise Refusal(told, "write `effect: require_approval`, or `on_violation: SIGKILL`")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.effect is Ruling.ALLOW and self.when is not None and any(f.startswith(f"{TOLD}.") for f in fields_of(self.when)):
            raise _untrusted()
        asked = self.constraints.approver_role or self.constraints.approval_timeout
        if asked is not None and self.effect is not Ruling.REQUIRE_APPROVAL:
            raise Refusal(
                "nobody is asked to approve by this rule", "write `effect: require_approval`, or take the constraint out"
            )
        if self.effect is Ruling.DENY and self.constraints != Attached():
            raise Refusal("a denial has no constraints: nothing comes after it", "take `constraints` out")
        return self


class ContentRule(Entry):
    """What must not stand in arguments or results: an expression, or a set of those that ship with the host."""

    pattern: Expression | None = None
    use: Annotated[str | None, Field(json_schema_extra={"enum": sorted(SETS)})] = None
    reason: Line | None = None
    where: Annotated[tuple[Place, ...], Field(strict=False, min_length=1)] = (Where.ARGUMENTS, Where.RESULT)
    action: Treated

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.pattern is None) == (self.use is None):
            raise Refusal("a line of content has a pattern or names a set", r"write `pattern: '\bssn\b'` or `use: secrets`")
        if self.use is not None and self.use not in SETS:
            raise Refusal(f"there is no set {quoted(self.use)}", one_of(self.use, SETS))
        if self.action is Treatment.REDACT and Where.ARGUMENTS in self.where:
            raise Refusal(
                "arguments are not redacted: what was decided about is what runs", "write `where: [result]`, or `action: block`"
            )
        return self

    @property
    def name(self) -> str:
        """What the line goes by in decisions and records."""
        return f"content:{self.use or self.reason or self.pattern}"


class Label(Strict):
    """What happened in a session once one of these was called."""

    components: _Patterns = ()
    tools: _Tools = ()


class Session(Strict):
    """Labels of what happened in a session, and those that must not come together in one."""

    labels: dict[Name, Label] = {}
    never_together: Annotated[
        tuple[Annotated[tuple[Name, ...], Field(strict=False, min_length=2)], ...], Field(strict=False)
    ] = ()


class Approvals(Strict):
    """Tools whose every call needs an approval, and actions that need one of two different people."""

    require: _Tools = ()
    exceptions: Annotated[_Tools, Field(alias="except")] = ()
    four_eyes: _Names = ()


class Signals(Strict):
    """What is sent where a call is refused, warned about, or too much for a rate; and how long a call may stay suspended."""

    on_violation: SentSignal | None = None
    on_warning: SentSignal | None = None
    on_rate_limit: SentSignal | None = None
    suspend_timeout: Duration | None = None

    @property
    def suspend_s(self) -> int | None:
        """`suspend_timeout` in seconds."""
        return None if self.suspend_timeout is None else duration_s(self.suspend_timeout)


def _own_folder(text: str) -> str:
    if text.removesuffix("/") != RECORD:
        told = f"the record lies in the folder `{RECORD}/` of the home, not in {quoted(text)}"
        raise Refusal(told, f"write `destination: {RECORD}/`, or take it out; `--home DIR` or `SANDBOX_HOME` names another home")
    return text


class Kept(Strict):
    """How the record is kept: how much it says of a call, how long a day that is over stays, whether it is encrypted, where."""

    level: Detail | None = None
    retention: Duration | None = None
    encrypt: bool = False
    destination: Annotated[str, AfterValidator(_own_folder)] | None = None

    @property
    def retention_s(self) -> int | None:
        """`retention` in seconds; None for ever."""
        return None if self.retention is None else duration_s(self.retention)


class AdmissionDocument(Strict):
    """Who may make which call, and when."""

    version: Annotated[str, AfterValidator(_version)]
    description: str = ""
    template: Templates | None = None
    extends: _Names = ()
    roles: dict[Name, Role] = {}
    assignments: dict[Name, _Names] = {}
    scopes: dict[Name, Scope] = {}
    requires: Annotated[tuple[Requirement, ...], Field(strict=False)] = ()
    allowed_actions: _Names | None = None
    blocked_actions: _Names = ()
    actions: dict[Name, ActionKind] = {}
    rules: Annotated[tuple[Rule, ...], Field(strict=False)] = ()
    approvals: Approvals = Approvals()
    content: Annotated[tuple[ContentRule, ...], Field(strict=False)] = ()
    session: Session = Session()
    signals: Signals = Signals()
    rates: Annotated[tuple[Rate, ...], Field(strict=False)] = ()
    budgets: BudgetSection = BudgetSection()
    prices: Prices = Prices()
    audit: Kept = Kept()

    _digest: str = PrivateAttr("")

    @property
    def digest(self) -> str:
        """SHA-256 of the text that it was read from, with what it extends; empty for one that was made in Python."""
        return self._digest

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; one that says something else was not read from that text, and goes without its digest."""
        copy = super().model_copy(update=update, deep=deep)
        return copy.read_from("") if update else copy

    def read_from(self, digest: str) -> Self:
        """This document, told the digest of its text."""
        self._digest = digest
        return self

    @property
    def default(self) -> Template:
        """What holds of a call that no section speaks of."""
        return self.template or Template.STRICT


def _untrusted() -> Refusal:
    return Refusal(f"`{TOLD}` is what a caller says of itself: it may take rights, and gives none", "ask for `subject` instead")
