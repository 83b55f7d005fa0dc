"""Remember grants, accepted documents and denials, for several processes at once and over a crash.

Decides what is consistent, never what it means. One SQLite file; every change of a grant or a component is one transaction that
has reached the disk before it is acknowledged, and raises the generation by one, which every other process can read cheaply.

Rules: a use is counted in the same step that checks it; what has ended stays ended (nothing here un-ends a grant); time only
grows (`advance`); a row that does not read as what it should be is an error, never skipped; a store that something else has
changed is not read (`sandbox.state.authentic`).
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any

from sandbox.errors import Code, GrantError, HostUnavailable, NotFound
from sandbox.policy.grants import Grant
from sandbox.state.authentic import Authentic, Mark, StoreChangedError
from sandbox.state.rows import (
    Described,
    Installed,
    PolicyVersion,
    StoredComponent,
    StoredDenial,
    component_of,
    denial_of,
    denial_row,
    grant_of,
    grant_row,
    installed_of,
    version_of,
)
from sandbox.state.schema import connect, transaction
from sandbox.wit.types import Digest

MAX_DENIALS = 1_000
MAX_GRANTS = 10_000
"""How many grants may hold for one component at a time."""
MAX_DIGESTS = 20
"""Of how many components of one name it is remembered what was accepted for them."""
MAX_VERSIONS = 20
"""How many versions of a component's policy are kept."""

_COUNT = """
SELECT count(*) FROM grants WHERE component = ? AND ended_at IS NULL AND (max_uses IS NULL OR uses < max_uses)
"""
_INSERT = "INSERT INTO grants VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_HOLDING = """
SELECT * FROM grants WHERE ended_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
AND (max_uses IS NULL OR uses < max_uses OR :used_up)
AND (:component IS NULL OR component = :component) AND (:digest IS NULL OR digest = :digest) ORDER BY created_at, rowid
"""
_END = "UPDATE grants SET ended_at = ?, ended_why = ? WHERE id = ? AND ended_at IS NULL RETURNING *"
_NEXT_EXPIRY = "SELECT min(expires_at) FROM grants WHERE ended_at IS NULL"
_EXPIRE = "UPDATE grants SET ended_at = :now, ended_why = 'expired' WHERE ended_at IS NULL AND expires_at <= :now RETURNING *"
_SESSIONS = "SELECT DISTINCT keeper, session FROM grants WHERE ended_at IS NULL AND session IS NOT NULL"
_END_SESSION = """
UPDATE grants SET ended_at = ?, ended_why = 'its session ended' WHERE ended_at IS NULL AND session = ? RETURNING *
"""
_USE = """
UPDATE grants SET uses = uses + 1 WHERE id = :id AND ended_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
AND (max_uses IS NULL OR uses < max_uses)
"""
_PUT_COMPONENT = "INSERT OR REPLACE INTO components VALUES (?, ?, ?, ?, ?, ?, ?)"
_COMPONENT = """
SELECT * FROM components WHERE name = :name AND (:digest IS NULL OR digest = :digest) ORDER BY
digest IN (SELECT digest FROM installed WHERE name = :name) DESC, accepted_at DESC, rowid DESC LIMIT 1
"""
_FORGET_COMPONENTS = """
DELETE FROM components WHERE name = :name AND digest NOT IN (SELECT digest FROM installed UNION SELECT surface FROM installed)
AND rowid NOT IN (SELECT rowid FROM components WHERE name = :name ORDER BY accepted_at DESC, rowid DESC LIMIT :most)
"""
_PUT_INSTALLED = "INSERT OR REPLACE INTO installed VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_LATEST_VERSION = "SELECT version, digest, policy_text FROM policy_versions WHERE component = ? ORDER BY version DESC LIMIT 1"
_VERSIONS = "SELECT * FROM policy_versions WHERE component = ? ORDER BY version"
_FORGET_WORLDS = """
DELETE FROM worlds WHERE digest NOT IN
(SELECT digest FROM installed UNION SELECT surface FROM installed UNION SELECT digest FROM components)
"""
_ADD_DENIAL = """
INSERT INTO denials (id, at, component, digest, tool, subject, request_id, denial) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_FORGET_DENIALS = "DELETE FROM denials WHERE number <= (SELECT max(number) FROM denials) - ?"


class Store:
    """One process's hand on the store in `folder`; raises HostUnavailable where that cannot be used."""

    def __init__(self, folder: Path) -> None:
        self._db: sqlite3.Connection | None = connect(folder)
        self._authentic = Authentic(folder.parent / "keys")
        self._trusted: int | None = None
        """The `data_version` of the store when it was found authentic last: it is another one after anybody else's change."""

    def close(self) -> None:
        """Let go of the file; every further use raises HostUnavailable."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def generation(self) -> int:
        """A number that grows with every change of a grant or a component, by any process."""
        return int(self._number("generation"))

    def latest(self) -> float:
        """The latest moment that was ever stored."""
        try:
            outside = self._authentic.mark().latest
        except StoreChangedError:
            outside = 0.0  # whatever needs an authentic store says so
        return max(self._number("latest"), outside)

    def advance(self, now: float) -> None:
        """Remember that it is at least `now`."""
        with self._writing(sure=False) as db:
            db.execute("UPDATE numbers SET value = max(value, ?) WHERE name = 'latest'", (now,))
        with suppress(StoreChangedError):
            self._authentic.advance(Mark(latest=now))

    def start_anew(self, now: float) -> tuple[str, ...]:
        """End every grant and forget what is not as it was left, whatever is wrong with the store; the tables that were not.

        For a person at a terminal: what is there afterwards is taken for ours.
        """
        found: tuple[str, ...] = ()
        try:
            self._refuse_what_is_not_ours(self._open())
        except StoreChangedError as error:
            found = error.tables
        self._authentic.start_anew()
        least = self._authentic.mark().version
        with self._writing(sure=True) as db:
            db.execute("UPDATE grants SET ended_at = ?, ended_why = 'reset' WHERE ended_at IS NULL", (now,))
            for table in set(found) - {"grants"}:
                db.execute(f"DELETE FROM {table}")  # noqa: S608 - one of four names of our own
            db.execute("UPDATE numbers SET value = value + 1 WHERE name = 'generation'")
            version = self._authentic.seal(db, least=least)
            self._trusted = _data_version(db)
        self._authentic.advance(Mark(version, now))
        return found

    def add_grant(self, grant: Grant, *, before_commit: Callable[[], None]) -> None:
        """Persist a grant; when this returns it survives a crash. What `before_commit` raises leaves nothing behind."""
        with self._changing(grant.created_at) as db:
            (count,) = db.execute(_COUNT, (grant.component_name,)).fetchone()
            if count >= MAX_GRANTS:
                raise GrantError(
                    f"`{grant.component_name}` has {count} grants", help="revoke some, or write them into its policy"
                )
            db.execute(_INSERT, grant_row(grant))
            before_commit()

    def grant(self, grant_id: str) -> Grant:
        """The grant of that id, ended or not; raises NotFound."""
        rows = self._trusting("SELECT * FROM grants WHERE id = ?", (grant_id,))
        if not rows:
            raise NotFound(
                f"there is no grant `{grant_id}`", help="`sandbox permission list` shows them", code=Code.GRANT_NOT_FOUND
            )
        return grant_of(rows[0])

    def grants(
        self, now: float, *, component: str | None = None, digest: Digest | None = None, used_up: bool = False
    ) -> tuple[Grant, ...]:
        """The grants that hold at `now`, the oldest first: all, or those of one component name and digest.

        With `used_up` also those that give nothing to a further call, and that a running one may hold.
        """
        about = {"now": now, "component": component, "digest": digest, "used_up": used_up}
        return tuple(map(grant_of, self._trusting(_HOLDING, about)))

    def end_grant(self, grant_id: str, now: float, why: str) -> Grant | None:
        """End a grant for good; None where it had ended before (another process may have been first)."""
        with self._changing(now) as db:
            ended = db.execute(_END, (now, why, grant_id)).fetchall()
        return grant_of(ended[0]) if ended else None

    def sessions(self) -> tuple[tuple[str, str], ...]:
        """The sessions that grants are bound to, each with the process that keeps it."""
        return tuple((row["keeper"] or "", row["session"]) for row in self._rows(_SESSIONS))

    def end_session(self, session: str, now: float) -> tuple[Grant, ...]:
        """End every grant that is bound to a session; gives those that this very call ended."""
        if all(session != bound for _, bound in self.sessions()):
            return ()
        with self._changing(now) as db:
            ended = db.execute(_END_SESSION, (now, session)).fetchall()
        return tuple(map(grant_of, ended))

    def expire(self, now: float) -> tuple[Grant, ...]:
        """End every grant whose time is over at `now`; gives those that this very call ended."""
        due = self.next_expiry()
        if due is None or due > now:
            return ()
        with self._changing(now) as db:
            ended = db.execute(_EXPIRE, {"now": now}).fetchall()
        return tuple(map(grant_of, ended))

    def next_expiry(self) -> float | None:
        """When the next grant that has not ended expires, or None."""
        ((when,),) = self._rows(_NEXT_EXPIRY)
        return None if when is None else float(when)

    def take_uses(self, grant_ids: Iterable[str], now: float) -> bool:
        """Count one use of each of these grants, all or none: False where one of them does not hold any more."""
        try:
            with self._changing(now) as db:
                for grant_id in grant_ids:
                    _used(db.execute(_USE, {"id": grant_id, "now": now}).rowcount)
        except _UsedUpError:
            return False
        return True

    def put_component(self, component: StoredComponent, *, before_commit: Callable[[], None] = lambda: None) -> None:
        """Remember what `component.name` stands for and what was accepted for it, in place of what was there."""
        with self._changing(component.accepted_at) as db:
            _put(db, component)
            if component.accepted_by:
                # Whoever accepted another document has decided about the one that it asks for.
                db.execute("UPDATE installed SET decided = 1 WHERE name = ? AND digest = ?", (component.name, component.digest))
            before_commit()

    def component(self, name: str, digest: Digest | None = None) -> StoredComponent | None:
        """What was accepted for the component `digest` under that name, or None.

        Without `digest`, for the one that the name stands for: the installed one, else the one that was loaded last.
        """
        rows = self._trusting(_COMPONENT, {"name": name, "digest": digest})
        return component_of(rows[0]) if rows else None

    def components(self) -> tuple[StoredComponent, ...]:
        """Everything remembered, by name; of a name, the component loaded last comes last."""
        return tuple(map(component_of, self._trusting("SELECT * FROM components ORDER BY name, accepted_at, rowid")))

    def install(
        self,
        installed: Installed,
        described: Described,
        accepted: StoredComponent | None = None,
        *,
        before_commit: Callable[[], None] = lambda: None,
    ) -> None:
        """Remember a component of the registry, what it was described as, and with `accepted` what was accepted for it."""
        key, world, listing = (installed.name, installed.digest), described.world, described.listing
        with self._changing(installed.installed_at) as db:
            db.execute(_PUT_INSTALLED, astuple(installed))
            db.execute("INSERT OR REPLACE INTO worlds VALUES (?, ?, ?)", (installed.digest, world, _sha256(world)))
            db.execute(
                "INSERT OR REPLACE INTO listings VALUES (?, ?, ?, ?, ?)", (*key, described.made_by, listing, _sha256(listing))
            )
            if accepted is not None:
                _put(db, accepted)
            _forget_descriptions(db)
            before_commit()

    def uninstall(self, name: str, now: float, *, before_commit: Callable[[], None] = lambda: None) -> Installed | None:
        """Take a component out of the registry, or None where it is not in it; what was accepted for it stays remembered."""
        with self._changing(now) as db:
            rows = db.execute("DELETE FROM installed WHERE name = ? RETURNING *", (name,)).fetchall()
            _forget_descriptions(db)
            before_commit()
        return installed_of(rows[0]) if rows else None

    def installed(self) -> tuple[Installed, ...]:
        """The registry, by name."""
        return tuple(map(installed_of, self._trusting("SELECT * FROM installed ORDER BY name")))

    def installed_one(self, name: str) -> Installed | None:
        """The component of that name in the registry, or None."""
        rows = self._trusting("SELECT * FROM installed WHERE name = ?", (name,))
        return installed_of(rows[0]) if rows else None

    @contextmanager
    def alone(self) -> Iterator[frozenset[Digest]]:
        """The digests of the registry, while no process can change it."""
        with self._writing(sure=False) as db:
            yield frozenset(Digest(row["digest"]) for row in db.execute("SELECT digest FROM installed"))

    def world(self, digest: Digest) -> str | None:
        """The world of a component, as the text that `install` was given, or None."""
        return _intact(self._trusting("SELECT world, sha256 FROM worlds WHERE digest = ?", (digest,)))

    def listing(self, name: str, digest: Digest, made_by: str) -> str | None:
        """The tools of an installed component, as the text that `install` was given by the same maker, or None."""
        query = "SELECT listing, sha256 FROM listings WHERE name = ? AND digest = ? AND made_by = ?"
        return _intact(self._trusting(query, (name, digest, made_by)))

    def versions(self, component: str) -> tuple[PolicyVersion, ...]:
        """The documents that were accepted for a component, the oldest first; the last MAX_VERSIONS of them."""
        return tuple(
            map(version_of, self._trusting("SELECT * FROM policy_versions WHERE component = ? ORDER BY version", (component,)))
        )

    def add_denials(self, denials: Iterable[StoredDenial]) -> None:
        """Keep denials for `--from-denial`; the oldest beyond MAX_DENIALS are forgotten."""
        with self._writing(sure=False) as db:
            db.executemany(_ADD_DENIAL, map(denial_row, denials))
            db.execute(_FORGET_DENIALS, (MAX_DENIALS,))

    def denial(self, denial_id: str) -> StoredDenial:
        """The denial of that id; raises NotFound."""
        rows = self._rows("SELECT * FROM denials WHERE id = ?", (denial_id,))
        if not rows:
            message = f"there is no denial `{denial_id}`"
            raise NotFound(message, help=f"the last {MAX_DENIALS:,} are kept; make the call again", code=Code.GRANT_NOT_FOUND)
        return denial_of(rows[0])

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            raise HostUnavailable("the store is closed")
        return self._db

    def _rows(self, query: str, values: Any = ()) -> list[sqlite3.Row]:
        try:
            return self._open().execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise HostUnavailable(f"the store cannot be read: {error}") from error

    def _number(self, name: str) -> float:
        ((value,),) = self._rows("SELECT value FROM numbers WHERE name = ?", (name,))
        return float(value)

    @contextmanager
    def _writing(self, *, sure: bool) -> Iterator[sqlite3.Connection]:
        db = self._open()
        try:
            with transaction(db, sure=sure):
                yield db
        except sqlite3.Error as error:
            raise HostUnavailable(f"the store cannot be written: {error}") from error

    @contextmanager
    def _changing(self, now: float) -> Iterator[sqlite3.Connection]:
        """A change that others must see: on the disk before it is acknowledged, the generation raised with it."""
        mark = self._authentic.mark()
        with self._writing(sure=True) as db:
            if (seen := _data_version(db)) != self._trusted:
                self._authentic.check(db, mark)
                self._trusted = seen
            yield db
            db.execute("UPDATE numbers SET value = value + 1 WHERE name = 'generation'")
            db.execute("UPDATE numbers SET value = max(value, ?) WHERE name = 'latest'", (now,))
            version = self._authentic.seal(db)
        # It has reached the disk. A connection's own changes do not change its `data_version`.
        self._authentic.advance(Mark(version, now))

    def _trusting(self, query: str, values: Any = ()) -> list[sqlite3.Row]:
        """Rows of what is sealed; raises StoreChangedError where the store is not as this program left it."""
        self._refuse_what_is_not_ours(self._open())
        return self._rows(query, values)

    def _refuse_what_is_not_ours(self, db: sqlite3.Connection) -> None:
        try:
            if _data_version(db) == self._trusted:
                return
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
            raise HostUnavailable(f"the store cannot be read: {error}") from error


def _put(db: sqlite3.Connection, component: StoredComponent) -> None:
    """A document that somebody accepted is a version of its own, unless it is the same again."""
    db.execute(_PUT_COMPONENT, astuple(component))
    db.execute(_FORGET_COMPONENTS, {"name": component.name, "most": MAX_DIGESTS})
    latest = db.execute(_LATEST_VERSION, (component.name,)).fetchone()
    if not component.accepted_by or (latest and tuple(latest)[1:] == (component.digest, component.policy_text)):
        return
    number = 1 if latest is None else latest["version"] + 1
    told = (component.digest, component.policy_file, component.policy_text, component.accepted_by, component.accepted_at)
    db.execute("INSERT INTO policy_versions VALUES (?, ?, ?, ?, ?, ?, ?)", (component.name, number, *told))
    db.execute("DELETE FROM policy_versions WHERE component = ? AND version <= ?", (component.name, number - MAX_VERSIONS))


def _forget_descriptions(db: sqlite3.Connection) -> None:
    db.execute(_FORGET_WORLDS)
    db.execute("DELETE FROM listings WHERE (name, digest) NOT IN (SELECT name, digest FROM installed)")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _intact(rows: list[sqlite3.Row]) -> str | None:
    """The text of a row, where it is the one whose digest was sealed."""
    return str(rows[0][0]) if rows and _sha256(str(rows[0][0])) == rows[0]["sha256"] else None


def _data_version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA data_version").fetchone()[0])


class _UsedUpError(Exception):
    """Rolls a transaction back: a grant in it does not hold any more."""


def _used(rows: int) -> None:
    if rows != 1:
        raise _UsedUpError
