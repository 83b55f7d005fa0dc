"""The operations of `descriptor` that take a path, other than `open-at`.

Decides by the rules at the place where the walk ends. `stat` and the hash need the name to be visible, reading a link READ,
making a folder or a link CREATE, removing DELETE, changing times WRITE; moving and linking need both ends.

Rules:
- what a place gives by its rules must be held where the file comes from: moving or linking never gains anything;
- a folder is moved only where no rule below decides differently, at both ends;
- a link is made only with words that stay in its mount, and no link is made to a folder or a link;
- a mount point is neither removed nor replaced.
"""

from __future__ import annotations

from collections.abc import Callable

from sandbox.host.gates import answers, ffi, values
from sandbox.host.gates.answers import DIRECTORY, FAILED, REGULAR_FILE, SYMBOLIC_LINK, Error, Refusal
from sandbox.host.gates.descriptors import Files, Node
from sandbox.host.gates.opening import follows
from sandbox.host.gates.resolver import LINKS, Walk
from sandbox.host.gates.steps import FLAGGED, NAMED, Frame
from sandbox.template.template import Access

_READ, _WRITE, _CREATE, _DELETE = (int(bit) for bit in (Access.READ, Access.WRITE, Access.CREATE, Access.DELETE))
_named = Frame(NAMED, 1)
_flagged = Frame(FLAGGED, 2)
_symlink = Frame((ffi.RESOURCE, ffi.STRING, ffi.STRING), 2)
_times = Frame((*FLAGGED, ffi.VARIANT, ffi.VARIANT), 2)
# Two places: the second one's handle and name are filled in by a frame of their own.
_rename = Frame((ffi.RESOURCE, ffi.STRING, ffi.RESOURCE, ffi.STRING), 1)
_link = Frame((*FLAGGED, ffi.RESOURCE, ffi.STRING), 2)


def _argument(arguments: int, index: int) -> int:
    return arguments + index * ffi.SIZE


def stat_at(files: Files, arguments: int, results: int) -> None:
    """`stat-at`."""
    _look(files, arguments, results, "descriptor-stat", answers.folder_stat)


def metadata_hash_at(files: Files, arguments: int, results: int) -> None:
    """`metadata-hash-at`."""
    _look(files, arguments, results, "descriptor-metadata-hash", None)


def virtual_hash(guest: str, results: int) -> None:
    """The hash of a virtual folder: of its path, and of nothing on the host."""
    lower = int.from_bytes(guest.encode()[-8:], "little")
    values.build(results, values.Ok({"lower": lower, "upper": len(guest)}))


def _look(files: Files, arguments: int, results: int, export: str, virtual: Callable[[int], None] | None) -> None:
    base = files.take(arguments)
    follow, path = follows(_argument(arguments, 1)), values.text(_argument(arguments, 2))
    with Walk(files, base, path, "stat", _READ) as walk:
        for _ in range(LINKS + 2):
            name = walk.last()
            if name:
                if _look_at(files, walk, name, results, export, follow=follow):
                    return
            elif walk.at.native:
                _named.fill(walk.at.native, "")
                files.native.call(files.indices[export], _named.address, 1, results)
                return
            elif virtual is not None:
                virtual(results)
                return
            else:
                virtual_hash(walk.at.guest, results)
                return
    raise Refusal(Error.LOOP)


def _look_at(files: Files, walk: Walk, name: str, results: int, export: str, *, follow: bool) -> bool:
    """Look at the last name; False after a link that is followed."""
    at, host = walk.at.native, walk.host(name)
    if not files.rules.visible(host):
        if follow and files.steps.type(at, name) == SYMBOLIC_LINK:
            walk.follow(name)  # judged by where it ends
            return False
        raise walk.deny(host)
    follow = follow or walk.folder
    if export == "descriptor-stat":
        _look_native(files, at, name, results, export)
        kind = _told_type(results) if follow else b""
    else:  # a hash does not say of what
        kind = _TYPES.get(files.steps.type(at, name), b"") if follow else b""
        if kind != _LINK:
            _look_native(files, at, name, results, export)
    if kind == _LINK:
        answers.clear(results)
        walk.follow(name)
        return False
    if walk.folder and kind not in (_FOLDER, b""):
        raise Refusal(Error.NOT_DIRECTORY)
    return True


_LINK, _FOLDER = b"symbolic-link", b"directory"
_TYPES = {SYMBOLIC_LINK: _LINK, DIRECTORY: _FOLDER, REGULAR_FILE: b"regular-file"}


def _told_type(results: int) -> bytes:
    """The type in a `result<descriptor-stat, error-code>`, where `type` is the first field; nothing for an error."""
    if not values.is_ok(results):
        return b""
    return values.raw(values.word(values.payload(results) + ffi.VEC_DATA) + ffi.ENTRY_VAL)


def _look_native(files: Files, at: int, name: str, results: int, export: str) -> None:
    _flagged.fill(at, name)
    files.native.call(files.indices[f"{export}-at"], _flagged.address, 3, results)


def create_directory_at(files: Files, arguments: int, results: int) -> None:
    """`create-directory-at`."""
    base = files.take(arguments)
    with Walk(files, base, values.text(_argument(arguments, 1)), "create", _CREATE) as walk:
        name = _judged(files, walk, Error.EXIST)
        _named.fill(walk.at.native, name)
        files.native.call(files.indices["descriptor-create-directory-at"], _named.address, 2, results)


def remove_directory_at(files: Files, arguments: int, results: int) -> None:
    """`remove-directory-at`."""
    base = files.take(arguments)
    with Walk(files, base, values.text(_argument(arguments, 1)), "delete", _DELETE) as walk:
        name = _judged(files, walk, Error.BUSY)
        _named.fill(walk.at.native, name)
        files.native.call(files.indices["descriptor-remove-directory-at"], _named.address, 2, results)


def unlink_file_at(files: Files, arguments: int, results: int) -> None:
    """`unlink-file-at`."""
    base = files.take(arguments)
    with Walk(files, base, values.text(_argument(arguments, 1)), "delete", _DELETE) as walk:
        name = _judged(files, walk, Error.IS_DIRECTORY)
        if walk.folder:  # `file/`: a file is not removed as a folder, nor a link as what it leads to
            code = files.steps.type(walk.at.native, name)
            raise Refusal(Error.IS_DIRECTORY if code == DIRECTORY else Error.NOT_DIRECTORY)
        _named.fill(walk.at.native, name)
        files.native.call(files.indices["descriptor-unlink-file-at"], _named.address, 2, results)


def readlink_at(files: Files, arguments: int, results: int) -> None:
    """`readlink-at`."""
    base = files.take(arguments)
    with Walk(files, base, values.text(_argument(arguments, 1)), "read", _READ) as walk:
        name = _judged(files, walk, Error.INVALID)
        if walk.folder:
            raise Refusal(Error.INVALID)
        _named.fill(walk.at.native, name)
        files.native.call(files.indices["descriptor-readlink-at"], _named.address, 2, results)


def symlink_at(files: Files, arguments: int, results: int) -> None:
    """`symlink-at`: the words first, then the new name."""
    base = files.take(arguments)
    words = values.text(_argument(arguments, 1))
    with Walk(files, base, values.text(_argument(arguments, 2)), "create", _CREATE) as walk:
        name = _judged(files, walk, Error.EXIST)
        if walk.folder:
            raise Refusal(Error.NO_ENTRY)
        if not _stays(walk.at, words):
            raise walk.deny(walk.host(name), "a link may not lead out of its mount")
        _symlink.fill(walk.at.native, name)
        _symlink.copy(1, _argument(arguments, 1))
        files.native.call(files.indices["descriptor-symlink-at"], _symlink.address, 3, results)


def _stays(folder: Node, words: str) -> bool:
    """Whether a link's words, taken as words, lead nowhere above the mount that it lies in."""
    if words.startswith("/") or folder.mount is None:
        return False
    depth = len([name for name in folder.guest.removeprefix(folder.mount.guest).split("/") if name])
    for word in words.split("/"):
        if word not in ("", "."):
            depth += -1 if word == ".." else 1
        if depth < 0:
            return False
    return True


def set_times_at(files: Files, arguments: int, results: int) -> None:
    """`set-times-at`."""
    base = files.take(arguments)
    follow, path = follows(_argument(arguments, 1)), values.text(_argument(arguments, 2))
    with Walk(files, base, path, "write", _WRITE) as walk:
        name, code = walk.last(), SYMBOLIC_LINK
        while name:
            code = files.steps.type(walk.at.native, name)
            if code != SYMBOLIC_LINK or not (follow or walk.folder):
                break
            walk.follow(name)
            name = walk.last()
        _set_times(files, walk, name, code, arguments, results)


def _set_times(files: Files, walk: Walk, name: str, code: int, arguments: int, results: int) -> None:
    at = walk.at
    host = walk.host(name) if name else at.host
    if not at.native or not int(files.rules.access(host)) & _WRITE:
        raise walk.deny(host if at.native else None)
    if name and code < FAILED:
        _ordinary(walk, name, code, links=True)
    _times.fill(at.native, name or ".")
    _times.copy(3, _argument(arguments, 3))
    _times.copy(4, _argument(arguments, 4))
    files.native.call(files.indices["descriptor-set-times-at"], _times.address, 5, results)


def rename_at(files: Files, arguments: int, results: int) -> None:
    """`rename-at`."""
    base, target = files.take(arguments), files.take(_argument(arguments, 2))
    old_path, new_path = values.text(_argument(arguments, 1)), values.text(_argument(arguments, 3))
    with (
        Walk(files, base, old_path, "delete", _DELETE) as old,
        Walk(files, target, new_path, "create", _CREATE) as new,
    ):
        old_name, new_name = _judged(files, old, Error.BUSY), _judged(files, new, Error.BUSY)
        _renames(files, old, old_name, new, new_name)
        _rename.fill(old.at.native, old_name)
        _named.fill(new.at.native, new_name)
        _rename.copy(2, _named.at(0))
        _rename.copy(3, _named.at(1))
        files.native.call(files.indices["descriptor-rename-at"], _rename.address, 4, results)
        if values.is_ok(results):
            files.moved(old.host(old_name), new.host(new_name), new.guest(new_name), new.at.mount)


def _renames(files: Files, old: Walk, old_name: str, new: Walk, new_name: str) -> None:
    """Refuse a move that the rules do not allow."""
    code = files.steps.type(old.at.native, old_name)
    if code >= FAILED:
        raise Refusal(code - FAILED)
    _ordinary(old, old_name, code, links=True)
    if (old.folder or new.folder) and code != DIRECTORY:
        raise Refusal(Error.NOT_DIRECTORY)
    old_host, new_host = old.host(old_name), new.host(new_name)
    there = files.steps.type(new.at.native, new_name)
    if there < FAILED and not int(files.rules.access(new_host)) & _DELETE:
        new.operation, new.wanted = "delete", _DELETE
        raise new.deny(new_host)
    if there == DIRECTORY and not files.rules.uniform_below(new_host):
        raise new.deny(new_host, "rules below it decide differently")
    _gains_nothing(files, old_host, new, new_host)
    if code == DIRECTORY:
        for walk, host in ((old, old_host), (new, new_host)):
            if not files.rules.uniform_below(host) or _holds_mount(files, walk, host):
                raise walk.deny(host, "rules below it decide differently")


def _holds_mount(files: Files, walk: Walk, host: str) -> bool:
    """Whether a mount lies in the folder: as the guest sees it, or as the host does."""
    name = host.rpartition("/")[2]
    if files.mounts.is_point(walk.guest(name)):
        return True
    return any(mount.host == host or mount.host.startswith(host + "/") for mount in files.mounts.mounts.values())


def _gains_nothing(files: Files, old_host: str, new: Walk, new_host: str) -> None:
    gained = int(files.rules.access(new_host)) & ~int(files.rules.access(old_host))
    if gained:
        words = ", ".join(Access(gained).words)
        raise new.deny(new_host, f"the new place would give what the old one does not: {words}")


def link_at(files: Files, arguments: int, results: int) -> None:
    """`link-at`: a hard link, to a regular file."""
    base, target = files.take(arguments), files.take(_argument(arguments, 3))
    old_path, new_path = values.text(_argument(arguments, 2)), values.text(_argument(arguments, 4))
    if follows(_argument(arguments, 1)):
        raise Refusal(Error.INVALID)
    with (
        Walk(files, base, old_path, "read", _READ) as old,
        Walk(files, target, new_path, "create", _CREATE) as new,
    ):
        old_name, new_name = _judged(files, old, Error.NOT_PERMITTED), _judged(files, new, Error.EXIST)
        code = files.steps.type(old.at.native, old_name)
        if code >= FAILED:
            raise Refusal(code - FAILED)
        if old.folder or new.folder:
            raise Refusal(Error.NOT_DIRECTORY)
        if code != REGULAR_FILE:
            raise old.deny(old.host(old_name), "only a regular file can be linked")
        _gains_nothing(files, old.host(old_name), new, new.host(new_name))
        _link.fill(old.at.native, old_name)
        _named.fill(new.at.native, new_name)
        _link.copy(3, _named.at(0))
        _link.copy(4, _named.at(1))
        files.native.call(files.indices["descriptor-link-at"], _link.address, 5, results)


def _judged(files: Files, walk: Walk, itself: Error) -> str:
    """Walk to the last name, and refuse unless what the walk wants may be done with it; `itself` answers for a folder itself."""
    name = walk.last()
    if not name:
        raise Refusal(itself)
    host = walk.host(name)
    if walk.wanted & ~int(files.rules.access(host)):
        raise walk.deny(host)
    return name


def _ordinary(walk: Walk, name: str, code: int, *, links: bool) -> None:
    if code not in (DIRECTORY, REGULAR_FILE) and not (links and code == SYMBOLIC_LINK):
        raise walk.deny(walk.host(name), "it is neither a regular file nor a directory")
