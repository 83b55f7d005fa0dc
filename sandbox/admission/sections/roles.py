"""The sections about who asks: roles with their permissions, scopes with what they imply.

Roles: a permission of one of the subject's roles, inherited ones included, allows; where roles are configured and none does, the
answer is deny. Scopes: who lacks one that the tool or the method needs is denied; having it allows nothing by itself.

Rule: what a subject has is worked out once for each set of roles or scopes, so that a decision costs the same however many
roles a document has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from sandbox.admission.conditions.facts import Facts
from sandbox.admission.conditions.patterns import any_covers, covers
from sandbox.admission.conditions.when import Holds, holds
from sandbox.admission.decision import Ruling
from sandbox.admission.document.models import AdmissionDocument, Permission, Requirement, Role, Scope
from sandbox.admission.request import CallRequest
from sandbox.admission.sections.vote import Vote
from sandbox.admission.subject import SHIPPED_SCOPES, Subject
from sandbox.admission.words import Method

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
MAX_KEPT = 4096
NOBODY: frozenset[str] = frozenset()

SHIPPED: Mapping[str, Scope] = {
    **{name: Scope() for name in SHIPPED_SCOPES},
    "tools:invoke": Scope(implies=("tools:read",)),
    "resources:write": Scope(implies=("resources:read",)),
    "prompts:execute": Scope(implies=("prompts:read",)),
    "admin": Scope(implies=("*",)),
}
"""What the shipped scopes imply where a document says nothing else of them."""
REQUIRED = (
    Requirement(method=Method.LIST, scopes=("tools:read",)),
    Requirement(method=Method.CALL, scopes=("tools:invoke",)),
    Requirement(method=Method.READ, scopes=("resources:read",)),
    Requirement(method=Method.GRANTS, scopes=("resources:write",)),
)
"""What is needed whatever a document says."""
SHIPPED_ROLES: Mapping[str, Role] = {
    "viewer": Role(permissions=(Permission(resource="*", actions=("read", "list", "get", "search", "query")),))
}
"""Roles that a document may inherit from and assign without writing them. Where it does neither, they give nobody anything."""


class Kept(dict[_Key, _Value]):
    """What was worked out of a key; emptied when it grows too large, for who asks may choose the keys."""

    def __init__(self, make: Callable[[_Key], _Value]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: _Key) -> _Value:
        if len(self) >= MAX_KEPT:
            self.clear()
        value = self[key] = self._make(key)
        return value


@dataclass(frozen=True, slots=True)
class _Given:
    """A permission, made ready to be asked."""

    actions: Callable[[str], bool]
    holds: Holds | None
    alone: Vote


@dataclass(slots=True)
class _Book:
    """All permissions of a set of roles, by resource."""

    exact: dict[str, list[_Given]] = field(default_factory=dict)
    patterns: list[tuple[Callable[[str], bool], _Given]] = field(default_factory=list)

    def of(self, resource: str) -> Iterable[_Given]:
        """Those that are about a resource."""
        yield from self.exact.get(resource, ())
        for fits, given in self.patterns:
            if fits(resource):
                yield given


class Roles:
    """Who has which roles, and what they permit."""

    name = "roles"

    def __init__(self, document: AdmissionDocument) -> None:
        named = {name for role in document.roles.values() for name in role.inherits}
        named |= {name for roles in document.assignments.values() for name in roles}
        used = {name: role for name, role in SHIPPED_ROLES.items() if name in named}
        self._roles, self._assigned = {**used, **document.roles}, document.assignments
        self.configured = bool(document.roles or document.assignments)
        self.held = Kept(self._held)
        self._books = Kept(self._book)
        self._given = {name: [_given(name, each) for each in role.permissions] for name, role in self._roles.items()}

    def vote(self, facts: Facts) -> Vote | None:
        """Allow by a permission, else deny."""
        resource = resource_of(facts.request)
        unclear = False
        for given in self._books[facts.roles].of(resource):
            if not any(map(given.actions, facts.actions)):
                continue
            said = True if given.holds is None else given.holds(facts)
            if said:
                return given.alone
            unclear = unclear or said is None
        told = "a condition of their permissions cannot be told" if unclear else "none of them permits it"
        return Vote(self.name, Ruling.DENY, (self.name,), f"roles of the subject: {_listed(facts.roles)}; {told}")

    def might(self, roles: frozenset[str], resource: str, actions: frozenset[str]) -> bool:
        """Whether some request of that kind may be permitted, whatever its conditions will say."""
        return any(any(map(given.actions, actions)) for given in self._books[roles].of(resource))

    def _held(self, key: tuple[str, tuple[str, ...]]) -> frozenset[str]:
        subject, carried = key
        found: set[str] = set()
        ways = [*carried, *self._assigned.get(subject, ())]
        while ways:
            name = ways.pop()
            if name not in found:
                found.add(name)
                ways += self._roles.get(name, _NO_ROLE).inherits
        return frozenset(found)

    def _book(self, roles: frozenset[str]) -> _Book:
        book = _Book()
        for name in sorted(roles):
            for permission, given in zip(self._roles.get(name, _NO_ROLE).permissions, self._given.get(name, ()), strict=True):
                if "*" in permission.resource:
                    book.patterns.append((covers(permission.resource), given))
                else:
                    book.exact.setdefault(permission.resource, []).append(given)
        return book


class Scopes:
    """What a subject's scopes stand for, and which of them a request needs."""

    name = "scopes"
    configured = True

    def __init__(self, document: AdmissionDocument) -> None:
        self._known = {**SHIPPED, **document.scopes}
        self._required = (*REQUIRED, *document.requires)
        self.held = Kept(self._held)
        self.of_tool = Kept(self._of_tool)

    def vote(self, facts: Facts) -> Vote | None:
        """Deny who lacks a scope; what is no call of a tool needs none."""
        tool = facts.request.tool
        if not tool or self.of_tool[tool] <= facts.scopes:
            return None
        missing = sorted(self.of_tool[tool] - facts.scopes)
        return Vote(self.name, Ruling.DENY, tuple(f"scope:{each}" for each in missing), f"the subject lacks {_listed(missing)}")

    def missing(self, subject: Subject, method: Method) -> tuple[str, ...]:
        """The scopes that a method needs and the subject lacks."""
        needed = {scope for each in self._required if each.method is method for scope in each.scopes}
        return tuple(sorted(needed - self.held[subject.scopes]))

    def _of_tool(self, tool: str) -> frozenset[str]:
        fitting = (
            each for each in self._required if each.method is Method.CALL or (each.tool is not None and covers(each.tool)(tool))
        )
        return frozenset(scope for each in fitting for scope in each.scopes)

    def _held(self, carried: tuple[str, ...]) -> frozenset[str]:
        found, ways = set(carried), list(carried)
        while ways:
            pattern = ways.pop()
            further = {name for name in self._known if covers(pattern)(name)}
            further |= {implied for name in {pattern, *further} & self._known.keys() for implied in self._known[name].implies}
            ways += further - found
            found |= further
        return frozenset(found)


def resource_of(request: CallRequest) -> str:
    """The name of what a request is about: the application's, or the tool as a resource."""
    return request.resource.name or f"tools/{request.tool}"


def _given(role: str, permission: Permission) -> _Given:
    condition = None if permission.conditions is None else holds(permission.conditions)
    alone = Vote(Roles.name, Ruling.ALLOW, (f"role:{role}",), f"the role `{role}` permits it", lasting=True)
    return _Given(any_covers(permission.actions), condition, alone)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "none"


_NO_ROLE = Role()
