"""The sections about what is done: kinds of action, actions that are allowed or blocked, tools that need an approval, and what
must not come together in one session.

A request has several actions: the caller's word for it; of a tool's call `invoke` and the function's own name; every kind that
the document gives its tool; and the kinds that the template makes possible (`network_access`, `delete_files`). One that is
blocked denies; where some are allowed, a request with none of them is denied.
"""

from __future__ import annotations

from sandbox.admission.conditions.facts import Facts
from sandbox.admission.conditions.patterns import any_covers
from sandbox.admission.decision import Constraints, Ruling
from sandbox.admission.document.models import AdmissionDocument
from sandbox.admission.request import CallRequest
from sandbox.admission.sections.roles import Kept
from sandbox.admission.sections.vote import Vote, strictest

INVOKE = "invoke"
DELETE_FILES = "delete_files"
NETWORK_ACCESS = "network_access"
BUILT_IN = ("execute_code", "deploy", "create_billing", DELETE_FILES, NETWORK_ACCESS)
"""Kinds that are there without a document's saying so: a function, or a caller's word, of that name."""


class Actions:
    """The actions of a request, and what the document says of them."""

    name = "actions"

    def __init__(self, document: AdmissionDocument) -> None:
        self._allowed = None if document.allowed_actions is None else frozenset(document.allowed_actions)
        self._blocked = frozenset(document.blocked_actions)
        self._defaults = {name: kind.default for name, kind in document.actions.items() if kind.default is not None}
        self._kinds = [(name, any_covers(kind.tools)) for name, kind in document.actions.items() if kind.tools]
        self.configured = bool(self._allowed is not None or self._blocked or self._defaults)
        self.of = Kept(self._of)

    def vote(self, facts: Facts) -> Vote | None:
        """Deny what is blocked or not among the allowed, then what the kinds say."""
        if blocked := self._blocked & facts.actions:
            return self._vote(Ruling.DENY, min(blocked), "blocked_actions", "is blocked")
        if self._allowed is not None and not self._allowed & facts.actions:
            return Vote(self.name, Ruling.DENY, ("allowed_actions",), "none of its actions is among those that are allowed")
        said = {name: self._defaults[name] for name in facts.actions if name in self._defaults}
        if said:
            effect = strictest(said.values())
            decided = min(name for name, each in said.items() if each is effect)
            if self._allowed is None or effect is not Ruling.ALLOW:
                return self._vote(effect, decided, f"action:{decided}", f"has the answer {effect.value}")
        if self._allowed is not None:
            return self._vote(Ruling.ALLOW, min(self._allowed & facts.actions), "allowed_actions", "is allowed")
        return None

    def _vote(self, effect: Ruling, action: str, rule: str, why: str) -> Vote:
        return Vote(self.name, effect, (rule,), f"the action `{action}` {why}")

    def _of(self, key: tuple[str, str, tuple[str, ...]]) -> frozenset[str]:
        tool, action, kinds = key
        found = {action, *kinds} - {""}
        if tool:
            function = tool.rpartition("__")[2]
            found |= {INVOKE, function, function.replace("-", "_")}
            found |= {name for name, fits in self._kinds if fits(tool)}
        return frozenset(found)


class Approved:
    """Tools whose every call needs an approval, and actions that need one of two different people."""

    name = "approvals"

    def __init__(self, document: AdmissionDocument) -> None:
        said = document.approvals
        self._required, self._excepted = any_covers(said.require), any_covers(said.exceptions)
        self._four_eyes = frozenset(said.four_eyes)
        self.configured = bool(said.require or said.four_eyes)
        self._needs = Kept[str, bool](lambda tool: self._required(tool) and not self._excepted(tool))

    def vote(self, facts: Facts) -> Vote | None:
        """Ask for an approval, or abstain."""
        if by_two := self._four_eyes & facts.actions:
            told = f"the action `{min(by_two)}` needs an approval of two different people"
            return Vote(self.name, Ruling.REQUIRE_APPROVAL, ("approvals.four_eyes",), told, Constraints(four_eyes=True))
        tool = facts.request.tool
        if not tool or not self._needs[tool]:
            return None
        return Vote(self.name, Ruling.REQUIRE_APPROVAL, ("approvals.require",), f"calls of `{tool}` need an approval")


class Together:
    """Labels of what happened in a session, and those that must not come together."""

    name = "session"

    def __init__(self, document: AdmissionDocument) -> None:
        labels = document.session.labels.items()
        self._labels = [(name, any_covers(label.components), any_covers(label.tools)) for name, label in labels]
        self.apart = tuple(frozenset(each) for each in document.session.never_together)
        self.configured = bool(self.apart)
        self._brought = Kept(self._of)

    def labels_of(self, request: CallRequest) -> frozenset[str]:
        """The labels that a call brings into its session."""
        return self._brought[request.component, request.tool]

    def vote(self, facts: Facts) -> Vote | None:
        """Deny what would bring together what must stay apart, and where that cannot be told."""
        brought, seen = self.labels_of(facts.request), facts.usage.labels
        touched = [apart for apart in self.apart if apart & brought]
        if not touched:
            return None
        if seen is None:
            return self._vote(f"what this session did before cannot be told, and {_listed(touched[0])} must not meet")
        for apart in touched:
            # More than one of them, whether this call alone brings them or an earlier one did.
            if len(apart & (brought | seen)) > 1:
                return self._vote(f"{_listed(apart & (brought | seen))} must not meet in one session")
        return None

    def _vote(self, reason: str) -> Vote:
        return Vote(self.name, Ruling.DENY, ("session.never_together",), reason)

    def _of(self, key: tuple[str, str]) -> frozenset[str]:
        component, tool = key
        return frozenset(
            name for name, by_component, by_tool in self._labels if (component and by_component(component)) or by_tool(tool)
        )


def _listed(names: frozenset[str]) -> str:
    return " and ".join(f"`{name}`" for name in sorted(names))
