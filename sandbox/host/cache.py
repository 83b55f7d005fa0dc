"""Compiled components on disk, and what each said it is, under one authentication code.

Decides whether an artefact may be loaded: only what this installation's key has sealed, for these engine settings, from a
folder and files that nobody else could have written. Anything that fails is as if it were not there, and is compiled again.
Compiled code is machine code: loading a forged one is running it.

Layout: `key` (32 random bytes), `<component>.<variant>.seal` (JSON and its HMAC-SHA256), `<content>.cwasm` (named by its own
SHA-256, so that two servers sharing the folder never see halves of each other's pair), `<component>.wasm` (its source).

Rules: blocking, for the caller's thread; the descriptor that was hashed is the one that is handed on, and it is hashed again
where the file changed since.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from sandbox.wit.types import Digest

_KEY_BYTES = 32
_SEAL_BYTES = 8 << 20
_CHUNK = 1 << 20
_SCRATCH = "new-"
_ABANDONED_SECONDS = 3600
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700


class Variant(StrEnum):
    """How a component was compiled."""

    PLAIN = "plain"
    FUEL = "fuel"


@dataclass(frozen=True, slots=True)
class Compiled:
    """A verified artefact: an open descriptor on it, its state when it was hashed, and the world sealed with it."""

    fd: int
    stamp: tuple[int, ...]
    size: int
    world: Any

    @property
    def unchanged(self) -> bool:
        """Whether the file is as it was when it was hashed."""
        return _stamp(os.fstat(self.fd)) == self.stamp

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.fd)


class CompileCache:
    """One folder of sealed artefacts. `settings` names the engine's configuration and is part of every seal."""

    def __init__(self, folder: Path, settings: str, *, max_bytes: int = 4 << 30) -> None:
        self._folder = folder
        self._settings = settings
        self._max_bytes = max_bytes
        self._key = b""

    def open(self) -> None:
        """Make the folder and the key where they are missing; distrust everything where others could write."""
        self._folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        state = self._folder.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid():
            raise OSError(f"the compile cache `{self._folder}` is no folder of this user")
        # Where others could write they could have planted a key as well: a fresh one distrusts all that is there.
        exposed = bool(state.st_mode & 0o077)
        self._folder.chmod(_PRIVATE_FOLDER)
        key = None if exposed else _read_private(self._folder / "key", _KEY_BYTES)
        self._key = key if key is not None and len(key) == _KEY_BYTES else self._new_key()
        self._prune()

    def find(self, digest: Digest, variant: Variant) -> Compiled | None:
        """The artefact of a component, or None where there is none that this key has sealed."""
        seal = self._read_seal(digest, variant)
        if seal is None or not isinstance(seal.get("cwasm"), str):
            return None
        path = self._folder / f"{seal['cwasm']}.cwasm"
        fd = _open_private(path)
        if fd is None:
            return None
        os.utime(fd)
        state = os.fstat(fd)
        if _sha256(fd) != seal["cwasm"] or _stamp(os.fstat(fd)) != _stamp(state):
            os.close(fd)
            return None
        return Compiled(fd, _stamp(state), state.st_size, seal.get("world"))

    def keep_source(self, digest: Digest, data: bytes) -> None:
        """Keep a component's bytes: another variant, or an artefact that was lost, is compiled from them."""
        if _open_and_close(self._folder / f"{digest}.wasm"):
            return
        _write_private(self._folder, f"{digest}.wasm", data)

    def source(self, digest: Digest, limit: int) -> bytes | None:
        """A component's bytes, if they are still what the digest says."""
        data = _read_private(self._folder / f"{digest}.wasm", limit)
        return data if data is not None and hashlib.sha256(data).hexdigest() == digest else None

    def scratch(self) -> tuple[int, Path]:
        """A new private file that a compiler may fill, and its name."""
        path = self._folder / f"{_SCRATCH}{secrets.token_hex(8)}"
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, _PRIVATE_FILE), path

    def store(self, digest: Digest, variant: Variant, scratch: tuple[int, Path], world: Any) -> Compiled:
        """Seal what a compiler wrote into `scratch`, and what it said about it. Takes the scratch over."""
        fd, path = scratch
        content = _sha256(fd)
        path.rename(self._folder / f"{content}.cwasm")
        os.close(fd)
        self._write_seal(digest, variant, {"cwasm": content, "world": world})
        compiled = self.find(digest, variant)
        if compiled is None:
            raise OSError(f"the compile cache `{self._folder}` does not keep what is written to it")
        return compiled

    def quarantine(self, digest: Digest, variant: Variant, reason: str, limits: str) -> None:
        """Remember that compiling this component had to be stopped under `limits`."""
        self._write_seal(digest, variant, {"stopped": reason, "limits": limits})

    def quarantined(self, digest: Digest, variant: Variant, limits: str) -> str | None:
        """Why this component is not compiled again under the same limits, or None."""
        seal = self._read_seal(digest, variant)
        if seal is None or seal.get("limits") != limits:
            return None
        reason = seal.get("stopped")
        return reason if isinstance(reason, str) else None

    def _new_key(self) -> bytes:
        key = secrets.token_bytes(_KEY_BYTES)
        _write_private(self._folder, "key", key)
        return key

    def _seal_name(self, digest: Digest, variant: Variant) -> str:
        return f"{digest}.{variant}.seal"

    def _code(self, digest: Digest, variant: Variant, body: str) -> str:
        """The authentication code: over the name and settings too, so that no seal is good for another component."""
        said = json.dumps([digest, variant, self._settings, body])
        return hmac.new(self._key, said.encode(), hashlib.sha256).hexdigest()

    def _write_seal(self, digest: Digest, variant: Variant, body: dict[str, Any]) -> None:
        text = json.dumps(body)
        sealed = json.dumps({"body": text, "hmac": self._code(digest, variant, text)})
        _write_private(self._folder, self._seal_name(digest, variant), sealed.encode())

    def _read_seal(self, digest: Digest, variant: Variant) -> dict[str, Any] | None:
        raw = _read_private(self._folder / self._seal_name(digest, variant), _SEAL_BYTES)
        if raw is None:
            return None
        try:
            sealed = json.loads(raw)
            text, code = sealed["body"], sealed["hmac"]
            if not hmac.compare_digest(code.encode(), self._code(digest, variant, text).encode()):
                return None
            body = json.loads(text)
        except (ValueError, KeyError, TypeError, AttributeError):
            # Not ours: damaged or forged.
            return None
        return body if isinstance(body, dict) else None

    def _prune(self) -> None:
        """Remove the oldest artefacts beyond `max_bytes`, and what servers that died left half-written."""
        artefacts = []
        for path in self._folder.iterdir():
            state = path.lstat()
            if path.suffix in {".cwasm", ".wasm"}:
                artefacts.append((state.st_mtime, state.st_size, path))
            elif path.name.startswith(_SCRATCH) and state.st_mtime < time.time() - _ABANDONED_SECONDS:
                path.unlink(missing_ok=True)
        left = sum(size for _, size, _ in artefacts)
        for _, size, path in sorted(artefacts):
            if left <= self._max_bytes:
                return
            path.unlink(missing_ok=True)
            left -= size


def _stamp(state: os.stat_result) -> tuple[int, ...]:
    return (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_uid, state.st_mode)


def _open_private(path: Path) -> int | None:
    """A descriptor on a plain file of ours that nobody else can write or has another name for, or None."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    state = os.fstat(fd)
    ours = stat.S_ISREG(state.st_mode) and state.st_uid == os.geteuid() and state.st_nlink == 1
    if ours and not state.st_mode & 0o077:
        return fd
    os.close(fd)
    return None


def _open_and_close(path: Path) -> bool:
    fd = _open_private(path)
    if fd is not None:
        os.close(fd)
    return fd is not None


def _read_private(path: Path, limit: int) -> bytes | None:
    """The content of a private file of at most `limit` bytes, or None."""
    fd = _open_private(path)
    if fd is None:
        return None
    with os.fdopen(fd, "rb") as file:
        data = file.read(limit + 1)
    return data if len(data) <= limit else None


def _write_private(folder: Path, name: str, data: bytes) -> None:
    """Replace a private file whole."""
    path = folder / f"{_SCRATCH}{secrets.token_hex(8)}"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, _PRIVATE_FILE)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    path.rename(folder / name)


def _sha256(fd: int) -> str:
    found = hashlib.sha256()
    at = 0
    while chunk := os.pread(fd, _CHUNK, at):
        found.update(chunk)
        at += len(chunk)
    return found.hexdigest()
