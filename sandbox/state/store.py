"""Remember grants, accepted documents, roles, stops, approvals and denials, for several processes at once and over a crash.

Decides what is consistent, never what it means. One interface; where the rows are kept is the business of its `Tables`: one
SQLite file, this process's memory, or a Redis server that several hosts share. Every change of what gives or takes authority is
one transaction that is kept before it is acknowledged, and raises the generation by one, which every other process can read
cheaply.

Rules: a use is counted in the same step that checks it; what has ended stays ended; time only grows (`advance`); a row that does
not read as what it should be is an error, never skipped; a store that something else has changed is not read
(`sandbox.state.authentic`); a store that cannot be reached gives nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import suppress

from sandbox.errors import HostUnavailable
from sandbox.state.approvals import StoredApprovals
from sandbox.state.budgets import StoredBudgets
from sandbox.state.components import StoredComponents
from sandbox.state.denials import StoredDenials
from sandbox.state.grants import StoredGrants
from sandbox.state.roles import StoredRoles, StoredStops
from sandbox.state.tables import LostError, Tables, note_latest
from sandbox.state.workflows import StoredWorkflows


class Store(
    StoredGrants,
    StoredComponents,
    StoredRoles,
    StoredStops,
    StoredBudgets,
    StoredWorkflows,
    StoredApprovals,
    StoredDenials,
):
    """One process's hand on a store; every method raises HostUnavailable where that cannot be used."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def close(self) -> None:
        """Let go of it; every further use raises HostUnavailable."""
        self._tables.close()

    def generation(self) -> int:
        """A number that grows with every change of a grant, a component, a role, a stop or a budget, by any process."""
        return int(self._tables.number("generation"))

    def latest(self) -> float:
        """The latest moment that was ever stored."""
        return max(self._tables.number("latest"), self._tables.latest_outside())

    def advance(self, now: float) -> None:
        """Remember that it is at least `now`; outside of a store that is lost, for this host alone."""
        self._tables.advance_outside(now)
        with suppress(LostError), self._tables.noting() as db:
            note_latest(db, now)

    def check(self) -> None:
        """Raise StoreChangedError where something else has changed it."""
        self._tables.trusted()

    def watch(self) -> AsyncGenerator[HostUnavailable | None] | None:
        """Where other hosts share the store: None for each change of theirs, the error where it cannot be reached; for ever."""
        return self._tables.watch()

    def start_anew(self, now: float) -> tuple[str, ...]:
        """End every grant and forget what is not as it was left, whatever is wrong with the store; the tables that were not.

        For a person at a terminal: what is there afterwards is taken for ours.
        """
        found = self._tables.not_ours()
        with self._tables.taking_over(now) as db:
            db.execute("UPDATE grants SET ended_at = ?, ended_why = 'reset' WHERE ended_at IS NULL", (now,))
            for table in set(found) - {"grants"}:
                db.execute(f"DELETE FROM {table}")  # noqa: S608 - one of a few names of our own
        return found
