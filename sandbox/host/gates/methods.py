"""The operations of a descriptor that take no path, the directory streams, and the preopens.

Decides by what the descriptor was opened for: reading needs READ, writing, resizing and times WRITE, as the rules gave them at
`open-at`. A directory stream leaves out what no rule lets be seen, and what is neither file, folder nor link.

Rules: streams, and errors of streams, are Wasmtime's own, and stay so: their bytes never pass through here.
"""

from __future__ import annotations

from collections.abc import Callable

from sandbox.host.gates import answers, ffi, values
from sandbox.host.gates.answers import Error, Refusal
from sandbox.host.gates.descriptors import Files, Listing, Node, join
from sandbox.host.gates.native import check
from sandbox.host.gates.paths import virtual_hash
from sandbox.host.gates.steps import Frame
from sandbox.template.template import Access

Method = Callable[[Files, int, int], None]
_READ, _WRITE = int(Access.READ), int(Access.WRITE)
_frame = Frame((ffi.RESOURCE,) * 4, 1)
_LISTED = (b"directory", b"regular-file", b"symbolic-link")


def _virtual_flags(_node: Node, results: int) -> None:
    values.build(results, values.Ok(values.Flags(("read",))))


# What a virtual folder answers where it answers at all; to anything else it is a directory that nothing can be done with.
_VIRTUAL: dict[str, Callable[[Node, int], None]] = {
    "stat": lambda _node, results: answers.folder_stat(results),
    "get-type": lambda _node, results: answers.folder_type(results),
    "get-flags": _virtual_flags,
    "metadata-hash": lambda node, results: virtual_hash(node.guest, results),
    "sync": lambda _node, results: answers.unit(results),
    "sync-data": lambda _node, results: answers.unit(results),
}
# Each method without a path: how many arguments it has, and what the descriptor must have been opened for.
_NEEDS = {
    "read-via-stream": (2, _READ),
    "write-via-stream": (2, _WRITE),
    "append-via-stream": (1, _WRITE),
    "advise": (4, 0),
    "sync-data": (1, 0),
    "get-flags": (1, 0),
    "get-type": (1, 0),
    "set-size": (2, _WRITE),
    "set-times": (3, _WRITE),
    "read": (3, _READ),
    "write": (3, _WRITE),
    "sync": (1, 0),
    "stat": (1, 0),
    "metadata-hash": (1, 0),
}


def _passing(name: str, count: int, need: int) -> Method:
    """A method that goes to the native descriptor as it came, where the descriptor was opened for it."""
    export, virtual = f"descriptor-{name}", _VIRTUAL.get(name)

    def method(files: Files, arguments: int, results: int) -> None:
        node = files.take(arguments)
        if need & ~node.access:
            raise _not_opened_for(files, node, need)
        if node.native:
            _frame.forward(node.native, arguments, count)
            files.native.call(files.indices[export], _frame.address, count, results)
        elif virtual is not None:
            virtual(node, results)
        else:
            raise Refusal(Error.IS_DIRECTORY)

    return method


def _not_opened_for(files: Files, node: Node, need: int) -> Refusal:
    if node.folder and need == _READ:
        return Refusal(Error.IS_DIRECTORY)
    if node.native and not need & ~int(files.rules.access(node.host)):
        return Refusal(Error.BAD_DESCRIPTOR)  # the rules would have allowed it: the guest did not ask
    operation = "write" if need & _WRITE else "read"
    return files.deny(node.guest, operation, need, node.host if node.native else None)


def is_same_object(files: Files, arguments: int, results: int) -> None:
    """`is-same-object`."""
    one, other = files.take(arguments), files.take(arguments + ffi.SIZE)
    if not (one.native and other.native):
        values.build(results, not one.native and not other.native and one.guest == other.guest)
        return
    _frame.point(0, one.native)
    _frame.point(1, other.native)
    files.native.call(files.indices["descriptor-is-same-object"], _frame.address, 2, results)


def read_directory(files: Files, arguments: int, results: int) -> None:
    """`read-directory`."""
    node = files.take(arguments)
    if not node.folder:
        raise Refusal(Error.NOT_DIRECTORY)
    files.count()
    points = files.mounts.listed.get(node.guest, ()) if node.mount is None or node.mount.crossings else ()
    if not node.native:
        files.give(results, Listing(0, node, list(points)))
        return
    points = tuple(name for name in points if join(node.guest, name) in files.mounts.mounts)
    slot = values.Slot()
    _frame.point(0, node.native)
    files.native.call(files.indices["descriptor-read-directory"], _frame.address, 1, slot.address)
    if not values.is_ok(slot.address):
        values.transfer(slot.address, results)
        return
    pointer = values.move(values.payload(slot.address))
    slot.clear()
    files.give(results, Listing(pointer, node, list(points), frozenset(points)))


def read_directory_entry(files: Files, arguments: int, results: int) -> None:
    """`read-directory-entry`: the next entry that may be seen."""
    listing = files.take_listing(arguments)
    if listing.first:
        entry = {"type": values.Name("directory"), "name": listing.first.pop(0)}
        values.build(results, values.Ok(values.some(entry)))
        return
    if not listing.native:
        values.build(results, values.Ok(values.none))
        return
    index = files.indices["directory-entry-stream-read-directory-entry"]
    while True:
        _frame.point(0, listing.native)
        files.native.call(index, _frame.address, 1, results)
        entry_at = values.word(values.payload(results) + ffi.PAYLOAD) if values.is_ok(results) else 0
        if not entry_at or _seen(files, listing, entry_at):
            return


def _seen(files: Files, listing: Listing, entry: int) -> bool:
    fields = values.word(entry + ffi.VEC_DATA)  # `type`, then `name`
    if values.raw(fields + ffi.ENTRY_VAL) not in _LISTED:
        return False
    name = values.text(fields + ffi.ENTRY + ffi.ENTRY_VAL)
    return name not in listing.hidden and files.rules.visible(join(listing.node.host, name))


def filesystem_error_code(files: Files, arguments: int, results: int) -> None:
    """`filesystem-error-code`: the error is Wasmtime's own; the borrow of it is ours to drop."""
    try:
        files.native.call(files.indices["filesystem-error-code"], arguments, 1, results)
    finally:
        check(ffi.any_drop(files.context, values.resource(arguments)))


def get_directories(files: Files, _arguments: int, results: int) -> None:
    """`get-directories`: the mounts, and `/`."""
    guests = [*files.mounts.mounts, *([] if "/" in files.mounts.mounts else ["/"])]
    nodes = [(files.point(guest), guest) for guest in guests]
    handles = [(values.Handle(files.handle(node)), guest) for node, guest in nodes if node is not None]
    values.build(results, handles)
    for handle, _ in handles:
        ffi.any_delete(handle.pointer)


METHODS: dict[str, Method] = {name: _passing(name, count, need) for name, (count, need) in _NEEDS.items()}
"""The methods of `descriptor` that take no path and nothing but values, by their names."""
