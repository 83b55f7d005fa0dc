"""Open folders and files that belong to this user alone.

Decides what the host's own records may lie in: a folder of this user's that nobody else can write, and files that are no
links. Everything the host remembers goes through here. Linux and other POSIX systems.

Rules: created 0700 and 0600; a foreign owner, a link, or a mode that lets others write is refused with what to do about it,
never repaired in silence, since whoever could write there may have done so; a mode that only lets others read is narrowed.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sandbox.errors import HostUnavailable


def private_folder(path: Path) -> Path:
    """Make `path` a folder of this user's alone (0700), parents included, or raise HostUnavailable."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise HostUnavailable(
            f"`{path}` cannot be used as a private folder: {_why(error)}", help="name another with `--home DIR` or `SANDBOX_HOME`"
        ) from error
    try:
        _owned(path, os.fstat(descriptor))
        os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)
    return path


def private_file(path: Path, flags: int = os.O_RDWR) -> int:
    """A descriptor of the regular file `path`, made 0600 where it is missing; raises HostUnavailable.

    `flags` are those of open(2); links are not followed and a file with a second name is refused.
    """
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise HostUnavailable(f"`{path}` cannot be opened: {_why(error)}", help="move it away") from error
    try:
        _plain(path, os.fstat(descriptor))
        _owned(path, os.fstat(descriptor))
        os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _plain(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise HostUnavailable(f"`{path}` is not a plain file with one name", help="move it away")


def _owned(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise HostUnavailable(f"`{path}` belongs to another user", help="name a home of your own")
    if found.st_mode & 0o022:
        mode = stat.S_IMODE(found.st_mode)
        help_ = f"look at what is in it, then `chmod go-rwx {path}`"
        raise HostUnavailable(f"`{path}` can be written by others (mode {mode:04o})", help=help_)


def _why(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
