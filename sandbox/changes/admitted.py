"""What the admission document says of what is no call of a component: which tools are listed, who reads, who changes what holds.

Decides nothing by itself: it is the same document that decides calls, asked in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.admission import Authorizer, CallRequest, Decision, Ruling, Subject, new_request_id
from sandbox.admission.denied import not_admitted
from sandbox.admission.usage import UNKNOWN
from sandbox.admission.words import Method
from sandbox.components import Components
from sandbox.in_force.metering import Metering
from sandbox.state import Clock


class Admitted:
    """What `Sandbox` offers to an edge beside calls."""

    _clock: Clock
    _components: Components
    _metering: Metering

    def _authorizer(self) -> Authorizer:
        raise NotImplementedError

    def shows(self, subject: Subject, tool: str) -> bool:
        """Whether a list of tools shows this one to the subject: it has the scopes, and a role that may call it."""
        return self._authorizer().shows(self._components.assigned.given(subject), tool)

    def permit(self, subject: Subject, method: Method) -> None:
        """Raise NotAdmitted where the subject lacks a scope that the method needs."""
        if missing := self._authorizer().lacks(subject, method):
            told = f"`{method.value}` needs {', '.join(f'`{scope}`' for scope in missing)}, which the subject lacks"
            raise not_admitted(Decision(Ruling.DENY, tuple(f"scope:{scope}" for scope in missing), told))

    def permit_own(
        self, tool: str, arguments: Mapping[str, Any], subject: Subject, session: str | None, *, changes: bool
    ) -> None:
        """Raise NotAdmitted where a call of one of the host's own tools is denied; `changes` is whether it changes what holds."""
        authorizer = self._authorizer()
        if authorizer.ruleset is None:
            return
        self.permit(subject, Method.GRANTS if changes else Method.READ)
        request = CallRequest(
            new_request_id(), self._components.assigned.given(subject), tool, session=session, arguments=arguments
        )
        now = self._clock()
        decision = authorizer.evaluate(request, self._metering.seen(request, now) if authorizer.needs_usage else UNKNOWN, now)
        if not decision.allowed:
            raise not_admitted(decision)
