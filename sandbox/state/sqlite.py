"""The store in one SQLite file, for the processes of one machine: the default.

Rules: an acknowledged change of what gives or takes authority has reached the disk (WAL, `synchronous=FULL`); the number of
changes is kept outside, beside the key (`sandbox.state.authentic`); a process looks at the codes again only after another one
has written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sandbox.errors import HostUnavailable
from sandbox.state.authentic import Authentic, Mark
from sandbox.state.schema import connect, transaction
from sandbox.state.sealed_tables import SealedTables
from sandbox.state.store import Store
from sandbox.state.tables import in_words, raised, writing


class SqliteTables(SealedTables):
    """One process's connection to the file `path`; raises HostUnavailable where that cannot be used."""

    def __init__(self, path: Path, authentic: Authentic) -> None:
        self._db: sqlite3.Connection | None = connect(path)
        self._authentic = authentic
        self._trusted: int | None = None
        """The `data_version` of the store when it was found authentic last: it is another one after anybody else's change."""

    def close(self) -> None:
        """Let go of the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def current(self) -> sqlite3.Connection:
        """The file."""
        if self._db is None:
            raise HostUnavailable("the store is closed")
        return self._db

    def trusted(self) -> sqlite3.Connection:
        """The file, where it is as this program left it."""
        db = self.current()
        try:
            if _data_version(db) == self._trusted:
                return db
            # Read first: a number outside that is higher than the store's belongs to a change that came after it.
            mark = self._authentic.mark()
            db.execute("BEGIN")
            try:
                seen = _data_version(db)
                self._authentic.check(db, mark)
            finally:
                db.execute("COMMIT")
            self._trusted = seen
        except sqlite3.Error as error:
            raise HostUnavailable(f"the store cannot be read: {in_words(error)}") from error
        return db

    @contextmanager
    def changing(self, now: float) -> Iterator[sqlite3.Connection]:
        """On the disk before it is acknowledged, sealed, and marked outside."""
        mark = self._authentic.mark()
        db = self.current()
        with writing(), transaction(db, sure=True):
            if (seen := _data_version(db)) != self._trusted:
                self._authentic.check(db, mark)
                self._trusted = seen
            yield db
            raised(db, now)
            version = self._authentic.seal(db)
        # It has reached the disk. A connection's own changes do not change its `data_version`.
        self._authentic.advance(Mark(version, now))

    @contextmanager
    def noting(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and in the file; on the disk when the system gets to it."""
        db = self.current()
        with writing(), transaction(db):
            yield db

    @contextmanager
    def taking_over(self, now: float) -> Iterator[sqlite3.Connection]:
        """A change of a file that may be anything; the key and the mark are made anew where they are none."""
        self._authentic.start_anew()
        least = self._authentic.mark().version
        db = self.current()
        with writing(), transaction(db, sure=True):
            yield db
            raised(db, now)
            version = self._authentic.seal(db, least=least)
            self._trusted = _data_version(db)
        self._authentic.advance(Mark(version, now))

    def alone(self) -> AbstractContextManager[sqlite3.Connection]:
        """One process writes at a time, and it is this one."""
        return self.noting()


def sqlite_store(folder: Path) -> Store:
    """The store of a home: `state.sqlite` in its folder for state, and the key beside that."""
    return Store(SqliteTables(folder / "state.sqlite", Authentic(folder.parent / "keys")))


def _data_version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA data_version").fetchone()[0])
