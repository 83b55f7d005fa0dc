"""What the system says of a file, as WASI tells it: `descriptor-type`, `descriptor-stat`, `metadata-hash-value`.

Decides nothing. A stat is cloned from one made before and its numbers are written in place.

Source: wasi:filesystem/types@0.2.12.
"""

from __future__ import annotations

import os
import stat

from sandbox.host.gates.native import ffi, values
from sandbox.host.gates.native.values import Name, Ok, Slot, number, some

_TYPES = {
    stat.S_IFBLK: "block-device",
    stat.S_IFCHR: "character-device",
    stat.S_IFDIR: "directory",
    stat.S_IFIFO: "fifo",
    stat.S_IFLNK: "symbolic-link",
    stat.S_IFREG: "regular-file",
    stat.S_IFSOCK: "socket",
}
_MASK = (1 << 64) - 1
_NANOSECONDS = 1_000_000_000
# The fields of `descriptor-stat` and of `datetime`, by their places.
_LINKS, _SIZE, _TIMES = (ffi.ENTRY * i + ffi.ENTRY_VAL for i in (1, 2, 3))
_SECONDS = ffi.ENTRY_VAL + ffi.PAYLOAD
_REST = ffi.ENTRY + _SECONDS


def _template(name: str) -> Slot:
    slot = Slot()
    times = [some({"seconds": 0, "nanoseconds": number(0, ffi.U32)}) for _ in range(3)]
    names = ("data-access-timestamp", "data-modification-timestamp", "status-change-timestamp")
    head = {"type": Name(name), "link-count": 0, "size": 0}
    values.build(slot.address, Ok({**head, **dict(zip(names, times, strict=True))}))
    return slot


_TEMPLATES = {kind: _template(name) for kind, name in _TYPES.items()}


def type_name(mode: int) -> str:
    """The `descriptor-type` of a file's mode."""
    return _TYPES.get(stat.S_IFMT(mode), "unknown")


def write_stat(results: int, found: os.stat_result) -> None:
    """Answer with a stat."""
    ffi.val_clone(_TEMPLATES[stat.S_IFMT(found.st_mode)].address, results)
    data = values.word(values.payload(results) + ffi.VEC_DATA)
    values.set_word(data + _LINKS + ffi.PAYLOAD, found.st_nlink)
    values.set_word(data + _SIZE + ffi.PAYLOAD, found.st_size)
    for i, time in enumerate((found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)):
        seconds, rest = divmod(max(0, time), _NANOSECONDS)
        option = data + _TIMES + i * ffi.ENTRY
        datetime = values.word(values.word(option + ffi.PAYLOAD) + ffi.VEC_DATA)
        values.set_word(datetime + _SECONDS, seconds)
        values.set_word(datetime + _REST, rest)


def write_virtual(results: int) -> None:
    """Answer with the stat of a virtual folder: a directory of which nothing else is known."""
    ffi.val_clone(_TEMPLATES[stat.S_IFDIR].address, results)


def write_hash(results: int, identity: tuple[int, int] | str) -> None:
    """Answer with a hash of what a file is (its device and number), or of a virtual folder's path."""
    # The path's hash is Python's, which differs between processes; a hash is only compared within one.
    lower, upper = hash(identity) & _MASK, hash((identity, 1)) & _MASK
    values.build(results, Ok({"lower": lower, "upper": upper}))


def identity(found: os.stat_result) -> tuple[int, int]:
    """What makes two names the same file."""
    return found.st_dev, found.st_ino
