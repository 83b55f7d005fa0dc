"""Whether the store is as this program left it: what is granted, installed and accepted is sealed by a key that lies elsewhere.

Decides that a store is trusted or not. One code over each sealed table and its number (`version`), which grows with every change,
in the store; the highest number and the latest time that were ever reached, in a file beside the key.

Rules: a change is sealed in the transaction that makes it, and only of a store that was authentic before; what was edited, cut,
deleted or put back from a copy is not, and then nothing of it holds, denies included, until a person starts anew. The number
outside is written after the commit, so a crash in between never makes a good store look old. Whoever can read the key can seal
anything: the key keeps a store apart from what is written by anything but this program, not from this user's other programs.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.audit.folder import private_file, private_folder
from sandbox.errors import HostUnavailable

SEALED = {
    "grants": "SELECT * FROM grants WHERE ended_at IS NULL ORDER BY id",
    "components": "SELECT * FROM components ORDER BY name, digest",
    "installed": "SELECT * FROM installed ORDER BY name",
    "worlds": "SELECT digest, sha256 FROM worlds ORDER BY digest",
    "listings": "SELECT name, digest, made_by, sha256 FROM listings ORDER BY name, digest",
    "policy_versions": "SELECT * FROM policy_versions ORDER BY component, version",
    "roles": "SELECT * FROM roles ORDER BY subject, role",
    "stops": "SELECT * FROM stops ORDER BY scope",
    "budgets": "SELECT * FROM budgets ORDER BY whose",
    "workflows": "SELECT * FROM workflows ORDER BY name",
    "approvals": """
SELECT id, key, state, subject, requested_at, expires_at, body, sealed IS NULL FROM approvals
WHERE state IN ('pending', 'approved') ORDER BY id
""",
}
"""What is sealed, of long texts their digests. Grants that have ended and approvals that are closed give nothing: they may be
read and are not relied on. Of an approval's arguments it is sealed that they are there, and their digest with the rest: what
they are closed with (`sandbox.state.hidden`) shows by itself whether they are those."""

_LATER = ("approvals",)
"""Tables that came after the second form of the codes: in a store that was sealed before they have no code, and are empty."""
_ADDED = ("roles", "stops", "budgets", "workflows", *_LATER)
"""Tables that are sealed since the second form of the codes; in a store that was sealed before they must be empty."""

KEY_BYTES = 32
_MARK_BYTES = 200


class StoreChangedError(HostUnavailable):
    """The store is not as this program left it. `tables` are those that are not."""

    def __init__(self, what: str, tables: tuple[str, ...] = tuple(SEALED)) -> None:
        super().__init__(
            f"the store was changed by something else: {what}; nothing is granted any more",
            help="look at what happened (`sandbox audit list`); `sandbox permission reset --all` starts anew without it",
        )
        self.tables = tables


@dataclass(frozen=True, slots=True)
class Mark:
    """The highest number of a change, and the latest time, that were reached: never less again."""

    version: int = 0
    latest: float = 0.0


class Authentic:
    """The key and the mark in `folder`, which is not the store's; `name` tells one store's from another's.

    With a `key` that is given none lies there: servers that share a store share that.
    """

    def __init__(self, folder: Path, name: str = "state", key: bytes | None = None) -> None:
        self._folder, self._name = folder, name
        self._key = key

    def check(self, db: sqlite3.Connection, mark: Mark) -> None:
        """Raise StoreChangedError where the store is not as it was left; `mark` was read before what is looked at now."""
        seals = dict(db.execute("SELECT name, code FROM seals").fetchall())
        version = _version(db)
        if not seals and mark.version == 0:
            return  # new, or of a version that sealed nothing
        key = self._existing_key()
        if key is None:
            raise StoreChangedError("its key is gone")
        wrong = tuple(
            name
            for name in SEALED
            if not _same(seals.get(name), _code(db, key, name, version)) and not _came_later(db, seals, name)
        )
        if wrong and not _sealed_before(db, key, seals, version):
            raise StoreChangedError(f"`{'`, `'.join(wrong)}` {'is' if len(wrong) == 1 else 'are'} not as it was left", wrong)
        if version < mark.version:
            raise StoreChangedError(f"it is an old copy, of change {version}; change {mark.version} was made", ("grants",))

    def seal(self, db: sqlite3.Connection, *, least: int = 0) -> int:
        """Seal what the transaction leaves, as the next change; its number."""
        key = self._existing_key() or self._made_key()
        version = max(_version(db), least) + 1
        db.execute("UPDATE numbers SET value = ? WHERE name = 'version'", (version,))
        codes = [(name, _code(db, key, name, version)) for name in SEALED]
        db.executemany("INSERT OR REPLACE INTO seals VALUES (?, ?)", codes)
        return version

    def mark(self) -> Mark:
        """The mark; raises StoreChangedError for one that is not ours."""
        if not self._mark_file.exists():
            return Mark()
        with self._marked() as descriptor:
            return self._read_mark(descriptor)

    def advance(self, mark: Mark) -> None:
        """Raise the mark to this one; it never goes back, whoever is first."""
        with self._marked() as descriptor:
            before = self._read_mark(descriptor)
            after = Mark(max(before.version, mark.version), max(before.latest, mark.latest))
            if after != before:
                os.pwrite(descriptor, self._spelled(after), 0)

    def start_anew(self) -> None:
        """Forget a key and a mark that are none: a person has decided to."""
        try:
            self._existing_key()
        except StoreChangedError:
            self._key_file.unlink()
        try:
            self.mark()
        except StoreChangedError:
            self._mark_file.unlink(missing_ok=True)

    @property
    def _key_file(self) -> Path:
        return self._folder / f"{self._name}.key"

    @property
    def _mark_file(self) -> Path:
        return self._folder / f"{self._name}.mark"

    @contextmanager
    def _marked(self) -> Iterator[int]:
        descriptor = private_file(private_folder(self._folder) / self._mark_file.name)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)

    def _read_mark(self, descriptor: int) -> Mark:
        text = os.pread(descriptor, _MARK_BYTES, 0).strip()
        if not text:
            return Mark()
        key = self._existing_key()
        try:
            told, code = json.loads(text)
            mark = Mark(int(told[0]), float(told[1]))
        except (ValueError, TypeError, IndexError):
            raise StoreChangedError("its mark cannot be read") from None
        if key is None or not _same(code, _mark_code(key, mark)):
            raise StoreChangedError("its mark is not ours")
        return mark

    def _spelled(self, mark: Mark) -> bytes:
        key = self._existing_key() or self._made_key()
        return json.dumps([[mark.version, mark.latest], _mark_code(key, mark)]).encode().ljust(_MARK_BYTES)

    def _existing_key(self) -> bytes | None:
        if self._key is None and self._key_file.exists():
            descriptor = private_file(self._key_file, os.O_RDONLY)
            try:
                found = os.read(descriptor, KEY_BYTES + 1)
            finally:
                os.close(descriptor)
            if len(found) != KEY_BYTES:
                raise StoreChangedError("its key is none")
            self._key = found
        return self._key

    def _made_key(self) -> bytes:
        path = private_folder(self._folder) / self._key_file.name
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, secrets.token_bytes(KEY_BYTES))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            # The first of several processes wins: a link is made only where there is none of that name.
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        made = self._existing_key()
        assert made is not None
        return made


def _version(db: sqlite3.Connection) -> int:
    found = db.execute("SELECT value FROM numbers WHERE name = 'version'").fetchone()
    return 0 if found is None else int(found[0])


def _came_later(db: sqlite3.Connection, seals: dict[str, str], name: str) -> bool:
    """Whether the store was sealed before there was such a table."""
    return name in _LATER and name not in seals and _is_empty(db, name)


def _is_empty(db: sqlite3.Connection, name: str) -> bool:
    return not db.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchall()  # noqa: S608 - names of our own


def _sealed_before(db: sqlite3.Connection, key: bytes, seals: dict[str, str], version: int) -> bool:
    """Whether the codes are those of the first form, which no change since has written: an old one belongs to an old number."""
    if not all(_is_empty(db, name) for name in _ADDED):
        return False
    names = [name for name in SEALED if name not in _ADDED]
    return all(_same(seals.get(name), _code(db, key, name, version, form="sandbox")) for name in names)


def _code(db: sqlite3.Connection, key: bytes, name: str, version: int, *, form: str = "sandbox-2") -> str:
    digest = hashlib.blake2b(f"{form} {name} {version}\n".encode(), key=key, digest_size=32)
    for row in db.execute(SEALED[name]):
        # Of text, numbers and None alone: two rows that differ are spelled differently.
        digest.update(repr(tuple(row)).encode() + b"\n")
    return digest.hexdigest()


def _mark_code(key: bytes, mark: Mark) -> str:
    return hashlib.blake2b(f"sandbox mark {mark.version} {mark.latest!r}".encode(), key=key, digest_size=32).hexdigest()


def _same(code: object, wanted: str) -> bool:
    return isinstance(code, str) and hmac.compare_digest(code.encode(), wanted.encode())
