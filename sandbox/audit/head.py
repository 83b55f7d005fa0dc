"""The end of the chain: the head that names it, and what the last line itself says.

Decides how a head is spelled, and that one which was not written with the host's key is none. What is done about a head that does
not fit the lines is `sandbox.audit.log`.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from datetime import datetime

from sandbox.audit.keys import NO_KEYS, Keys
from sandbox.audit.record import GENESIS, digest_of_line

SUFFIX = ".jsonl"
NAME = re.compile(r"\d{4}-\d{2}-\d{2}\.jsonl", re.ASCII)
LENGTH = 255


@dataclass(frozen=True, slots=True)
class Head:
    """The last record of the chain: its file and the file's size with it, its number, the digest of its line.

    `keep` is the second since 1970 until which a rule wants the file kept.
    """

    file: str = ""
    size: int = 0
    seq: int = 0
    digest: str = GENESIS
    keep: int = 0

    def to_bytes(self, keys: Keys = NO_KEYS) -> bytes:
        """The head as it lies in the file `head`, of one length so that it can be written in one place."""
        text = self._text()
        return f'[{text}, "{keys.mark("head", text)}"]'.ljust(LENGTH).encode("ascii") + b"\n"

    @classmethod
    def from_bytes(cls, text: bytes, keys: Keys = NO_KEYS) -> Head | None:
        """The head that `text` spells, or None where it spells none, or none that was written with these keys."""
        try:
            told = json.loads(text)
            file, size, seq, digest, keep, mark = told if len(told) != 4 or keys.marks is not None else (*told, 0, "")
        except (ValueError, TypeError):
            return None
        named = isinstance(file, str) and (file == "" or NAME.fullmatch(file) is not None)
        kinds = (named, isinstance(digest, str), *(type(each) is int for each in (size, seq, keep)))
        head = cls(file, size, seq, digest, keep) if all(kinds) else None
        return head if head is not None and keys.marked("head", head._text(), mark) else None

    def _text(self) -> str:
        return f'"{self.file}", {self.size}, {self.seq}, "{self.digest}", {self.keep}'


def is_marked(text: bytes) -> bool:
    """Whether a head was written with a key."""
    try:
        told = json.loads(text)
    except ValueError:
        return False
    return isinstance(told, list) and len(told) == 6 and told[5] != ""


@dataclass(frozen=True, slots=True)
class Tail:
    """The head as the last whole line of a file tells it (`size` ends with that line), and what that line names as `prev`."""

    head: Head
    prev: str

    @classmethod
    def read(cls, descriptor: int, name: str, keys: Keys = NO_KEYS) -> Tail:
        """Look at the end of an open file; an unreadable last line counts as number 0."""
        end = line_end(descriptor, os.fstat(descriptor).st_size)
        if end == 0:
            return cls(Head(name), "")
        start = line_end(descriptor, end - 1)
        line = os.pread(descriptor, end - start, start)
        try:
            record = json.loads(line)
            return cls(Head(name, end, int(record["seq"]), digest_of_line(line), _kept(line, keys)), str(record["prev"]))
        except (ValueError, TypeError, KeyError):
            return cls(Head(name, end, 0, digest_of_line(line)), "")


def line_end(descriptor: int, before: int) -> int:
    """The offset just after the last newline that ends at or before `before`; 0 where there is none."""
    while before > 0:
        start = max(0, before - 65_536)
        found = os.pread(descriptor, before - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        before = start
    return 0


def _kept(line: bytes, keys: Keys) -> int:
    record = keys.read(line) or {}
    until = record.get("kept_until")
    return int(datetime.fromisoformat(until).timestamp()) + 1 if isinstance(until, str) else 0
