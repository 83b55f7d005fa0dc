"""The operations of a descriptor that take no path, the directory streams, and the preopens.

Decides by what the descriptor was opened for: reading needs READ, writing, resizing and times WRITE, as the rules gave them at
`open-at`. A directory stream tells what may be read, and the folders on the way to it; nothing that is neither file, folder nor
link.

Rules: a file's operations go on to its native descriptor as they came; its streams, and their errors, are Wasmtime's own, and
their bytes never pass through here. A folder's are answered here: it has no native descriptor.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from sandbox.host.gates.filesystem import answers
from sandbox.host.gates.filesystem.answers import Error, Refusal
from sandbox.host.gates.filesystem.descriptors import Files, Listing, Node, join
from sandbox.host.gates.filesystem.natives import Frame
from sandbox.host.gates.filesystem.paths import set_times_of
from sandbox.host.gates.filesystem.sizes import Sizes
from sandbox.host.gates.filesystem.stats import type_name, write_hash, write_stat, write_virtual
from sandbox.host.gates.native import ffi, values
from sandbox.host.gates.native.passthrough import check
from sandbox.template.template import Access

Method = Callable[[Files, int, int], None]
_READ, _WRITE, _CREATE, _DELETE = (int(bit) for bit in (Access.READ, Access.WRITE, Access.CREATE, Access.DELETE))
_frame = Frame(4)
_LISTED = (stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK)
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Each method of a file: how many arguments it has, and what the descriptor must have been opened for.
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
}


def _folder_stat(_files: Files, folder: Node, _arguments: int, results: int) -> None:
    if folder.virtual:
        write_virtual(results)
    else:
        write_stat(results, os.fstat(folder.fd))


def _folder_type(_files: Files, _folder: Node, _arguments: int, results: int) -> None:
    answers.folder_type(results)


def _folder_flags(_files: Files, folder: Node, _arguments: int, results: int) -> None:
    changes = folder.access & (_WRITE | _CREATE | _DELETE)
    values.build(results, values.Ok(values.Flags(("read", "mutate-directory") if changes else ("read",))))


def _folder_sync(_files: Files, folder: Node, _arguments: int, results: int) -> None:
    if not folder.virtual:
        opened = os.open(".", _OPEN, dir_fd=folder.fd)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
    answers.unit(results)


def _folder_times(files: Files, folder: Node, arguments: int, results: int) -> None:
    set_times_of(files, folder, None, arguments, 1)
    answers.unit(results)


# What a folder answers; to anything else it is a directory that nothing can be done with.
_FOLDER: dict[str, Callable[[Files, Node, int, int], None]] = {
    "stat": _folder_stat,
    "get-type": _folder_type,
    "get-flags": _folder_flags,
    "set-times": _folder_times,
    "sync": _folder_sync,
    "sync-data": _folder_sync,
}


def _passing(name: str, count: int, need: int) -> Method:
    """A method that goes on to the native descriptor, where the descriptor was opened for it."""
    export, folder = f"descriptor-{name}", _FOLDER.get(name)
    wrong = Error.IS_DIRECTORY if name == "read-via-stream" else Error.BAD_DESCRIPTOR

    def method(files: Files, arguments: int, results: int) -> None:
        node = files.take(arguments)
        if node.native:
            if need & ~node.access:
                raise _not_opened_for(files, node, need)
            if files.sizes is not None and need & _WRITE:
                _bounded(files.sizes, node, name, arguments)
            _frame.forward(node.native, arguments, count)
            files.native.call(files.indices[export], _frame.address, count, results)
            if files.sizes is not None and need & _WRITE and not values.is_ok(results):
                files.sizes.failed(answers.code_named(values.read(values.payload(results)).name))
        elif folder is not None:
            folder(files, node, arguments, results)
        else:
            raise Refusal(wrong)

    return method


def _bounded(sizes: Sizes, node: Node, name: str, arguments: int) -> None:
    """Judge what a method makes of a file's size, where the gate sees it: a stream's bytes it does not."""
    if name == "set-size":
        sizes.resizing(node.host, node.identity, values.word(arguments + ffi.SIZE + ffi.PAYLOAD))
    else:
        sizes.look()


def _not_opened_for(files: Files, node: Node, need: int) -> Refusal:
    if not need & ~files.access(node, node.host):
        return Refusal(Error.BAD_DESCRIPTOR)  # the rules would have allowed it: the guest did not ask
    return files.deny(node.guest, "write" if need & _WRITE else "read", need, node.host)


def metadata_hash(files: Files, arguments: int, results: int) -> None:
    """`metadata-hash`: of what was opened, so that it is the same as `metadata-hash-at` of its path."""
    node = files.take(arguments)
    write_hash(results, node.guest if node.virtual else node.identity)


def is_same_object(files: Files, arguments: int, results: int) -> None:
    """`is-same-object`."""
    one, other = files.take(arguments), files.take(arguments + ffi.SIZE)
    same = one.guest == other.guest if one.virtual and other.virtual else one.identity == other.identity
    values.build(results, same and one.virtual == other.virtual)


def read_directory(files: Files, arguments: int, results: int) -> None:
    """`read-directory`: what may be seen of it, at this moment."""
    folder = files.take(arguments)
    if not folder.folder:
        raise Refusal(Error.NOT_DIRECTORY)
    if not folder.virtual and not _listed(files, folder):
        raise files.deny(folder.guest, "list", _READ, folder.host)
    files.count()
    points = files.mounts.listed.get(folder.guest, ())
    entries = [("directory", name) for name in points if folder.virtual or join(folder.guest, name) in files.mounts.mounts]
    if not folder.virtual:
        entries += _entries(files, folder, {name for _, name in entries})
    entries.reverse()
    files.give(results, Listing(entries))


def _listed(files: Files, folder: Node) -> bool:
    """Whether a folder may be listed, after a question where a rule wants one."""
    if files.answers is not None:
        missing = _READ & ~files.access(folder, folder.host)
        if missing & files.rules.asked(folder.host):
            return bool(files.answers.ask(folder.guest, folder.host, "list", missing, folder.fd, ""))
    return files.rules.visible(folder.host, Access.READ)


def _told(files: Files, folder: Node, name: str, mode: int) -> bool:
    """Whether a listing has an entry: of what is only asked about, its name, where the folder itself may be read."""
    host = join(folder.host, name)
    if files.answers is not None and files.rules.asked(host) & Access.READ:
        return bool(files.access(folder, folder.host) & _READ)
    return stat.S_ISDIR(mode) or bool(files.rules.access(host) & Access.READ)


def _entries(files: Files, folder: Node, told: set[str]) -> list[tuple[str, str]]:
    opened = os.open(".", _OPEN, dir_fd=folder.fd)
    try:
        with os.scandir(opened) as found:
            names = [entry.name for entry in found if entry.name not in told]
        modes = ((name, _mode(opened, name)) for name in names if files.rules.visible(join(folder.host, name), Access.READ))
        return [
            (type_name(mode), name) for name, mode in modes if stat.S_IFMT(mode) in _LISTED and _told(files, folder, name, mode)
        ]
    finally:
        os.close(opened)


def _mode(folder: int, name: str) -> int:
    try:
        name.encode()  # a name that is no text cannot be told, and is left out
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except (FileNotFoundError, UnicodeEncodeError):
        return 0


def read_directory_entry(files: Files, arguments: int, results: int) -> None:
    """`read-directory-entry`."""
    listing = files.take_listing(arguments)
    if not listing.entries:
        values.build(results, values.Ok(values.none))
        return
    kind, name = listing.entries.pop()
    values.build(results, values.Ok(values.some({"type": values.Name(kind), "name": name})))


def filesystem_error_code(files: Files, arguments: int, results: int) -> None:
    """`filesystem-error-code`: the error is Wasmtime's own; the borrow of it is ours to drop."""
    try:
        files.native.call(files.indices["filesystem-error-code"], arguments, 1, results)
    finally:
        check(ffi.any_drop(files.context, values.resource(arguments)))
    if files.sizes is not None:
        found = values.read(results)
        if found is not None:
            files.sizes.failed(answers.code_named(found.name))


def get_directories(files: Files, _arguments: int, results: int) -> None:
    """`get-directories`: the mounts, and `/`."""
    guests = [*files.mounts.mounts, *([] if "/" in files.mounts.mounts else ["/"])]
    nodes = [(files.point(guest), guest) for guest in guests]
    handles = [(values.Handle(files.handle(node)), guest) for node, guest in nodes if node is not None]
    values.build(results, handles)
    for handle, _ in handles:
        ffi.any_delete(handle.pointer)


METHODS: dict[str, Method] = {
    **{name: _passing(name, count, need) for name, (count, need) in _NEEDS.items()},
    "metadata-hash": metadata_hash,
    "read-directory": read_directory,
}
"""The methods of `descriptor` that take no path, by their names."""
