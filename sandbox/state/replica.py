"""What this process has of tables that lie elsewhere: the same tables in memory, and which rows a change here touched.

Decides nothing. A row goes elsewhere and comes back as its number and its columns in JSON, so what comes out is what went in.

Rule: a row that does not read as one of its table is not put in, and is told: what was sealed is then not what was left.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sandbox.state.schema import connect_memory, transaction

TABLES = (
    "numbers",
    "seals",
    "grants",
    "components",
    "installed",
    "worlds",
    "listings",
    "policy_versions",
    "roles",
    "stops",
    "denials",
    "budgets",
    "workflows",
    "approvals",
)
"""The tables that are kept elsewhere, in the order by which they are known there."""

_CAPTURE = """
CREATE TEMP TRIGGER {table}_{when} AFTER {when} ON main.{table}
BEGIN INSERT OR IGNORE INTO touched VALUES ({index}, {side}.rowid); END
"""
_SIDES = (("insert", "new"), ("update", "new"), ("delete", "old"))


@dataclass(frozen=True, slots=True)
class Row:
    """A row elsewhere: of which table (its place in TABLES), its number there, its columns in JSON; none where it is gone."""

    table: int
    number: int
    columns: str | None


class Replica:
    """The tables in memory. What is changed in `db` is noted, row by row."""

    def __init__(self) -> None:
        self.db = connect_memory()
        # A replaced row is a deleted one, and its number another one: the triggers hear of it only so.
        self.db.execute("PRAGMA recursive_triggers=ON")
        self.db.execute("CREATE TEMP TABLE touched (place INTEGER, number INTEGER, PRIMARY KEY (place, number))")
        for index, table in enumerate(TABLES):
            for when, side in _SIDES:
                self.db.execute(_CAPTURE.format(table=table, when=when, index=index, side=side))
        self._put = [_put_statement(self.db, table) for table in TABLES]

    def put(self, rows: Iterable[Row]) -> bool:
        """Make rows what they are elsewhere; False where one of them is no row of its table, and was left out."""
        whole = True
        with transaction(self.db):
            # What is gone first: a row may have come back under another number.
            for row in sorted(rows, key=lambda row: row.columns is not None):
                try:
                    self._one(row)
                except (ValueError, TypeError, sqlite3.Error):
                    whole = False
            self.db.execute("DELETE FROM touched")
        return whole

    def _one(self, row: Row) -> None:
        if row.columns is None:
            self.db.execute(f"DELETE FROM {TABLES[row.table]} WHERE rowid = ?", (row.number,))  # noqa: S608 - names of our own
        else:
            self.db.execute(self._put[row.table], (row.number, *json.loads(row.columns)))

    def touched(self) -> Iterator[Row]:
        """The rows that the transaction under way has changed, as they are now."""
        for index, number in self.db.execute("SELECT place, number FROM touched ORDER BY place, number").fetchall():
            found = self.db.execute(f"SELECT * FROM {TABLES[index]} WHERE rowid = ?", (number,)).fetchall()  # noqa: S608 - as above
            yield Row(index, number, _columns(found[0]) if found else None)
        self.db.execute("DELETE FROM touched")

    def everything(self) -> Iterator[Row]:
        """Every row of every table."""
        for index, table in enumerate(TABLES):
            for number, *columns in self.db.execute(f"SELECT rowid, * FROM {table}"):  # noqa: S608 - as above
                yield Row(index, number, _columns(columns))
        self.db.execute("DELETE FROM touched")

    def close(self) -> None:
        """Forget everything."""
        self.db.close()


def _columns(row: Iterable[object]) -> str:
    return json.dumps(tuple(row))


def _put_statement(db: sqlite3.Connection, table: str) -> str:
    """An insertion of a row's number and all of its columns."""
    names = [row["name"] for row in db.execute(f"PRAGMA table_info({table})")]
    return f"INSERT OR REPLACE INTO {table} (rowid, {', '.join(names)}) VALUES (?{', ?' * len(names)})"  # noqa: S608 - as above
