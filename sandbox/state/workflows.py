"""The part of a store that remembers which documents hold for several components at once.

Decides nothing: what they give is `sandbox.in_force.shared`. Sealed, and raises the generation as grants do.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from sandbox.errors import SandboxError
from sandbox.state.tables import BeforeCommit, Tables, nothing

MAX_WORKFLOWS = 100


@dataclass(frozen=True, slots=True)
class StoredWorkflow:
    """A document for several components: its name, the file it was read from, its text, who accepted it and when."""

    name: str
    file: str
    text: str
    who: str
    at: float


class StoredWorkflows:
    """Documents for several components."""

    _tables: Tables

    def put_workflow(self, given: StoredWorkflow, *, before_commit: BeforeCommit = nothing) -> None:
        """Keep a document, in place of the one of that name. Raises SandboxError for more than are kept."""
        with self._tables.changing(given.at) as db:
            db.execute("INSERT OR REPLACE INTO workflows VALUES (?, ?, ?, ?, ?)", astuple(given))
            (count,) = db.execute("SELECT count(*) FROM workflows").fetchone()
            if count > MAX_WORKFLOWS:
                raise SandboxError(
                    f"{MAX_WORKFLOWS} workflows are loaded, and no more are kept", help="`sandbox workflow unload NAME`"
                )
            before_commit()

    def drop_workflow(self, name: str, now: float, *, before_commit: BeforeCommit = nothing) -> StoredWorkflow | None:
        """Forget a document; None where there is none of that name."""
        with self._tables.changing(now) as db:
            rows = db.execute("DELETE FROM workflows WHERE name = ? RETURNING *", (name,)).fetchall()
            before_commit()
        return StoredWorkflow(*rows[0]) if rows else None

    def workflows(self) -> tuple[StoredWorkflow, ...]:
        """Every document that holds, by name."""
        return tuple(StoredWorkflow(*row) for row in self._tables.trusting("SELECT * FROM workflows ORDER BY name"))
