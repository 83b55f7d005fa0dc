"""The record of a home: where its keys lie, and how it is opened.

Decides which key marks the record (`keys/record.key` in the home, made with the first record) and which closes its lines (this
user's key of secrets, which lies outside of the home: a copy of the home does not open an encrypted record).

Rules: a key is never made anew where something is marked or closed by another one; a record that was written before there were
marks is taken over as it stands, once, when its key is made.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path

from sandbox.audit.folder import private_file, private_folder
from sandbox.audit.head import SUFFIX, Head, line_end
from sandbox.audit.keys import Keys, is_closed
from sandbox.audit.log import AuditLog
from sandbox.errors import HostUnavailable
from sandbox.state.home import Home
from sandbox.state.secret_key import key_place, make_key, read_key


def record_keys(home: Home, environ: Mapping[str, str]) -> Keys:
    """The keys to read and verify the record with; makes none."""
    return Keys(read_key(_marks(home)), cache(partial(_existing, environ)), _note(home))


def open_record(home: Home, environ: Mapping[str, str], *, clock: Callable[[], float], source: str) -> AuditLog:
    """The record of a home, to write to. Raises HostUnavailable."""
    key = read_key(_marks(home)) or _taken_over(home)
    keys = Keys(key, cache(partial(_made, home, environ)), _note(home))
    return AuditLog(home.audit, clock=clock, source=source, keys=keys)


def _marks(home: Home) -> Path:
    return home.keys / "record.key"


def _note(home: Home) -> Path:
    return home.keys / "record.noted"


def _taken_over(home: Home) -> bytes:
    """A new key, and the head as it stands marked with it."""
    private_folder(home.keys)
    descriptor = private_file(private_folder(home.audit) / "head")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        before = Head.from_bytes(os.pread(descriptor, 4096, 0))
        if (key := read_key(_marks(home))) is None:
            key = make_key(_marks(home))
            if before is not None:
                os.pwrite(descriptor, before.to_bytes(Keys(key)), 0)
        return key
    finally:
        os.close(descriptor)


def _existing(environ: Mapping[str, str]) -> bytes:
    place = key_place(environ)
    if (key := read_key(place)) is None:
        raise HostUnavailable(f"the record is encrypted, and its key `{place}` is gone", help="put the right file back")
    return key


def _made(home: Home, environ: Mapping[str, str]) -> bytes:
    if read_key(key_place(environ)) is None and not _any_closed(home.audit):
        return make_key(key_place(environ))
    return _existing(environ)


def _any_closed(folder: Path) -> bool:
    """Whether a day of the record ends in a closed line."""
    return any(is_closed(_last_line(path)) for path in folder.glob(f"*{SUFFIX}"))


def _last_line(path: Path) -> bytes:
    descriptor = private_file(path, os.O_RDONLY)
    try:
        end = line_end(descriptor, os.fstat(descriptor).st_size)
        start = line_end(descriptor, end - 1) if end else 0
        return os.pread(descriptor, end - start, start)
    finally:
        os.close(descriptor)
