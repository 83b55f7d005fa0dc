"""What a caller gets back: the outcome, and where it failed the body that says what is missing and how to permit it.

Decides what of a denial may leave for a client: what the guest itself said, the closed code, the smallest grant in the guest's
words, the command that a person runs. Never a host path the guest did not say, a backtrace, or another call's text; what it
printed only without the secrets of the call.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.audit import Redactor
from sandbox.audit.record import CUT, MARGIN, cut, trim
from sandbox.errors import Code
from sandbox.host.outcome import BUDGET, Denial, Ending, Outcome
from sandbox.state.rows import StoredDenial
from sandbox.template.advice import taking_out
from sandbox.template.smallest import SmallestGrant, grant_for
from sandbox.template.template import WasiTemplate

_CODES = {
    Ending.GUEST_ERROR: Code.GUEST_ERROR,
    Ending.INVALID_ARGUMENTS: Code.INVALID_ARGUMENTS,
    Ending.TRAPPED: Code.TRAPPED,
    Ending.EXITED: Code.GUEST_ERROR,
    Ending.LIMIT: Code.RESOURCE_LIMIT_EXCEEDED,
    Ending.CRASHED: Code.CRASHED,
    Ending.CANCELLED: Code.CANCELLED,
    Ending.REVOKED: Code.REVOKED,
    Ending.KILLED: Code.KILLED,
    Ending.WITHHELD: Code.CONTENT_WITHHELD,
    Ending.UNAVAILABLE: Code.UNAVAILABLE,
}

_SAID = {ending: f"the call ended: {ending.value.replace('_', ' ')}" for ending in Ending} | {
    Ending.GUEST_ERROR: "the tool reported an error",
    Ending.REVOKED: "a permission that the call held was revoked while it ran",
    Ending.KILLED: "the call was killed",
    Ending.CANCELLED: "the call was cancelled",
    Ending.CRASHED: "the tool crashed",
}

# A call that ended thus may have ended so because of a denial: the guest saw an error and gave up.
_MAY_FOLLOW_A_DENIAL = frozenset({Ending.GUEST_ERROR, Ending.TRAPPED, Ending.EXITED})

MAX_LISTED = 16

_BY_A_DENY = frozenset({Code.FILESYSTEM_ACCESS_DENIED, Code.NETWORK_ACCESS_DENIED})
"""Where such a denial has an origin, that is a deny. A variable may also be kept back by the ceiling, which its reason says."""


@dataclass(frozen=True, slots=True)
class Printed:
    """Standard output and standard error of a call."""

    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class CallResult:
    """One call's end. `body` is None where the guest returned a value; `grant_ids` are those that were in force.

    `warnings` are lines for whoever asked: a budget that is nearly used up, what a rule warns of. `redactor` knows the call's
    secrets.
    """

    outcome: Outcome
    request_id: str
    body: dict[str, Any] | None
    grant_ids: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    redactor: Redactor = field(default_factory=Redactor, repr=False, compare=False)

    def printed(self, bound: int) -> Printed:
        """What the guest printed as it may leave: at most `bound` characters of each stream, without secrets."""
        return Printed(*(_shown(text, bound, self.redactor) for text in (self.outcome.stdout, self.outcome.stderr)))

    def said(self, told: int, bound: int) -> str:
        """Of its standard error what comes behind the first `told` characters, bounded and without secrets as `printed`."""
        return _shown(self.outcome.stderr[told:], bound, self.redactor)

    @property
    def audit_id(self) -> str:
        """What joins the call's records: its request id."""
        return self.request_id


def _shown(text: str, bound: int, redactor: Redactor) -> str:
    if not text:
        return text
    kept, whole = cut(text, bound + MARGIN)
    hidden = str(redactor.redact(kept).value)
    return (hidden if whole else str(trim(hidden, max(MARGIN, redactor.longest))).removesuffix(CUT))[:bound]


def code_of(outcome: Outcome) -> Code | None:
    """The code of a call that did not return a value: of the denial it ran into, else of its ending; None where it did."""
    if outcome.ok:
        return None
    denial = _cause(outcome)
    return _own_code(outcome) if denial is None else denial.code


def _own_code(outcome: Outcome) -> Code:
    return Code.BUDGET_EXCEEDED if outcome.limit == BUDGET else _CODES[outcome.ending]


WhyNot = Callable[[SmallestGrant], str | None]
"""Why a grant could not hold on this host, in words for a client; None where it could."""


def body_of(
    outcome: Outcome, kept: tuple[StoredDenial, ...], *, request_id: str, template: WasiTemplate, why_not: WhyNot
) -> dict[str, Any] | None:
    """The machine-readable body of a call that failed, or None. `kept` are its denials with their ids.

    `error` is the guest's own `err`, where it returned one. `why_not` is asked of what would be suggested.
    """
    if outcome.ok:
        return None
    cause = _cause(outcome)
    stored = next((one for one in reversed(kept) if one.denial == cause), None) if cause is not None else None
    said = {"error": outcome.value} if outcome.ending is Ending.GUEST_ERROR else {}
    if stored is None:
        message = outcome.message or _SAID[outcome.ending]
        return {"code": _own_code(outcome).value, "message": message, **said, "request_id": request_id}
    body = {**denial_body(stored, template, why_not), **said, "request_id": request_id}
    others = [denial_body(one, template, why_not) for one in kept if one is not stored][:MAX_LISTED]
    return {**body, "also_denied": others} if others else body


def denial_body(stored: StoredDenial, template: WasiTemplate, why_not: WhyNot) -> dict[str, Any]:
    """One denial as a client may see it, with the smallest grant that would allow it, where one could.

    Where this host refuses that grant, nothing is suggested: what is missing stands there with the reason.
    """
    denial = stored.denial
    body: dict[str, Any] = {"code": denial.code.value, "message": _message(denial), "tried": dict(denial.target)}
    if (secret := denial.target.get("secret")) is not None:
        return {**body, "command": f"sandbox secret set {secret}", "denial_id": stored.id}
    smallest = grant_for(denial, template)
    if smallest is None:
        return {**body, **_to_be_taken_out(denial), **_to_be_completed(denial, stored.component), "denial_id": stored.id}
    shown = smallest.for_client
    body["missing"] = {"kind": smallest.kind, **shown}
    if (refused := why_not(smallest)) is not None:
        return {**body, "help": refused, "denial_id": stored.id}
    command = f"sandbox permission grant {stored.component} --from-denial {stored.id}"
    return {**body, "grant": shown, "command": command, "denial_id": stored.id}


def _to_be_taken_out(denial: Denial) -> dict[str, Any]:
    """What is left to do where a deny decided: no grant beats it."""
    if denial.origin is None or denial.code not in _BY_A_DENY:
        return {}
    advice = taking_out(denial.origin)
    return {"help": advice.say, **({} if advice.command is None else {"command": advice.command})}


def _to_be_completed(denial: Denial, component: str) -> dict[str, Any]:
    """What a person has to add where a name was looked up: a tool says its port only once it has the address."""
    if denial.target.get("operation") != "lookup" or denial.origin is not None:
        return {}
    host = denial.target.get("host")
    if "address" in denial.private:
        return {"help": f"`{host}` leads to an address that is not public: the policy needs a `cidr` rule for it too"}
    command = f"sandbox permission grant {component} network {shlex.quote(str(host))} --protocol tcp --port PORT"
    return {"help": f"say which port `{host}` may be connected to: `{command}`"}


def _of_the_network(target: Mapping[str, Any]) -> str:
    host, port = target.get("host"), target.get("port")
    match target.get("operation"):
        case "connect":
            return f"a connection to `{host}:{port}`"
        case "lookup":
            return f"looking up `{host}`"
        case "bind" | "listen":
            return f"listening on `{host}:{port}`"
        case "create":
            return f"a {target.get('scheme')} socket"
    return f"a request to `{target.get('scheme', 'https')}://{host}:{port}`"


def _cause(outcome: Outcome) -> Denial | None:
    """The denial that a failed call most likely failed of: the last one, since a guest goes on until one stops it."""
    if outcome.ending is Ending.LIMIT:
        return next((one for one in reversed(outcome.denials) if one.code is Code.RESOURCE_LIMIT_EXCEEDED), None)
    return outcome.denials[-1] if outcome.denials and outcome.ending in _MAY_FOLLOW_A_DENIAL else None


def _message(denial: Denial) -> str:
    target = denial.target
    match denial.code:
        case Code.FILESYSTEM_ACCESS_DENIED:
            tried = f"{target.get('operation', 'access')} of `{target.get('path', '')}`"
        case Code.NETWORK_ACCESS_DENIED:
            tried = _of_the_network(target)
        case Code.ENVIRONMENT_ACCESS_DENIED:
            tried = f"the variable `{target.get('variable', '')}`"
        case _:
            tried = f"more of `{target.get('resource', target.get('limit', ''))}`"
    where = f" ({denial.origin})" if denial.origin is not None else ""
    return f"{tried} is not allowed: {denial.reason}{where}"
