"""`open-at`: what may be opened, how, and what the descriptor may be used for.

Decides by the rules at the place where the walk ends: `read` and `write` of the descriptor's flags, `truncate` as writing,
`create` where nothing is there yet. A folder may be opened where it may be seen; what is done below it is judged then.

Rules:
- the name is held first (`HELD`), and what is held is judged and opened: only regular files and folders are;
- nothing is created before it is known that it is missing: then it is made exclusively, and if it is there after all, the
  whole is tried again;
- where nothing may be seen, what is there is not told.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from sandbox.host.gates.filesystem.answers import Error, Refusal
from sandbox.host.gates.filesystem.descriptors import Files, Node
from sandbox.host.gates.filesystem.resolver import HELD, Walk
from sandbox.host.gates.filesystem.stats import identity
from sandbox.host.gates.native import ffi, values
from sandbox.host.measure import cost_of
from sandbox.template.template import Access

# The bits of `open-flags` and of `descriptor-flags`, by their names.
CREATE, FOLDER, EXCLUSIVE, TRUNCATE = 1, 2, 4, 8
READ, WRITE = 1, 2
_HOW = {b"create": CREATE, b"directory": FOLDER, b"exclusive": EXCLUSIVE, b"truncate": TRUNCATE}
_FLAGS = {
    b"read": READ,
    b"write": WRITE,
    b"file-integrity-sync": 4,
    b"data-integrity-sync": 8,
    b"requested-write-sync": 16,
    b"mutate-directory": 32,
}
_AT_HOW, _AT_FLAGS = 3 * ffi.SIZE, 4 * ffi.SIZE
_READ, _WRITE, _CREATE = int(Access.READ), int(Access.WRITE), int(Access.CREATE)
_NEW = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_WRONLY
RETRIES = 64
"""How often another process may change what the name is before we give up."""


@dataclass(slots=True)
class _Wish:
    how: int
    flags: int
    follow: bool
    access: int


def follows(path_flags: int) -> bool:
    """Whether `symlink-follow`, the only path flag, is set."""
    return values.word(path_flags + ffi.VEC_SIZE) != 0


def open_at(files: Files, arguments: int, results: int) -> None:
    """Open a path below a descriptor."""
    base = files.take(arguments)
    wish = _wish(arguments)
    files.count()
    operation = "write" if wish.access & _WRITE else "read"
    path = values.text(arguments + 2 * ffi.SIZE)
    for _ in range(RETRIES):
        with Walk(files, base, path, operation, wish.access or _READ) as walk:
            node = _walked(files, walk, wish)
        if node is not None:
            files.give(results, node)
            return
    raise Refusal(Error.IO)


def _walked(files: Files, walk: Walk, wish: _Wish) -> Node | None:
    """Walk, through links too, and open what is there; None if the path has changed meanwhile."""
    while name := walk.last():
        node = _open(files, walk, name, wish)
        if not isinstance(node, _Followed):
            return node
    return _itself(files, walk.at, wish)


class _Followed:
    """The walk's last name was a link, and the walk goes on with its words."""


def _wish(arguments: int) -> _Wish:
    how, flags = values.flag_bits(_AT_HOW + arguments, _HOW), values.flag_bits(_AT_FLAGS + arguments, _FLAGS)
    if how & FOLDER and how & ~FOLDER:
        raise Refusal(Error.INVALID)
    access = (_READ if flags & READ else 0) | (_WRITE if flags & WRITE or how & TRUNCATE else 0)
    return _Wish(how, flags, follows(arguments + ffi.SIZE), access)


def _itself(files: Files, at: Node, wish: _Wish) -> Node:
    """Open the folder that the walk ends in."""
    if at.virtual:
        _folder_only(wish)
        return Node(at.guest)
    access, same = files.access(at, at.host), identity(os.fstat(at.fd))
    return _folder(Node(at.guest, at.host, at.mount, os.dup(at.fd), access=access, identity=same), wish)


def _folder(node: Node, wish: _Wish) -> Node:
    """The folder, which is closed if it may not be had so."""
    try:
        _folder_only(wish)
    except Refusal:
        os.close(node.fd)
        raise
    return node


def _folder_only(wish: _Wish) -> None:
    if wish.how & CREATE and wish.how & EXCLUSIVE:
        raise Refusal(Error.EXIST)
    if wish.access & _WRITE or wish.how & CREATE:
        raise Refusal(Error.IS_DIRECTORY)


def _open(files: Files, walk: Walk, name: str, wish: _Wish) -> Node | _Followed | None:
    """Open the walk's last name; None if it has changed meanwhile."""
    at, host = walk.at, walk.host(name)
    try:
        held = os.open(name, HELD, dir_fd=at.fd)
    except FileNotFoundError:
        return _create(files, walk, name, wish, _to_be_made(files, walk, name, wish))
    except OSError:
        if files.seen(host, 0):
            raise
        raise walk.deny(host) from None
    found = os.fstat(held)
    mode = found.st_mode
    asks = files.answers is not None and not stat.S_ISLNK(mode)
    access = walk.may(name, host, wish.access or _READ) if asks else files.access(at, host)
    if stat.S_ISDIR(mode) and files.seen(host, mode):
        return _folder(Node(walk.guest(name), host, at.mount, held, access=access, identity=identity(found)), wish)
    try:
        if stat.S_ISLNK(mode):
            return _link(files, walk, name, wish, host)
        _judge(walk, wish, mode, access, host)
        return _file(files, walk, name, wish, access, held, found)
    finally:
        os.close(held)


def _to_be_made(files: Files, walk: Walk, name: str, wish: _Wish) -> int:
    """What may be done with a name that is not there."""
    host = walk.host(name)
    if files.answers is None:
        return files.access(walk.at, host)
    if wish.how & CREATE:
        walk.operation = "create"
        return walk.may(name, host, wish.access | _CREATE)
    return walk.may(name, host, wish.access or _READ)


def _link(files: Files, walk: Walk, name: str, wish: _Wish, host: str) -> _Followed:
    exclusive = wish.how & CREATE and wish.how & EXCLUSIVE
    if exclusive or not (wish.follow or walk.folder):
        if not files.seen(host, 0):
            raise walk.deny(host)
        raise Refusal(Error.EXIST if exclusive else Error.LOOP)
    walk.follow(name)
    return _Followed()


def _judge(walk: Walk, wish: _Wish, mode: int, access: int, host: str) -> None:
    """Refuse what is there where it may not be opened so."""
    if wish.access & ~access or not access:
        raise walk.deny(host)
    if not stat.S_ISREG(mode):
        raise walk.deny(host, "it is neither a regular file nor a directory")
    if wish.how & CREATE and wish.how & EXCLUSIVE:
        raise Refusal(Error.EXIST)
    if walk.folder or wish.how & FOLDER:
        raise Refusal(Error.NOT_DIRECTORY)


def _file(files: Files, walk: Walk, name: str, wish: _Wish, access: int, held: int, found: os.stat_result) -> Node | None:
    """Open the regular file that is held, of which `found` tells; None if the path leads to another one by now."""
    at, guest, held_identity = walk.at, walk.guest(name), identity(found)
    assert at.mount is not None
    node = Node(guest, walk.host(name), at.mount, access=access & wish.access, identity=held_identity)
    truncate = bool(wish.how & TRUNCATE)
    flags = wish.flags | (WRITE if truncate else 0)
    native = files.opener.open(files.root(at.mount), node.inside(), held, held_identity, flags, truncate=truncate)
    if native is None:
        return None
    node.native = native
    if files.sizes is not None and node.access & _WRITE:
        _counted(files, node, held, cost_of(found))
    return node


def _counted(files: Files, node: Node, held: int, counted: int) -> None:
    """Have a file that may be written counted from now on, or have it closed."""
    assert files.sizes is not None
    try:
        files.sizes.opened(node.host, node.identity, held, files.opener.descriptor, counted)
    except OSError:
        files.release(node)
        raise


def _create(files: Files, walk: Walk, name: str, wish: _Wish, access: int) -> Node | None:
    """Make the file that is missing, where that was asked."""
    host = walk.host(name)
    if not wish.how & CREATE:
        if wish.access & ~access or not access:
            raise walk.deny(host)
        raise Refusal(Error.NO_ENTRY)
    if (wish.access | _CREATE) & ~access:
        walk.operation, walk.wanted = "create", wish.access | _CREATE
        raise walk.deny(host)
    if walk.folder:
        raise Refusal(Error.IS_DIRECTORY)
    try:
        with files.adding(host):
            made = os.open(name, _NEW, 0o666, dir_fd=walk.at.fd)
    except FileExistsError:
        if wish.how & EXCLUSIVE:
            raise
        return None
    found = os.fstat(made)
    if files.answers is not None:
        files.answers.made(host, found)
    try:
        return _file(files, walk, name, wish, access, made, found)
    finally:
        os.close(made)
