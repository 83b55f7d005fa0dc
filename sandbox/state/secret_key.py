"""The key of the secret store: 32 random bytes in a file of this user's alone, outside of the home that they protect.

Decides where the key lies and that nobody else could have read it. A copy of the home, as a backup makes it, holds no secret
without this file.

Rules: made once, whole or not at all, however many processes make it at the same time; never made anew where something is
sealed by the old one; a key that others may read or write is refused, never repaired in silence.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from sandbox.audit.folder import private_folder
from sandbox.config.places import user_folder
from sandbox.errors import HostUnavailable

KEY_BYTES = 32
_HEX = 2 * KEY_BYTES


def key_place(environ: Mapping[str, str]) -> Path:
    """The key's file: `$SANDBOX_SECRETS_KEY`, else `secrets.key` in the user's configuration folder."""
    named = environ.get("SANDBOX_SECRETS_KEY")
    return Path(named).expanduser() if named else user_folder(environ) / "secrets.key"


def own_places(environ: Mapping[str, str]) -> tuple[str, ...]:
    """What of this user's no policy may name beside the home: the configuration and the key, links resolved."""
    return tuple(os.path.realpath(path) for path in (user_folder(environ), key_place(environ)))


def read_key(path: Path) -> bytes | None:
    """The key, or None where there is none; raises HostUnavailable for one that is not this user's alone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostUnavailable(f"the key `{path}` cannot be opened: {(error.strerror or '').lower()}") from error
    try:
        _refuse_foreign(path, os.fstat(descriptor))
        text = os.read(descriptor, _HEX + 2)
    finally:
        os.close(descriptor)
    return _parsed(path, text)


def make_key(path: Path) -> bytes:
    """The key, made where there is none."""
    if not path.parent.exists():
        # One that is there may be anybody's: its mode is not ours to change.
        private_folder(path.parent)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.write(descriptor, secrets.token_hex(KEY_BYTES).encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        # The first of several processes wins: a link is made only where there is none of that name.
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()
    key = read_key(path)
    assert key is not None
    return key


def _refuse_foreign(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise HostUnavailable(f"the key `{path}` is no regular file", help="move it away")
    if found.st_uid not in {os.geteuid(), 0}:
        raise HostUnavailable(f"the key `{path}` belongs to another user", help="name one of your own: `SANDBOX_SECRETS_KEY`")
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        help_ = f"`chmod 600 {path}`, and set the secrets anew if somebody else may have read it"
        raise HostUnavailable(f"others may read or write the key `{path}` (mode {mode:04o})", help=help_)


def _parsed(path: Path, text: bytes) -> bytes:
    try:
        key = bytes.fromhex(text.decode("ascii").removesuffix("\n"))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise HostUnavailable(f"`{path}` holds no key", help="put the right file back: what it sealed cannot be read without it")
    return key
