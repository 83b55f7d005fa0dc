"""Read the chain again and name the first record that is not as it was written.

Decides nothing about what a record says: only whether it stands where and as it was written. Looks at files, changes none.

What it finds: a record that was changed, cut out, moved, or written twice, also at the end (the head knows how many there are); a
day that is gone and was not removed by this program; with the host's key also an end, a seal or a whole chain that was made
anew without it. What it cannot find: what was made anew by somebody who has the key; one line after the end that was never
acknowledged, as a killed writer leaves it. Who must hold against that keeps the last digest elsewhere.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from sandbox.audit.head import SUFFIX, Head
from sandbox.audit.keys import NO_KEYS, Keys
from sandbox.audit.noted import Noted, noted
from sandbox.audit.record import GENESIS, digest_of_line
from sandbox.audit.seals import JOURNAL, Journal
from sandbox.errors import HostUnavailable


class Damage(StrEnum):
    """What happened to a record."""

    CHANGED = "changed"
    CUT = "cut"
    REORDERED = "reordered"
    DUPLICATED = "duplicated"


@dataclass(frozen=True, slots=True)
class Fault:
    """The first record that is not as it was written: its number, what happened, and the file and line where it shows."""

    seq: int
    damage: Damage
    file: str
    line: int
    message: str

    def to_json(self) -> dict[str, Any]:
        """The fault as a JSON object."""
        where = {"file": self.file, "line": self.line}
        return {"seq": self.seq, "damage": self.damage.value, **where, "message": self.message}


@dataclass(frozen=True, slots=True)
class Verified:
    """What `verify` read: how many records hold, the digest of the last of them, and the first that does not.

    `removed` is how many more there were in days whose time was over; `keyed` whether the host's key was there to check with.
    """

    records: int
    digest: str
    fault: Fault | None
    removed: int = 0
    keyed: bool = False

    @property
    def ok(self) -> bool:
        """Whether every record is as it was written."""
        return self.fault is None


@dataclass(frozen=True, slots=True)
class _Line:
    file: str
    number: int
    text: bytes
    seq: int | None
    prev: str


def verify(folder: Path, keys: Keys = NO_KEYS) -> Verified:
    """Check the chain in `folder` up to its end at this moment, while others may go on writing."""
    head, sizes, journal, touched, reached = _snapshot(folder, keys)
    last = _Line("", 0, b"", 0, "")
    digest, count, removed = GENESIS, 0, 0

    def told(fault: Fault | None) -> Verified:
        return Verified(count - removed, digest, fault, removed, keys.marks is not None)

    for name in sorted({*sizes, *journal.removed}):
        seal = journal.seals.get(name)
        if name not in sizes:
            if seal is None or (seal.first, seal.before) != (count + 1, digest):
                return told(_at(last, count + 1, Damage.CUT, f"is missing, and its day `{name}` does not join the one before"))
            removed, digest, count = removed + seal.last - seal.first + 1, seal.digest, seal.last
            last = _Line("", 0, b"", count, "")
            continue
        for line in _lines(folder, {name: sizes[name]}):
            if line.seq != count + 1 or line.prev != digest:
                return told(_fault(folder, sizes, last, line))
            last, digest, count = line, digest_of_line(line.text), count + 1
        if seal is not None and (seal.last, seal.digest) != (count, digest):
            return told(_at(last, count, Damage.CHANGED, "is not the last one that its day was sealed with"))
    if journal.wrong:
        message = f"{JOURNAL}:{journal.wrong}: this line was not written by this host, or one before it is gone"
        return told(Fault(count, Damage.CHANGED, JOURNAL, journal.wrong, message))
    if touched:
        return told(_at(last, count, Damage.CHANGED, "may not be the last one: the head was not written with this host's key"))
    if not journal.reaches(reached):
        message = f"{JOURNAL}: lines at its end are missing: it is an old one"
        return told(Fault(count, Damage.CUT, JOURNAL, len(journal.digests), message))
    if reached.seq > count:
        missing = "is missing" if reached.seq == count + 1 else f"is missing, and all up to {reached.seq}"
        at = last if last.file else _Line("head", 1, b"", 0, "")
        return told(_at(at, count + 1, Damage.CUT, f"{missing}: the record is an old copy"))
    return told(_fault_at_end(head, last, digest, count))


def records(folder: Path, keys: Keys = NO_KEYS) -> Iterator[dict[str, Any]]:
    """Every readable record, oldest first, as it stands in the files; `verify` says whether they hold.

    Raises HostUnavailable for an encrypted one that the key does not open.
    """
    _, sizes, _, _, _ = _snapshot(folder, keys)
    for line in _lines(folder, sizes):
        if line.seq is not None and (record := keys.read(line.text)) is not None:
            yield record


def _snapshot(folder: Path, keys: Keys) -> tuple[Head | None, dict[str, int], Journal, bool, Noted]:
    """The head, the size of each file and the journal at one moment, under the writers' lock; whether the head is not ours.

    With what was noted by then of how far the record has come.
    """
    try:
        descriptor = os.open(folder / "head", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None, _sizes(folder), Journal.read(folder, keys), False, noted(keys)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        text = os.pread(descriptor, 4096, 0)
        head, sizes = Head.from_bytes(text, keys), _sizes(folder)
        touched = head is None and bool(sizes) and keys.marks is not None
        return head, sizes, Journal.read(folder, keys), touched, noted(keys)
    finally:
        os.close(descriptor)


def _sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.lstat().st_size for path in folder.glob(f"*{SUFFIX}")}


def _lines(folder: Path, sizes: dict[str, int]) -> Iterator[_Line]:
    for name in sorted(sizes):
        left = sizes[name]
        try:
            descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise HostUnavailable(f"`{folder / name}` cannot be read: {(error.strerror or '').lower()}") from error
        with os.fdopen(descriptor, "rb") as file:
            for number, text in enumerate(file, 1):
                if left <= 0:
                    break
                left -= len(text)
                yield _parsed(name, number, text)


def _parsed(name: str, number: int, text: bytes) -> _Line:
    try:
        record = json.loads(text)
        seq, prev = record["seq"], record["prev"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return _Line(name, number, text, None, "")
    return _Line(name, number, text, seq if type(seq) is int else None, str(prev))


def _fault(folder: Path, sizes: dict[str, int], last: _Line, line: _Line) -> Fault:
    expected = (last.seq or 0) + 1
    if line.seq == expected:
        if last.number and line.prev != digest_of_line(last.text):
            return _at(last, expected - 1, Damage.CHANGED, "is no longer what the record after it was chained to")
        return _at(line, expected, Damage.CHANGED, "does not name the digest of the record before it")
    if line.seq is not None and line.seq < expected:
        twice = any(other.text == line.text for other in _until(folder, sizes, line))
        return _at(line, line.seq, Damage.DUPLICATED if twice else Damage.CHANGED, "stands here a second time")
    later = list(_after(folder, sizes, line))
    if any(other.seq == expected for other in later):
        return _at(line, expected, Damage.REORDERED, "stands further down")
    if line.seq is None or (later and later[0].seq == expected + 1):
        return _at(line, expected, Damage.CHANGED, "is not readable" if line.seq is None else f"calls itself {line.seq}")
    return _at(
        line, expected, Damage.CUT, f"is missing, and all up to {line.seq - 1}" if line.seq - 1 > expected else "is missing"
    )


def _fault_at_end(head: Head | None, last: _Line, digest: str, count: int) -> Fault | None:
    if head is None:
        return None if count == 0 else _at(last, count + 1, Damage.CUT, "may be missing: the head that counts them is gone")
    if head.seq > count:
        return _at(last, count + 1, Damage.CUT, f"is missing, and all up to {head.seq}" if head.seq > count + 1 else "is missing")
    if head.seq == count and head.digest != digest:
        return _at(last, count, Damage.CHANGED, "is not the last one that was written")
    if count > head.seq + 1:
        return _at(last, head.seq + 2, Damage.CHANGED, "was written by something else: the head does not count it")
    return None


def _at(line: _Line, seq: int, damage: Damage, what: str) -> Fault:
    return Fault(seq, damage, line.file, line.number, f"{line.file}:{line.number}: record {seq} {what}")


def _until(folder: Path, sizes: dict[str, int], line: _Line) -> Iterator[_Line]:
    for other in _lines(folder, sizes):
        if (other.file, other.number) == (line.file, line.number):
            return
        yield other


def _after(folder: Path, sizes: dict[str, int], line: _Line) -> Iterator[_Line]:
    return (other for other in _lines(folder, sizes) if (other.file, other.number) > (line.file, line.number))
