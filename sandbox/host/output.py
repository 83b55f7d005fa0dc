"""What comes out of a worker beside its frames: the guest's two outputs, and the worker's own last words.

Decides nothing. Rules: kept up to a cap, drained beyond it, since a full pipe stalls whoever writes; the guest can write to its
outputs alone, so what a worker's standard error says is the host's (for the debug log), never a client's to see; what is heard
of a call while it runs is told to nobody before whoever carries the call has said how it may be.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

Hear = Callable[[bytes], None]
"""Is given what the guest writes, as it comes and as far as it is kept; must neither block nor raise."""

May = Callable[[str], str | None]
"""What of a guest's text may be told while its call runs: a copy; None where nothing may, from there on."""


class Hearer(Protocol):
    """Who hears a call while it runs."""

    may: May | None
    """Said by who carries the call, before it runs; until then nothing may be told."""

    def take(self, data: bytes) -> None:
        """A `Hear`."""


_HEARING: ContextVar[Hearer | None] = ContextVar("hearing", default=None)
_DEBUG = logging.getLogger("sandbox.debug")
_READ_BYTES = 1 << 16
_TAIL_BYTES = 4 << 10
_FAILED = re.compile(rb"memory allocation of (\d{1,18}) bytes failed")


@contextmanager
def hearing(hearer: Hearer) -> Iterator[None]:
    """Have `hearer` hear the standard error of a call that is made in this block."""
    # Not a parameter of each stage between the edge and the worker: but for what may be told, none has anything to say about it.
    token = _HEARING.set(hearer)
    try:
        yield
    finally:
        _HEARING.reset(token)


def heard_here() -> Hearer | None:
    """Who hears the call that is made here."""
    return _HEARING.get()


class Output:
    """A pipe that a guest writes to: kept up to a cap, drained beyond it, since a full pipe stalls the guest."""

    def __init__(self, fd: int, loop: asyncio.AbstractEventLoop) -> None:
        os.set_blocking(fd, False)
        self._fd, self._loop = fd, loop
        self._cap = 0
        self._kept = bytearray()
        self._cut = 0
        self._hear: Hear | None = None
        loop.add_reader(fd, self._read)

    def begin(self, cap: int, hear: Hear | None = None) -> None:
        """Keep the next call's output, `cap` bytes of it. What came in between belongs to no call."""
        while self._read():
            pass
        self._cap, self._kept, self._cut, self._hear = cap, bytearray(), 0, hear

    def end(self) -> str:
        """What the call wrote, with a marker where it was cut."""
        while self._read():
            pass
        text = self._kept.decode(errors="replace")
        marker = f"… [{self._cut} bytes cut]" if self._cut else ""
        self._cap, self._kept, self._hear = 0, bytearray(), None
        return text + marker

    def close(self) -> None:
        """Read no more."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _read(self) -> bool:
        """Take what is there; whether there may be more."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        if not data:
            self._loop.remove_reader(self._fd)
            return False
        room = self._cap - len(self._kept)
        kept = data[:room] if room > 0 else b""
        self._kept += kept
        if self._hear is not None and kept:
            self._hear(kept)
        self._cut += max(0, len(data) - max(room, 0))
        return len(data) == _READ_BYTES


class Notes:
    """A worker's own standard error: to the debug log, its end kept to tell what the worker died of."""

    def __init__(self, fd: int, name: str, loop: asyncio.AbstractEventLoop) -> None:
        os.set_blocking(fd, False)
        self._fd, self._name, self._loop = fd, name, loop
        self._tail = b""
        loop.add_reader(fd, self._read)

    @property
    def failed_allocation(self) -> int | None:
        """The bytes of the allocation that the worker died of (0 where it did not say), or None: it died of something else."""
        found = _FAILED.search(self._tail)
        if found is not None:
            return int(found[1])
        return 0 if b"MemoryError" in self._tail else None

    def close(self) -> None:
        """Read what is left, and no more."""
        while self._read():
            pass
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _read(self) -> bool:
        """Take what is there; whether there may be more."""
        try:
            data = os.read(self._fd, _TAIL_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        if not data:
            self._loop.remove_reader(self._fd)
            return False
        if _DEBUG.isEnabledFor(logging.DEBUG):
            for line in data.decode(errors="replace").splitlines():
                _DEBUG.debug("%s: %s", self._name, line)
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        return True
