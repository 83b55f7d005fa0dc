"""What the admission document says of what is no call of a component: which tools are listed, who reads, who changes what holds.

Decides nothing by itself: it is the same document that decides calls, asked in the same way, as its file is now. Rules: a call of
one of the host's own tools is refused where calls are stopped, counts as a call does, and what it is given is not recorded before
it is admitted; a refusal is recorded, and followed by its signal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sandbox.admission import Authorizer, CallRequest, Decision, Ruling, Subject, new_request_id
from sandbox.admission.denied import not_admitted
from sandbox.admission.spending.refusing import Refusal
from sandbox.admission.subject import NOTHING
from sandbox.admission.usage import UNKNOWN
from sandbox.admission.words import Method
from sandbox.audit import Redactor
from sandbox.changes.attempts import arguments_digest, secrets_in
from sandbox.changes.signals import Signals
from sandbox.components import Components
from sandbox.dispatch import Dispatch
from sandbox.errors import Code, NotAdmitted
from sandbox.host.outcome import Ending, Outcome
from sandbox.in_force.admitting import Admitting
from sandbox.in_force.assigned import Assigned
from sandbox.in_force.in_use import InUse

if TYPE_CHECKING:
    from sandbox.admission.sections.ruleset import Ruleset


@dataclass(frozen=True, slots=True)
class View:
    """Who is shown which tools at one moment: a document, and the roles that were given beside it."""

    ruleset: Ruleset | None
    held: Mapping[str, tuple[str, ...]]

    def shows(self, subject: Subject, tools: Iterable[str]) -> frozenset[str]:
        """Those of the tools that the subject is shown."""
        if self.ruleset is None:
            return frozenset(tools)
        who = Assigned(self.held).given(subject)
        return frozenset(tool for tool in tools if self.ruleset.shows(who, tool))


class Admitted:
    """What `Sandbox` offers to an edge beside calls."""

    _admitting: Admitting
    _components: Components
    _dispatch: Dispatch
    _signals: Signals

    def _authorizer(self) -> Authorizer:
        raise NotImplementedError

    async def shown_to(self, subject: Subject) -> Callable[[str], bool]:
        """Whether a list of tools shows one to the subject, by its name: it has the scopes, and a role that may call it."""
        await self._admitting.refresh()
        return partial(self._authorizer().shows, self._components.assigned.given(subject))

    def view(self) -> View:
        """Who is shown which tools, as it is now."""
        return View(self._authorizer().ruleset, self._components.assigned.held)

    async def permit(self, subject: Subject, method: Method) -> None:
        """Raise NotAdmitted where the subject lacks a scope that the method needs."""
        await self._admitting.refresh()
        if (decision := self._lacking(subject, method)) is not None:
            raise not_admitted(decision)

    async def lacks(
        self, subject: Subject, method: Method, tool: str = "", metadata: Mapping[str, Any] = NOTHING
    ) -> tuple[str, ...]:
        """The scopes that a message needs and the subject has not, for an edge that tells them; a call is refused by it."""
        await self._admitting.refresh()
        missing = self._authorizer().lacks(subject, method, tool)
        if missing and tool:
            who = self._components.assigned.given(subject)
            request = CallRequest(new_request_id(), who, tool, arguments={}, metadata=metadata)
            await self._refused(request, _lacking(method, missing))
        return missing

    async def permit_own(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        subject: Subject,
        session: str | None,
        *,
        changes: bool,
        counted: bool = True,
    ) -> None:
        """Raise NotAdmitted where a call of one of the host's own tools is denied; `changes` is whether it changes what holds.

        `counted` is False where it is the same call once more, after an answer. Raises SandboxError for arguments that JSON
        cannot carry, HostUnavailable where the state does not answer.
        """
        dispatch = self._dispatch
        await dispatch.refresh()
        self._components.stops.refuse(session)
        who, digest = self._components.assigned.given(subject), arguments_digest(arguments)
        request = CallRequest(new_request_id(), who, tool, session=session, arguments=arguments, arguments_digest=digest)
        authorizer, now = dispatch.authorizer, dispatch.clock()
        decision = self._lacking(subject, Method.GRANTS if changes else Method.READ)
        if decision is None:
            seen = dispatch.metering.seen(request, now) if authorizer.needs_usage else UNKNOWN
            decision = authorizer.evaluate(request, seen, now)
        if not decision.allowed:
            raise await self._refused(request, decision)
        reservation = dispatch.metering.reserve(request, now) if counted else None
        if isinstance(reservation, Refusal):
            raise await self._refused(request, authorizer.signalled(reservation), reservation.code)
        # It uses nothing that is known only at its end.
        dispatch.metering.settle(reservation, Outcome(Ending.CANCELLED))

    def _lacking(self, subject: Subject, method: Method) -> Decision | None:
        missing = self._authorizer().lacks(subject, method)
        return _lacking(method, missing) if missing else None

    async def _refused(self, request: CallRequest, decision: Decision, code: Code | None = None) -> NotAdmitted:
        """The error of one that is not admitted; it is recorded first."""
        await self._signals.refused(request, decision)
        self._dispatch.recording.refused(request, decision, code, InUse(Redactor(secrets_in(request.arguments))))
        return not_admitted(decision, code)


def _lacking(method: Method, missing: tuple[str, ...]) -> Decision:
    told = f"`{method.value}` needs {', '.join(f'`{scope}`' for scope in missing)}, which the subject lacks"
    return Decision(Ruling.DENY, tuple(f"scope:{scope}" for scope in missing), told)
