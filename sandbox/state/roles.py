"""The part of a store that remembers who was given which role, and what was stopped, while the program runs.

Decides nothing: what a role may is the admission document's, what a stop means the caller's (`sandbox stop`).

Rules: both are sealed and raise the generation as grants do, so whoever keeps an answer asks again when that has grown; a role
and a resume give, and are recorded before they are kept; a stop that is made again keeps who made it first.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from sandbox.errors import SandboxError
from sandbox.state.tables import BeforeCommit, Tables, nothing

MAX_ASSIGNMENTS = 10_000
"""How many roles are given at run time, of all subjects; the others belong in the admission document."""
EVERYTHING = "*"
"""The scope of a stop of every session."""

_ASSIGN = "INSERT INTO roles VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_STOP = "INSERT INTO stops VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"


@dataclass(frozen=True, slots=True)
class Assignment:
    """A role that somebody gave to a subject, and when (seconds since 1970)."""

    subject: str
    role: str
    who: str
    at: float


@dataclass(frozen=True, slots=True)
class Stop:
    """What was stopped: the session of that id, or EVERYTHING; by whom, why, and when (seconds since 1970)."""

    scope: str
    who: str
    why: str
    at: float


class StoredRoles:
    """Roles given at run time."""

    _tables: Tables

    def assign_role(self, given: Assignment, *, before_commit: BeforeCommit = nothing) -> bool:
        """Give a role to a subject; False where it has it already. Raises SandboxError for more than are kept."""
        with self._tables.changing(given.at) as db:
            (count,) = db.execute("SELECT count(*) FROM roles").fetchone()
            new = db.execute(_ASSIGN, astuple(given)).rowcount == 1
            if new and count >= MAX_ASSIGNMENTS:
                raise SandboxError(f"{count:,} roles are given, and no more are kept", help="write them under `assignments:`")
            before_commit()
        return new

    def remove_role(self, subject: str, role: str, now: float) -> Assignment | None:
        """Take a role from a subject; None where it was not given here."""
        with self._tables.changing(now) as db:
            rows = db.execute("DELETE FROM roles WHERE subject = ? AND role = ? RETURNING *", (subject, role)).fetchall()
        return Assignment(*rows[0]) if rows else None

    def roles_of(self, subject: str) -> tuple[str, ...]:
        """The roles that a subject was given, by name."""
        rows = self._tables.trusting("SELECT role FROM roles WHERE subject = ? ORDER BY role", (subject,))
        return tuple(row["role"] for row in rows)

    def assignments(self) -> tuple[Assignment, ...]:
        """Every role that was given, by subject and role."""
        return tuple(Assignment(*row) for row in self._tables.trusting("SELECT * FROM roles ORDER BY subject, role"))


class StoredStops:
    """The switch: what was stopped holds over restarts, in every process, until it is resumed."""

    _tables: Tables

    def stop(self, stop: Stop) -> Stop:
        """Stop a session or everything; the stop that holds from now on."""
        with self._tables.changing(stop.at) as db:
            db.execute(_STOP, astuple(stop))
            (row,) = db.execute("SELECT * FROM stops WHERE scope = ?", (stop.scope,)).fetchall()
        return Stop(*row)

    def resume(self, scope: str, now: float, *, before_commit: BeforeCommit = nothing) -> Stop | None:
        """Take back the stop of exactly this scope; None where there is none."""
        with self._tables.changing(now) as db:
            rows = db.execute("DELETE FROM stops WHERE scope = ? RETURNING *", (scope,)).fetchall()
            before_commit()
        return Stop(*rows[0]) if rows else None

    def stopped(self, session: str | None = None) -> Stop | None:
        """The stop that holds for the calls of a session, or for those of none; where it raises, nothing may run."""
        query = "SELECT * FROM stops WHERE scope IN (?, ?) ORDER BY scope LIMIT 1"
        rows = self._tables.trusting(query, (EVERYTHING, EVERYTHING if session is None else session))
        return Stop(*rows[0]) if rows else None

    def stops(self) -> tuple[Stop, ...]:
        """Every stop that holds, the oldest first."""
        return tuple(Stop(*row) for row in self._tables.trusting("SELECT * FROM stops ORDER BY at, scope"))
