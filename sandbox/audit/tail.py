"""The end of the record, without reading all of it.

Decides nothing about what a record says, and nothing about whether the chain holds: `sandbox.audit.verify` does.

Rules: at most `MAX_READ` bytes are read, from the end; a line that is still being written, or is none, is passed over.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sandbox.audit.keys import NO_KEYS, Keys

MAX_READ = 4 << 20
SUFFIX = ".jsonl"
_BLOCK = 64 << 10

Record = dict[str, Any]


def tail(folder: Path, count: int, keeps: Callable[[Record], bool], keys: Keys = NO_KEYS) -> list[Record]:
    """The last `count` records that `keeps` takes, the oldest first."""
    found: list[Record] = []
    for line in _lines_backwards(folder):
        record = keys.read(line)
        if record is not None and keeps(record):
            found.append(record)
            if len(found) == count:
                break
    return found[::-1]


def _lines_backwards(folder: Path) -> Iterator[bytes]:
    left = MAX_READ
    # One file a day, named after it.
    for path in sorted(folder.glob(f"*{SUFFIX}"), reverse=True):
        if left <= 0:
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            yield from _of_file(descriptor, size, max(0, size - left))
        finally:
            os.close(descriptor)
        left -= size


def _of_file(descriptor: int, size: int, stop: int) -> Iterator[bytes]:
    rest = b""
    while size > stop:
        start = max(stop, size - _BLOCK)
        first, *whole = (os.pread(descriptor, size - start, start) + rest).split(b"\n")
        yield from (line for line in reversed(whole) if line)
        rest, size = first, start
    if stop == 0 and rest:
        yield rest
