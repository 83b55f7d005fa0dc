"""Namespaces of its own: a user without rights outside, an empty network, mounts, IPC and a host name of its own.

`find()` says, by trying it in a child, what this machine permits: a container may refuse `unshare`, a distribution may
grant it without its powers. `apply()` then does that, and raises the loopback interface.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from enum import StrEnum
from pathlib import Path

from sandbox.host.layers import libc

_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x40000000
_ALL_BUT_USER = _NEWNS | _NEWUTS | _NEWIPC | _NEWNET
_KINDS = ("user", "net", "mnt", "ipc", "uts")

_SIOCSIFFLAGS = 0x8914
_IFF_UP_RUNNING = 0x1 | 0x40


class Mode(StrEnum):
    """How namespaces are to be had here."""

    USER = "user"
    """With a user namespace: any user may."""
    PRIVILEGED = "privileged"
    """Without one, by CAP_SYS_ADMIN."""
    NONE = "none"


def find() -> Mode:
    """The best mode that works here, tried in children: a failed attempt leaves half a namespace behind."""
    for mode in (Mode.USER, Mode.PRIVILEGED):
        pid = os.fork()
        if pid == 0:
            os._exit(_attempt(mode))
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0:
            return mode
    return Mode.NONE


def _attempt(mode: Mode) -> int:
    try:
        apply(mode)
    except OSError:
        return 1
    return 0


def apply(mode: Mode) -> None:
    """Enter namespaces of our own. The maps hold only the own user and group: files keep their owners."""
    if mode is Mode.NONE:
        raise OSError("namespaces are not to be had on this machine")
    uid, gid = os.geteuid(), os.getegid()
    libc.unshare(_ALL_BUT_USER | (_NEWUSER if mode is Mode.USER else 0))
    if mode is Mode.USER:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _raise_loopback()


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP_RUNNING))


def identities() -> dict[str, str]:
    """The namespaces this process is in, by kind; to be compared with the parent's."""
    return {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in _KINDS}  # noqa: PTH115 - no Path for a magic link


def probe(parents: dict[str, str], mode: Mode) -> str | None:
    """None where each namespace differs from the parent's. Before Landlock: it reads `/proc`."""
    own = identities()
    shared = [kind for kind in _KINDS if own[kind] == parents[kind] and not (kind == "user" and mode is Mode.PRIVILEGED)]
    return f"shared with the host: {', '.join(shared)}" if shared else None
