"""Hold no capability, and be unable to gain one: not those of the user namespace, not those of a server run by root."""

from __future__ import annotations

import ctypes

from sandbox.host.layers import libc

_VERSION_3 = 0x20080522
_BOUNDING_READ, _BOUNDING_DROP = 23, 24
_AMBIENT, _AMBIENT_CLEAR_ALL = 47, 4
_HIGHEST = 64


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Set(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def apply() -> None:
    """Empty the bounding and ambient sets where we may, then the process's own."""
    if any(_held()):
        for capability in range(_HIGHEST):
            _drop_from_bounding(capability)
    libc.prctl(_AMBIENT, _AMBIENT_CLEAR_ALL)
    libc.capset(_Header(_VERSION_3, 0), (_Set * 2)())


def _drop_from_bounding(capability: int) -> None:
    try:
        if libc.prctl(_BOUNDING_READ, capability):
            libc.prctl(_BOUNDING_DROP, capability)
    except OSError:
        # Beyond the kernel's last capability (EINVAL), or without CAP_SETPCAP (EPERM): then there is nothing to gain it by.
        return


def _held() -> tuple[int, ...]:
    sets = (_Set * 2)()
    libc.capget(_Header(_VERSION_3, 0), sets)
    return tuple(word for one in sets for word in (one.effective, one.permitted, one.inheritable))


def probe() -> str | None:
    """None where every set of the process is empty."""
    return "the process holds capabilities" if any(_held()) else None
