"""The days that are over: seal one, and remove those whose time is over.

Decides which day may go: one that is sealed, whose last moment is longer ago than the retention, and that no rule wants kept.
Only whole days go, and their seals stay. The caller holds the record's lock; raises OSError and HostUnavailable.
"""

from __future__ import annotations

import math
import os
from datetime import UTC, datetime
from pathlib import Path

from sandbox.audit.folder import private_file
from sandbox.audit.head import NAME, SUFFIX, Head, Tail
from sandbox.audit.keys import Keys
from sandbox.audit.noted import noted
from sandbox.audit.seals import Journal, Seal, seal_of

_DAY_S = 86_400.0


def seal_day(folder: Path, keys: Keys, descriptor: int, head: Head, now: float) -> None:
    """Seal the day that `head` ends, unless a writer that died has done so."""
    journal = Journal.read(folder, keys)
    if head.file not in journal.seals and (seal := seal_of(descriptor, head)) is not None:
        journal.add(folder, keys, seal.to_json(), now=now)


def remove_old(folder: Path, keys: Keys, current: str, retention_s: float, now: float) -> None:
    """Remove the days before `current` that were kept long enough. Nothing goes by a journal that somebody else has touched."""
    journal, reached = Journal.read(folder, keys), noted(keys)
    for name in sorted(path.name for path in folder.glob(f"*{SUFFIX}") if NAME.fullmatch(path.name) and path.name < current):
        if journal.wrong or not journal.reaches(reached):
            return
        if _end_of(name) + retention_s > now:
            continue
        seal = journal.seals.get(name) or _sealed_late(folder, keys, journal, name, now)
        if seal is None or seal.keep > now:
            continue
        if name not in journal.removed:
            journal.add(folder, keys, {"removed": name}, now=now)
        (folder / name).unlink()


def _sealed_late(folder: Path, keys: Keys, journal: Journal, name: str, now: float) -> Seal | None:
    """The seal of a day that was over before days were sealed."""
    descriptor = private_file(folder / name, os.O_RDONLY)
    try:
        tail = Tail.read(descriptor, name, keys)
        seal = seal_of(descriptor, tail.head)
    finally:
        os.close(descriptor)
    if seal is not None:
        journal.add(folder, keys, seal.to_json(), now=now)
    return seal


def _end_of(name: str) -> float:
    """When the day was over; never, where the name is no day's: such a file is none of ours to remove."""
    try:
        return datetime.fromisoformat(name.removesuffix(SUFFIX)).replace(tzinfo=UTC).timestamp() + _DAY_S
    except ValueError:
        return math.inf
