"""The seals of the days that are over, and what was removed of them.

Decides what a seal says (a day's file, its first and last record, the digests before it and at its end) and that a day which is
gone was removed by this program: the journal `seals` holds one line for each, chained and marked with the host's key, and nothing
is ever taken out of it: its last line is noted elsewhere. Who seals and when is `sandbox.audit.log`; whether days and seals fit
is `sandbox.audit.verify`.

Rules: a removal is on the disk here before the day's file is gone; a line that a killed writer left half is cut.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.audit.folder import private_file
from sandbox.audit.head import Head, line_end
from sandbox.audit.keys import Keys
from sandbox.audit.noted import Noted, note, noted
from sandbox.audit.record import GENESIS, digest_of_line, rfc3339

JOURNAL = "seals"
_FIRST_LINE = 1 << 20


@dataclass(frozen=True, slots=True)
class Seal:
    """A day that is over: its file, the numbers of its first and last record, the digests before the first and of the last."""

    file: str
    first: int
    before: str
    last: int
    digest: str
    keep: int

    def to_json(self) -> dict[str, Any]:
        """The seal as a JSON object."""
        return {name: getattr(self, name) for name in ("file", "first", "before", "last", "digest", "keep")}


@dataclass(slots=True)
class Journal:
    """What `seals` says: the seals by file, the files that were removed, and the first line that is not this program's, or 0."""

    seals: dict[str, Seal] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    wrong: int = 0
    digest: str = GENESIS
    digests: set[str] = field(default_factory=lambda: {GENESIS})

    @classmethod
    def read(cls, folder: Path, keys: Keys) -> Journal:
        """The journal of a folder; empty where there is none."""
        try:
            descriptor = os.open(folder / JOURNAL, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return cls()
        with os.fdopen(descriptor, "rb") as file:
            journal = cls()
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n") and not journal._take(line, keys):
                    journal.wrong = number
                    break
        return journal

    def _take(self, line: bytes, keys: Keys) -> bool:
        try:
            told = json.loads(line)
            mark = told.pop("mark")
            if told["prev"] != self.digest or not keys.marked("seal", _spelled(told), mark):
                return False
            if "removed" in told:
                self.removed.add(str(told["removed"]))
            else:
                seal = Seal(**{name: told[name] for name in Seal.__slots__})
                self.seals[seal.file] = seal
        except (ValueError, TypeError, KeyError, AttributeError):
            return False
        self.digest = digest_of_line(line)
        self.digests.add(self.digest)
        return True

    def reaches(self, noted: Noted) -> bool:
        """Whether the line that was noted last is there: else lines are missing at the end."""
        return noted.seals in self.digests

    def add(self, folder: Path, keys: Keys, said: Mapping[str, Any], *, now: float) -> None:
        """Write one line, on the disk when this returns; raises OSError. The caller holds the record's lock."""
        told = {**said, "at": rfc3339(now), "prev": self.digest}
        line = (json.dumps({**told, "mark": keys.mark("seal", _spelled(told))}, sort_keys=True) + "\n").encode()
        descriptor = private_file(folder / JOURNAL)
        try:
            end = line_end(descriptor, os.fstat(descriptor).st_size)
            os.ftruncate(descriptor, end)
            if os.pwrite(descriptor, line, end) != len(line):
                os.ftruncate(descriptor, end)
                raise OSError(None, "no room for a seal")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        whole = self.reaches(noted(keys))
        if self._take(line, keys) and whole:
            note(keys, seals=self.digest)


def seal_of(descriptor: int, head: Head) -> Seal | None:
    """The seal of the day that a head ends; None for a file whose first line says nothing."""
    line = os.pread(descriptor, _FIRST_LINE, 0).partition(b"\n")[0]
    try:
        first = json.loads(line)
        return Seal(head.file, int(first["seq"]), str(first["prev"]), head.seq, head.digest, head.keep)
    except (ValueError, TypeError, KeyError):
        return None


def _spelled(told: Mapping[str, Any]) -> str:
    return json.dumps(told, sort_keys=True)
