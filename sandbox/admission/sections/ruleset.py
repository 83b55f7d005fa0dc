"""An admission document, made ready to answer: its sections, asked one after the other, and their answers as one decision.

Pure. Each configured section allows, denies, asks for an approval or abstains; deny wins, then require_approval, then allow.
Where all abstain the document's template says what holds.

Rules: what a section raises denies; what nobody here can do about an answer that allows denies (`obligations`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any

from sandbox.admission.conditions.facts import USAGE, Facts
from sandbox.admission.conditions.when import fields_of
from sandbox.admission.decision import Decision, Ruling
from sandbox.admission.document.models import AdmissionDocument
from sandbox.admission.request import CallRequest, digest_of
from sandbox.admission.sections.actions import Actions, Approved, Together
from sandbox.admission.sections.content import Content, Inspected
from sandbox.admission.sections.roles import Kept, Roles, Scopes
from sandbox.admission.sections.rules import Rules
from sandbox.admission.sections.vote import STRICTER, Check, Section, Vote, merged, obligations, sterner, strictest
from sandbox.admission.signal import Signal
from sandbox.admission.subject import Subject
from sandbox.admission.usage import Usage
from sandbox.admission.words import Method, Template, Treatment
from sandbox.redaction import Redactor

DEFAULT = "default"


class Ruleset:
    """A document and the checks beside it. `handles` are the obligations that the caller can meet."""

    def __init__(
        self, document: AdmissionDocument, checks: tuple[Check, ...] = (), *, handles: frozenset[str] = frozenset()
    ) -> None:
        self.document = document
        self.roles, self.scopes, self.actions = Roles(document), Scopes(document), Actions(document)
        self.together, self.content = Together(document), Content(document)
        self.rules = Rules(document, checks)
        every: tuple[Section, ...] = (
            self.scopes,
            self.roles,
            self.actions,
            Approved(document),
            self.rules,
            self.together,
            self.content,
        )
        self.sections = tuple(each for each in every if each.configured)
        self.needs_usage = any(field.startswith(f"{USAGE}.") for field in _fields(document)) or self.together.configured
        self.may_ask = _may_ask(document) or bool(checks)
        self._handles = handles
        self._default = document.default
        self._lasting = Kept(self._alone)

    @cached_property
    def identity(self) -> str:
        """What tells this document from another: the digest of its text; of one that was made in Python, of what it says."""
        return self.document.digest or digest_of(repr(self.document).encode())

    def unmet(self, decision: Decision) -> tuple[str, ...]:
        """The obligations of a decision that nobody here meets."""
        return tuple(each for each in decision.obligations if each not in self._handles)

    def facts(self, request: CallRequest, usage: Usage) -> Facts:
        """The request, and what the document makes of it."""
        subject = request.subject
        return Facts(
            request,
            usage,
            self.roles.held[subject.id, subject.roles],
            self.scopes.held[subject.scopes],
            self.actions_of(request),
        )

    def actions_of(self, request: CallRequest) -> frozenset[str]:
        """What a request does: every action and kind of action that it falls under."""
        return self.actions.of[request.tool, request.action, request.kinds]

    def decide(self, request: CallRequest, usage: Usage) -> Decision:
        """The answer to a request."""
        votes = self.votes(self.facts(request, usage))
        decision = self._signalled(self._decision(votes))
        if self._default is Template.AUDIT and decision.effect is not Ruling.ALLOW:
            told = f"in audit mode, where strict would have said {decision.effect.value}: {decision.reason}"
            return Decision(Ruling.ALLOW, decision.rules, told, warnings=(*decision.warnings, told), would_be=decision.effect)
        return decision

    def signalled(self, decision: Decision, *, rate: bool = False) -> Decision:
        """The decision with the signal that follows it, which may make it stricter: SIGKILL denies, SIGSTOP waits for a person.

        `rate` says that it refuses for a rate. In audit mode a document sends nothing, for whatever an operator refuses.
        """
        return decision if self._default is Template.AUDIT else self._signalled(decision, rate=rate)

    def _signalled(self, decision: Decision, *, rate: bool = False) -> Decision:
        signals = self.document.signals
        if decision.effect is Ruling.ALLOW:
            signal: str | None = signals.on_warning if decision.warnings else None
        else:
            signal = (signals.on_rate_limit if rate else None) or decision.signal or signals.on_violation
        if signal is None:
            return decision
        least = Ruling.DENY if signal == Signal.SIGKILL else Ruling.REQUIRE_APPROVAL
        reason = decision.reason if decision.effect is not Ruling.ALLOW else f"it is warned about: {decision.warnings[0]}"
        return replace(decision, effect=strictest((least, decision.effect)), reason=reason, signal=signal)

    def inspect(self, value: Any, redactor: Redactor | None = None) -> Inspected | None:
        """Look through a result; None where the document says nothing of results. In audit mode everything passes."""
        if not self.content.inspects:
            return None
        found = self.content.inspect(value, redactor)
        return Inspected(value, Ruling.ALLOW, found.hits) if self._default is Template.AUDIT else found

    def votes(self, facts: Facts) -> list[Vote]:
        """What each section says that says something."""
        votes = []
        for section in self.sections:
            try:
                vote = section.vote(facts)
            except Exception as error:  # noqa: BLE001 - an error in a check is a denial, whatever it is
                vote = Vote(section.name, Ruling.DENY, (section.name,), f"the check failed with {type(error).__name__}")
            if vote is not None:
                votes.append(vote)
        return votes

    def shows(self, subject: Subject, tool: str) -> bool:
        """Whether a subject is shown a tool: it has the scopes, and a role that may call it under some conditions."""
        if self._default is Template.AUDIT:
            return True
        scopes = self.scopes.held[subject.scopes]
        if not self.scopes.of_tool[tool] <= scopes or self.lacks(subject, Method.LIST):
            return False
        if not self.roles.configured:
            return True
        roles = self.roles.held[subject.id, subject.roles]
        return self.roles.might(roles, f"tools/{tool}", self.actions.of[tool, "", ()])

    def lacks(self, subject: Subject, method: Method, tool: str = "") -> tuple[str, ...]:
        """The scopes that a method, or this tool by it, needs and the subject has not."""
        if self._default is Template.AUDIT:
            return ()
        missing = self.scopes.missing(subject, method)
        more = self.scopes.of_tool[tool] - self.scopes.held[subject.scopes] if tool else ()
        return (*missing, *sorted(set(more) - set(missing)))

    def _decision(self, votes: list[Vote]) -> Decision:
        if len(votes) == 1 and votes[0].rules:
            return self._lasting[votes[0]] if votes[0].lasting else self._alone(votes[0])
        deciding = _deciding(votes)
        warnings = tuple(warning for vote in votes for warning in vote.warnings)
        if not deciding:
            effect = Ruling.ALLOW if self._default is Template.PERMISSIVE else Ruling.DENY
            told = "no section speaks of it, and the template is " + (
                Template.PERMISSIVE.value if effect is Ruling.ALLOW else Template.STRICT.value
            )
            return Decision(effect, (DEFAULT,), told, warnings=warnings)
        whole = Vote(
            deciding[0].section,
            deciding[0].effect,
            tuple(dict.fromkeys(name for vote in deciding for name in vote.rules)),
            deciding[0].reason,
            # What an allowing rule attaches holds too where another section asks for an approval.
            merged(vote.constraints for vote in votes if vote.effect is not Ruling.DENY),
            warnings,
            sterner(vote.signal for vote in deciding),
        )
        return self._alone(whole)

    def _alone(self, vote: Vote) -> Decision:
        if vote.effect is Ruling.DENY:
            return Decision(Ruling.DENY, vote.rules, vote.reason, warnings=vote.warnings, signal=vote.signal)
        owed = obligations(vote.constraints)
        if vote.effect is Ruling.ALLOW and (unmet := [each for each in owed if each not in self._handles]):
            told = f"nobody here sees to {', '.join(f'`{each}`' for each in unmet)}, which {vote.rules[0]} demands"
            return Decision(Ruling.DENY, vote.rules, told, vote.constraints, obligations=owed)
        return Decision(
            vote.effect, vote.rules, vote.reason, vote.constraints, vote.warnings, obligations=owed, signal=vote.signal
        )


def _deciding(votes: list[Vote]) -> list[Vote]:
    for effect in STRICTER:
        # A vote without rules only warns.
        if deciding := [vote for vote in votes if vote.effect is effect and vote.rules]:
            return deciding
    return []


def _may_ask(document: AdmissionDocument) -> bool:
    """Whether a request may need an approval."""
    said, signals = document.approvals, document.signals
    effects = (*(rule.effect for rule in document.rules), *(kind.default for kind in document.actions.values()))
    content = any(line.action is Treatment.REQUIRE_APPROVAL for line in document.content)
    stops = Signal.SIGSTOP in (signals.on_warning, signals.on_violation)
    return bool(said.require or said.four_eyes or content or stops) or Ruling.REQUIRE_APPROVAL in effects


def _fields(document: AdmissionDocument) -> Iterable[str]:
    for rule in document.rules:
        yield from () if rule.when is None else fields_of(rule.when)
    for role in document.roles.values():
        for permission in role.permissions:
            yield from () if permission.conditions is None else fields_of(permission.conditions)
