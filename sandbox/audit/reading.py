"""Read lines of the record from any place in it, forwards or backwards, while others write.

Decides nothing about what a record says. A place is a day's file and an offset in it where a line begins: files only grow and go
whole, so a place stays one for as long as its day is there.

Rules: only what was whole when reading began is read; one block and one line are in memory at a time.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sandbox.audit.head import NAME, SUFFIX
from sandbox.errors import Code, HostUnavailable, SandboxError

_BLOCK = 256 << 10
_PLACE = re.compile(r"(\d{4}-\d{2}-\d{2})\.([0-9]{1,15})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a line begins, or would: the file of a day, and the offset in it."""

    file: str
    offset: int

    def __str__(self) -> str:
        return f"{self.file.removesuffix(SUFFIX)}.{self.offset}"

    @classmethod
    def of(cls, text: str) -> Place:
        """The place that a cursor names; raises SandboxError."""
        if (match := _PLACE.fullmatch(text)) is None:
            raise _no_place()
        return cls(match[1] + SUFFIX, int(match[2]))


def sizes_of(folder: Path) -> dict[str, int]:
    """The size of each day's file at one moment, under the writers' lock."""
    try:
        descriptor = os.open(folder / "head", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return _sizes(folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return _sizes(folder)
    finally:
        os.close(descriptor)


def forwards(folder: Path, sizes: dict[str, int], start: Place | None) -> Iterator[tuple[Place, bytes]]:
    """Each line from `start` on, with the place after it."""
    for name in sorted(sizes):
        if start is not None and name < start.file:
            continue
        offset = start.offset if start is not None and name == start.file else 0
        with _opened(folder / name) as file:
            _at_a_line(file.fileno(), offset)
            file.seek(offset)
            for line in file:
                offset += len(line)
                if offset > sizes[name] or not line.endswith(b"\n"):
                    break
                yield Place(name, offset), line


def backwards(folder: Path, sizes: dict[str, int], start: Place | None) -> Iterator[tuple[Place, bytes]]:
    """Each line before `start`, the last one first, with the place where it begins."""
    for name in sorted(sizes, reverse=True):
        if start is not None and name > start.file:
            continue
        end = sizes[name]
        with _opened(folder / name) as file:
            if start is not None and name == start.file:
                end = min(start.offset, end)
                _at_a_line(file.fileno(), end)
            yield from ((Place(name, offset), line) for offset, line in _of_file(file.fileno(), end))


def _of_file(descriptor: int, end: int) -> Iterator[tuple[int, bytes]]:
    rest = b""
    while end > 0:
        start = max(0, end - _BLOCK)
        block = os.pread(descriptor, end - start, start) + rest
        # What stands before the first newline may begin in the block before.
        whole = 0 if start == 0 else block.find(b"\n") + 1
        if whole or start == 0:
            offset = start + len(block)
            for line in reversed(block[whole:].splitlines(keepends=True)):
                offset -= len(line)
                if line.endswith(b"\n"):
                    yield offset, line
        rest, end = (block[:whole], start) if whole else (block, start)


def _at_a_line(descriptor: int, offset: int) -> None:
    if offset and os.pread(descriptor, 1, offset - 1) != b"\n":
        raise _no_place()


def _no_place() -> SandboxError:
    return SandboxError("that is no place in the record", help="give the cursor of a page as it is", code=Code.INVALID_ARGUMENTS)


def _sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.lstat().st_size for path in folder.glob(f"*{SUFFIX}") if NAME.fullmatch(path.name)}


def _opened(path: Path) -> BinaryIO:
    try:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise HostUnavailable(f"`{path}` cannot be read: {(error.strerror or '').lower()}") from error
