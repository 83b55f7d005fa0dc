"""The store on a Redis or Valkey server, for several servers of this program: what one of them changes holds in all.

Decides when what this process has of the store is as the server has it. Rows lie there one by one, and sealed; here they are
tables in memory, brought up to date before each use, so that one SQL means the same in every store.

Rules: every check-and-change is made under a lock of the server's and taken by it in one step (`scripts`); what is
acknowledged, the server has on its disk (`opening`); what it does not answer is a refusal, never an empty store; who writes
there without the key is noticed (`authentic`), an older copy by every process that has seen a newer one.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sandbox.errors import HostUnavailable
from sandbox.state.authentic import Authentic, Mark, StoreChangedError
from sandbox.state.redis.link import Link
from sandbox.state.redis.scripts import BEGIN, COMMIT, END, PULL
from sandbox.state.redis.watch import watch
from sandbox.state.replica import TABLES, Replica, Row
from sandbox.state.schema import transaction
from sandbox.state.sealed_tables import SealedTables
from sandbox.state.tables import LostError, raised, writing

PREFIX = "{sandbox}:state"
"""In braces: in a cluster, all of it lies on one server."""
CHANNEL = f"{PREFIX}:changed"
META = f"{PREFIX}:meta"
KEYS = [META, f"{PREFIX}:log", f"{PREFIX}:lock", *(f"{PREFIX}:rows:{table}" for table in TABLES)]
LOCK_MS = 1_000
"""For how long a process that dies in a change holds the others up. A change that takes longer is made if nobody came between."""
WAIT_S = 4.0
MAX_LOG = 20_000
"""How many rows are told from one another by when they changed."""
_AGAIN_S = 0.002


class RedisTables(SealedTables):
    """One process's view of the store behind `link`."""

    def __init__(self, link: Link, authentic: Authentic) -> None:
        self._link, self._authentic = link, authentic
        self._pull, self._begin = link.script(PULL), link.script(BEGIN)
        self._end, self._commit = link.script(END), link.script(COMMIT)
        self._replica: Replica | None = Replica()
        self._head = -1
        """The change that the replica is at."""
        self._trusted = False
        """Whether the replica was found authentic since it was brought up to date last."""
        self._whole = True

    def close(self) -> None:
        """Let go of the server."""
        if self._replica is not None:
            self._replica.close()
            self._replica = None
            self._link.close()

    def current(self) -> sqlite3.Connection:
        """The tables, after everything that any server changed."""
        replica = self._open()
        head = self._link.ask(lambda client: client.hget(META, "head")) or b"0"
        if head != b"%d" % self._head:
            self._take_over(self._pull(KEYS, [self._head]))
            return self._open().db
        return replica.db

    def trusted(self) -> sqlite3.Connection:
        """The same, where it is as this program left it."""
        # Read first: a number outside that is higher than the store's belongs to a change that came after it.
        mark = self._authentic.mark()
        db = self.current()
        self._check(db, mark)
        return db

    @contextmanager
    def changing(self, now: float) -> Iterator[sqlite3.Connection]:
        """Sealed, taken by the server, on its disk, and marked outside."""
        mark = self._authentic.mark()
        with self._locked() as lock:
            self._check(self._open().db, mark)
            with self._sent(lock) as db:
                yield db
                raised(db, now)
                version = self._authentic.seal(db)
        self._authentic.advance(Mark(version, now))

    @contextmanager
    def noting(self) -> Iterator[sqlite3.Connection]:
        """Taken by the server."""
        with self._locked() as lock, self._sent(lock) as db:
            yield db

    @contextmanager
    def taking_over(self, now: float) -> Iterator[sqlite3.Connection]:
        """A change of a store that may be anything: all of it is written anew."""
        self._authentic.start_anew()
        least = self._authentic.mark().version
        with self._locked() as lock, self._sent(lock, anew=True) as db:
            yield db
            raised(db, now)
            version = self._authentic.seal(db, least=least)
        self._trusted = True
        self._authentic.advance(Mark(version, now))

    @contextmanager
    def alone(self) -> Iterator[sqlite3.Connection]:
        """The tables under the lock."""
        with self._locked():
            yield self._open().db

    def watch(self) -> AsyncGenerator[HostUnavailable | None]:
        """What the server tells of."""
        return watch(self._link, CHANNEL, META)

    def _open(self) -> Replica:
        if self._replica is None:
            raise HostUnavailable("the store is closed")
        return self._replica

    def _check(self, db: sqlite3.Connection, mark: Mark) -> None:
        if self._trusted:
            return
        try:
            if not self._whole:
                raise StoreChangedError("it has rows that are none")
            self._authentic.check(db, mark)
        except sqlite3.Error as error:
            raise HostUnavailable(f"the store cannot be read: {error}") from error
        self._trusted = True
        ((version,),) = db.execute("SELECT value FROM numbers WHERE name = 'version'").fetchall()
        # Whoever has seen a change notices when the server is put back to before it.
        self._authentic.advance(Mark(int(version)))

    def _take_over(self, told: list[Any]) -> None:
        """Make the replica what the server has."""
        head, kind, *rest = told
        if kind == b"same":
            return
        if kind == b"all":
            self._open().close()
            self._replica, self._whole, self._trusted = Replica(), True, False
            rows = [row for index, flat in enumerate(rest) for row in _rows(index, flat)]
        else:
            rows = [Row(index, int(number), _text(columns)) for index, number, columns in rest]
        self._trusted = self._trusted and all(TABLES[row.table] == "denials" for row in rows)
        self._whole = self._open().put(rows) and self._whole
        self._head = head

    @contextmanager
    def _locked(self) -> Iterator[_Lock]:
        """The server's lock, and the tables as they are under it."""
        self._open()
        lock = _Lock(token := secrets.token_hex(16))
        until = time.monotonic() + WAIT_S
        pause = _AGAIN_S
        while (told := self._begin(KEYS, [self._head, token, LOCK_MS]))[0] == -1:
            if time.monotonic() > until:
                raise HostUnavailable("the store is being changed by another server for too long")
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        try:
            self._take_over(told)
            yield lock
        finally:
            if lock.held:
                # Where that is not answered, the lock ends by its own time.
                with suppress(LostError):
                    self._end(KEYS, [token])

    @contextmanager
    def _sent(self, lock: _Lock, *, anew: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction here that is one there, or none at all; `anew`, all that is here takes the place of all that is there."""
        replica = self._open()
        with writing(), transaction(replica.db):
            yield replica.db
            rows = [
                part
                for row in (replica.everything() if anew else replica.touched())
                for part in (row.table, row.number, row.columns or "")
            ]
            self._head = self._taken(lock.token, ["anew" if anew else "some", MAX_LOG, *rows])
            lock.held = False

    def _taken(self, token: str, told: list[Any]) -> int:
        """The number of the change when the server has taken it."""
        try:
            head = int(self._commit(KEYS, [token, max(self._head, 0), CHANNEL, *told]))
        except LostError:
            # It may have been taken: asked once more, and else nobody knows.
            head, writer = self._asked_again()
            if writer != token:
                raise
        if not head:
            raise HostUnavailable("the change took too long, and was not made", help="make it again")
        return head

    def _asked_again(self) -> tuple[int, str]:
        self._link.found()
        head, writer = self._link.ask(lambda client: client.hmget(META, ["head", "writer"]))
        return int(head or 0), (writer or b"").decode("ascii", "replace")


@dataclass(slots=True)
class _Lock:
    """The server's lock, by what it knows us by, and whether we still have it."""

    token: str
    held: bool = True


def _rows(index: int, flat: list[bytes]) -> Iterator[Row]:
    for number, columns in zip(flat[::2], flat[1::2], strict=True):
        yield Row(index, int(number) if number.isdigit() else -1, _text(columns))


def _text(columns: bytes | None) -> str | None:
    return None if columns is None else columns.decode("utf-8", "replace")
