"""What components keep between calls: values by key, in buckets, per component and bounded.

Decides how much a component may keep, and that a change is whole. It is the components' own data: it gives no authority, is not
sealed, and lies apart from the store, so that what a guest writes costs nobody who reads grants.

Rules: every check-and-change is one step, whatever else runs; a change survives the death of every process of the host, not
the power's; what would be too much is refused and leaves what is there.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sandbox.audit.folder import private_file, private_folder
from sandbox.errors import Code, HostUnavailable, SandboxError
from sandbox.state.schema import BUSY_MS, transaction

MAX_KEY_BYTES = 1 << 10
MAX_VALUE_BYTES = 1 << 20
MAX_BYTES = 8 << 20
"""Of one component: its keys, buckets' names and values together."""
OVERHEAD_BYTES = 64
"""What each key counts beside its own bytes, so that empty ones are not free."""
MAX_KEYS = 10_000
MOST_LISTED = 200
"""Keys of a page, about as many of the longest as are told at a time (`sandbox.in_force.keeping`): the host waits for it."""

_KEPT = """
CREATE TABLE IF NOT EXISTS kept (
  component TEXT, bucket TEXT, key TEXT, value BLOB NOT NULL, PRIMARY KEY (component, bucket, key)
) STRICT, WITHOUT ROWID
"""
_SIZES = "CREATE TABLE IF NOT EXISTS sizes (component TEXT PRIMARY KEY, keys INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT"
_GET = "SELECT value FROM kept WHERE component = ? AND bucket = ? AND key = ?"
_LENGTH = "SELECT length(value) FROM kept WHERE component = ? AND bucket = ? AND key = ?"
_DELETE = "DELETE FROM kept WHERE component = ? AND bucket = ? AND key = ?"
_KEYS = "SELECT key FROM kept WHERE component = ? AND bucket = ? AND (? IS NULL OR key > ?) ORDER BY key LIMIT ?"
_RESIZED = """
INSERT INTO sizes VALUES (:component, :keys, :bytes)
ON CONFLICT DO UPDATE SET keys = keys + excluded.keys, bytes = bytes + excluded.bytes
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much a component keeps: of how many keys, in bytes."""

    keys: int = 0
    bytes: int = 0


class FullError(SandboxError):
    """A key, a value, or all that a component would keep is more than may be."""

    code = Code.RESOURCE_LIMIT_EXCEEDED


class KeyValues(Protocol):
    """The values of all components. Every method raises HostUnavailable where they cannot be reached."""

    def get(self, component: str, bucket: str, key: str) -> bytes | None:
        """A value, or None where there is no such key."""

    def set(self, component: str, bucket: str, key: str, value: bytes, *, most: int = MAX_BYTES) -> None:
        """Keep a value, in place of what the key had; raises FullError, where the component would keep more than `most` too."""

    def delete(self, component: str, bucket: str, key: str) -> bool:
        """Forget a key; whether it was there."""

    def exists(self, component: str, bucket: str, key: str) -> bool:
        """Whether there is such a key."""

    def keys(self, component: str, bucket: str, *, after: str | None = None) -> tuple[str, ...]:
        """At most MOST_LISTED keys of a bucket in their order, those behind `after`."""

    def size(self, component: str) -> Size:
        """How much a component keeps in all its buckets."""

    def forget(self, component: str) -> None:
        """Forget everything of a component."""

    def close(self) -> None:
        """Let go of them."""


def counted(bucket: str, key: str, value_bytes: int) -> int:
    """The bytes that a key and its value count."""
    return OVERHEAD_BYTES + len(bucket.encode()) + len(key.encode()) + value_bytes


def refuse_what_is_too_long(bucket: str, key: str, value: bytes) -> None:
    """Raise FullError for a key or a value that is never kept."""
    named = len(bucket.encode()) + len(key.encode())
    if named > MAX_KEY_BYTES:
        raise FullError(f"a key of {named:,} bytes is too long", help=f"with its bucket at most {MAX_KEY_BYTES:,}")
    if len(value) > MAX_VALUE_BYTES:
        raise FullError(f"a value of {len(value):,} bytes is too large", help=f"at most {MAX_VALUE_BYTES:,}")


def refuse_what_is_too_much(component: str, after: Size, most: int = MAX_BYTES) -> None:
    """Raise FullError for more than a component may keep."""
    if after.keys > MAX_KEYS:
        raise FullError(f"`{component}` keeps {MAX_KEYS:,} keys, and no more", help="delete some")
    if after.bytes > most:
        raise FullError(f"`{component}` would keep {after.bytes:,} bytes", help=f"at most {most:,}: delete some")


class SqliteKeyValues:
    """Values in the file `path`, or in memory."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            private_folder(path.parent)
            for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                if name == path or os.path.lexists(name):
                    os.close(private_file(name))
        with _errors():
            self._db = sqlite3.connect(path or ":memory:", timeout=BUSY_MS / 1000, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA trusted_schema=OFF")
            for statement in (_KEPT, _SIZES):
                self._db.execute(statement)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def get(self, component: str, bucket: str, key: str) -> bytes | None:
        """A value."""
        with _errors():
            row = self._db.execute(_GET, (component, bucket, key)).fetchone()
        return None if row is None else bytes(row[0])

    def exists(self, component: str, bucket: str, key: str) -> bool:
        """Whether there is such a key."""
        with _errors():
            return bool(self._db.execute(_LENGTH, (component, bucket, key)).fetchall())

    def set(self, component: str, bucket: str, key: str, value: bytes, *, most: int = MAX_BYTES) -> None:
        """Keep a value."""
        refuse_what_is_too_long(bucket, key, value)
        with _errors(), transaction(self._db):
            before, held = self._counted(component, bucket, key), self.size(component)
            grown = Size(0 if before else 1, counted(bucket, key, len(value)) - before)
            if grown.keys > 0 or grown.bytes > 0:
                refuse_what_is_too_much(component, Size(held.keys + grown.keys, held.bytes + grown.bytes), most)
            self._db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", (component, bucket, key, value))
            self._resize(component, grown)

    def delete(self, component: str, bucket: str, key: str) -> bool:
        """Forget a key."""
        with _errors(), transaction(self._db):
            before = self._counted(component, bucket, key)
            if before:
                self._db.execute(_DELETE, (component, bucket, key))
                self._resize(component, Size(-1, -before))
        return before > 0

    def keys(self, component: str, bucket: str, *, after: str | None = None) -> tuple[str, ...]:
        """Keys in their order."""
        with _errors():
            return tuple(row[0] for row in self._db.execute(_KEYS, (component, bucket, after, after, MOST_LISTED)))

    def size(self, component: str) -> Size:
        """How much a component keeps."""
        with _errors():
            row = self._db.execute("SELECT keys, bytes FROM sizes WHERE component = ?", (component,)).fetchone()
        return Size() if row is None else Size(*row)

    def forget(self, component: str) -> None:
        """Forget everything of a component."""
        with _errors(), transaction(self._db):
            self._db.execute("DELETE FROM kept WHERE component = ?", (component,))
            self._db.execute("DELETE FROM sizes WHERE component = ?", (component,))

    def _counted(self, component: str, bucket: str, key: str) -> int:
        """What a key counts now: 0 where it is not there."""
        row = self._db.execute(_LENGTH, (component, bucket, key)).fetchone()
        return 0 if row is None else counted(bucket, key, int(row[0]))

    def _resize(self, component: str, by: Size) -> None:
        self._db.execute(_RESIZED, {"component": component, "keys": by.keys, "bytes": by.bytes})


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise HostUnavailable(f"the components' values cannot be reached: {error}") from error
