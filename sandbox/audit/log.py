"""Write the chain: one line a record, each naming the digest of the line before it, in one file a day.

Decides where a record stands and when it counts as written. What is in it is `sandbox.audit.record`; whether the chain still
holds is `sandbox.audit.verify`.

Rules: several processes share one chain: whoever writes holds the lock, and looks at the head first. `head` names the last
record (file, size, number, digest); it is written after the line, so a process killed between the two leaves a head that is
behind, which the next writer repairs from the lines themselves. A head that is ahead of the lines means that somebody cut them:
the chain goes on from the head, so the gap stays visible, and an alert says so. A line that cannot be written whole raises
HostUnavailable: without a record there is no call.

A record survives the death of the process when `append` returns, and a power failure when `sync` was asked for.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from sandbox.audit.folder import private_file, private_folder
from sandbox.audit.record import GENESIS, Event, EventType, Link, body, digest_of_line, spell
from sandbox.audit.tally import Tally
from sandbox.errors import HostUnavailable
from sandbox.redaction.redact import Redactor

SUFFIX = ".jsonl"
_NAME = re.compile(r"\d{4}-\d{2}-\d{2}\.jsonl", re.ASCII)
LOCK_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Head:
    """The last record of the chain: its file and the file's size with it, its number, the digest of its line."""

    file: str = ""
    size: int = 0
    seq: int = 0
    digest: str = GENESIS

    def to_bytes(self) -> bytes:
        """The head as it lies in the file `head`, of one length so that it can be written in one place."""
        return f'["{self.file}", {self.size}, {self.seq}, "{self.digest}"]'.ljust(255).encode("ascii") + b"\n"

    @classmethod
    def from_bytes(cls, text: bytes) -> Head | None:
        """The head that `text` spells, or None where it spells none."""
        try:
            file, size, seq, digest = json.loads(text)
        except (ValueError, TypeError):
            return None
        named = isinstance(file, str) and (file == "" or _NAME.fullmatch(file) is not None)
        kinds = (named, isinstance(size, int), isinstance(seq, int), isinstance(digest, str))
        return cls(file, size, seq, digest) if all(kinds) else None


class AuditLog:
    """One process's hand on the chain in `folder`. `clock` gives seconds since 1970; `source` names the edge that calls."""

    def __init__(self, folder: Path, *, clock: Callable[[], float], source: str) -> None:
        self.folder = private_folder(folder)
        self._clock, self._source = clock, source
        self.tally = Tally()
        self._head_path = str(self.folder / "head")
        self._head_file: int | None = private_file(self.folder / "head")
        self._head_stat = os.fstat(self._head_file)
        self._file: tuple[str, int] | None = None
        self._last: tuple[bytes, Head] = (b"", Head())
        """The head as this process wrote it last: it need not be read again where nobody else wrote."""

    def append(self, event: Event, redactor: Redactor, *, sync: bool = False) -> Link:
        """Write one record and say where it stands; raises HostUnavailable if that failed. `sync` waits for the disk."""
        now = self._clock()
        record = body(event, now=now, source=self._source, redactor=redactor)
        if self._head_file is None:
            raise HostUnavailable("the record is closed")
        try:
            link = self._chain(self._head_file, record, now, sync=sync)
        except OSError as error:
            raise HostUnavailable(f"the record cannot be written: {(error.strerror or 'failed').lower()}") from error
        self.tally.count(event)
        return link

    def close(self) -> None:
        """Let go of the files; further records are refused."""
        for descriptor in (self._head_file, self._file[1] if self._file else None):
            if descriptor is not None:
                os.close(descriptor)
        self._head_file = self._file = None

    def _chain(self, head_file: int, record: dict[str, Any], now: float, *, sync: bool) -> Link:
        _lock(head_file)
        try:
            head = self._head(head_file, now)
            link = Link(head.seq + 1, head.digest)
            self._put(head_file, head, spell(record, link), now, sync=sync)
            return link
        finally:
            fcntl.flock(head_file, fcntl.LOCK_UN)

    def _head(self, head_file: int, now: float) -> Head:
        """The chain's end, repaired where a writer died or somebody touched the files; its size is the file's.

        What is asked of the system for every record: whether the folder is still the one that others see (they would write
        a chain of their own), the head, and the size of the last file and whether it still has its name. All may be changed
        by other processes at any time.
        """
        if not os.path.samestat(self._head_stat, os.lstat(self._head_path)):
            raise HostUnavailable("the record's folder was taken away", help="start again")
        text = os.pread(head_file, 4096, 0)
        told = self._last[1] if text == self._last[0] else Head.from_bytes(text) or Head(file=self._newest())
        newest = max(told.file, _day(now))
        if newest != told.file and not (self.folder / newest).exists():
            newest = told.file
        size = self._open(newest)[1] if newest else 0
        if (newest, size) == (told.file, told.size) or (newest != told.file and size == 0):
            return told
        return self._repaired(head_file, told, Tail.read(self._open(newest)[0], newest), size, now)

    def _repaired(self, head_file: int, told: Head, tail: Tail, size: int, now: float) -> Head:
        if tail.prev == told.digest and tail.head.seq == told.seq + 1 and tail.head.size == size:
            return tail.head  # a writer died between the line and the head: nothing is missing
        if tail.head.size != size:
            os.ftruncate(self._open(tail.head.file)[0], tail.head.size)
        # Where lines are missing the chain goes on from the head, so that the gap stays visible for ever.
        kept = tail.head if tail.head.seq >= told.seq else replace(tail.head, seq=told.seq, digest=told.digest)
        detail = {"head": told.seq, "last_line": tail.head.seq, "torn_bytes": size - tail.head.size}
        alert = Event(
            EventType.SECURITY_ALERT, os.urandom(16).hex(), reason="the record's end is not as it was left", detail=detail
        )
        line = spell(body(alert, now=now, source=self._source, redactor=Redactor()), Link(kept.seq + 1, kept.digest))
        return self._put(head_file, kept, line, now, sync=True)

    def _newest(self) -> str:
        return max((path.name for path in self.folder.iterdir() if path.suffix == SUFFIX), default="")

    def _put(self, head_file: int, head: Head, line: bytes, now: float, *, sync: bool) -> Head:
        # Never an earlier file than the last one: a clock set back must not split a day.
        name = max(_day(now), head.file)
        if self._file is not None and name == self._file[0] == head.file:
            descriptor, size = self._file[1], head.size  # as `_head` found it, and we hold the lock
        else:
            descriptor, size = self._open(name)
        if (written := os.write(descriptor, line)) != len(line):
            os.ftruncate(descriptor, size)
            raise HostUnavailable(f"the record cannot be written: {written} of {len(line)} bytes found room")
        new = Head(name, size + len(line), head.seq + 1, digest_of_line(line))
        self._last = (new.to_bytes(), new)
        os.pwrite(head_file, self._last[0], 0)
        if sync:
            os.fsync(descriptor)
        return new

    def _open(self, name: str) -> tuple[int, int]:
        """The file of that name and its size; opened anew where the one that is open lost its name."""
        if self._file is not None:
            found = os.fstat(self._file[1])
            if self._file[0] == name and found.st_nlink == 1:
                return self._file[1], found.st_size
            os.close(self._file[1])
            self._file = None
        self._file = (name, private_file(self.folder / name, os.O_RDWR | os.O_APPEND))
        return self._file[1], os.fstat(self._file[1]).st_size


@dataclass(frozen=True, slots=True)
class Tail:
    """The head as the last whole line of a file tells it (`size` ends with that line), and what that line names as `prev`."""

    head: Head
    prev: str

    @classmethod
    def read(cls, descriptor: int, name: str) -> Tail:
        """Look at the end of an open file; an unreadable last line counts as number 0."""
        end = _line_end(descriptor, os.fstat(descriptor).st_size)
        if end == 0:
            return cls(Head(name), "")
        start = _line_end(descriptor, end - 1)
        line = os.pread(descriptor, end - start, start)
        try:
            record = json.loads(line)
            seq, prev = int(record["seq"]), str(record["prev"])
        except (ValueError, TypeError, KeyError):
            seq, prev = 0, ""
        return cls(Head(name, end, seq, digest_of_line(line)), prev)


def _day(now: float) -> str:
    return _file_of_day(int(now // 86_400))


@lru_cache(maxsize=4)
def _file_of_day(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d") + SUFFIX


def _lock(descriptor: int) -> None:
    """Take the writers' lock; a process that was stopped while it held it must not stop this one for ever."""
    give_up = None
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            give_up = give_up or time.monotonic() + LOCK_WITHIN_S
            if time.monotonic() > give_up:
                raise HostUnavailable("another process keeps the record's lock", help="look for one that is stopped") from None
            time.sleep(0.0002)


def _line_end(descriptor: int, before: int) -> int:
    """The offset just after the last newline that ends at or before `before`; 0 where there is none."""
    while before > 0:
        start = max(0, before - 65_536)
        found = os.pread(descriptor, before - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        before = start
    return 0
