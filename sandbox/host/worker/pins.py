"""Open what a template grants, once and for good, and notice when a path means something else since.

A preopen is pinned by descriptor: what is swapped for a link afterwards does not matter. Decides which rights Landlock
leaves at each place: at most what the rules allow together there, so that the gate narrows and the kernel contains.

Rules: a path is opened without following any link (`openat2`, RESOLVE_NO_SYMLINKS): the template holds resolved paths. One
that is not there is not granted; when it appears, or another takes its place, the worker is `stale` and gives way to a fresh
one before the next call.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.host.layers import libc
from sandbox.host.layers.landlock import OF_FILES, Right
from sandbox.template.template import Access, Effect, Preopen, WasiTemplate

_OPENAT2 = 437
_NO_SYMLINKS, _NO_MAGICLINKS = 0x04, 0x02
_AT_FDCWD = -100
_GLOB = frozenset("*?[{")

_FILE_RULES = 256
"""More single files than these are granted by their folders: the gate tells them apart, Landlock need not."""

_RIGHTS = (
    (Access.READ, Right.READ_FILE | Right.READ_DIR),
    (Access.WRITE, Right.WRITE_FILE | Right.TRUNCATE),
    # Who creates a file fills it.
    (Access.CREATE, Right.MAKE_REG | Right.MAKE_DIR | Right.MAKE_SYM | Right.REFER | Right.WRITE_FILE | Right.TRUNCATE),
    (Access.DELETE, Right.REMOVE_FILE | Right.REMOVE_DIR | Right.REFER),
)

_IN_FOLDER = Access.CREATE | Access.DELETE
"""What is done to a file's folder rather than to the file."""


class _How(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


@dataclass(frozen=True, slots=True)
class Pins:
    """The opened grants of one template."""

    preopened: tuple[tuple[Preopen, int], ...]
    identities: tuple[tuple[str, tuple[int, int] | None], ...]
    """What each path was when it was opened: device and inode, or None where nothing was there."""

    @property
    def stale(self) -> bool:
        """Whether a path means something else by now."""
        return any(_identity(path) != known for path, known in self.identities)


def pin(template: WasiTemplate) -> Pins:
    """Open every preopen of `template` that is there."""
    preopened = []
    paths = {}
    for preopen in template.preopens:
        paths[preopen.host_path] = _identity(preopen.host_path)
        fd = open_path(preopen.host_path)
        if fd is not None:
            preopened.append((preopen, fd))
    for path, _ in _single_files(template):
        paths[path] = _identity(path)
    return Pins(tuple(preopened), tuple(paths.items()))


def landlock_rights(template: WasiTemplate, pins: Pins) -> Iterator[tuple[int, Right]]:
    """An opened place and the rights on it, one after the other; the descriptor is closed when the next is asked for."""
    for _, fd in pins.preopened:
        # A folder is opened to be walked through; what may be seen in it, the gate says.
        yield fd, Right.READ_DIR
    for path, rights in _granted(template):
        opened = open_path(path)
        if opened is None:
            continue
        try:
            yield opened, rights if stat.S_ISDIR(os.fstat(opened).st_mode) else rights & OF_FILES
        finally:
            os.close(opened)


def open_path(path: str) -> int | None:
    """An O_PATH descriptor on exactly `path`, or None where it is not there or a link stands in its way."""
    how = _How(os.O_PATH | os.O_CLOEXEC, 0, _NO_SYMLINKS | _NO_MAGICLINKS)
    name = ctypes.create_string_buffer(os.fsencode(path))
    try:
        return libc.syscall(_OPENAT2, "openat2", _AT_FDCWD, name, ctypes.byref(how), ctypes.sizeof(how))
    except OSError:
        return None


def _granted(template: WasiTemplate) -> Iterator[tuple[str, Right]]:
    """The places of what is no deny: the static part of each glob, single files, and their folders where one is needed."""
    singles = dict(_single_files(template))
    for rule in template.files:
        if rule.effect is Effect.DENY:
            continue
        place = _static_prefix(rule.pattern)
        if rule.pattern not in singles:
            yield place, _rights(rule.access)
            continue
        known = singles[rule.pattern]
        if known:
            yield rule.pattern, _rights(rule.access)
        if not known or rule.access & _IN_FOLDER:
            access = rule.access if not known else rule.access & _IN_FOLDER
            yield rule.pattern.rpartition("/")[0] or "/", _rights(access)


def _single_files(template: WasiTemplate) -> list[tuple[str, bool]]:
    """What is no deny and has no glob, up to a bound: the path, and whether it is there."""
    exact = [rule.pattern for rule in template.files if rule.effect is not Effect.DENY and not _GLOB & set(rule.pattern)]
    return [(path, _identity(path) is not None) for path in exact[:_FILE_RULES]]


def _static_prefix(pattern: str) -> str:
    """The longest folder that every path matching `pattern` lies in or is."""
    kept = []
    for name in pattern.split("/"):
        if _GLOB & set(name):
            break
        kept.append(name)
    else:
        kept.pop()
    return "/".join(kept) or "/"


def _rights(access: Access) -> Right:
    rights = Right(0)
    for word, granted in _RIGHTS:
        if word in access:
            rights |= granted
    return rights


def _identity(path: str) -> tuple[int, int] | None:
    try:
        state = os.lstat(path)
    except OSError:
        return None
    return state.st_dev, state.st_ino
