"""The descriptors of one call: what a guest's handle stands for.

Decides nothing but how many a guest may hold. A guest never has a native handle of the filesystem: it has a host resource
whose number leads to a `Node` here.

Rules:
- `take` and `take_listing` turn a borrow among a callback's arguments into its record, which drops the borrow; a function
  takes all of its borrows before anything else;
- each native handle that is opened here is a box of our own: dropped and freed once, in `release`; what the guest still
  holds at the end is freed in `close`, and closed with the store.
"""

from __future__ import annotations

from ctypes import byref, c_size_t
from dataclasses import dataclass, field

from sandbox.errors import Code
from sandbox.host.gates import ffi, values
from sandbox.host.gates.answers import Error, Refusal
from sandbox.host.gates.call import Call
from sandbox.host.gates.mounts import Mount, below, normal
from sandbox.host.gates.native import check
from sandbox.host.gates.steps import Steps
from sandbox.host.outcome import Denial
from sandbox.template.template import Access

DESCRIPTOR, DIRECTORY_ENTRY_STREAM = 1, 2
"""The numbers of our resource types."""
RECORDS = 20_000
"""How many handles of ours a guest may hold at all, the preopens that it asks for again and again included."""


@dataclass(slots=True, eq=False)
class Node:
    """An open file or folder, or (`native` is 0) a virtual folder above the mounts."""

    native: int
    host: str
    guest: str
    mount: Mount | None
    folder: bool
    access: int = 0
    """What may be done through the descriptor itself, as bits of `Access`."""
    owned: bool = True
    """Whether the handle is this node's own: a mount's is the call's."""


@dataclass(slots=True, eq=False)
class Listing:
    """An open directory stream: what is still to be told before the native one's entries."""

    native: int
    node: Node
    first: list[str] = field(default_factory=list)
    hidden: frozenset[str] = frozenset()
    """Names that were told already."""


class Files:
    """The filesystem gate's state in one store."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.context = call.context
        self.native = call.native
        self.indices = call.passthrough.indices
        self.rules = call.bound.rules
        self.mounts = call.bound.mounts
        self.steps = Steps(call.passthrough, call.native)
        self.records: dict[int, Node | Listing] = {}
        self._limit = call.bound.template.limits.open_files
        self._open = 0
        self._next = 0
        self._roots: dict[str, Node] = {}
        self._out = c_size_t()
        self._out_at = byref(self._out)
        self._slot = values.Slot()

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
        check(ffi.any_to_host(self.context, values.resource(argument), self._out_at))
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
        slot = self._slot.address
        pointer = self.handle(record)
        self._open += 1
        values.set_word(slot + ffi.PAYLOAD, pointer)
        values.set_kind(slot, ffi.RESOURCE)
        values.set_word(results + ffi.RESULT_VAL, ffi.val_new(slot))
        values.set_byte(results + ffi.RESULT_OK, 1)
        values.set_kind(results, ffi.RESULT)

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
        if isinstance(record, Node) and not record.owned:
            return
        self._open -= 1
        if record.native:
            self.native.drop(record.native)

    def release(self, node: Node) -> None:
        """Close a folder that a walk went through."""
        if node.owned and node.native:
            pointer, node.native = node.native, 0
            self.native.drop(pointer)

    def point(self, guest: str) -> Node | None:
        """The mount's own folder, or the virtual folder, at a guest path; None where there is neither."""
        mount = self.mounts.mounts.get(guest)
        if mount is not None:
            if not self._roots:
                self._open_roots()
            return self._roots[guest]
        if guest in self.mounts.listed:
            return Node(0, "", guest, None, folder=True, owned=False)
        return None

    def _open_roots(self) -> None:
        slot = values.Slot()
        self.native.call(self.indices["get-directories"], 0, 0, slot.address)
        mounts = {str(mount.number): mount for mount in self.mounts.mounts.values()}
        data, size = values.word(slot.address + ffi.VEC_DATA), values.word(slot.address + ffi.VEC_SIZE)
        for at in range(data, data + size * ffi.SIZE, ffi.SIZE):
            pair = values.word(at + ffi.VEC_DATA)
            mount = mounts[values.text(pair + ffi.SIZE)]
            access = int(self.rules.access(mount.host))
            self._roots[mount.guest] = Node(
                values.move(pair), mount.host, mount.guest, mount, folder=True, access=access, owned=False
            )
        slot.clear()

    def moved(self, old: str, host: str, guest: str, mount: Mount | None) -> None:
        """A file or folder has another place: descriptors in it are judged by that from now on."""
        for node in self.records.values():
            if isinstance(node, Node) and (node.host == old or node.host.startswith(below(old))):
                rest = node.host[len(old) :]
                node.host, node.guest, node.mount = host + rest, guest + rest, mount

    def deny(self, guest: str, operation: str, wanted: int, host: str | None, reason: str | None = None) -> Refusal:
        """Report a refusal by policy; the answer to raise. `host` is None for a path outside every mount."""
        missing, origin = Access(wanted), None
        if host is not None:
            decision = self.rules.decide(host, missing)
            missing, origin = (decision.missing, decision.origin) if not decision.allowed else (missing, None)
        told = reason or ("a rule denies it" if origin else "no rule allows it")
        private = {"host_path": normal(guest) if host is None else host, "access": list(missing.words)}
        target = {"path": guest, "operation": operation}
        self.call.report(Denial(Code.FILESYSTEM_ACCESS_DENIED, target, told, origin, private))
        return Refusal(Error.NOT_PERMITTED)

    def close(self) -> None:
        """Free the boxes of what is still open; the store closes the rest."""
        kept = [record for record in self.records.values() if isinstance(record, Listing) or record.owned]
        for record in (*kept, *self._roots.values()):
            pointer, record.native = record.native, 0
            if pointer:
                ffi.any_delete(pointer)
        self.records.clear()
        self._roots.clear()


def join(folder: str, name: str) -> str:
    """The path of a name in a folder."""
    return below(folder) + name
