"""The end of the record, without reading all of it.

Decides nothing about what a record says, and nothing about whether the chain holds: `sandbox.audit.verify` does.

Rules: at most `MAX_READ` bytes are read, from the end; a line that is still being written, or is none, is passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.audit.keys import NO_KEYS, Keys
from sandbox.audit.reading import backwards, sizes_of

MAX_READ = 4 << 20

Record = dict[str, Any]


def tail(folder: Path, count: int, keeps: Callable[[Record], bool], keys: Keys = NO_KEYS) -> list[Record]:
    """The last `count` records that `keeps` takes, the oldest first."""
    found: list[Record] = []
    left = MAX_READ
    for _, line in backwards(folder, sizes_of(folder), None):
        if (left := left - len(line)) < 0 or len(found) == count:
            break
        record = keys.read(line)
        if record is not None and keeps(record):
            found.append(record)
    return found[::-1]
