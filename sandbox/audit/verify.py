"""Read the chain again and name the first record that is not as it was written.

Decides nothing about what a record says: only whether it stands where and as it was written. Looks at files, changes none.

What it finds: a record that was changed, cut out, moved, or written twice, also at the end (the head knows how many there are).
What it cannot find: a chain that somebody who may write the folder made anew from its first record, head included; who must
hold against that keeps the last digest elsewhere.
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

from sandbox.audit.log import SUFFIX, Head
from sandbox.audit.record import GENESIS, digest_of_line
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
    """What `verify` read: how many records hold, the digest of the last of them, and the first that does not."""

    records: int
    digest: str
    fault: Fault | None

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


def verify(folder: Path) -> Verified:
    """Check the chain in `folder` up to its end at this moment, while others may go on writing."""
    head, sizes = _snapshot(folder)
    last = _Line("", 0, b"", 0, "")
    digest, count = GENESIS, 0
    for line in _lines(folder, sizes):
        if line.seq != count + 1 or line.prev != digest:
            return Verified(count, digest, _fault(folder, sizes, last, line))
        last, digest, count = line, digest_of_line(line.text), count + 1
    return Verified(count, digest, _fault_at_end(head, last, digest, count))


def records(folder: Path) -> Iterator[dict[str, Any]]:
    """Every readable record, oldest first, as it stands in the files; `verify` says whether they hold."""
    _, sizes = _snapshot(folder)
    for line in _lines(folder, sizes):
        if line.seq is not None:
            yield json.loads(line.text)


def _snapshot(folder: Path) -> tuple[Head | None, dict[str, int]]:
    """The head and the size of each file at one moment, under the writers' lock."""
    try:
        descriptor = os.open(folder / "head", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None, {path.name: path.lstat().st_size for path in folder.glob(f"*{SUFFIX}")}
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        sizes = {path.name: path.lstat().st_size for path in folder.glob(f"*{SUFFIX}")}
        return Head.from_bytes(os.pread(descriptor, 4096, 0)), sizes
    finally:
        os.close(descriptor)


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
