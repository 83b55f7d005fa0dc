"""Decide whether a call happens at all, and make the `Admission` that `host.invoke` takes.

What the call may touch is the template's business. What a document says is `sandbox.admission.sections.ruleset`'s.

Rules: `evaluate` is pure, its clock is a parameter; deny wins; an error in a check is a denial; nobody but the authorizer
makes an `Admission`, so a call without the check is a type error. (Python code in the same process could still forge one:
this guards against forgetting, not against an attacker who already runs here.)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from sandbox.admission.approval import RULE as APPROVED_BY
from sandbox.admission.approval import Approval, State, bound_of
from sandbox.admission.decision import Decision, Ruling
from sandbox.admission.request import CallRequest, RequestId
from sandbox.admission.subject import Subject
from sandbox.admission.usage import UNKNOWN, Usage
from sandbox.admission.words import Method, Template
from sandbox.errors import Code
from sandbox.wit.types import Digest

if TYPE_CHECKING:
    from sandbox.admission.document.models import AdmissionDocument
    from sandbox.admission.sections.content import Inspected
    from sandbox.admission.sections.ruleset import Ruleset
    from sandbox.admission.sections.vote import Check
    from sandbox.admission.spending.refusing import Refusal
    from sandbox.redaction import Redactor


class _Key:
    """What only this module holds: the proof that an `Admission` comes from the authorizer."""


_KEY = _Key()


class Admission:
    """One allowed call: the only thing `host.invoke` runs. Frozen; made by `Authorizer.admit` alone."""

    __slots__ = ("_decided_at", "_decision", "_request")

    def __init__(self, request: CallRequest, decision: Decision, decided_at: float, *, key: _Key) -> None:
        if key is not _KEY:
            raise TypeError("an Admission is made by Authorizer.admit")
        if not decision.allowed or request.digest is None:
            raise TypeError("an Admission needs an allowing decision about a loaded component")
        self._request, self._decision, self._decided_at = request, decision, decided_at

    def __reduce__(self) -> NoReturn:
        raise TypeError("an Admission cannot be copied or pickled: it is good for one call")

    @property
    def request_id(self) -> RequestId:
        """The call's id."""
        return self._request.request_id

    @property
    def subject(self) -> str:
        """Who asked."""
        return self._request.subject.id

    @property
    def tool(self) -> str:
        """The tool's name, as its client sees it."""
        return self._request.tool

    @property
    def component(self) -> Digest:
        """The digest of the component that the decision is about."""
        digest = self._request.digest
        assert digest is not None, "checked when it was made"
        return digest

    @property
    def arguments_digest(self) -> str:
        """SHA-256 of the arguments' canonical spelling."""
        return self._request.arguments_digest

    @property
    def generation(self) -> str:
        """The template's generation that the decision is about."""
        return self._request.generation

    @property
    def decision(self) -> Decision:
        """What was decided, and by which rules."""
        return self._decision

    @property
    def decided_at(self) -> float:
        """When, in seconds since 1970."""
        return self._decided_at


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision, and the admission where it allows."""

    decision: Decision
    admission: Admission | None


_ANYONE = Decision(Ruling.ALLOW, ("permissive",), "the permissive document allows every call of a loaded tool")
_NOT_LOADED = Decision(Ruling.DENY, ("tool-is-loaded",), "no loaded component has this tool")


class Authorizer:
    """Decides about requests by one admission document; without one, every call of a loaded tool is allowed.

    `document` is a document, or the name of one that ships with the host. `checks` are asked beside its rules. `handles` are the
    obligations that the caller meets: `retention`, `log_level`, and words of its own. `clock` tells the time, in seconds since
    1970, where nobody says it. Raises PolicyError for a name that is none.
    """

    def __init__(
        self,
        document: AdmissionDocument | str | None = None,
        checks: tuple[Check, ...] = (),
        *,
        handles: Iterable[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._checks, self._handles, self._clock = checks, frozenset(handles), clock
        self.ruleset: Ruleset | None = None
        if document is not None or checks:
            self.replace(document)

    def replace(self, document: AdmissionDocument | str | None) -> None:
        """Decide by another document from now on."""
        self.ruleset = _ruleset(document, self._checks, self._handles)

    @property
    def needs_usage(self) -> bool:
        """Whether the document looks at what happened before."""
        return self.ruleset is not None and self.ruleset.needs_usage

    def evaluate(self, request: CallRequest, usage: Usage = UNKNOWN, now: float | None = None) -> Decision:  # noqa: ARG002 - no condition names the time
        """Decide about `request`; pure."""
        return _ANYONE if self.ruleset is None else self.ruleset.decide(request, usage)

    def admit(self, request: CallRequest, usage: Usage = UNKNOWN, now: float | None = None) -> Verdict:
        """Decide, and make the admission of a request that is allowed and whose tool is there."""
        if request.digest is None:
            return Verdict(_NOT_LOADED, None)
        now = self._clock() if now is None else now
        decision = self.evaluate(request, usage, now)
        return Verdict(decision, Admission(request, decision, now, key=_KEY) if decision.allowed else None)

    def approved(self, request: CallRequest, decision: Decision, approval: Approval, now: float) -> Verdict:
        """The admission of a request that needed an approval, by one of exactly it that this call has used up."""
        allowed = self.by_approval(request, decision, approval)
        return Verdict(allowed, Admission(request, allowed, now, key=_KEY))

    def by_approval(self, request: CallRequest, decision: Decision, approval: Approval) -> Decision:
        """The decision about a request that needed an approval, once one of exactly it was used up by it."""
        ruleset = self.ruleset
        if ruleset is None or approval.state is not State.USED or approval.used_by != request.request_id:
            raise TypeError("an approval is used by the call that it admits")
        if approval.bound != bound_of(request, decision, ruleset.identity):
            raise TypeError("an approval is of one request, and of no other")
        who = " and ".join(f"`{yes.who}`" for yes in approval.yeses)
        rules = (*decision.rules, f"{APPROVED_BY}{approval.id}")
        return replace(decision, effect=Ruling.ALLOW, rules=rules, reason=f"{decision.reason}: approved by {who}", signal=None)

    @property
    def may_ask(self) -> bool:
        """Whether the document may have a person asked to approve a call."""
        return self.ruleset is not None and self.ruleset.may_ask

    def signalled(self, refusal: Refusal) -> Decision:
        """What a budget or a rate refuses, with the signal that follows it."""
        rate = refusal.code is Code.RATE_LIMIT_EXCEEDED
        return refusal.decision if self.ruleset is None else self.ruleset.signalled(refusal.decision, rate=rate)

    def shows(self, subject: Subject, tool: str) -> bool:
        """Whether a list of tools shows this one to the subject. What is hidden is denied too, by `admit`."""
        return self.ruleset is None or self.ruleset.shows(subject, tool)

    def lacks(self, subject: Subject, method: Method, tool: str = "") -> tuple[str, ...]:
        """The scopes that a method of MCP, or this tool by it, needs and the subject has not."""
        return () if self.ruleset is None else self.ruleset.lacks(subject, method, tool)

    @property
    def inspects(self) -> bool:
        """Whether the document looks through results: then nothing of one may be told before its end."""
        return self.ruleset is not None and self.ruleset.content.inspects

    def inspect(self, value: Any, redactor: Redactor | None = None) -> Inspected | None:
        """Look through a result; None where the document says nothing of results. `redactor` knows the secrets of the call."""
        return None if self.ruleset is None else self.ruleset.inspect(value, redactor)


def _ruleset(document: AdmissionDocument | str | None, checks: tuple[Check, ...], handles: frozenset[str]) -> Ruleset | None:
    # Imported where a document is in force: a command that needs none must not wait for the engine of its patterns.
    from sandbox.admission.document.load import checked, named_admission
    from sandbox.admission.document.models import AdmissionDocument
    from sandbox.admission.sections.ruleset import Ruleset

    if document is None and not checks:
        return None
    if document is None:
        document = AdmissionDocument(version="1.0", template=Template.PERMISSIVE)
    document = named_admission(document) if isinstance(document, str) else checked(document)
    return Ruleset(document, checks, handles=handles)
