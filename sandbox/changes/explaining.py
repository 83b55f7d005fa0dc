"""One answer to "why", for a call and for what a call may touch: `Explanation`, all that was considered, and what would turn it.

Decides nothing: the admission document in force answers about a call, the template in force about an effect, as they do when the
call comes. What is asked takes nothing from a budget and is not on record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sandbox.admission import Authorizer, CallRequest, Decision, Ruling, Subject, new_request_id
from sandbox.admission.denied import STOPPED
from sandbox.admission.spending.budgets import whose_of
from sandbox.admission.spending.refusing import used_up
from sandbox.changes.granting import Granting
from sandbox.errors import NotFound
from sandbox.in_force.admitting import HANDLED
from sandbox.in_force.inspecting import kinds_of
from sandbox.in_force.metering import Metering
from sandbox.in_force.stopped import said_of
from sandbox.policy.effect import Effect
from sandbox.state import EVERYTHING
from sandbox.template.advice import Explained, Question, answer
from sandbox.template.template import WasiTemplate

if TYPE_CHECKING:
    from sandbox.admission.document.models import AdmissionDocument
    from sandbox.admission.looking_back.explaining import Considered, Explanation


@dataclass(frozen=True, slots=True)
class _Outside:
    """What refuses a call whatever the document says of it."""

    section: str
    rule: str
    why: str
    say: str
    command: str | None = None


_RULINGS = {Effect.ALLOW: Ruling.ALLOW, Effect.DENY: Ruling.DENY}
_SECTIONS = {"storage": "files", "network": "network", "environment": "environment"}


class Explaining:
    """What `Sandbox` offers to who asks why."""

    _metering: Metering

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
        from sandbox.admission.looking_back.explaining import explain, explained_without

        opened, asks = self._opened(), Subject.local(subject) if isinstance(subject, str) else subject
        given = opened.store.roles_of(asks.id)  # what holds now, also where nothing has been called here yet
        who = replace(asks, roles=tuple(dict.fromkeys((*asks.roles, *given)))) if given else asks
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
            found = explained_without(self._authorizer().evaluate(request))
        else:
            seen = self._metering.seen(request, opened.clock())
            found = explain(used, request, seen, checks=() if ruleset is None else ruleset.rules.checks, handles=HANDLED)
        outside = [*self._stopped(session), *self._used_up(request)] if document is None else []
        return _with(found, outside)

    def _stopped(self, session: str | None) -> Iterator[_Outside]:
        stop = self._opened().store.stopped(session)
        if stop is not None:
            scope = "--all" if stop.scope == EVERYTHING else f"--session {stop.scope}"
            yield _Outside("stop", STOPPED[0], said_of(stop), "let calls run again", f"sandbox resume {scope}")

    def _used_up(self, request: CallRequest) -> Iterator[_Outside]:
        budgets = self._metering.budgets
        for line, held in () if budgets is None else budgets.standing(whose_of(request), self._opened().clock()):
            if line.limit is not None and held >= line.limit:
                yield _Outside("budgets", line.rule, used_up(line, held), "wait for the next period, or set more")

    def explain_effect(self, component: str, question: Question) -> Explanation:
        """Whether the calls of a component may touch something now, and why. Raises NotFound, SandboxError."""
        from sandbox.admission.looking_back.explaining import Change, Explanation

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


def _with(found: Explanation, outside: list[_Outside]) -> Explanation:
    """The explanation, where something else refuses the call as well: then that decides."""
    from sandbox.admission.looking_back.explaining import Change, Considered, Explanation

    if not outside:
        return found
    told = tuple(Considered(one.section, one.rule, Ruling.DENY, True, one.why, decided=True) for one in outside)
    rest = tuple(replace(each, decided=False) for each in found.considered)
    decision = Decision(Ruling.DENY, tuple(one.rule for one in outside), outside[0].why)
    commands = tuple(one.command for one in outside if one.command is not None)
    change = Change(tuple(one.say for one in outside), commands, found.decision.effect)
    return Explanation(decision, (*told, *rest), change)


def _rules(template: WasiTemplate, question: Question, decided: str | None) -> Iterator[Considered]:
    """Each line of the section that is asked, and whether it is about what is asked: what it says when it is alone."""
    from sandbox.admission.looking_back.explaining import Considered

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
