"""`open-at`: what may be opened, how, and what the descriptor may be used for.

Decides by the rules at the place where the walk ends: `read` and `write` of the descriptor's flags, `truncate` as writing,
`create` where nothing is there yet. A folder may be opened where it may be seen; what is done below it is judged then.

Rules:
- only regular files and folders are opened; what else lies there is looked at before it is opened, and again after;
- nothing is created before it is known that it is missing: then the name is opened with create and exclusive, and if it is
  there after all, the whole is tried again.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.host.gates import ffi, values
from sandbox.host.gates.answers import DIRECTORY, FAILED, SYMBOLIC_LINK, Error, Refusal
from sandbox.host.gates.descriptors import Files, Node
from sandbox.host.gates.resolver import Walk
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
_READ, _WRITE, _CREATE = int(Access.READ), int(Access.WRITE), int(Access.CREATE)
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
    with Walk(files, base, path, operation, wish.access or _READ) as walk:
        for _ in range(RETRIES):
            name = walk.last()
            node = _open(files, walk, name, wish) if name else _itself(files, walk, wish)
            if node is not None:
                files.give(results, node)
                return
    raise Refusal(Error.IO)


def _wish(arguments: int) -> _Wish:
    how = sum(_HOW[name] for name in values.flag_names(arguments + 3 * ffi.SIZE))
    flags = sum(_FLAGS[name] for name in values.flag_names(arguments + 4 * ffi.SIZE))
    writes = flags & WRITE or how & TRUNCATE
    access = (_READ if flags & READ else 0) | (_WRITE if writes else 0)
    return _Wish(how, flags, follows(arguments + ffi.SIZE), access)


def _itself(files: Files, walk: Walk, wish: _Wish) -> Node:
    """Open the folder that the walk ends in."""
    at = walk.at
    if wish.how & CREATE and wish.how & EXCLUSIVE:
        raise Refusal(Error.EXIST)
    if wish.access & _WRITE or wish.how & CREATE:
        raise Refusal(Error.IS_DIRECTORY)
    if not at.native:
        return Node(0, "", at.guest, None, folder=True)
    pointer, code = files.steps.open(at.native, ".", FOLDER, wish.flags)
    if not pointer:
        raise Refusal(code - FAILED if code >= FAILED else Error.NOT_DIRECTORY)
    return Node(pointer, at.host, at.guest, at.mount, folder=True, access=int(files.rules.access(at.host)))


def _open(files: Files, walk: Walk, name: str, wish: _Wish) -> Node | None:
    """Open the walk's last name; None to try again, after a link or a change."""
    host = walk.host(name)
    access = int(files.rules.access(host))
    if walk.folder:
        wish.how |= FOLDER
    may = not wish.access & ~access and bool(access or files.rules.visible(host))
    if wish.how & CREATE and wish.how & (EXCLUSIVE | FOLDER):
        pointer, code = 0, files.steps.type(walk.at.native, name)
    elif may:
        pointer, code = files.steps.open(walk.at.native, name, wish.how & ~(CREATE | EXCLUSIVE), wish.flags)
    else:
        pointer, code = _open_visible(files, walk, name, wish)
    if not pointer:
        return _missing(files, walk, name, wish, code, may=may)
    folder = code == DIRECTORY
    return Node(pointer, host, walk.guest(name), walk.at.mount, folder, access if folder else access & wish.access)


def _open_visible(files: Files, walk: Walk, name: str, wish: _Wish) -> tuple[int, int]:
    """Open what may be seen but not had as it was wished: a folder."""
    code = files.steps.type(walk.at.native, name)
    if code != DIRECTORY or not files.rules.visible(walk.host(name)):
        return 0, SYMBOLIC_LINK if code == SYMBOLIC_LINK else -1
    if wish.access & _WRITE:
        return 0, FAILED + Error.IS_DIRECTORY
    return files.steps.open(walk.at.native, name, FOLDER, wish.flags)


def _missing(files: Files, walk: Walk, name: str, wish: _Wish, code: int, *, may: bool) -> Node | None:
    """What to do where nothing was opened: follow the link, create the file, or refuse."""
    exclusive = wish.how & CREATE and wish.how & EXCLUSIVE
    if code == SYMBOLIC_LINK and not exclusive:
        if not (wish.follow or walk.folder):
            raise Refusal(Error.LOOP)
        walk.follow(name)
        return None
    if not may and code not in (FAILED + Error.IS_DIRECTORY, FAILED + Error.NOT_DIRECTORY):
        raise _denied(files, walk, name, wish, code)
    if code == FAILED + Error.NO_ENTRY and wish.how & CREATE:
        return _create(files, walk, name, wish)
    if code >= FAILED:
        raise Refusal(code - FAILED)
    if wish.how & CREATE and wish.how & (EXCLUSIVE | FOLDER):
        raise Refusal(Error.EXIST if exclusive else Error.IS_DIRECTORY)
    raise walk.deny(walk.host(name), "it is neither a regular file nor a directory")


def _denied(files: Files, walk: Walk, name: str, wish: _Wish, code: int) -> Refusal:
    if wish.how & CREATE and (code < 0 or code == FAILED + Error.NO_ENTRY):
        code = files.steps.type(walk.at.native, name)
        if code == FAILED + Error.NO_ENTRY:
            walk.operation = "create"
            walk.wanted = wish.access | _CREATE
    return walk.deny(walk.host(name))


def _create(files: Files, walk: Walk, name: str, wish: _Wish) -> Node | None:
    if wish.how & FOLDER:
        raise Refusal(Error.IS_DIRECTORY)
    host = walk.host(name)
    access = int(files.rules.access(host))
    if not access & _CREATE:
        walk.operation = "create"
        walk.wanted = wish.access | _CREATE
        raise walk.deny(host)
    pointer, code = files.steps.open(walk.at.native, name, wish.how | CREATE | EXCLUSIVE, wish.flags)
    if pointer:
        return Node(pointer, host, walk.guest(name), walk.at.mount, folder=False, access=access & wish.access)
    if code == FAILED + Error.EXIST and not wish.how & EXCLUSIVE:
        return None
    raise Refusal(code - FAILED if code >= FAILED else Error.IO)
