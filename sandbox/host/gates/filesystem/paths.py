"""The operations of `descriptor` that take a path, other than `open-at`.

Decides by the rules at the place where the walk ends. `stat` and the hash need the name to be visible, reading a link READ,
making a folder or a link CREATE, removing DELETE, changing times WRITE; moving and linking need both ends. Each is done by
the system on the folder that the walk holds and one name, links not followed.

Rules:
- what a place gives by its rules must be held where the file comes from: moving or linking never gains anything;
- a folder is moved only where no rule below decides differently, at both ends;
- a link is made, gets another name or is moved only where its words stay in its mount; no hard link is made to anything but a
  regular file or such a link;
- a mount point is neither removed nor replaced.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.host.gates.filesystem import answers
from sandbox.host.gates.filesystem.answers import Error, Refusal
from sandbox.host.gates.filesystem.descriptors import Files, Node
from sandbox.host.gates.filesystem.opening import follows
from sandbox.host.gates.filesystem.resolver import LINKS, Walk
from sandbox.host.gates.filesystem.stats import identity, write_hash, write_stat, write_virtual
from sandbox.host.gates.native import ffi, values
from sandbox.template.template import Access

_READ, _WRITE, _CREATE, _DELETE = (int(bit) for bit in (Access.READ, Access.WRITE, Access.CREATE, Access.DELETE))
_ORDINARY = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)


def _argument(arguments: int, index: int) -> int:
    return arguments + index * ffi.SIZE


def _path(arguments: int, index: int) -> str:
    return values.text(arguments + index * ffi.SIZE)


def stat_at(files: Files, arguments: int, results: int) -> None:
    """`stat-at`."""
    found = _looked_at(files, arguments)
    if isinstance(found, Node):
        write_virtual(results)
    else:
        write_stat(results, found)


def metadata_hash_at(files: Files, arguments: int, results: int) -> None:
    """`metadata-hash-at`."""
    found = _looked_at(files, arguments)
    write_hash(results, found.guest if isinstance(found, Node) else identity(found))


def _looked_at(files: Files, arguments: int) -> os.stat_result | Node:
    """What the system says of the path; the node, where it is a virtual folder."""
    base, follow = files.take(arguments), follows(_argument(arguments, 1))
    with Walk(files, base, _path(arguments, 2), "stat", _READ) as walk:
        for _ in range(LINKS + 1):
            name = walk.last()
            if not name:
                return walk.at if walk.at.virtual else os.fstat(walk.at.fd)
            found = _stat(files, walk, name, follow=follow or walk.folder)
            if found is not None:
                return found
    raise Refusal(Error.LOOP)


def _stat(files: Files, walk: Walk, name: str, *, follow: bool) -> os.stat_result | None:
    """What the system says of the last name; None after a link that is followed."""
    host = walk.host(name)
    try:
        found = os.stat(name, dir_fd=walk.at.fd, follow_symlinks=False)
    except OSError:
        _asked(files, walk, name)
        if files.seen(host, 0):
            raise
        raise walk.deny(host) from None
    if follow and stat.S_ISLNK(found.st_mode):
        walk.follow(name)  # judged by where it ends
        return None
    _asked(files, walk, name)
    if not files.seen(host, found.st_mode):
        raise walk.deny(host)
    if walk.folder and not stat.S_ISDIR(found.st_mode):
        raise Refusal(Error.NOT_DIRECTORY)
    return found


def _asked(files: Files, walk: Walk, name: str) -> None:
    """Have a person asked before anything of the name is told, where a rule says so."""
    if files.answers is not None:
        walk.may(name, walk.host(name), _READ)


def create_directory_at(files: Files, arguments: int, results: int) -> None:
    """`create-directory-at`."""
    base = files.take(arguments)
    with Walk(files, base, _path(arguments, 1), "create", _CREATE) as walk:
        name = _judged(walk, Error.EXIST)
        with files.adding(walk.host(name)):
            os.mkdir(name, 0o777, dir_fd=walk.at.fd)
    answers.unit(results)


def remove_directory_at(files: Files, arguments: int, results: int) -> None:
    """`remove-directory-at`."""
    base = files.take(arguments)
    with Walk(files, base, _path(arguments, 1), "delete", _DELETE) as walk:
        name = _judged(walk, Error.BUSY)
        with files.removing(walk.host(name), walk.at, name):
            os.rmdir(name, dir_fd=walk.at.fd)
    answers.unit(results)


def unlink_file_at(files: Files, arguments: int, results: int) -> None:
    """`unlink-file-at`."""
    base = files.take(arguments)
    with Walk(files, base, _path(arguments, 1), "delete", _DELETE) as walk:
        name = _judged(walk, Error.IS_DIRECTORY)
        if walk.folder:  # `file/`: a file is not removed as a folder, nor a link as what it leads to
            found = os.stat(name, dir_fd=walk.at.fd, follow_symlinks=False)
            raise Refusal(Error.IS_DIRECTORY if stat.S_ISDIR(found.st_mode) else Error.NOT_DIRECTORY)
        with files.removing(walk.host(name), walk.at, name):
            os.unlink(name, dir_fd=walk.at.fd)
    answers.unit(results)


def readlink_at(files: Files, arguments: int, results: int) -> None:
    """`readlink-at`."""
    base = files.take(arguments)
    with Walk(files, base, _path(arguments, 1), "read", _READ) as walk:
        name = _judged(walk, Error.INVALID)
        words = os.readlink(name, dir_fd=walk.at.fd)
        if walk.folder:
            raise Refusal(Error.INVALID)
        if words.startswith("/"):  # a path of the host's
            raise walk.deny(walk.host(name), "the link says an absolute path")
    values.build(results, values.Ok(words))


def symlink_at(files: Files, arguments: int, results: int) -> None:
    """`symlink-at`: the words first, then the new name."""
    base, words = files.take(arguments), _path(arguments, 1)
    with Walk(files, base, _path(arguments, 2), "create", _CREATE) as walk:
        name = _judged(walk, Error.EXIST)
        if walk.folder or not words:
            raise Refusal(Error.NO_ENTRY)
        if not _stays(walk.at, words):
            raise walk.deny(walk.host(name), "a link may not lead out of its mount")
        with files.adding(walk.host(name)):
            os.symlink(words, name, dir_fd=walk.at.fd)
    answers.unit(results)


def _stays(folder: Node, words: str) -> bool:
    """Whether a link's words, taken as words, lead nowhere above the mount that it lies in."""
    if words.startswith("/") or "\0" in words:
        return False
    depth = len([name for name in folder.inside().split("/") if name])
    for word in words.split("/"):
        if word not in ("", "."):
            depth += -1 if word == ".." else 1
        if depth < 0:
            return False
    return True


def set_times_at(files: Files, arguments: int, results: int) -> None:
    """`set-times-at`."""
    base, follow = files.take(arguments), follows(_argument(arguments, 1))
    with Walk(files, base, _path(arguments, 2), "write", _WRITE) as walk:
        for _ in range(LINKS + 1):
            name = walk.last()
            if not name:
                set_times_of(files, walk.at, walk, arguments, 3)
                break
            found = _stat(files, walk, name, follow=follow or walk.folder)
            if found is not None:
                _judge(walk, name)
                _ordinary(walk, name, found.st_mode)
                times = new_times(arguments, 3, found)
                os.utime(name, ns=times, dir_fd=walk.at.fd, follow_symlinks=False)
                break
    answers.unit(results)


def set_times_of(files: Files, folder: Node, walk: Walk | None, arguments: int, first: int) -> None:
    """Change the times of a folder itself."""
    if folder.virtual or not files.access(folder, folder.host) & _WRITE:
        host = None if folder.virtual else folder.host
        raise walk.deny(host) if walk is not None else files.deny(folder.guest, "write", _WRITE, host)
    os.utime(".", ns=new_times(arguments, first, os.fstat(folder.fd)), dir_fd=folder.fd)


def new_times(arguments: int, first: int, found: os.stat_result) -> tuple[int, int]:
    """The two `new-timestamp` arguments, in nanoseconds; what is not to change is as it was."""
    kept = (found.st_atime_ns, found.st_mtime_ns)
    one, other = (_new_time(_argument(arguments, first + i), kept[i]) for i in range(2))
    return one, other


def _new_time(argument: int, kept: int) -> int:
    case = values.read(argument)
    match case.name:
        case "no-change":
            return kept
        case "now":
            return time.time_ns()
        case _:
            nanoseconds = int(case.payload["seconds"]) * 1_000_000_000 + int(case.payload["nanoseconds"])
            if nanoseconds >= 1 << 63:
                raise Refusal(Error.OVERFLOW)
            return nanoseconds


def rename_at(files: Files, arguments: int, results: int) -> None:
    """`rename-at`."""
    base, target = files.take(arguments), files.take(_argument(arguments, 2))
    with (
        Walk(files, base, _path(arguments, 1), "delete", _DELETE) as old,
        Walk(files, target, _path(arguments, 3), "create", _CREATE) as new,
    ):
        old_name, new_name = _judged(old, Error.BUSY), _judged(new, Error.BUSY)
        _renames(files, old, old_name, new, new_name)
        _still(files, old, old_name)
        with _sized_move(files, old, old_name, new, new_name):
            os.rename(old_name, new_name, src_dir_fd=old.at.fd, dst_dir_fd=new.at.fd)
        files.moved(old.host(old_name), new.host(new_name), new.guest(new_name), new.at.mount)
        if files.answers is not None:
            files.answers.made(new.host(new_name), os.stat(new_name, dir_fd=new.at.fd, follow_symlinks=False))
    answers.unit(results)


@contextmanager
def _sized_move(files: Files, old: Walk, old_name: str, new: Walk, new_name: str) -> Iterator[None]:
    """Around a move: what is replaced goes, and what is moved counts where it comes to."""
    if files.sizes is None:
        yield
        return
    found = os.stat(old_name, dir_fd=old.at.fd, follow_symlinks=False)
    old_host, new_host = old.host(old_name), new.host(new_name)
    with files.sizes.removing(new_host, new.at.fd, new_name), files.sizes.moving(old_host, new_host, found):
        yield


def _renames(files: Files, old: Walk, old_name: str, new: Walk, new_name: str) -> None:
    """Refuse a move that the rules do not allow."""
    mode = os.stat(old_name, dir_fd=old.at.fd, follow_symlinks=False).st_mode
    _ordinary(old, old_name, mode)
    if (old.folder or new.folder) and not stat.S_ISDIR(mode):
        raise Refusal(Error.NOT_DIRECTORY)
    old_host, new_host = old.host(old_name), new.host(new_name)
    if files.mounts.is_point(old.guest(old_name)) or files.mounts.is_point(new.guest(new_name)):
        raise Refusal(Error.BUSY)
    if _is_there(new.at, new_name) and not files.access(new.at, new_host) & _DELETE:
        new.operation, new.wanted = "delete", _DELETE
        if not new.may(new_name, new_host, _DELETE) & _DELETE:
            raise new.deny(new_host)
    _gains_nothing(files, old, old_host, new, new_host)
    if stat.S_ISLNK(mode):
        _leads_nowhere_new(old, old_name, new, new_name, anywhere=True)
    if stat.S_ISDIR(mode):
        for walk, host in ((old, old_host), (new, new_host)):
            if not files.rules.uniform_below(host) or _holds_mount(files, host):
                raise walk.deny(host, "rules below it decide differently")


def _leads_nowhere_new(old: Walk, old_name: str, new: Walk, new_name: str, *, anywhere: bool) -> None:
    """Refuse a new place for a link from which its words lead out of the mount; one that led out before is `anywhere`'s to say.

    No gate would follow it there; who looks at the folder on the host might.
    """
    words = os.readlink(old_name, dir_fd=old.at.fd)
    if not _stays(new.at, words) and (_stays(old.at, words) or not anywhere):
        raise new.deny(new.host(new_name), "a link may not lead out of its mount")


def _is_there(folder: Node, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _holds_mount(files: Files, host: str) -> bool:
    """Whether a mount's folder is this one or lies in it: its paths would no longer be what the rules are judged by."""
    return any(mount.host == host or mount.host.startswith(host + "/") for mount in files.mounts.mounts.values())


def _gains_nothing(files: Files, old: Walk, old_host: str, new: Walk, new_host: str) -> None:
    # To make the new name is what was asked about; it gives nothing of what the file holds.
    made = files.answers.given(new_host) & _CREATE if files.answers is not None else 0
    gained = files.access(new.at, new_host) & ~files.access(old.at, old_host) & ~made
    if gained:
        words = ", ".join(Access(gained).words)
        raise new.deny(new_host, f"the new place would give what the old one does not: {words}")


def link_at(files: Files, arguments: int, results: int) -> None:
    """`link-at`: a hard link, to a regular file."""
    base, target = files.take(arguments), files.take(_argument(arguments, 3))
    if follows(_argument(arguments, 1)):
        raise Refusal(Error.INVALID)
    with (
        Walk(files, base, _path(arguments, 2), "read", _READ) as old,
        Walk(files, target, _path(arguments, 4), "create", _CREATE) as new,
    ):
        old_name, new_name = _judged(old, Error.NOT_PERMITTED), _judged(new, Error.EXIST)
        found = os.stat(old_name, dir_fd=old.at.fd, follow_symlinks=False)
        if old.folder:
            raise Refusal(Error.NOT_DIRECTORY)
        if new.folder:  # no folder is made here
            raise Refusal(Error.EXIST if _is_there(new.at, new_name) else Error.NO_ENTRY)
        if stat.S_ISLNK(found.st_mode):
            _leads_nowhere_new(old, old_name, new, new_name, anywhere=False)
        elif not stat.S_ISREG(found.st_mode):
            raise old.deny(old.host(old_name), "only a regular file can be linked")
        _gains_nothing(files, old, old.host(old_name), new, new.host(new_name))
        _still(files, old, old_name)
        with files.linking(old.host(old_name), new.host(new_name), found):
            os.link(old_name, new_name, src_dir_fd=old.at.fd, dst_dir_fd=new.at.fd, follow_symlinks=False)
    answers.unit(results)


def _judged(walk: Walk, itself: Error) -> str:
    """Walk to the last name, and refuse unless what the walk wants may be done with it; `itself` answers for a folder itself."""
    name = walk.last()
    if not name:
        raise Refusal(itself)
    _judge(walk, name)
    return name


def _still(files: Files, walk: Walk, name: str) -> None:
    """After a question about the other end: what was judged here must still be here."""
    if files.answers is not None:
        _judge(walk, name)


def _judge(walk: Walk, name: str) -> None:
    host = walk.host(name)
    if walk.wanted & ~walk.may(name, host, walk.wanted):
        raise walk.deny(host)


def _ordinary(walk: Walk, name: str, mode: int) -> None:
    if stat.S_IFMT(mode) not in _ORDINARY:
        raise walk.deny(walk.host(name), "it is neither a regular file nor a directory")
