"""Decide whether a call happens at all, and make the `Admission` that `host.invoke` takes.

What the call may touch is the template's business. The only document so far is `permissive`: every call of a loaded tool.

Rules: `evaluate` is pure, its clock is a parameter; deny wins; an error in a check is a denial; nobody but the authorizer
makes an `Admission`, so a call without the check is a type error. (Python code in the same process could still forge one:
this guards against forgetting, not against an attacker who already runs here.)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from sandbox.admission.decision import Decision, Ruling
from sandbox.admission.request import CallRequest, RequestId
from sandbox.admission.usage import UNKNOWN, Usage
from sandbox.errors import SandboxError
from sandbox.wit.types import Digest

Rule = Callable[[CallRequest, float], Decision | None]
"""Looks at a request at a time (seconds since 1970) and allows, denies, or abstains with None."""


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


def _tool_is_loaded(request: CallRequest, now: float) -> Decision | None:  # noqa: ARG001 - a rule's shape
    if request.digest is None:
        return Decision(Ruling.DENY, ("tool-is-loaded",), "no loaded component has this tool")
    return None


def _anyone(request: CallRequest, now: float) -> Decision | None:  # noqa: ARG001 - a rule's shape
    return Decision(Ruling.ALLOW, ("permissive",), "the permissive document allows every call of a loaded tool")


DOCUMENTS: dict[str, tuple[Rule, ...]] = {"permissive": (_tool_is_loaded, _anyone)}
"""The admission documents there are, by name."""


class Authorizer:
    """Evaluates requests against one admission document. Raises SandboxError for a document that does not exist.

    `checks` are asked beside the document; `clock` tells the time, in seconds since 1970, where nobody says it.
    """

    def __init__(
        self, document: str = "permissive", checks: tuple[Rule, ...] = (), *, clock: Callable[[], float] = time.time
    ) -> None:
        if document not in DOCUMENTS:
            raise SandboxError(f"there is no admission document `{document}`", help="write `permissive`")
        self.document = document
        self._rules = (*DOCUMENTS[document], *checks)
        self._clock = clock

    def evaluate(self, request: CallRequest, usage: Usage = UNKNOWN, now: float | None = None) -> Decision:  # noqa: ARG002 - not yet looked at
        """Decide about `request` at `now`; pure. Deny wins, and a request that no rule allows is denied."""
        now = self._clock() if now is None else now
        said = [self._ask(rule, request, now) for rule in self._rules]
        for effect in (Ruling.DENY, Ruling.ALLOW):
            matching = [decision for decision in said if decision is not None and decision.effect is effect]
            if matching:
                return Decision(effect, tuple(name for one in matching for name in one.rules), matching[0].reason)
        return Decision(Ruling.DENY, ("default",), "no rule allows it")

    def admit(self, request: CallRequest, usage: Usage = UNKNOWN, now: float | None = None) -> Verdict:
        """Decide, and make the admission of a request that is allowed."""
        now = self._clock() if now is None else now
        decision = self.evaluate(request, usage, now)
        return Verdict(decision, Admission(request, decision, now, key=_KEY) if decision.allowed else None)

    @staticmethod
    def _ask(rule: Rule, request: CallRequest, now: float) -> Decision | None:
        try:
            return rule(request, now)
        except Exception as error:  # noqa: BLE001 - an error in a check is a denial, whatever it is
            return Decision(Ruling.DENY, (rule.__name__,), f"the check failed with {type(error).__name__}")
