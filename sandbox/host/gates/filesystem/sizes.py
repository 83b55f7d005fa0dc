"""What a call may store: `max_file_size` and `max_total_size` of the rules, where bytes and names are made.

Decides whether a file may grow, a name be made, a thing be moved into a tree. Streams are Wasmtime's own, their bytes never
pass through a gate; so three things hold them together (docs/decisions/file-sizes.md):

1. the gate judges what it sees: making, linking, moving, set-size;
2. the kernel ends a file where it may end (RLIMIT_FSIZE): the limit follows what is open, exactly where one file is;
3. a watcher looks at the files that are open for writing, every 5 to 100 ms: where several grew past a total together, the
   call ends; what grew is told to the server, which knows what other calls store.

Rules: what a tree held when the call began is the server's to say; usage is of whole blocks (`sandbox.host.measure`); a write
that several rules give is bounded by the largest of their limits, and counts for every tree that it lies in; the watcher opens
nothing, since the gate's other thread must know which descriptor it opened last (`natives`).
"""

from __future__ import annotations

import os
import resource
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from sandbox.errors import Code
from sandbox.host.gates.filesystem.answers import Error, Refusal
from sandbox.host.gates.filesystem.size_rules import FILE_BYTES, Place, SizeRules
from sandbox.host.gates.filesystem.stats import identity
from sandbox.host.measure import BLOCK, Tree, cost, cost_of, whole
from sandbox.host.outcome import Denial
from sandbox.host.units import size as spelled
from sandbox.template.template import FileRule

_SHORTEST_S, _LONGEST_S = 0.005, 0.1
_BYTES_A_SECOND = 1 << 30
"""How fast files can grow, for how soon they are looked at again."""

Identity = tuple[int, int]


@dataclass(slots=True, eq=False)
class _Open:
    """A file that may be written: held by a descriptor of our own, which outlives a guest's handle by its streams."""

    held: int
    natives: list[int]
    place: Place
    counted: int
    begun: int
    """Its size when it was opened."""
    end: int = FILE_BYTES
    full: bool = False
    """Whether it ends where it does because its tree has no more room."""


class Sizes:
    """The accounts of one worker's template, and of the call that runs.

    `grown` is told what each tree has grown by, while the call runs; `over` ends the call, and does not return.
    """

    def __init__(
        self, rules: tuple[FileRule, ...], grown: Callable[[dict[int, int]], None], over: Callable[[str, FileRule], None]
    ) -> None:
        self._rules = SizeRules(rules)
        self.trees = self._rules.trees
        self._grown, self._over = grown, over
        self._lock = threading.Lock()
        self._open: dict[Identity, _Open] = {}
        self._base: dict[int, int] = {}
        self._more: dict[int, int] = {}
        self._told: dict[int, int] = {}
        self._told_at = 0.0
        self._report: Callable[[Denial], None] | None = None
        self._limits = (0, 0)
        self._watch = threading.Event()
        self._watcher: threading.Thread | None = None

    def begin(self, used: Mapping[int, int]) -> None:
        """A call begins; `used` is what each tree holds."""
        self._base = {number: used.get(number, 0) for number in range(len(self.trees))}
        self._more, self._told = dict.fromkeys(self._base, 0), {}
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def end(self) -> dict[int, int]:
        """The call has ended: what each tree has grown by."""
        with self._lock:
            for key in list(self._open):
                self._settle(key)
            self._bound()
            self._watch.clear()
            more, told = self._more, self._told
            self._more, self._told = dict.fromkeys(more, 0), dict.fromkeys(more, 0)
            return more if any(more.values()) or any(told.values()) else {}

    def told_by(self, report: Callable[[Denial], None]) -> None:
        """Where a refusal is reported in the current call."""
        self._report = report

    @contextmanager
    def adding(self, host: str, size: int = BLOCK) -> Iterator[None]:
        """Around the making of something at a host path. Raises Refusal where its tree has no room for it."""
        place = self._rules.place(host)
        with self._lock:
            self._look()
            self._judge(place, size)
        yield
        with self._lock:
            self._count(place, size)

    def linking(self, old: str, new: str, found: os.stat_result) -> AbstractContextManager[None]:
        """Around another name for a file: where another tree gets it, all of it counts there."""
        same = self._rules.place(old).trees == self._rules.place(new).trees
        return self.adding(new, BLOCK if same else cost_of(found))

    @contextmanager
    def removing(self, host: str, folder: int, name: str) -> Iterator[None]:
        """Around the removal, or the replacement, of what may be there."""
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            yield
            return
        yield
        with self._lock:
            # Its last name is gone: a file that is still open takes its room until it is closed.
            if identity(found) not in self._open:
                several = stat.S_ISREG(found.st_mode) and found.st_nlink > 1
                self._count(self._rules.place(host), -(BLOCK if several else cost_of(found)))

    @contextmanager
    def moving(self, old: str, new: str, found: os.stat_result) -> Iterator[None]:
        """Around a move: what it takes goes from the trees it leaves to those that it comes to.

        A file that has more names may stay behind under one of them: this one takes a block along.
        """
        before, after = self._rules.place(old), self._rules.place(new)
        if before.trees == after.trees:
            yield
            return
        size = leaving = cost_of(found)
        if stat.S_ISDIR(found.st_mode):
            size += self._below(old, before, after)
            leaving += self._below(old, before, after, shared=False) if before.trees else 0
        elif found.st_nlink > 1:
            leaving = BLOCK
        with self._lock:
            self._look()
            known = self._open.get(identity(found))
            if known is not None:
                # What was counted so far: it may have grown since it was looked at, or has more names.
                size, leaving = known.counted, BLOCK if found.st_nlink > 1 else known.counted
            self._judge(after, size)
        yield
        with self._lock:
            self._count(before, -leaving)
            self._count(after, size)
            if known is not None and found.st_nlink < 2:
                known.place = after

    def resizing(self, host: str, key: Identity, size: int) -> None:
        """Judge a new size of an open file. Raises Refusal."""
        place = self._rules.place(host)
        if size > place.file_bytes:
            raise self._refuse(place, Error.FILE_TOO_LARGE)
        with self._lock:
            self._look()
            known = self._open.get(key)
            self._judge(place, cost(size) - (known.counted if known is not None else 0))

    def opened(self, host: str, key: Identity, held: int, native: int, counted: int) -> None:
        """A file is open for writing: `native` is Wasmtime's descriptor of it, `counted` what it took before."""
        with self._lock:
            known = self._open.get(key)
            if known is None:
                place, begun = self._rules.place(host), os.fstat(held).st_size
                known = self._open[key] = _Open(os.dup(held), [], place, counted, begun)
            known.natives.append(native)
            self._look()
            self._watch.set()
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watching, name="sizes", daemon=True)
            self._watcher.start()

    def look(self) -> None:
        """Something was closed, or is about to be written: a handle that is dropped leaves its streams, which may still write."""
        with self._lock:
            self._look()

    def failed(self, code: int) -> None:
        """A guest's write failed with that error code: where it was for a limit of ours, that is reported."""
        if code != Error.FILE_TOO_LARGE:
            return
        with self._lock:
            self._look()
            for known in self._open.values():
                if os.fstat(known.held).st_size >= known.end:
                    self._tell(known.place, total=known.full)

    def _judge(self, place: Place, more: int) -> None:
        """Raise Refusal where the place's tree has no room for so many bytes more."""
        if place.asked is not None and more > max(0, self._room(place.asked)):
            raise self._refuse(place, Error.QUOTA)

    def _refuse(self, place: Place, code: Error) -> Refusal:
        self._tell(place, total=code is Error.QUOTA)
        return Refusal(code)

    def _tell(self, place: Place, *, total: bool) -> None:
        if total and place.asked is not None:
            rule = self.trees[place.asked].rule
            assert rule.max_total_bytes is not None
            name, limit, line = "max_total_size", rule.max_total_bytes, rule.origin
        else:
            name, limit, line = "max_file_size", place.file_bytes, place.file_origin
        reason = f"`{name}` of {spelled(limit)} is reached"
        if self._report is not None:
            self._report(Denial(Code.RESOURCE_LIMIT_EXCEEDED, {"resource": name, "limit": limit}, reason, line))

    def _room(self, number: int) -> int:
        most = self.trees[number].rule.max_total_bytes
        assert most is not None
        return most - self._base[number] - self._more[number]

    def _count(self, place: Place, more: int) -> None:
        for number in place.trees:
            self._more[number] += more
        self._bound()

    def _below(self, old: str, before: Place, after: Place, *, shared: bool = True) -> int:
        """What lies below a folder that is moved from one tree to another; of a file with more names all, or a block."""
        asked = after.asked if after.asked is not None else before.asked
        if asked is None:
            return 0
        return Tree(whole(old)).measure(self.trees[asked].rule.max_total_bytes or 0, shared=shared)

    def _look(self) -> None:
        """Take the sizes of what is open, let go of what is closed, and have the kernel hold the rest."""
        for key, known in list(self._open.items()):
            known.natives = [native for native in known.natives if _is(native, key)]
            if not known.natives:
                self._settle(key)
            else:
                self._measure(known)
        self._bound()

    def _measure(self, known: _Open) -> None:
        found = os.fstat(known.held)
        size = cost(found.st_size)
        for number in known.place.trees:
            self._more[number] += size - known.counted
        known.counted = size
        # A stream's failure is seen by its guest alone; that a file grew to where it had to end is seen here.
        if found.st_size >= known.end and found.st_size > known.begun:
            self._tell(known.place, total=known.full)

    def _settle(self, key: Identity) -> None:
        known = self._open[key]
        self._measure(known)
        gone = os.fstat(known.held).st_nlink == 0
        del self._open[key]
        os.close(known.held)
        for number in known.place.trees if gone else ():
            self._more[number] -= known.counted

    def _bound(self) -> None:
        """Have no file grow beyond where the widest of those that are open may end."""
        for known in self._open.values():
            known.end, known.full = known.place.file_bytes, False
            if known.place.asked is not None:
                room = max(0, self._room(known.place.asked))
                # With no room, what is left of its last block would still be free: it is counted already.
                most = known.counted + room // BLOCK * BLOCK
                known.end, known.full = (most, True) if most < known.end else (known.end, False)
        now, most = self._limits
        soft = max((known.end for known in self._open.values()), default=most)
        soft = soft if most == resource.RLIM_INFINITY else min(soft, most)
        if soft != now:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, most))
            self._limits = (soft, most)

    def _watching(self) -> None:
        """The watcher's thread: as long as anything is open."""
        while True:
            self._watch.wait()
            time.sleep(self._pause())
            with self._lock:
                self._look()
                over = [number for number, more in self._more.items() if more > 0 and self._room(number) < 0]
                if not self._open:
                    self._watch.clear()
                # Within the lock: after the call's end nothing of it may be told.
                for number in over:
                    self._over("max_total_size", self.trees[number].rule)
                self._tell_news()

    def _pause(self) -> float:
        if len(self._open) < 2:
            return _LONGEST_S  # the kernel ends a single file exactly
        rooms = (self._room(number) for number in self._more)
        return min(_LONGEST_S, max(_SHORTEST_S, min(rooms, default=0) / _BYTES_A_SECOND))

    def _tell_news(self) -> None:
        now = time.monotonic()
        if self._more != self._told and now - self._told_at >= _LONGEST_S / 2:
            self._told, self._told_at = dict(self._more), now
            self._grown(self._told)


def _is(descriptor: int, wanted: Identity) -> bool:
    try:
        return identity(os.fstat(descriptor)) == wanted
    except OSError:
        return False  # it is closed
