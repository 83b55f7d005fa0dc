"""The descriptors of one call: what a guest's handle stands for.

Decides nothing but how many a guest may hold. A guest never has a native handle of the filesystem: it has a host resource
whose number leads to a `Node` here.

Rules:
- `take` and `take_listing` turn a borrow among a callback's arguments into its record, which drops the borrow; a function
  takes all of its borrows before anything else;
- a folder is a descriptor of this process (`O_PATH`), a file a native handle, a box of our own: each is closed once, when the
  guest drops it; what it still holds at the end is closed in `close`, and the native ones with the store.
"""

from __future__ import annotations

import os
import stat
from contextlib import AbstractContextManager, nullcontext
from ctypes import addressof, byref, c_size_t, c_uint8, c_uint64, memmove
from dataclasses import dataclass

from sandbox.errors import Code
from sandbox.host.gates.call import Call
from sandbox.host.gates.filesystem.answers import Error, Refusal
from sandbox.host.gates.filesystem.asking import Answers
from sandbox.host.gates.filesystem.mounts import Mount, below, normal
from sandbox.host.gates.filesystem.natives import Opener
from sandbox.host.gates.filesystem.stats import identity
from sandbox.host.gates.native import ffi, values
from sandbox.host.gates.native.passthrough import Native, Trap, check
from sandbox.host.gates.pace import Pace
from sandbox.host.outcome import Denial
from sandbox.template.template import Access

DESCRIPTOR, DIRECTORY_ENTRY_STREAM = 1, 2
"""The numbers of our resource types."""
RECORDS = 20_000
"""How many handles of ours a guest may hold at all, the preopens that it asks for again and again included."""
_READ, _WRITE = int(Access.READ), int(Access.WRITE)
_UNBOUNDED: AbstractContextManager[None] = nullcontext()


@dataclass(slots=True, eq=False)
class Node:
    """An open folder (`fd`), an open file (`native`), or neither: a virtual folder above the mounts."""

    guest: str
    host: str = ""
    mount: Mount | None = None
    fd: int = -1
    """The folder itself, opened with `O_PATH`; -1 for a file and a virtual folder."""
    native: int = 0
    """The box of the file's native handle; 0 for a folder."""
    access: int = 0
    """What may be done through the descriptor itself, as bits of `Access`."""
    identity: tuple[int, int] = (0, 0)
    """What makes two descriptors the same file."""
    owned: bool = True
    """Whether it is closed with this node: a mount's own folder is not."""

    @property
    def folder(self) -> bool:
        """Whether it is a folder, be it virtual."""
        return self.native == 0

    @property
    def virtual(self) -> bool:
        """Whether it is a folder that only the gate knows."""
        return self.native == 0 and self.fd < 0

    def inside(self) -> str:
        """The path from the mount's own folder, without links: its names, or "" for that folder itself."""
        assert self.mount is not None
        return self.guest[len(self.mount.guest) :].lstrip("/")


@dataclass(slots=True, eq=False)
class Listing:
    """An open directory stream: what is still to be told, last first."""

    entries: list[tuple[str, str]]
    """The `descriptor-type` and the name of each."""


# Where a new handle is made into an answer: the handle's value, which goes into a box, and the `result` that points to it.
_handle_value, _answer_value = ffi.Val(), ffi.Val()
_boxed, _answer = addressof(_handle_value), addressof(_answer_value)
_boxed_handle, _boxed_kind = c_uint64.from_address(_boxed + ffi.PAYLOAD), c_uint8.from_address(_boxed)
_answer_box = c_uint64.from_address(_answer + ffi.RESULT_VAL)
c_uint8.from_address(_answer).value = ffi.RESULT
c_uint8.from_address(_answer + ffi.RESULT_OK).value = 1


class Files:
    """The filesystem gate's state in one store."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.context = call.context
        self.indices = call.passthrough.indices
        self.rules = call.bound.rules
        self.mounts = call.bound.mounts
        self.pace = Pace(call.bound.template.limits)
        self.sizes = call.bound.sizes
        """The bounds of what may be stored; None where no rule has any."""
        if self.sizes is not None:
            self.sizes.told_by(call.report)
        self.answers = Answers(call) if self.rules.asks else None
        """What a person said; None where no rule has one asked."""
        self._opener: Opener | None = None
        self.records: dict[int, Node | Listing] = {}
        self._limit = call.bound.template.limits.open_files
        self._open = 0
        self._next = 0
        self._natives: dict[int, int] = {}
        self._out = c_size_t()
        self._out_at = byref(self._out)

    @property
    def native(self) -> Native:
        """Wasmtime's own implementation, made when it is first needed."""
        return self.call.native

    @property
    def opener(self) -> Opener:
        """What opens files natively."""
        if self._opener is None:
            self._opener = Opener(self.call.passthrough, self.native)
        return self._opener

    def take(self, argument: int) -> Node:
        """The record of the borrowed descriptor that lies at `argument`."""
        found = self.records[self._rep(argument)]
        if not isinstance(found, Node):
            raise values.MalformedError("a descriptor was expected")
        return found

    def take_listing(self, argument: int) -> Listing:
        """The record of the borrowed directory stream that lies at `argument`."""
        found = self.records[self._rep(argument)]
        if not isinstance(found, Listing):
            raise values.MalformedError("a directory stream was expected")
        return found

    def _rep(self, argument: int) -> int:
        error = ffi.any_to_host(self.context, values.word(argument + ffi.PAYLOAD), self._out_at)
        if error:
            raise Trap(error)
        host = self._out.value
        rep = int(ffi.host_rep(host))
        ffi.host_delete(host)
        return rep

    def handle(self, record: Node | Listing) -> int:
        """A new handle for the guest, as a box of our own."""
        if len(self.records) >= RECORDS:
            raise RuntimeError("a guest holds too many handles")
        self._next += 1
        self.records[self._next] = record
        kind = DESCRIPTOR if isinstance(record, Node) else DIRECTORY_ENTRY_STREAM
        host = ffi.host_new(True, self._next, kind)
        error = ffi.host_to_any(self.context, host, self._out_at)
        ffi.host_delete(host)
        check(error)
        return self._out.value

    def give(self, results: int, record: Node | Listing) -> None:
        """Answer with a new handle, which counts as an open file."""
        pointer = self.handle(record)
        self._open += 1
        _boxed_handle.value = pointer
        _boxed_kind.value = ffi.RESOURCE
        _answer_box.value = ffi.val_new(_boxed)
        memmove(results, _answer, ffi.SIZE)

    def count(self) -> None:
        """Refuse one more open file where the limit is reached."""
        if self._open < self._limit:
            return
        limits = self.call.bound.template.limits
        target = {"resource": "open_files", "limit": self._limit}
        reason = f"more than {self._limit} files are open at a time"
        self.call.report(Denial(Code.RESOURCE_LIMIT_EXCEEDED, target, reason, limits.origin("open_files")))
        raise Refusal(Error.INSUFFICIENT_MEMORY)

    def dropped(self, rep: int) -> None:
        """A guest dropped a handle of ours."""
        record = self.records.pop(rep)
        if isinstance(record, Listing):
            self._open -= 1
        elif record.owned:
            self._open -= 1
            self.release(record)

    def release(self, node: Node) -> None:
        """Close what a node has open, if that is its own."""
        if not node.owned:
            return
        if node.fd >= 0:
            fd, node.fd = node.fd, -1
            os.close(fd)
        if node.native:
            native, node.native = node.native, 0
            self.native.drop(native)
            if self.sizes is not None and node.access & _WRITE:
                self.sizes.look()

    def adding(self, host: str) -> AbstractContextManager[None]:
        """Around the making of a name at a host path."""
        return _UNBOUNDED if self.sizes is None else self.sizes.adding(host)

    def removing(self, host: str, folder: Node, name: str) -> AbstractContextManager[None]:
        """Around the removal, or the replacement, of what may be there."""
        return _UNBOUNDED if self.sizes is None else self.sizes.removing(host, folder.fd, name)

    def linking(self, old: str, new: str, found: os.stat_result) -> AbstractContextManager[None]:
        """Around the making of another name of a file."""
        return _UNBOUNDED if self.sizes is None else self.sizes.linking(old, new, found)

    def access(self, node: Node, host: str) -> int:
        """What may be done with a host path in a node's mount, as bits of `Access`."""
        access = int(self.rules.access(host))
        if self.answers is not None:
            access |= self.answers.given(host)
        # The rules and the mounts come from one document; a mount that is only read stays so whatever a rule says.
        return access if node.mount is not None and node.mount.writable else access & _READ

    def seen(self, host: str, mode: int) -> bool:
        """Whether what lies at a host path may be known: a folder where rules go on below it, anything where one gives access.

        `mode` is 0 where nothing is there: what may not be known is told in the same way.
        """
        if self.rules.access(host) or (self.answers is not None and self.answers.given(host)):
            return True
        return stat.S_ISDIR(mode) and self.rules.visible(host) and not self.rules.asked(host) & _READ

    def point(self, guest: str) -> Node | None:
        """The mount's own folder, or the virtual folder, at a guest path; None where there is neither."""
        mount = self.mounts.mounts.get(guest)
        if mount is not None:
            fd = self.call.bound.descriptors[mount.number]
            node = Node(guest, mount.host, mount, fd, owned=False)
            node.access, node.identity = self.access(node, mount.host), identity(os.fstat(fd))
            return node
        return Node(guest, owned=False) if guest in self.mounts.listed else None

    def root(self, mount: Mount) -> int:
        """The native handle of a mount's own folder."""
        if not self._natives:
            self._open_natives()
        return self._natives[mount.number]

    def _open_natives(self) -> None:
        slot = values.Slot()
        self.native.call(self.indices["get-directories"], 0, 0, slot.address)
        data, size = values.word(slot.address + ffi.VEC_DATA), values.word(slot.address + ffi.VEC_SIZE)
        for at in range(data, data + size * ffi.SIZE, ffi.SIZE):
            pair = values.word(at + ffi.VEC_DATA)
            self._natives[int(values.text(pair + ffi.SIZE))] = values.move(pair)
        slot.clear()

    def moved(self, old: str, host: str, guest: str, mount: Mount | None) -> None:
        """A file or folder has another place: descriptors in it are judged by that from now on."""
        for node in self.records.values():
            if isinstance(node, Node) and node.owned and (node.host == old or node.host.startswith(below(old))):
                rest = node.host[len(old) :]
                node.host, node.guest, node.mount = host + rest, guest + rest, mount

    def deny(self, guest: str, operation: str, wanted: int, host: str | None, reason: str | None = None) -> Refusal:
        """Report a refusal by policy; the answer to raise. `host` is None for a path outside every mount."""
        missing, origin = Access(wanted), None
        if host is not None:
            decision = self.rules.decide(host, missing)
            missing, origin = (decision.missing, decision.origin) if not decision.allowed else (missing, None)
        told = reason or ("a rule denies it" if origin else self._why_not(host))
        private = {"host_path": normal(guest) if host is None else host, "access": list(missing.words)}
        target = {"path": guest, "operation": operation}
        self.call.report(Denial(Code.FILESYSTEM_ACCESS_DENIED, target, told, origin, private))
        return Refusal(Error.NOT_PERMITTED)

    def _why_not(self, host: str | None) -> str:
        asked = None if self.answers is None or host is None else self.answers.why_not(host)
        return asked or "no rule allows it"

    def close(self) -> None:
        """Close the folders that are still open and free the boxes of the files; the store closes those."""
        for record in self.records.values():
            if isinstance(record, Node) and record.owned:
                native, record.native = record.native, 0
                if native:
                    ffi.any_delete(native)
                self.release(record)
        self.records.clear()
        while self._natives:
            ffi.any_delete(self._natives.popitem()[1])


def join(folder: str, name: str) -> str:
    """The path of a name in a folder."""
    return below(folder) + name
