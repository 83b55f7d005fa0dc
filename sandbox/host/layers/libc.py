"""The few system calls that Python does not offer, through libc, with `OSError` for a refusal.

Loaded before any lockdown: afterwards no library may be mapped.
"""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)

MACHINE = platform.machine()


def checked(result: int, what: str) -> int:
    """`result`, or the OSError that errno tells of."""
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result


def prctl(option: int, *arguments: Any) -> int:
    """`prctl(2)`; arguments that are not given are 0, as the newer options demand."""
    words = [ctypes.c_ulong(word) if isinstance(word, int) else word for word in arguments]
    words += [ctypes.c_ulong(0)] * (4 - len(words))
    return checked(_LIBC.prctl(option, *words), f"prctl {option}")


def syscall(number: int, what: str, *arguments: Any) -> int:
    """A system call by its number."""
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    return checked(_LIBC.syscall(ctypes.c_long(number), *words), what)


def unshare(flags: int) -> None:
    """`unshare(2)`."""
    checked(_LIBC.unshare(ctypes.c_int(flags)), "unshare")


def capset(header: ctypes.Structure, data: ctypes.Array[Any]) -> None:
    """`capset(2)`."""
    checked(_LIBC.capset(ctypes.byref(header), data), "capset")


def capget(header: ctypes.Structure, data: ctypes.Array[Any]) -> None:
    """`capget(2)`."""
    checked(_LIBC.capget(ctypes.byref(header), data), "capget")
