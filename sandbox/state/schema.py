"""The store's tables, and a connection to them that is safe to use.

Decides how the bytes lie; meaning is `sandbox.state.store`. Rules: the file is 0600 in a 0700 folder and no link; a schema
that this version does not know is refused, never guessed at; a foreign process may write at the same time.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.audit.folder import private_file, private_folder
from sandbox.errors import HostUnavailable

BUSY_MS = 5_000

_FIRST = """
CREATE TABLE numbers (name TEXT PRIMARY KEY, value REAL NOT NULL) STRICT;
INSERT INTO numbers VALUES ('generation', 0), ('latest', 0);
CREATE TABLE grants (
  id TEXT PRIMARY KEY, component TEXT NOT NULL, digest TEXT NOT NULL, kind TEXT NOT NULL, effect TEXT NOT NULL,
  entry TEXT NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL, max_uses INTEGER,
  uses INTEGER NOT NULL DEFAULT 0 CHECK (max_uses IS NULL OR uses <= max_uses), ended_at REAL, ended_why TEXT
) STRICT;
CREATE INDEX grants_live ON grants (component, digest) WHERE ended_at IS NULL;
CREATE TABLE components (
  name TEXT PRIMARY KEY, digest TEXT NOT NULL, path TEXT NOT NULL, policy_file TEXT NOT NULL, policy_text TEXT NOT NULL,
  accepted_by TEXT NOT NULL, accepted_at REAL NOT NULL
) STRICT;
CREATE TABLE denials (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, at REAL NOT NULL, component TEXT NOT NULL,
  digest TEXT NOT NULL, tool TEXT NOT NULL, subject TEXT NOT NULL, request_id TEXT NOT NULL, denial TEXT NOT NULL
) STRICT;
"""

_INSTALLED = """
CREATE TABLE worlds (digest TEXT PRIMARY KEY, world TEXT NOT NULL) STRICT;
CREATE TABLE installed (
  name TEXT PRIMARY KEY, digest TEXT NOT NULL, surface TEXT NOT NULL, source TEXT NOT NULL, size INTEGER NOT NULL,
  tools INTEGER NOT NULL, request_file TEXT NOT NULL, request_text TEXT, decided INTEGER NOT NULL, installed_at REAL NOT NULL
) STRICT;
CREATE TABLE policy_versions (
  component TEXT NOT NULL, version INTEGER NOT NULL, digest TEXT NOT NULL, policy_file TEXT NOT NULL, policy_text TEXT NOT NULL,
  accepted_by TEXT NOT NULL, accepted_at REAL NOT NULL, PRIMARY KEY (component, version)
) STRICT;
INSERT INTO policy_versions
  SELECT name, 1, digest, policy_file, policy_text, accepted_by, accepted_at FROM components;
"""

_LIFETIMES = """
ALTER TABLE grants ADD COLUMN lifetime TEXT NOT NULL DEFAULT 'lasting' CHECK (lifetime IN ('once', 'session', 'lasting'));
ALTER TABLE grants ADD COLUMN session TEXT;
ALTER TABLE grants ADD COLUMN keeper TEXT;
"""

_BY_DIGEST = """
ALTER TABLE components RENAME TO components_by_name;
CREATE TABLE components (
  name TEXT NOT NULL, digest TEXT NOT NULL, path TEXT NOT NULL, policy_file TEXT NOT NULL, policy_text TEXT NOT NULL,
  accepted_by TEXT NOT NULL, accepted_at REAL NOT NULL, PRIMARY KEY (name, digest)
) STRICT;
INSERT INTO components SELECT * FROM components_by_name;
DROP TABLE components_by_name;
"""

_SEALS = """
CREATE TABLE seals (name TEXT PRIMARY KEY, code TEXT NOT NULL) STRICT;
INSERT INTO numbers VALUES ('version', 0);
"""

_LISTINGS = """
ALTER TABLE worlds ADD COLUMN sha256 TEXT NOT NULL DEFAULT '';
CREATE TABLE listings (
  name TEXT NOT NULL, digest TEXT NOT NULL, made_by TEXT NOT NULL, listing TEXT NOT NULL, sha256 TEXT NOT NULL,
  PRIMARY KEY (name, digest)
) STRICT;
"""

_ROLES = """
CREATE TABLE roles (
  subject TEXT NOT NULL, role TEXT NOT NULL, who TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (subject, role)
) STRICT;
CREATE TABLE stops (scope TEXT PRIMARY KEY, who TEXT NOT NULL, why TEXT NOT NULL, at REAL NOT NULL) STRICT;
"""

_BUDGETS = """
CREATE TABLE budgets (whose TEXT PRIMARY KEY, text TEXT NOT NULL, who TEXT NOT NULL, at REAL NOT NULL) STRICT;
"""

_WORKFLOWS = """
CREATE TABLE workflows (
  name TEXT PRIMARY KEY, file TEXT NOT NULL, text TEXT NOT NULL, who TEXT NOT NULL, at REAL NOT NULL
) STRICT;
"""

_HOLDERS = """
ALTER TABLE workflows ADD COLUMN holders TEXT NOT NULL DEFAULT '[]';
ALTER TABLE workflows ADD COLUMN uris TEXT NOT NULL DEFAULT '[]';
"""

_APPROVALS = """
CREATE TABLE approvals (
  id TEXT PRIMARY KEY, key TEXT NOT NULL, state TEXT NOT NULL, subject TEXT NOT NULL, requested_at REAL NOT NULL,
  expires_at REAL NOT NULL, body TEXT NOT NULL, sealed TEXT
) STRICT;
CREATE INDEX approvals_of ON approvals (key);
"""

STEPS = (_FIRST, _INSTALLED, _LIFETIMES, _BY_DIGEST, _SEALS, _LISTINGS, _ROLES, _BUDGETS, _WORKFLOWS, _HOLDERS, _APPROVALS)
"""From an empty file to the schema of today: a store of version n takes the steps after the n-th. A step is never changed."""

VERSION = len(STEPS)


def connect(path: Path) -> sqlite3.Connection:
    """Open or make the file `path`; raises HostUnavailable where it cannot be trusted or read."""
    private_folder(path.parent)
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if name == path or os.path.lexists(name):
            os.close(private_file(name))
    try:
        connection = _connected(path)
        connection.execute("PRAGMA journal_mode=WAL")
        with transaction(connection, sure=True):
            _make(connection, path)
    except sqlite3.Error as error:
        raise HostUnavailable(f"`{path}` is no store of this program: {error}", help="move it away") from error
    return connection


def connect_memory() -> sqlite3.Connection:
    """The same tables, empty, in this process's memory."""
    connection = _connected(":memory:")
    _make(connection, Path("memory"))
    return connection


def _connected(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection


def _make(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    if version > VERSION or (version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]):
        raise HostUnavailable(
            f"`{path}` has schema {version}, this version reads {VERSION}", help="use the version that wrote it"
        )
    for statement in filter(str.strip, ";".join(STEPS[version:]).split(";")):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version={VERSION}")


@contextmanager
def transaction(connection: sqlite3.Connection, *, sure: bool = False) -> Iterator[None]:
    """All or nothing, alone among the writers. With `sure` the commit has reached the disk when this ends."""
    connection.execute(f"PRAGMA synchronous={'FULL' if sure else 'NORMAL'}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
