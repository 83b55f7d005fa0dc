"""Ask whether an action would be allowed, without doing it: `PolicyGate.check_action`.

Decides nothing itself, takes nothing from a budget, and starts nothing. A check of `network_access` with a `url` asks the network
rules of the component, too: both must allow it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sandbox.admission import Authorizer, CallRequest, Resource, Ruling, Subject, new_request_id
from sandbox.admission.checked import NETWORK, Checked
from sandbox.guarding.procedure import Guard, digest_of_arguments
from sandbox.guarding.subjects import subject_now
from sandbox.template.advice import Question

if TYPE_CHECKING:
    from sandbox.api import Sandbox

Reaches = Callable[[str, str], tuple[bool, str]]
"""Whether a component may reach a URL, and the sentence that says so: `reaches(component, url)`."""


def reaches_by(sandbox: Sandbox) -> Reaches:
    """The network rules that hold for the components of a host."""

    def reaches(component: str, url: str) -> tuple[bool, str]:
        (found,) = sandbox.explain_policy(component, Question("network", url))
        return found.said.allowed, found.said.line

    return reaches


class PolicyGate:
    """Answers checks. `reaches` asks a component's network rules; without it no check of a URL is allowed."""

    def __init__(self, guard: Guard | Authorizer, *, reaches: Reaches | None = None) -> None:
        self._guard = guard if isinstance(guard, Guard) else Guard(guard)
        self._reaches = reaches

    def check_action(
        self,
        action: str,
        context: Mapping[str, Any] | None = None,
        *,
        subject: Subject | None = None,
        tool: str = "",
        component: str = "",
        resource: str = "",
        session: str | None = None,
    ) -> Checked:
        """Whether this subject may do that now; `context` is what conditions call `arguments`. Raises NotAdmitted: no JSON."""
        arguments = dict(context or {})
        request = CallRequest(
            new_request_id(),
            subject_now() if subject is None else subject,
            tool,
            component,
            arguments_digest=digest_of_arguments(arguments),
            session=session,
            action=action,
            resource=Resource(resource),
            arguments=arguments,
        )
        decision = self._guard.decide(request)
        checked = Checked(decision.allowed, decision.reason, decision.effect is Ruling.REQUIRE_APPROVAL, decision.rules)
        if action != NETWORK or "url" not in arguments or decision.effect is Ruling.DENY:
            return checked
        reached, said = self._reached(component, arguments["url"])
        return checked if reached else Checked(False, said, rules=("network",))

    def _reached(self, component: str, url: object) -> tuple[bool, str]:
        if self._reaches is None or not component or not isinstance(url, str):
            return False, "whose network rules decide about this URL is not said"
        return self._reaches(component, url)
