"""The process's standard descriptors: taken for the protocol, and made fit for the event loop.

Decides which descriptor the loop reads and writes. Leaves what travels on it to `sandbox.server.stdio`.

Rules: once claimed, descriptor 0 is the null device and descriptor 1 is standard error, for good: what a child or a flush
at exit prints cannot reach the wire. Nothing here is inherited by a child.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
import sys
import threading
from dataclasses import dataclass

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wire:
    """The client's two descriptors, taken away from everything else in this process."""

    reading: int
    writing: int


def claim() -> Wire:
    """Take standard input and output for the protocol; to be called once, before any child starts."""
    sys.stdout.flush()
    wire = Wire(_duplicate(0), _duplicate(1))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return wire


def _duplicate(descriptor: int) -> int:
    # Above the standard range even if one of the three is closed, and never inherited by a child.
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)


def _native(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def pumped_input(descriptor: int) -> int:
    """A descriptor that the loop can read: `descriptor`, or the end of a pipe that a thread fills from it."""
    if _native(descriptor):
        return descriptor
    reading, writing = os.pipe()
    # A daemon: a read of a terminal cannot be interrupted, and must not keep the process.
    threading.Thread(target=_copy, args=(descriptor, writing), name="stdin", daemon=True).start()
    return reading


def pumped_output(descriptor: int, *, same_as: int) -> tuple[int, threading.Thread | None]:
    """A descriptor that the loop can write, and the thread that empties it where there is one.

    asyncio takes readable bytes on the socket it writes to for the peer's hang-up, so one socket for both directions
    goes through a thread as well.
    """
    if _native(descriptor) and not os.path.sameopenfile(descriptor, same_as):
        return descriptor, None
    reading, writing = os.pipe()
    pump = threading.Thread(target=_copy, args=(reading, descriptor), name="stdout", daemon=True)
    pump.start()
    return writing, pump


def _copy(source: int, target: int) -> None:
    try:
        while chunk := os.read(source, 1 << 16):
            view = memoryview(chunk)
            while view:
                view = view[os.write(target, view) :]
    except OSError as error:
        _log.debug("standard stream ended: %s", error)
    finally:
        os.close(source)
        os.close(target)


def release(descriptor: int) -> None:
    """Give a claimed descriptor back as it was, and close it."""
    # The open file is shared with whoever started us: a shell would find its pipe non-blocking.
    with contextlib.suppress(OSError):
        os.set_blocking(descriptor, True)
    os.close(descriptor)
