"""The roles that were given while the host runs (`sandbox role assign`), as this process knows them.

Decides nothing: what a role may is the admission document's. `sandbox.changes.applying` reads the store's word for it at every
change, so a role that is taken away is gone from the next call on. Rule: where none is given, a call pays one look for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from sandbox.admission import Subject
from sandbox.state import Assignment


@dataclass(slots=True)
class Assigned:
    """The roles that were given, by subject."""

    held: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def hold(self, assignments: Iterable[Assignment]) -> None:
        """These hold from now on, and no others."""
        held: dict[str, tuple[str, ...]] = {}
        for one in assignments:
            held[one.subject] = (*held.get(one.subject, ()), one.role)
        self.held = held

    def given(self, subject: Subject) -> Subject:
        """The subject, with the roles that it was given."""
        if not self.held or not (roles := self.held.get(subject.id)):
            return subject
        return replace(subject, roles=tuple(dict.fromkeys((*subject.roles, *roles))))
