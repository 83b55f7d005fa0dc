"""The part of a store that keeps the last refused effects, so that a person can grant from one. They give nothing: not sealed."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.errors import Code, NotFound
from sandbox.state.rows import StoredDenial, denial_of, denial_row
from sandbox.state.tables import Tables

MAX_DENIALS = 1_000

_ADD = "INSERT INTO denials (id, at, component, digest, tool, subject, request_id, denial) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_FORGET = "DELETE FROM denials WHERE number <= (SELECT max(number) FROM denials) - ?"


class StoredDenials:
    """The last MAX_DENIALS refused effects."""

    _tables: Tables

    def add_denials(self, denials: Iterable[StoredDenial]) -> None:
        """Keep denials for `--from-denial`; the oldest beyond MAX_DENIALS are forgotten."""
        with self._tables.noting() as db:
            db.executemany(_ADD, map(denial_row, denials))
            db.execute(_FORGET, (MAX_DENIALS,))

    def denial(self, denial_id: str) -> StoredDenial:
        """The denial of that id; raises NotFound."""
        rows = self._tables.rows("SELECT * FROM denials WHERE id = ?", (denial_id,))
        if not rows:
            message = f"there is no denial `{denial_id}`"
            raise NotFound(message, help=f"the last {MAX_DENIALS:,} are kept; make the call again", code=Code.GRANT_NOT_FOUND)
        return denial_of(rows[0])
