"""Counts in a SQLite file of their own beside the grants: for all processes of one home, and over a crash.

A file of its own, since the grants' file is checked whole whenever another process has changed it, and counts change with every
call. Rules: one `BEGIN IMMEDIATE` around each step, so no other process comes between; what was committed outlives the process
(`synchronous=NORMAL` under WAL: of a power failure the last counts may be lost, never the file); the file is 0600 and no link.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path

from sandbox.admission.spending.counting import (
    KEPT_MS,
    SPENT_OF,
    SPENT_ON,
    USED_UP,
    Change,
    Claim,
    Full,
    Gate,
    Shut,
    Spent,
    Taken,
    judged,
)
from sandbox.audit.folder import private_file, private_folder
from sandbox.errors import HostUnavailable
from sandbox.state.schema import BUSY_MS, transaction

_SCHEMA = """
CREATE TABLE counters (key TEXT NOT NULL, slot INTEGER NOT NULL, amount INTEGER NOT NULL, touched INTEGER NOT NULL,
  PRIMARY KEY (key, slot)) STRICT, WITHOUT ROWID;
CREATE INDEX counters_touched ON counters (touched);
CREATE TABLE shut (name TEXT PRIMARY KEY, until INTEGER, why TEXT NOT NULL, since INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE spent (hour INTEGER NOT NULL, user TEXT NOT NULL, tenant TEXT NOT NULL, tool TEXT NOT NULL, model TEXT NOT NULL,
  calls INTEGER NOT NULL, cost_micros INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL, cpu_ms INTEGER NOT NULL, egress_bytes INTEGER NOT NULL,
  PRIMARY KEY (hour, user, tenant, tool, model)) STRICT, WITHOUT ROWID
"""
VERSION = 1
_PUT = """
INSERT INTO counters VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount, touched = excluded.touched
"""
_SPEND = (
    f"INSERT INTO spent VALUES ({', '.join('?' * (len(SPENT_ON) + len(SPENT_OF)))}) ON CONFLICT DO UPDATE SET "  # noqa: S608 - names of our own
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in SPENT_OF)
)
_SHUT = """
INSERT INTO shut VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE
SET until = excluded.until, why = excluded.why, since = excluded.since WHERE until IS NOT NULL
"""
_FORGET = "DELETE FROM counters WHERE touched < min(?, (SELECT max(touched) FROM counters)) - ?"
_BEGINS = "substr({}, 1, length(?)) = ?"


class SqliteUsage:
    """Counts in the file `path`: a `sandbox.admission.spending.counting.UsageStore`. One connection for all threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = _connect(path)

    def take(self, claims: Sequence[Claim], gates: Sequence[Gate], now_ms: int) -> Taken | Full | Shut:
        """Take all claims or none."""
        with self._step() as db:
            shut = _found_shut(db, gates)
            closed = next((one for one in shut if one.until_ms is None or one.until_ms > now_ms), None)
            if closed is not None:
                return closed
            found = [_slots(db, claim.key) for claim in claims]
            places = [judged(slots, claim.slot, claim.span) for claim, slots in zip(claims, found, strict=True)]
            without = {
                at: found[at]
                for at, (claim, (_, held)) in enumerate(zip(claims, places, strict=True))
                if claim.limit is not None and held + claim.amount > claim.limit
            }
            if without:
                latches = {claims[at].latch for at in without} - {None}
                db.executemany(_SHUT, [(name, None, USED_UP, now_ms) for name in latches])
                return Full(without)
            for claim, slots, (top, _) in zip(claims, found, places, strict=True):
                if any(slot <= top - claim.span for slot in slots):
                    db.execute("DELETE FROM counters WHERE key = ? AND slot <= ?", (claim.key, top - claim.span))
            db.executemany(_PUT, [(claim.key, top, claim.amount, now_ms) for claim, (top, _) in zip(claims, places, strict=True)])
            trials = tuple(one.name for one in shut)
            trial_ms = {gate.name: gate.trial_ms for gate in gates}
            db.executemany("UPDATE shut SET until = ? WHERE name = ?", [(now_ms + trial_ms[name], name) for name in trials])
            held = tuple(held + claim.amount for claim, (_, held) in zip(claims, places, strict=True))
            return Taken(tuple(top for top, _ in places), held, trials)

    def add(self, changes: Sequence[Change], now_ms: int, spent: Sequence[Spent] = ()) -> tuple[int, ...]:
        """Make the changes."""
        with self._step() as db:
            db.executemany(_PUT, [(one.key, one.slot, one.amount, now_ms) for one in changes])
            db.executemany(_SPEND, map(astuple, spent))
            return tuple(judged(_slots(db, one.key), one.slot, one.span)[1] for one in changes)

    def held(self, windows: Sequence[Claim]) -> tuple[int, ...]:
        """What the windows hold."""
        with self._reading() as db:
            return tuple(judged(_slots(db, one.key), one.slot, one.span)[1] for one in windows)

    def shut(self, gate: Shut) -> None:
        """Shut a gate."""
        with self._step() as db:
            db.execute(_SHUT, (gate.name, gate.until_ms, gate.why, gate.since_ms))

    def open(self, name: str) -> bool:
        """Open a gate."""
        with self._step() as db:
            return db.execute("DELETE FROM shut WHERE name = ?", (name,)).rowcount == 1

    def gates(self, prefix: str = "") -> tuple[Shut, ...]:
        """The gates that are shut."""
        with self._reading() as db:
            query = f"SELECT * FROM shut WHERE {_BEGINS.format('name')} ORDER BY name"  # noqa: S608 - no text of anyone's
            return tuple(Shut(*row) for row in db.execute(query, (prefix, prefix)))

    def forget(self, prefix: str) -> None:
        """Forget counters."""
        with self._step() as db:
            db.execute(f"DELETE FROM counters WHERE {_BEGINS.format('key')}", (prefix, prefix))  # noqa: S608 - no text of anyone's

    def spent(self, since_hour: int, until_hour: int) -> tuple[Spent, ...]:
        """What was spent."""
        with self._reading() as db:
            rows = db.execute("SELECT * FROM spent WHERE hour >= ? AND hour < ?", (since_hour, until_hour))
            return tuple(Spent(*row) for row in rows)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    @contextmanager
    def _step(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as db, transaction(db, sure=False):
            yield db

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._db is None:
                raise HostUnavailable("the counts of usage are closed")
            try:
                yield self._db
            except sqlite3.Error as error:
                raise HostUnavailable(f"usage cannot be counted: {error}") from error


def _slots(db: sqlite3.Connection, key: str) -> dict[int, int]:
    return dict(db.execute("SELECT slot, amount FROM counters WHERE key = ?", (key,)).fetchall())


def _found_shut(db: sqlite3.Connection, gates: Sequence[Gate]) -> list[Shut]:
    if not gates:
        return []
    marks = ", ".join("?" * len(gates))
    rows = db.execute(f"SELECT * FROM shut WHERE name IN ({marks})", [gate.name for gate in gates])  # noqa: S608 - marks
    return [Shut(*row) for row in rows]


def _connect(path: Path) -> sqlite3.Connection:
    private_folder(path.parent)
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if name == path or os.path.lexists(name):
            os.close(private_file(name))
    try:
        db = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA trusted_schema=OFF")
        with transaction(db, sure=True):
            _make(db, path)
            # Not by a clock that was set forward alone: then what is spent today would be forgotten.
            db.execute(_FORGET, (int(time.time() * 1000), KEPT_MS))
    except sqlite3.Error as error:
        raise HostUnavailable(f"`{path}` holds no counts of this program: {error}", help="move it away") from error
    return db


def _make(db: sqlite3.Connection, path: Path) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    if version or db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        told = f"`{path}` has schema {version}, this version reads {VERSION}"
        raise HostUnavailable(told, help="use the version that wrote it")
    for statement in _SCHEMA.split(";"):
        db.execute(statement)
    db.execute(f"PRAGMA user_version={VERSION}")
