"""Remember secrets: names in the clear, values sealed, in one file that is replaced whole.

Decides what a secret's value may be and that what is read is what was set: a value that was changed, moved to another name,
removed or added by anybody without the key is noticed, and then nothing of the store is given. What a secret is used for, and
who hides it, is `sandbox.in_force.in_use`; the key's file is `secret_key`, the cipher `sealing`.

Rules: one change at a time, over all processes; whole or not at all, and on the disk before it is acknowledged; read anew at
every use, so a change holds at once in every process; bounded in number and size. Not noticed: an older copy of the whole file.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sandbox.audit.folder import private_file, private_folder
from sandbox.errors import Code, HostUnavailable, NotFound, SandboxError
from sandbox.policy.credentials import parse_secret_name
from sandbox.policy.refusal import Refusal, one_of
from sandbox.redaction.redact import MIN_LITERAL
from sandbox.state.home import Home
from sandbox.state.secret_key import key_place, make_key, read_key

if TYPE_CHECKING:
    from sandbox.state.sealing import Sealer

MAX_VALUE = 16 << 10
"""Bytes of a value in UTF-8."""
MAX_SECRETS = 256
_VERSION = 1
_FILE_BYTES = 16 << 20
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SecretInfo:
    """What may be shown of a secret: its name, and when it was last changed (seconds since the epoch)."""

    name: str
    changed_at: float


@dataclass(frozen=True, slots=True)
class _Content:
    """A store that was read and holds: its id, and each secret's time and sealed value by name."""

    store: str
    entries: Mapping[str, tuple[float, str]]


class SecretStore:
    """The secrets of a home: `folder` is theirs, `key` the file of their key. Neither is made before the first `set`."""

    def __init__(self, folder: Path, key: Path) -> None:
        self._folder, self._key = folder, key
        self._file = folder / "secrets.json"
        self._path = str(self._file)
        self._read: bytes = b""
        self._values = _NOTHING

    @classmethod
    def of(cls, home: Home, environ: Mapping[str, str]) -> SecretStore:
        """The secrets of a home, and this user's key."""
        return cls(home.path / "secrets", key_place(environ))

    def names(self) -> tuple[SecretInfo, ...]:
        """Every secret, by name; raises HostUnavailable where the store does not hold."""
        content = self._content(self._bytes())
        return tuple(SecretInfo(name, changed_at) for name, (changed_at, _) in sorted(content.entries.items()))

    def values(self) -> Mapping[str, str]:
        """Every value by name, as it is now; raises HostUnavailable where the store does not hold."""
        raw = self._bytes()
        if raw != self._read:
            content = self._content(raw)
            opened = {name: self._opened(content, name) for name in content.entries}
            self._values, self._read = MappingProxyType(opened), raw
        return self._values

    def set(self, name: str, value: str, now: float, *, before_commit: Callable[[], None] = lambda: None) -> bool:
        """Set a secret; True where it is a new one. On the disk when this returns. Raises SandboxError for what is none.

        What `before_commit` raises leaves everything as it was.
        """
        _refuse_name(name)
        _refuse_value(value)
        with self._changing():
            content = self._content(self._bytes())
            if name not in content.entries and len(content.entries) >= MAX_SECRETS:
                raise SandboxError(f"there are {MAX_SECRETS} secrets, and no more are kept", help="`sandbox secret remove NAME`")
            key = read_key(self._key) or make_key(self._key)
            closed = self._sealer(key, content.store).close(name, now, value)
            before_commit()
            self._write(_Content(content.store, {**content.entries, name: (now, closed)}), key)
        return name not in content.entries

    def remove(self, name: str) -> None:
        """Forget a secret; raises NotFound."""
        with self._changing():
            content = self._content(self._bytes())
            if name not in content.entries:
                help_ = one_of(name, tuple(content.entries)) if content.entries else "there are no secrets"
                raise NotFound("there is no secret of that name", help=help_, code=Code.INVALID_ARGUMENTS)
            left = {known: entry for known, entry in content.entries.items() if known != name}
            self._write(_Content(content.store, left), self._needed_key())

    def _bytes(self) -> bytes:
        """The file as it is, or nothing where there is none: asked before every call, and most homes have none."""
        if not os.access(self._path, os.F_OK):
            return b""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._broken(f"cannot be opened: {(error.strerror or '').lower()}") from error
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
                raise self._broken("is no plain file of this user's alone")
            return file.read(_FILE_BYTES)

    def _content(self, raw: bytes) -> _Content:
        """What the bytes say; raises HostUnavailable where they are not what this store wrote."""
        if not raw:
            return _Content(secrets.token_hex(16), {})
        try:
            written = json.loads(raw)
            seal = str(written.pop("seal"))
            store, entries = str(written["store"]), {str(name): (float(at), str(text)) for name, at, text in written["secrets"]}
            known = written["version"] == _VERSION
        except (ValueError, TypeError, KeyError, AttributeError):
            raise self._broken("is no store of secrets") from None
        if not known or not self._sealer(self._needed_key(), store).holds(_spelled(written), seal):
            raise self._broken("was changed by something else than `sandbox secret`, or sealed by another key")
        return _Content(store, entries)

    def _opened(self, content: _Content, name: str) -> str:
        changed_at, closed = content.entries[name]
        try:
            return self._sealer(self._needed_key(), content.store).open(name, changed_at, closed)
        except ValueError as error:
            raise self._broken(f"does not hold: {error}") from None

    def _write(self, content: _Content, key: bytes) -> None:
        rows = [[name, changed_at, closed] for name, (changed_at, closed) in sorted(content.entries.items())]
        written: dict[str, Any] = {"version": _VERSION, "store": content.store, "secrets": rows}
        sealed = {**written, "seal": self._sealer(key, content.store).seal(_spelled(written))}
        fresh = self._file.with_name(f".{self._file.name}.new")
        descriptor = private_file(fresh, os.O_WRONLY | os.O_TRUNC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_spelled(sealed))
            file.flush()
            os.fsync(descriptor)
        fresh.replace(self._file)
        _synced(self._folder)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """The only one who changes the store, of all threads and processes."""
        private_folder(self._folder)
        descriptor = private_file(self._folder / "lock")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _needed_key(self) -> bytes:
        key = read_key(self._key)
        if key is None:
            raise self._broken(f"is sealed, and its key `{self._key}` is gone")
        return key

    def _sealer(self, key: bytes, store: str) -> Sealer:
        # Loaded here alone: a home without secrets never pays for it.
        sealer: Sealer = importlib.import_module("sandbox.state.sealing").Sealer(key, store)
        return sealer

    def _broken(self, why: str) -> HostUnavailable:
        help_ = f"put the right file back, or remove `{self._file}` and set every secret anew"
        return HostUnavailable(f"the secret store `{self._file}` {why}", help=help_)


def _refuse_name(name: str) -> None:
    try:
        parse_secret_name(name)
    except Refusal as refusal:
        # Not the text: somebody may have written the value where the name belongs.
        raise SandboxError("that is no secret's name", help=refusal.help, code=Code.INVALID_ARGUMENTS) from None


def _refuse_value(value: str) -> None:
    """Raise SandboxError for what no variable and no header could hold, or no record could hide; never with the value in it."""
    if len(value) < MIN_LITERAL:
        why = f"a secret of fewer than {MIN_LITERAL} characters could not be hidden in a record"
    elif "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        why = "a secret is text, without NUL"
    elif len(value.encode()) > MAX_VALUE:
        why = f"a secret has at most {MAX_VALUE} bytes"
    else:
        return
    raise SandboxError(why, help="give another value", code=Code.INVALID_ARGUMENTS)


def _spelled(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _synced(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
