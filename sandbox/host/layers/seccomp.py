"""Which system calls are left, judged by number and argument (seccomp-bpf).

An allow-list; anything else fails with EPERM. By argument, since names alone still let a worker reach a Unix socket outside
and fork: `socket` only INET and STREAM, `socketpair` only a UNIX stream, `clone` only for a thread, `clone3` ENOSYS (the C
library then uses `clone`), no mapping gains PROT_EXEC, `prlimit64` only reads, and sets the length of this process's files,
`tgkill` only this process, `prctl`, `fcntl` and `ioctl` only the harmless few.

INVARIANT: a call made for another architecture or with the x32 bit ends the process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterable
from typing import NamedTuple

from sandbox.host.layers import libc
from sandbox.host.layers.syscalls import ALLOWED, AUDIT_ARCHITECTURE, NUMBERS

_PR_SET_SECCOMP, _PR_GET_SECCOMP, _MODE_FILTER = 22, 21, 2

_LOAD, _EQUAL, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x45, 0x54, 0x06
_ALLOW, _REFUSE, _ABSENT, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS, 0x80000000
_AT_NUMBER, _AT_ARCHITECTURE, _AT_ARGUMENTS = 0, 4, 16
_X32_BIT = 0x40000000

_CLONE_THREAD = 0x10000
_PROT_EXEC = 4
_SOCK_TYPE_MASK = 0xF
_RLIMIT_FSIZE = 1
_PRCTL_OPTIONS = (3, 15, 16, 21, 39, 66, 0x53564D41)
"""GET_DUMPABLE, SET_NAME, GET_NAME, GET_SECCOMP, GET_NO_NEW_PRIVS, GET_MDWE, SET_VMA (names of anonymous mappings)."""
_FCNTL_COMMANDS = (0, 1, 2, 3, 4, 1030)
"""DUPFD, GETFD, SETFD, GETFL, SETFL, DUPFD_CLOEXEC. Not SETOWN and SETSIG: they have the kernel send any process of the user any
signal; no leases and locks, which hold up others."""
_IOCTL_REQUESTS = (0x5401, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS (is it a terminal?), FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""


class Op(NamedTuple):
    """One instruction of the filter."""

    code: int
    value: int
    then: int = 0
    otherwise: int = 0


def _argument(index: int) -> Op:
    """Load the low 32 bits of an argument: every argument judged here is an int to the kernel."""
    return Op(_LOAD, _AT_ARGUMENTS + 8 * index)


def _only(index: int, values: Iterable[int]) -> list[Op]:
    """Allow where the argument is one of `values`."""
    wanted = list(values)
    tests = [Op(_EQUAL, value, len(wanted) - at, 0) for at, value in enumerate(wanted)]
    return [_argument(index), *tests, Op(_RETURN, _REFUSE), Op(_RETURN, _ALLOW)]


def _without(index: int, bits: int) -> list[Op]:
    """Refuse where the argument has one of `bits`."""
    return [_argument(index), Op(_ANY_BIT, bits, 0, 1), Op(_RETURN, _REFUSE), Op(_RETURN, _ALLOW)]


def _stream_socket(family: int) -> list[Op]:
    """Allow `family` with a stream type; the type's flags above the mask are CLOEXEC and NONBLOCK."""
    return [
        _argument(0), Op(_EQUAL, family, 0, 4),
        _argument(1), Op(_AND, _SOCK_TYPE_MASK), Op(_EQUAL, int(socket.SOCK_STREAM), 0, 1), Op(_RETURN, _ALLOW),
        Op(_RETURN, _REFUSE),
    ]  # fmt: skip


def _null_pointer(index: int) -> list[Op]:
    """Allow where the argument is NULL, in both halves."""
    low, high = _AT_ARGUMENTS + 8 * index, _AT_ARGUMENTS + 8 * index + 4
    return [Op(_LOAD, low), Op(_EQUAL, 0, 0, 3), Op(_LOAD, high), Op(_EQUAL, 0, 0, 1), Op(_RETURN, _ALLOW), Op(_RETURN, _REFUSE)]


def _own_file_size() -> list[Op]:
    """Allow `prlimit64` to read, and to set RLIMIT_FSIZE of this process: never above the hard limit, which it cannot raise."""
    read = _null_pointer(2)[:-1]
    set_ = [_argument(0), Op(_EQUAL, 0, 0, 3), _argument(1), Op(_EQUAL, _RLIMIT_FSIZE, 0, 1), Op(_RETURN, _ALLOW)]
    # Where it is no reading, the judgement goes on behind it instead of ending.
    return [*read, *set_, Op(_RETURN, _REFUSE)]


def _by_argument(executable_memory: bool) -> dict[str, list[Op]]:
    """The bodies of the calls that are judged by argument."""
    memory = [Op(_RETURN, _ALLOW)] if executable_memory else _without(2, _PROT_EXEC)
    return {
        "clone3": [Op(_RETURN, _ABSENT)],
        "clone": [_argument(0), Op(_ANY_BIT, _CLONE_THREAD, 0, 1), Op(_RETURN, _ALLOW), Op(_RETURN, _REFUSE)],
        "socket": _stream_socket(int(socket.AF_INET)),
        "socketpair": _stream_socket(int(socket.AF_UNIX)),
        "mmap": memory,
        "mprotect": memory,
        "prlimit64": _own_file_size(),
        "tgkill": _only(0, (os.getpid(),)),
        "prctl": _only(0, _PRCTL_OPTIONS),
        "fcntl": _only(1, _FCNTL_COMMANDS),
        "ioctl": _only(1, _IOCTL_REQUESTS),
    }


def program(machine: str, *, executable_memory: bool = False) -> list[Op]:
    """The filter for `machine`. Raises OSError for one whose numbers we do not know."""
    if machine not in NUMBERS:
        raise OSError(f"no system call table for `{machine}`")
    numbers = NUMBERS[machine]
    ops = [Op(_LOAD, _AT_ARCHITECTURE), Op(_EQUAL, AUDIT_ARCHITECTURE[machine], 1, 0), Op(_RETURN, _KILL), Op(_LOAD, _AT_NUMBER)]
    if machine == "x86_64":
        ops += [Op(_ANY_BIT, _X32_BIT, 0, 1), Op(_RETURN, _KILL)]
    for name, body in _by_argument(executable_memory).items():
        ops += [Op(_EQUAL, numbers[name], 0, len(body)), *body]
    plain = sorted(numbers[name] for name in ALLOWED if name in numbers)
    ops += [Op(_EQUAL, number, len(plain) - at, 0) for at, number in enumerate(plain)]
    return [*ops, Op(_RETURN, _REFUSE), Op(_RETURN, _ALLOW)]


def apply(*, executable_memory: bool = False) -> None:
    """Filter this process and its later threads for ever; needs NO_NEW_PRIVS. The compiler alone keeps PROT_EXEC."""
    ops = program(libc.MACHINE, executable_memory=executable_memory)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", op.code, op.then, op.otherwise, op.value) for op in ops))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(Program(len(ops), ctypes.addressof(code))))


def probe() -> str | None:
    """None where a filter is in force that refuses a Unix socket."""
    if libc.prctl(_PR_GET_SECCOMP) != _MODE_FILTER:
        return "no filter is in force"
    try:
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).close()
    except PermissionError:
        return None
    return "the filter lets a Unix socket be made"
