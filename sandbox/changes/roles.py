"""The part of `Sandbox` that gives roles to subjects and takes them away, while servers run.

Decides that a role is one that the admission document in force knows: a misspelled one would give nothing, and say nothing.

Rules: a role is recorded before it is kept, as a grant is; it holds from the next call on, in every server of the home. What is
taken away is gone even where it cannot be recorded any more; calls that run go on.
"""

from __future__ import annotations

from sandbox.admission import Authorizer, new_request_id
from sandbox.audit import Event, EventType, Redactor
from sandbox.changes.granting import Granting
from sandbox.errors import GrantError, NotFound
from sandbox.policy.refusal import one_of
from sandbox.state import Assignment

MAX_SUBJECT = 200


class Roles:
    """What `Sandbox` offers to give roles."""

    def _opened(self) -> Granting:
        raise NotImplementedError

    def _authorizer(self) -> Authorizer:
        raise NotImplementedError

    async def assign_role(self, subject: str, role: str, *, who: str = "local") -> bool:
        """Give a role to a subject, until it is removed; False where it has it already. Raises GrantError."""
        opened = self._opened()
        self._refuse(subject, role)
        given = Assignment(subject, role, who, opened.clock())
        async with opened.changes.lock:
            since = opened.store.generation()
            if role in opened.store.roles_of(subject):
                return False
            new = opened.store.assign_role(given, before_commit=lambda: _record(opened, EventType.ROLE_ASSIGNED, given, who))
            telling = opened.tell_others(since)
            await opened.changes.apply()
        await telling
        return new

    async def remove_role(self, subject: str, role: str, *, who: str = "local") -> Assignment:
        """Take a role from a subject that it was given so. Raises NotFound: those of the document are the document's."""
        opened = self._opened()
        async with opened.changes.lock:
            since = opened.store.generation()
            gone = opened.store.remove_role(subject, role, opened.clock())
            if gone is None:
                there = ", ".join(f"`{each}`" for each in opened.store.roles_of(subject)) or "none"
                raise NotFound(f"`{subject}` was not given the role `{role}`", help=f"given at run time: {there}")
            telling = opened.tell_others(since)
            await opened.changes.apply()
        await telling
        _record(opened, EventType.ROLE_REMOVED, gone, who)
        return gone

    def roles(self) -> tuple[Assignment, ...]:
        """Every role that was given while servers ran, by subject and role."""
        return self._opened().store.assignments()

    def _refuse(self, subject: str, role: str) -> None:
        if not subject or not subject.isprintable() or len(subject) > MAX_SUBJECT:
            raise GrantError(f"`{subject[:80]}` is no subject", help=f"write at most {MAX_SUBJECT} printable characters")
        ruleset = self._authorizer().ruleset
        if ruleset is None or not ruleset.document.roles:
            told = "no admission document with `roles` is in force here: a role gives nothing"
            raise GrantError(told, help="write `admission: FILE` in sandbox.yaml")
        if role not in ruleset.document.roles:
            raise GrantError(f"the admission document has no role `{role}`", help=one_of(role, sorted(ruleset.document.roles)))


def _record(opened: Granting, kind: EventType, given: Assignment, who: str) -> None:
    told = {"subject": given.subject, "role": given.role}
    opened.log.append(Event(kind, new_request_id(), subject=who, detail=told), Redactor(), sync=True)
