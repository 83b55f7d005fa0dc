"""The part of `Sandbox` that says whether an action would be allowed, without doing it.

Decides nothing itself: the admission document in force answers, and where the action is one that a template makes possible, the
template of the component that would do it; both must allow it. What is asked takes nothing from a budget and is not on record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.admission import Authorizer, CallRequest, Resource, Ruling, Subject, new_request_id
from sandbox.admission.checked import FILES, NETWORK, Checked
from sandbox.admission.denied import STOPPED
from sandbox.admission.subject import NOTHING
from sandbox.changes.attempts import arguments_digest
from sandbox.components import Components
from sandbox.dispatch import Dispatch
from sandbox.errors import NotFound
from sandbox.in_force.metering import Metering
from sandbox.in_force.stopped import said_of
from sandbox.template.advice import Explained, Question
from sandbox.template.template import Access


class Checking:
    """What `Sandbox` offers to who asks before acting."""

    _components: Components
    _dispatch: Dispatch
    _metering: Metering

    def _authorizer(self) -> Authorizer:
        raise NotImplementedError

    def explain_policy(self, component: str, *questions: Question) -> tuple[Explained, ...]:
        """What holds for a component now."""
        raise NotImplementedError

    async def check_action(
        self,
        action: str,
        context: Mapping[str, Any],
        subject: Subject,
        *,
        tool: str = "",
        component: str = "",
        resource: str = "",
        metadata: Mapping[str, Any] = NOTHING,
    ) -> Checked:
        """Whether the subject may do that now; `context` is what conditions call `arguments`.

        `network_access` with a `url`, and `delete_files` with a `path`, ask the template of the component, too. Raises
        SandboxError for a context that JSON cannot carry, HostUnavailable where the state does not answer.
        """
        await self._dispatch.refresh()
        if (stop := self._components.stops.of(None)) is not None:
            return Checked(False, said_of(stop), rules=STOPPED)
        component = component or tool.partition("__")[0]
        who, digest, about = self._components.assigned.given(subject), arguments_digest(context), Resource(resource)
        request = CallRequest(
            new_request_id(),
            who,
            tool,
            component,
            arguments_digest=digest,
            action=action,
            resource=about,
            arguments=context,
            metadata=metadata,
        )
        seen = self._metering.seen(request, self._dispatch.clock())
        decision = self._authorizer().evaluate(request, seen)
        checked = Checked(decision.allowed, decision.reason, decision.effect is Ruling.REQUIRE_APPROVAL, decision.rules)
        question = _question(action, context)
        return checked if question is None or decision.effect is Ruling.DENY else self._by_template(checked, component, question)

    def _by_template(self, checked: Checked, component: str, question: Question) -> Checked:
        if not component:
            return Checked(False, f"whose rules decide about this {question.kind} access is not said: name the `component`")
        try:
            (found,) = self.explain_policy(component, question)
        except NotFound as error:
            return Checked(False, error.message)
        rules = () if found.said.origin is None else (found.said.origin,)
        if found.said.allowed:
            return checked
        return Checked(False, found.said.line, found.said.asked, rules)


def _question(action: str, context: Mapping[str, Any]) -> Question | None:
    url, path = context.get("url"), context.get("path")
    if action == NETWORK and "url" in context:
        return Question("network", url if isinstance(url, str) else "")
    if action == FILES and "path" in context:
        return Question("storage", path if isinstance(path, str) else "", Access.DELETE)
    return None
