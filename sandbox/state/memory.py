"""A store in this process's memory: for tests, and for a program that embeds the host and wants nothing to outlast it.

Nobody else can write it, so nothing is sealed; it ends with `close`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from sandbox.errors import HostUnavailable
from sandbox.state.schema import connect_memory, transaction
from sandbox.state.store import Store
from sandbox.state.tables import Tables, raised, writing


class MemoryTables(Tables):
    """Tables that nobody else has."""

    def __init__(self) -> None:
        self._db: sqlite3.Connection | None = connect_memory()

    def close(self) -> None:
        """Forget everything."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def current(self) -> sqlite3.Connection:
        """The tables."""
        if self._db is None:
            raise HostUnavailable("the store is closed")
        return self._db

    def trusted(self) -> sqlite3.Connection:
        """The tables: nobody else can have changed them."""
        return self.current()

    @contextmanager
    def noting(self) -> Iterator[sqlite3.Connection]:
        """All or nothing."""
        db = self.current()
        with writing(), transaction(db):
            yield db

    @contextmanager
    def changing(self, now: float) -> Iterator[sqlite3.Connection]:
        """All or nothing, and the generation raised with it."""
        with self.noting() as db:
            yield db
            raised(db, now)

    def taking_over(self, now: float) -> AbstractContextManager[sqlite3.Connection]:
        """A change like any other."""
        return self.changing(now)

    def alone(self) -> AbstractContextManager[sqlite3.Connection]:
        """Nobody else is there."""
        return self.noting()


def memory_store() -> Store:
    """A new store in this process's memory."""
    return Store(MemoryTables())
