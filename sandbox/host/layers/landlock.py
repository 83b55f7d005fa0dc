"""The kernel's own file, network and signal rules for this process (Landlock), as narrow as the template's grants.

Decides nothing: the caller names opened files and folders with the rights on each, and the TCP ports that may be dialled.
Everything else of a handled kind is refused: reading any other file, binding, dialling, signals and abstract sockets to
processes outside. Landlock does not cover UDP and Unix sockets with a path: namespaces and seccomp do.

Source: Linux, Documentation/userspace-api/landlock.rst, ABI 1 to 7.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Sequence
from enum import IntFlag

from sandbox.host.layers import libc

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 2
_NET_BIND, _NET_CONNECT = 1, 2
_SCOPE_ABSTRACT_UNIX, _SCOPE_SIGNAL = 1, 2


class Right(IntFlag):
    """LANDLOCK_ACCESS_FS_*."""

    EXECUTE = 1
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


OF_FILES = Right.EXECUTE | Right.WRITE_FILE | Right.READ_FILE | Right.TRUNCATE | Right.IOCTL_DEV
"""The rights that a rule on a single file may hold."""

_RIGHTS_BY_ABI = ((5, 16), (3, 15), (2, 14), (1, 13))
_NET_ABI, _SCOPE_ABI = 4, 6


class _Ruleset(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


class _NetPort(ctypes.Structure):
    _fields_ = [("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64)]


def abi() -> int:
    """The kernel's Landlock version, 0 where it has none or it is switched off."""
    try:
        return libc.syscall(_CREATE_RULESET, "landlock", None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def apply(paths: Iterable[tuple[int, Right]] = (), ports: Sequence[int] = ()) -> None:
    """Refuse all but `rights` at and below each descriptor of `paths`, and dialling `ports`. For ever, children too."""
    version = abi()
    if not version:
        raise OSError("this kernel has no Landlock")
    handled = Right((1 << next(bits for at, bits in _RIGHTS_BY_ABI if version >= at)) - 1)
    net = _NET_BIND | _NET_CONNECT if version >= _NET_ABI else 0
    scoped = _SCOPE_ABSTRACT_UNIX | _SCOPE_SIGNAL if version >= _SCOPE_ABI else 0
    ruleset = _Ruleset(handled, net, scoped)
    size = ctypes.sizeof(_Ruleset) if scoped else 16 if net else 8
    created = libc.syscall(_CREATE_RULESET, "landlock_create_ruleset", ctypes.byref(ruleset), size, 0)
    try:
        for fd, rights in paths:
            _add_path(created, fd, rights & handled)
        for port in ports if net else ():
            rule = _NetPort(_NET_CONNECT, port)
            libc.syscall(_ADD_RULE, "landlock_add_rule", created, _RULE_NET_PORT, ctypes.byref(rule), 0)
        libc.syscall(_RESTRICT_SELF, "landlock_restrict_self", created, 0)
    finally:
        os.close(created)


def _add_path(ruleset: int, fd: int, rights: Right) -> None:
    if rights:
        rule = _PathBeneath(int(rights), fd)
        libc.syscall(_ADD_RULE, "landlock_add_rule", ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)


def probe() -> str | None:
    """None where the root folder cannot be opened any more and the kernel knows every kind of rule we use."""
    try:
        os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except PermissionError:
        version = abi()
        if version < _NET_ABI:
            return f"only for files: network rules need Landlock ABI {_NET_ABI}, this kernel has {version}"
        if version < _SCOPE_ABI:
            return f"without scopes: they need Landlock ABI {_SCOPE_ABI}, this kernel has {version}"
        return None
    return "not in force" if abi() else "this kernel has no Landlock, or it is switched off"
