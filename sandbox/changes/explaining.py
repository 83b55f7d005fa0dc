"""One answer to "why", for a call and for what a call may touch: `Explanation`, all that was considered, and what would turn it.

Decides nothing: the admission document in force answers about a call, the template in force about an effect, as they do when the
call comes. What is asked takes nothing from a budget and is not on record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sandbox.admission import Authorizer, CallRequest, Decision, Ruling, Subject, new_request_id
from sandbox.changes.granting import Granting
from sandbox.components import Components
from sandbox.errors import NotFound
from sandbox.in_force.admitting import HANDLED
from sandbox.in_force.inspecting import kinds_of
from sandbox.in_force.metering import Metering
from sandbox.policy.effect import Effect
from sandbox.template.advice import Explained, Question, answer
from sandbox.template.template import WasiTemplate

if TYPE_CHECKING:
    from sandbox.admission.explaining import Considered, Explanation
    from sandbox.admission.models import AdmissionDocument

_RULINGS = {Effect.ALLOW: Ruling.ALLOW, Effect.DENY: Ruling.DENY}
_SECTIONS = {"storage": "files", "network": "network", "environment": "environment"}


class Explaining:
    """What `Sandbox` offers to who asks why."""

    _metering: Metering
    _components: Components

    def _opened(self) -> Granting:
        raise NotImplementedError

    def _authorizer(self) -> Authorizer:
        raise NotImplementedError

    def explain_policy(self, component: str, *questions: Question) -> tuple[Explained, ...]:
        """What holds for a component now."""
        raise NotImplementedError

    def template_in_force(self, component: str) -> WasiTemplate:
        """What a component may touch now."""
        raise NotImplementedError

    def explain_call(
        self,
        tool: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        subject: Subject | str = "local",
        session: str | None = None,
        action: str = "",
        document: AdmissionDocument | None = None,
    ) -> Explanation:
        """Whether a call would be admitted now, and why; by another `document` than the one in force, where one is given."""
        # Imported where somebody asks: a host without a document must not wait for the engine of its patterns.
        from sandbox.admission.explaining import explain, explained_without

        who = self._components.assigned.given(Subject.local(subject) if isinstance(subject, str) else subject)
        component = tool.partition("__")[0]
        request = CallRequest(
            new_request_id(),
            who,
            tool,
            component,
            session=session,
            action=action,
            arguments=dict(arguments or {}),
            kinds=self._kinds(component),
        )
        ruleset = self._authorizer().ruleset
        used = document or (None if ruleset is None else ruleset.document)
        if used is None:
            return explained_without(self._authorizer().evaluate(request))
        seen = self._metering.seen(request, self._opened().clock())
        return explain(used, request, seen, checks=() if ruleset is None else ruleset.rules.checks, handles=HANDLED)

    def explain_effect(self, component: str, question: Question) -> Explanation:
        """Whether the calls of a component may touch something now, and why. Raises NotFound, SandboxError."""
        from sandbox.admission.explaining import Change, Explanation

        (found,) = self.explain_policy(component, question)
        ruling = Ruling.ALLOW if found.said.allowed else Ruling.REQUIRE_APPROVAL if found.said.asked else Ruling.DENY
        rules = () if found.said.origin is None else (found.said.origin,)
        decision = Decision(ruling, rules, found.said.line)
        advice = found.advice
        command = () if advice is None or advice.command is None else (advice.command,)
        change = None if advice is None else Change((advice.say,), command, Ruling.ALLOW)
        considered = tuple(_rules(self.template_in_force(component), question, found.said.origin))
        return Explanation(decision, considered, change)

    def _kinds(self, component: str) -> tuple[str, ...]:
        try:
            return kinds_of(self.template_in_force(component))
        except NotFound:
            return ()


def _rules(template: WasiTemplate, question: Question, decided: str | None) -> Iterator[Considered]:
    """Each line of the section that is asked, and whether it is about what is asked: what it says when it is alone."""
    from sandbox.admission.explaining import Considered

    section = _SECTIONS.get(question.kind)
    if section is None:
        return
    for rule in getattr(template, section):
        alone: dict[str, Any] = {section: (rule,)}
        matched = answer(replace(template, **alone), question).origin == rule.origin
        about = rule.pattern if section == "files" else rule.key if section == "environment" else rule.host or rule.cidr
        ruling = _RULINGS.get(rule.effect, Ruling.REQUIRE_APPROVAL)
        told = "it is about this" if matched else "it is about something else"
        yield Considered(question.kind, str(about), ruling, matched, told, rule.origin, matched and rule.origin == decided)
