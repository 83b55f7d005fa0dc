"""The part of a store that remembers which budgets an operator set while the program runs.

Decides nothing: what a budget holds is `sandbox.admission.spending.budgets`. Sealed, and raises the generation as grants do:
every server that shares the store goes by it from its next call on. What was spent of a budget lies elsewhere
(`sandbox.state.usage`).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from sandbox.errors import SandboxError
from sandbox.state.tables import BeforeCommit, Tables, nothing

MAX_BUDGETS = 10_000
"""How many are set at run time; the others belong in the admission document."""


@dataclass(frozen=True, slots=True)
class SetBudget:
    """A budget as JSON, whose it is (`users/alice`, `global`), who set it and when (seconds since 1970)."""

    whose: str
    text: str
    who: str
    at: float


class StoredBudgets:
    """Budgets set at run time."""

    _tables: Tables

    def set_budget(self, given: SetBudget, *, before_commit: BeforeCommit = nothing) -> None:
        """Set a budget, in place of the one that was set for them. Raises SandboxError for more than are kept."""
        with self._tables.changing(given.at) as db:
            db.execute("INSERT OR REPLACE INTO budgets VALUES (?, ?, ?, ?)", astuple(given))
            (count,) = db.execute("SELECT count(*) FROM budgets").fetchone()
            if count > MAX_BUDGETS:
                raise SandboxError(f"{MAX_BUDGETS:,} budgets are set, and no more are kept", help="write them under `budgets:`")
            before_commit()

    def drop_budget(self, whose: str, now: float, *, before_commit: BeforeCommit = nothing) -> SetBudget | None:
        """Take a set budget away; None where none was set."""
        with self._tables.changing(now) as db:
            rows = db.execute("DELETE FROM budgets WHERE whose = ? RETURNING *", (whose,)).fetchall()
            if rows:
                before_commit()
        return SetBudget(*rows[0]) if rows else None

    def budgets(self) -> tuple[SetBudget, ...]:
        """Every budget that was set, by whose it is."""
        return tuple(SetBudget(*row) for row in self._tables.trusting("SELECT * FROM budgets ORDER BY whose"))
