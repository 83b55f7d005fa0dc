"""What every store stands on: tables that are read as they were left, and changes that are whole, sealed and kept.

Decides nothing of what lies in the tables. One schema and one SQL for every store; the stores differ in where the rows are kept
and who else may write them: `sandbox.state.sqlite`, `sandbox.state.memory`, `sandbox.state.redis`.

Rules: `trusting` is for what gives or takes authority, `rows` for numbers and what only a person looks at; a change is seen by
every process that shares the store, whole, or not made; when it is acknowledged, it is kept.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sandbox.errors import HostUnavailable


class LostError(HostUnavailable):
    """What keeps the store does not answer. Of what was asked of it last nobody knows whether it was done."""


BeforeCommit = Callable[[], None]
"""Called when a change is made and not yet kept: what it raises leaves nothing behind."""


def nothing() -> None:
    """Before the commit there is nothing to do."""


class Tables(ABC):
    """The tables of a store, and the ways to read and to change them."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the store; every further use raises HostUnavailable."""

    @abstractmethod
    def current(self) -> sqlite3.Connection:
        """The tables as they are now. Raises HostUnavailable."""

    @abstractmethod
    def trusted(self) -> sqlite3.Connection:
        """The tables as they are now, and as this program left them; raises StoreChangedError where they are not."""

    @abstractmethod
    def changing(self, now: float) -> AbstractContextManager[sqlite3.Connection]:
        """A change that others must see: kept before it is acknowledged, the generation raised with it."""

    @abstractmethod
    def noting(self) -> AbstractContextManager[sqlite3.Connection]:
        """A change of what gives no authority: whole, but it may be lost with the power."""

    @abstractmethod
    def taking_over(self, now: float) -> AbstractContextManager[sqlite3.Connection]:
        """A change of a store whose tables need not be as they were left: afterwards they are taken for ours."""

    @abstractmethod
    def alone(self) -> AbstractContextManager[sqlite3.Connection]:
        """The tables as they are now, while nobody else can change them."""

    def not_ours(self) -> tuple[str, ...]:
        """The tables that are not as this program left them."""
        return ()

    def latest_outside(self) -> float:
        """The latest moment that was noted outside of the store, where there is an outside."""
        return 0.0

    def advance_outside(self, now: float) -> None:  # noqa: B027 - a store without an outside has nothing to do
        """Note outside of the store that it is at least `now`, where there is an outside."""

    def watch(self) -> AsyncGenerator[HostUnavailable | None] | None:
        """Where other hosts share the store: None for each change of theirs, the error where it cannot be reached; for ever."""
        return None

    def rows(self, query: str, values: Any = ()) -> list[sqlite3.Row]:
        """Rows as they are."""
        return _read(self.current(), query, values)

    def trusting(self, query: str, values: Any = ()) -> list[sqlite3.Row]:
        """Rows of what is sealed; raises StoreChangedError where the store is not as this program left it."""
        return _read(self.trusted(), query, values)

    def number(self, name: str) -> float:
        """One of the store's numbers."""
        found = self.rows("SELECT value FROM numbers WHERE name = ?", (name,))
        # One that is gone was taken by somebody: whatever needs an authentic store says so.
        return float(found[0]["value"]) if found else 0.0


def raised(db: sqlite3.Connection, now: float) -> None:
    """A change has been made: the generation grows, and it is at least `now`."""
    db.execute("UPDATE numbers SET value = value + 1 WHERE name = 'generation'")
    note_latest(db, now)


def note_latest(db: sqlite3.Connection, now: float) -> None:
    """It is at least `now`."""
    db.execute("UPDATE numbers SET value = max(value, ?) WHERE name = 'latest'", (now,))


@contextmanager
def writing() -> Iterator[None]:
    """SQLite's errors of a change, as the host's."""
    try:
        yield
    except sqlite3.Error as error:
        raise HostUnavailable(f"the store cannot be written: {in_words(error)}") from error


def in_words(error: sqlite3.Error) -> str:
    """An error of SQLite's; that of its check for threads in the words of who uses a store."""
    if isinstance(error, sqlite3.ProgrammingError) and "same thread" in str(error):
        return "it is used in the thread that opened it, and this is another one"
    return str(error)


def _read(db: sqlite3.Connection, query: str, values: Any) -> list[sqlite3.Row]:
    try:
        return db.execute(query, values).fetchall()
    except sqlite3.Error as error:
        raise HostUnavailable(f"the store cannot be read: {in_words(error)}") from error
