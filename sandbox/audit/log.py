"""Write the chain: one line a record, each naming the digest of the line before it, in one file a day.

Decides where a record stands and when it counts as written. What is in it is `sandbox.audit.record`; whether the chain still
holds is `sandbox.audit.verify`.

Rules: several processes share one chain: whoever writes holds the lock, and looks at the head first. `head` names the last
record (file, size, number, digest) and carries the mark of the host's key; it is written after the line, so a process killed
between the two leaves a head that is behind, which the next writer repairs from the lines themselves. A head that is ahead of the
lines, or without the mark, means that somebody touched them: the chain goes on so that the gap stays visible, and an alert says
so. A line that cannot be written whole raises HostUnavailable: without a record there is no call. A day that is over is sealed by
whoever writes first on the next one, and removed, whole, when its time is over (`Terms`).

A record survives the death of the process when `append` returns, and a power failure when `sync` was asked for.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

from sandbox.admission.words import LogLevel
from sandbox.audit.flood import Flood
from sandbox.audit.folder import private_file, private_folder
from sandbox.audit.head import SUFFIX, Head, Tail, is_marked
from sandbox.audit.keys import NO_KEYS, Keys
from sandbox.audit.noted import Noted, note, noted
from sandbox.audit.record import GENESIS, Event, EventType, Link, body, digest_of_line, rfc3339, spell
from sandbox.audit.segments import remove_old, seal_day
from sandbox.audit.tally import Tally
from sandbox.audit.terms import Terms, shortened
from sandbox.errors import HostUnavailable
from sandbox.redaction.redact import Redactor

_LOG = logging.getLogger(__name__)
LOCK_WITHIN_S = 2.0
NOTED_S = 1.0
"""How far what is noted outside of the folder may be behind."""
ROOM = 1 << 20
"""Bytes that are free where the record can go on for a while."""


class AuditLog:
    """One process's hand on the chain in `folder`. `clock` gives seconds since 1970; `source` names the edge that calls.

    `keys` are the host's; without them nothing marks the end and the days, and nothing can be encrypted.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float], source: str, keys: Keys = NO_KEYS) -> None:
        self.folder = private_folder(folder)
        self._clock, self._source, self._keys = clock, source, keys
        self.tally = Tally()
        self._terms, self._flood = Terms(), Flood()
        self._head_path = str(self.folder / "head")
        self.listeners: list[Callable[[Mapping[str, Any]], None]] = []
        """Told of each record after it was written: as it was, redacted, before it is encrypted."""
        self._head_file: int | None = private_file(self.folder / "head")
        self._head_stat = os.fstat(self._head_file)
        self._file: tuple[str, int] | None = None
        self._last: tuple[bytes, Head] = (b"\xff", Head())
        """The head as this process wrote it last: it need not be read again where nobody else wrote. At first it is none that can
        be read: an emptied one is not ours."""
        self._note_at = 0.0
        if keys.marks is None and is_marked(os.pread(self._head_file, 4096, 0)):
            self.close()
            raise HostUnavailable(
                f"the record in `{folder}` is marked with a key", help="give it, or open the record as its home's"
            )

    def append(self, event: Event, redactor: Redactor, *, sync: bool = False) -> Link:
        """Write one record and say where it stands; raises HostUnavailable if that failed. `sync` waits for the disk."""
        if self._flood.pending and self._flood.due(self._clock()):
            self._say_flood()
        return self._append(event, redactor, sync=sync)

    def refused(self, event: Event, redactor: Redactor) -> None:
        """As `append`, for what was refused before it began: of a flood of them there are summaries (`sandbox.audit.flood`)."""
        now = self._clock()
        if self._flood.singly(event, now):
            self.append(event, redactor)
            return
        self.tally.count(event)
        if self._flood.due(now):
            self._say_flood()

    def hold(self, terms: Terms) -> None:
        """Keep the record on these terms from now on; what is kept longer than they say is removed at once."""
        if self._head_file is None:
            raise HostUnavailable("the record is closed")
        now = self._clock()
        with _Locked(self._head_file):
            head = self._head(self._head_file, now)
            if terms.encrypt:
                self._keys.lines()
                if head.file:
                    # What is there has to open with this key: a record under two could be read with neither.
                    Tail.read(self._open(head.file)[0], head.file, self._keys)
            if terms.retention_s is not None:
                remove_old(self.folder, self._keys, head.file, terms.retention_s, now)
        self._terms = terms

    def check(self) -> None:
        """Whether a record could be written now. Raises HostUnavailable where it could not."""
        if self._head_file is None:
            raise HostUnavailable("the record is closed")
        with _Locked(self._head_file):
            self._head(self._head_file, self._clock())
            disk = os.fstatvfs(self._head_file)
        if disk.f_blocks and disk.f_bavail * disk.f_frsize < ROOM:
            raise HostUnavailable("the record's disk is full")

    def _say_flood(self) -> None:
        told, keep_s = self._flood.summary(), self._flood.keep_s
        since = rfc3339(told.pop("since"))
        reason = f"{told['refusals']} more calls were refused since {since}"
        # No decision about one call: `replay` does not ask it again.
        event = Event(EventType.ACCESS_DENIED, os.urandom(16).hex(), reason=reason, detail={"flood": told}, keep_s=keep_s)
        self._append(event, Redactor(), counted=False)
        self._flood.said()

    def _append(self, event: Event, redactor: Redactor, *, sync: bool = False, counted: bool = True) -> Link:
        if self._head_file is None:
            raise HostUnavailable("the record is closed")
        now, terms, began = self._clock(), self._terms, time.monotonic()
        if terms.level is not LogLevel.DETAILED:
            event = shortened(event, terms.level)
        record = body(event, now=now, source=self._source, redactor=redactor)
        keep = 0 if event.keep_s is None else int(now + event.keep_s) + 1
        with _Locked(self._head_file):
            head = self._head(self._head_file, now)
            link = Link(head.seq + 1, head.digest)
            self._put(self._head_file, head, record, now, keep=keep, sync=sync)
        if counted:
            self.tally.count(event)
        self.tally.wrote(event, time.monotonic() - began)
        for heard in self.listeners:
            heard({**record, "seq": link.seq})
        return link

    def close(self) -> None:
        """Let go of the files, once a flood is told of; further records are refused."""
        if self._flood.pending and self._head_file is not None:
            try:
                self._say_flood()
            except HostUnavailable as error:
                _LOG.error("what was refused last is not on record: %s", error)
        if self._last[1].seq and self._head_file is not None:
            try:
                with _Locked(self._head_file):
                    self._note()
            except HostUnavailable as error:
                _LOG.error("the end of the record is not noted: %s", error)
        for descriptor in (self._head_file, self._file[1] if self._file else None):
            if descriptor is not None:
                os.close(descriptor)
        self._head_file = self._file = None

    def _head(self, head_file: int, now: float) -> Head:
        """The chain's end, repaired where a writer died or somebody touched the files; its size is the file's.

        What is asked of the system for every record: whether the folder is still the one that others see (they would write
        a chain of their own), the head, and the size of the last file and whether it still has its name. All may be changed
        by other processes at any time.
        """
        if not os.path.samestat(self._head_stat, os.lstat(self._head_path)):
            raise HostUnavailable("the record's folder was taken away", help="start again")
        text = os.pread(head_file, 4096, 0)
        ours = self._last[1] if text == self._last[0] else Head.from_bytes(text, self._keys)
        told = ours or Head(file=self._newest())
        reached = told if text == self._last[0] else self._reached(told)
        newest = max(told.file, _day(now))
        if newest != told.file and not (self.folder / newest).exists():
            newest = told.file
        size = self._open(newest)[1] if newest else 0
        if reached is told and ((newest, size) == (told.file, told.size) or (newest != told.file and size == 0)):
            return told
        tail = Tail.read(self._open(newest)[0], newest, self._keys) if newest else Tail(Head(), "")
        if ours is None and self._keys.marks is not None:
            # Without the mark nobody knows what was there: the next line is chained to nothing, for ever.
            tail = Tail(replace(tail.head, digest=GENESIS), "")
        # Where the lines are there, the head alone is behind: a writer died before it.
        return self._repaired(head_file, told if tail.head.seq >= reached.seq else reached, tail, size, now)

    def _reached(self, told: Head) -> Head:
        """The head, or the end that was there once, where the head is behind it: somebody has put back an old copy."""
        last = self._last[1]
        outside = noted(self._keys) if not last.seq or time.monotonic() > self._note_at else Noted()
        seq, digest = max((last.seq, last.digest), (outside.seq, outside.digest))
        return told if seq <= told.seq else replace(told, seq=seq, digest=digest)

    def _repaired(self, head_file: int, told: Head, tail: Tail, size: int, now: float) -> Head:
        if tail.prev == told.digest and tail.head.seq == told.seq + 1 and tail.head.size == size:
            # A writer died between the line and the head: nothing is missing.
            return replace(tail.head, keep=max(tail.head.keep, told.keep if told.file == tail.head.file else 0))
        if tail.head.size != size:
            os.ftruncate(self._open(tail.head.file)[0], tail.head.size)
        # Where lines are missing the chain goes on from the head, so that the gap stays visible for ever.
        kept = tail.head if tail.head.seq >= told.seq else replace(tail.head, seq=told.seq, digest=told.digest)
        detail = {"head": told.seq, "last_line": tail.head.seq, "torn_bytes": size - tail.head.size}
        alert = Event(
            EventType.SECURITY_ALERT, os.urandom(16).hex(), reason="the record's end is not as it was left", detail=detail
        )
        record = body(alert, now=now, source=self._source, redactor=Redactor())
        return self._put(head_file, replace(kept, keep=max(kept.keep, told.keep)), record, now, keep=0, sync=True)

    def _newest(self) -> str:
        return max((path.name for path in self.folder.iterdir() if path.suffix == SUFFIX), default="")

    def _put(self, head_file: int, head: Head, record: dict[str, Any], now: float, *, keep: int, sync: bool) -> Head:
        # Never an earlier file than the last one: a clock set back must not split a day.
        name = max(_day(now), head.file)
        if self._file is not None and name == self._file[0] == head.file:
            descriptor, size = self._file[1], head.size  # as `_head` found it, and we hold the lock
        else:
            self._seal(head, name, now)
            descriptor, size = self._open(name)
        line = self._line(record, Link(head.seq + 1, head.digest))
        if (written := os.write(descriptor, line)) != len(line):
            os.ftruncate(descriptor, size)
            raise HostUnavailable(f"the record cannot be written: {written} of {len(line)} bytes found room")
        kept = max(keep, head.keep) if name == head.file else keep
        new = Head(name, size + len(line), head.seq + 1, digest_of_line(line), kept)
        self._last = (new.to_bytes(self._keys), new)
        os.pwrite(head_file, self._last[0], 0)
        if sync:
            os.fsync(descriptor)
        if sync or time.monotonic() > self._note_at:
            self._note()
        return new

    def _note(self) -> None:
        note(self._keys, seq=self._last[1].seq, digest=self._last[1].digest)
        self._note_at = time.monotonic() + NOTED_S

    def _line(self, record: dict[str, Any], link: Link) -> bytes:
        line = spell(record, link)
        return self._keys.close(line, link.seq, link.prev) if self._terms.encrypt else line

    def _seal(self, head: Head, name: str, now: float) -> None:
        """Seal the day that is over, where another one begins, and remove those whose time is over."""
        if head.file in ("", name):
            return
        seal_day(self.folder, self._keys, self._open(head.file)[0], head, now)
        if self._terms.retention_s is not None:
            remove_old(self.folder, self._keys, name, self._terms.retention_s, now)

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


class _Locked:
    """A block of the only writer; what the system refuses in it is HostUnavailable. A class: every record goes through it."""

    __slots__ = ("_file",)

    def __init__(self, head_file: int) -> None:
        self._file = head_file

    def __enter__(self) -> None:
        try:
            _lock(self._file)
        except OSError as error:
            raise _unwritten(error) from error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)
        if isinstance(error, OSError):
            raise _unwritten(error) from error


def _unwritten(error: OSError) -> HostUnavailable:
    return HostUnavailable(f"the record cannot be written: {(error.strerror or 'failed').lower()}")


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
