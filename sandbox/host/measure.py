"""How much the files below a folder take, as `max_total_size` counts it.

Decides what counts: every entry takes its size in whole blocks, at least one, as a disk would give it. So empty files are
not free, and a limit of bytes bounds their number too; a sparse file counts in full. A file with several names counts once,
each further name a block.

Rules: no link is followed and nothing outside is looked at, whatever is exchanged meanwhile (`openat2`, beneath the folder,
without links); one folder is open at a time; counting ends where the limit is passed, so that it never takes longer than a
limit's worth of entries.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable, Iterator

from sandbox.host.layers import libc
from sandbox.policy.globs import DEEP, escape
from sandbox.policy.uris import static_prefix
from sandbox.template.files import FileRules
from sandbox.template.template import Access, Effect, FileRule

BLOCK = 4096
"""What the smallest entry takes, and what sizes are rounded up to, in bytes."""
ENTRIES = 2_000_000
"""A tree with more entries counts as full: to count them would hold up every call."""

_OPENAT2, _AT_FDCWD = 437, -100
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
_LISTABLE = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


class _How(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def cost(size: int) -> int:
    """What a file of that size takes."""
    return max(1, -(-size // BLOCK)) * BLOCK


def cost_of(found: os.stat_result) -> int:
    """What an entry takes."""
    return cost(found.st_size) if stat.S_ISREG(found.st_mode) else BLOCK


def whole(folder: str) -> FileRule:
    """A rule for everything below a folder."""
    return FileRule(Effect.ALLOW, "/".join(map(escape, folder.split("/"))) + "/**", Access.ALL, "")


class Tree:
    """What one rule matches, and how much that takes. Not for several threads at a time."""

    def __init__(self, rule: FileRule) -> None:
        self.rule = rule
        names, rest = static_prefix(tuple(rule.pattern.split("/")[1:]))
        self.folder = "/" + "/".join(names if rest else names[:-1])
        """The longest folder that all of it lies in."""
        self._rules = FileRules((rule,))
        self._whole = rest == (DEEP,)

    def holds(self, path: str) -> bool:
        """Whether a host path is one of the rule's; its folder itself takes nothing of it."""
        if self._whole:
            return path.startswith(self.folder.rstrip("/") + "/")
        return bool(self._rules.access(path))

    def measure(self, most: int, below: str = "", *, shared: bool = True) -> int:
        """What lies in it takes so many bytes; counting ends beyond `most`. `below` is a folder in it to begin at.

        Without `shared`, a file that has more names takes a block.
        """
        try:
            root = _open(_AT_FDCWD, below or self.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, _NO_SYMLINKS)
        except OSError:
            return 0  # nothing is there
        try:
            return self._measure(root, below or self.folder, most, shared)
        finally:
            os.close(root)

    def _measure(self, root: int, folder: str, most: int, shared: bool) -> int:
        used = entries = 0
        pending, linked = ["."], set[tuple[int, int]]()
        while pending:
            inside = pending.pop()
            for name, found in _entries(root, inside):
                entries += 1
                place = name if inside == "." else f"{inside}/{name}"
                path = f"{folder.rstrip('/')}/{place}"
                if stat.S_ISDIR(found.st_mode) and (self._whole or self._rules.visible(path)):
                    pending.append(place)
                if self.holds(path):
                    used += _once(found, linked) if shared or found.st_nlink < 2 else BLOCK
                if used > most or entries > ENTRIES:
                    return max(used, most + BLOCK)
        return used


def bounded(rules: Iterable[FileRule]) -> bool:
    """Whether any rule bounds what is stored."""
    return any(rule.max_file_bytes is not None or rule.max_total_bytes is not None for rule in rules)


def trees_of(rules: Iterable[FileRule]) -> list[Tree]:
    """The rules with a total, in their order: their numbers are the same wherever they are counted."""
    return [Tree(rule) for rule in rules if rule.effect is Effect.ALLOW and rule.max_total_bytes is not None]


def _once(found: os.stat_result, linked: set[tuple[int, int]]) -> int:
    """What an entry takes: a further name of a file that was counted, one block."""
    if found.st_nlink < 2 or stat.S_ISDIR(found.st_mode):
        return cost_of(found)
    identity = found.st_dev, found.st_ino
    again = identity in linked
    linked.add(identity)
    return BLOCK if again else cost_of(found)


def _entries(root: int, inside: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        opened = _open(root, inside, _LISTABLE, _BENEATH | _NO_SYMLINKS)
    except OSError:
        return  # it is gone, or a link by now; what we may not list, no guest of ours lists either
    try:
        with os.scandir(opened) as found:
            for entry in found:
                try:
                    yield entry.name, entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
    finally:
        os.close(opened)


def _open(folder: int, path: str, flags: int, resolve: int) -> int:
    how = _How(flags, 0, resolve | _NO_MAGICLINKS)
    name = ctypes.create_string_buffer(os.fsencode(path))
    return libc.syscall(_OPENAT2, "openat2", folder, name, ctypes.byref(how), ctypes.sizeof(how))
