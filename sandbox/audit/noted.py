"""How far the record has come, noted outside of its folder: an old copy that is put back is behind it.

Decides how the note is spelled, and that it never goes back. Where it lies is `Keys.note`'s; whoever writes (`sandbox.audit.log`)
and whoever verifies finds by it that somebody has put back an old copy.

Rules: it is marked with the host's key; the caller holds the record's lock; it is written at most once a second and at every end,
so it may be a second behind, and is never ahead of what was written.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace

from sandbox.audit.folder import private_file
from sandbox.audit.keys import Keys
from sandbox.audit.record import GENESIS
from sandbox.errors import HostUnavailable

_LENGTH = 400


@dataclass(frozen=True, slots=True)
class Noted:
    """The number and digest of a record, and the digest of a line of the journal of seals, that were there."""

    seq: int = 0
    digest: str = GENESIS
    seals: str = GENESIS


def noted(keys: Keys) -> Noted:
    """What was noted; nothing where nobody has. Raises HostUnavailable for a note that is not this host's."""
    if keys.note is None:
        return Noted()
    try:
        descriptor = os.open(keys.note, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return Noted()
    except OSError as error:
        raise HostUnavailable(f"`{keys.note}` cannot be read: {(error.strerror or '').lower()}") from error
    try:
        text = os.read(descriptor, _LENGTH).strip()
    finally:
        os.close(descriptor)
    if not text:
        return Noted()
    try:
        seq, digest, seals, mark = json.loads(text)
        found = Noted(int(seq), str(digest), str(seals))
    except (ValueError, TypeError):
        mark, found = None, Noted()
    if not keys.marked("noted", repr(found), mark):
        help_ = "look at what happened; the record starts anew where the note, its key and the folder are moved away"
        raise HostUnavailable(f"`{keys.note}` is not what this host noted of its record", help=help_)
    return found


def note(keys: Keys, *, seq: int = 0, digest: str = GENESIS, seals: str | None = None) -> None:
    """Note a record, or a line of the journal; what is noted of a later one stays. Raises OSError and HostUnavailable."""
    if keys.note is None:
        return
    before = noted(keys)
    after = replace(before, seq=seq, digest=digest) if seq > before.seq else before
    after = after if seals is None else replace(after, seals=seals)
    if after == before:
        return
    text = json.dumps([after.seq, after.digest, after.seals, keys.mark("noted", repr(after))])
    descriptor = private_file(keys.note)
    try:
        os.pwrite(descriptor, text.ljust(_LENGTH).encode("ascii"), 0)
    finally:
        os.close(descriptor)
