"""The part of a store that remembers which documents hold for several components at once.

Decides nothing: what they give is `sandbox.in_force.shared`. Sealed, and raises the generation as grants do.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass

from sandbox.errors import SandboxError
from sandbox.state.tables import BeforeCommit, Tables, nothing
from sandbox.wit.types import Digest

MAX_WORKFLOWS = 100


@dataclass(frozen=True, slots=True)
class StoredWorkflow:
    """A document for several components: its name, the file it was read from, its text, who accepted it and when.

    `holders` are the names in it with the digests that carried them when it was loaded: it gives to no other. `uris` are the
    places that it shares, kept beside the text for a version that reads that no more.
    """

    name: str
    file: str
    text: str
    who: str
    at: float
    holders: tuple[tuple[str, Digest], ...] = ()
    uris: tuple[str, ...] = ()


class StoredWorkflows:
    """Documents for several components."""

    _tables: Tables

    def put_workflow(self, given: StoredWorkflow, *, before_commit: BeforeCommit = nothing) -> None:
        """Keep a document, in place of the one of that name. Raises SandboxError for more than are kept."""
        with self._tables.changing(given.at) as db:
            db.execute("INSERT OR REPLACE INTO workflows VALUES (?, ?, ?, ?, ?, ?, ?)", _row(given))
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
        return _of(rows[0]) if rows else None

    def workflows(self) -> tuple[StoredWorkflow, ...]:
        """Every document that holds, by name."""
        return tuple(map(_of, self._tables.trusting("SELECT * FROM workflows ORDER BY name")))


def _row(given: StoredWorkflow) -> tuple[object, ...]:
    return given.name, given.file, given.text, given.who, given.at, json.dumps(given.holders), json.dumps(given.uris)


def _of(row: sqlite3.Row) -> StoredWorkflow:
    name, file, text, who, at, holders, uris = row
    held = tuple((other, Digest(digest)) for other, digest in json.loads(holders))
    return StoredWorkflow(name, file, text, who, at, held, tuple(json.loads(uris)))
