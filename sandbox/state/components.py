"""The part of a store that remembers components: what was accepted for them, and what is installed.

Rule: what a component was described as is sealed by its digest alone, since it is long; a text that is another one is as none.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple

from sandbox.state.rows import Described, Installed, PolicyVersion, StoredComponent, component_of, installed_of, version_of
from sandbox.state.tables import BeforeCommit, Tables, nothing
from sandbox.wit.types import Digest

MAX_DIGESTS = 20
"""Of how many components of one name it is remembered what was accepted for them."""
MAX_VERSIONS = 20
"""How many versions of a component's policy are kept."""

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


class StoredComponents:
    """Components, their accepted documents, and the registry."""

    _tables: Tables

    def put_component(self, component: StoredComponent, *, before_commit: BeforeCommit = nothing) -> None:
        """Remember what `component.name` stands for and what was accepted for it, in place of what was there."""
        with self._tables.changing(component.accepted_at) as db:
            _put(db, component)
            if component.accepted_by:
                # Whoever accepted another document has decided about the one that it asks for.
                db.execute("UPDATE installed SET decided = 1 WHERE name = ? AND digest = ?", (component.name, component.digest))
            before_commit()

    def component(self, name: str, digest: Digest | None = None) -> StoredComponent | None:
        """What was accepted for the component `digest` under that name, or None.

        Without `digest`, for the one that the name stands for: the installed one, else the one that was loaded last.
        """
        rows = self._tables.trusting(_COMPONENT, {"name": name, "digest": digest})
        return component_of(rows[0]) if rows else None

    def components(self) -> tuple[StoredComponent, ...]:
        """Everything remembered, by name; of a name, the component loaded last comes last."""
        return tuple(map(component_of, self._tables.trusting("SELECT * FROM components ORDER BY name, accepted_at, rowid")))

    def install(
        self,
        installed: Installed,
        described: Described,
        accepted: StoredComponent | None = None,
        *,
        before_commit: BeforeCommit = nothing,
    ) -> None:
        """Remember a component of the registry, what it was described as, and with `accepted` what was accepted for it."""
        key, world, listing = (installed.name, installed.digest), described.world, described.listing
        with self._tables.changing(installed.installed_at) as db:
            db.execute(_PUT_INSTALLED, astuple(installed))
            db.execute("INSERT OR REPLACE INTO worlds VALUES (?, ?, ?)", (installed.digest, world, _sha256(world)))
            db.execute(
                "INSERT OR REPLACE INTO listings VALUES (?, ?, ?, ?, ?)", (*key, described.made_by, listing, _sha256(listing))
            )
            if accepted is not None:
                _put(db, accepted)
            _forget_descriptions(db)
            before_commit()

    def uninstall(self, name: str, now: float, *, before_commit: BeforeCommit = nothing) -> Installed | None:
        """Take a component out of the registry, or None where it is not in it; what was accepted for it stays remembered."""
        with self._tables.changing(now) as db:
            rows = db.execute("DELETE FROM installed WHERE name = ? RETURNING *", (name,)).fetchall()
            _forget_descriptions(db)
            before_commit()
        return installed_of(rows[0]) if rows else None

    def installed(self) -> tuple[Installed, ...]:
        """The registry, by name."""
        return tuple(map(installed_of, self._tables.trusting("SELECT * FROM installed ORDER BY name")))

    def installed_one(self, name: str) -> Installed | None:
        """The component of that name in the registry, or None."""
        rows = self._tables.trusting("SELECT * FROM installed WHERE name = ?", (name,))
        return installed_of(rows[0]) if rows else None

    @contextmanager
    def alone(self) -> Iterator[frozenset[Digest]]:
        """The digests of the registry, while no process can change it."""
        with self._tables.alone() as db:
            yield frozenset(Digest(row["digest"]) for row in db.execute("SELECT digest FROM installed"))

    def world(self, digest: Digest) -> str | None:
        """The world of a component, as the text that `install` was given, or None."""
        return _intact(self._tables.trusting("SELECT world, sha256 FROM worlds WHERE digest = ?", (digest,)))

    def listing(self, name: str, digest: Digest, made_by: str) -> str | None:
        """The tools of an installed component, as the text that `install` was given by the same maker, or None."""
        query = "SELECT listing, sha256 FROM listings WHERE name = ? AND digest = ? AND made_by = ?"
        return _intact(self._tables.trusting(query, (name, digest, made_by)))

    def versions(self, component: str) -> tuple[PolicyVersion, ...]:
        """The documents that were accepted for a component, the oldest first; the last MAX_VERSIONS of them."""
        return tuple(map(version_of, self._tables.trusting(_VERSIONS, (component,))))


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
