"""The walk: from a guest's path to the folder that holds its last name, by one name at a time.

Decides whether the path may be walked: every folder on it is one that a rule lets be seen. What may be done with the last name
is for the operation to decide, on the very handle that the walk reached: what was judged is what is opened, whoever swaps
folders for links meanwhile.

Rules:
- no step follows a link (`O_NOFOLLOW`): the walk reads it and goes on with its words, at most `LINKS` times; an absolute
  target is refused;
- `..` goes back to the folder that the walk came from; it never leaves the folder that the walk began in, and the words of a
  link never leave their mount;
- a path is at most `PATH` bytes and `STEPS` names, links included, and never deeper than `DEPTH` folders (each is an open file);
- a trailing slash is stripped and remembered: the last name must then be a folder, and a link there is followed;
- a name that is a mount point crosses over into the mount.
"""

from __future__ import annotations

import os
import posixpath
import stat
from types import TracebackType

from sandbox.host.gates.filesystem.answers import Error, Refusal
from sandbox.host.gates.filesystem.asking import there
from sandbox.host.gates.filesystem.descriptors import Files, Node, join
from sandbox.host.gates.filesystem.mounts import normal
from sandbox.template.template import Access

LINKS, PATH, STEPS, DEPTH = 40, 4096, 1024, 128
HELD = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a name is held, whatever it is: nothing is read, no link followed, no FIFO waited for, no device woken."""
FOLDER = HELD | os.O_DIRECTORY
_READ = int(Access.READ)


class Walk:
    """One walk. As a context manager it closes the folders that it went through.

    `last` goes as far as it can without touching the last name; `follow` reads the link that the operation found there, and
    `last` goes on from it.
    """

    __slots__ = (
        "_base",
        "_files",
        "_links",
        "_names",
        "_own",
        "_path",
        "_stack",
        "_steps",
        "at",
        "folder",
        "operation",
        "wanted",
    )

    def __init__(self, files: Files, base: Node, path: str, operation: str, wanted: int) -> None:
        self._files = files
        self._base, self._path = base.guest, path
        self._stack: list[Node] = [base]
        self._links = self._steps = 0
        self.at = base
        self.operation = operation
        self.wanted = wanted
        self.folder = False
        """Whether the path says that its last name is a folder."""
        if not base.folder:
            raise Refusal(Error.NOT_DIRECTORY)
        if not path:
            raise Refusal(Error.NO_ENTRY)
        if len(path) > PATH or (not path.isascii() and len(path.encode()) > PATH):
            raise Refusal(Error.NAME_TOO_LONG)
        if "\0" in path:
            raise Refusal(Error.INVALID)
        if path[0] == "/":
            raise self.deny(None, "a path must be relative to a directory")
        self.folder = _is_folder(path)
        self._names = self._words(path)
        self._own = len(self._names)

    def __enter__(self) -> Walk:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for node in self._stack[1:]:
            self._files.release(node)

    @property
    def asked(self) -> str:
        """The path as the guest means it, for a refusal to name."""
        return normal(self._path if self._path.startswith("/") else f"{self._base}/{self._path}")

    def last(self) -> str:
        """Walk to the folder of the last name, and give that name; or "", where the path ends in `at` itself."""
        names = self._names
        while names:
            linked = len(names) > self._own
            name = names.pop()
            self._own = min(self._own, len(names))
            if name == "..":
                self._up(linked=linked)
            elif self._crosses(name):
                continue
            elif names:
                self._down(name)
            else:
                return name
        self._itself()
        return ""

    def host(self, name: str) -> str:
        """The host path of a name in the folder that the walk is in."""
        host = join(self.at.host, name)
        if len(host) > PATH:
            raise Refusal(Error.NAME_TOO_LONG)
        return host

    def guest(self, name: str) -> str:
        """The guest path of a name in the folder that the walk is in."""
        return join(self.at.guest, name)

    def follow(self, name: str) -> None:
        """Go on with the words of the link called `name`."""
        self._links += 1
        if self._links > LINKS:
            raise Refusal(Error.LOOP)
        target = os.readlink(name, dir_fd=self.at.fd)
        if target.startswith("/"):
            raise self.deny(self.host(name), "it leads through a link to an absolute path")
        # Only the end of a path says something about its last name.
        folder = self.folder if self._names else self.folder or _is_folder(target)
        self._names += self._words(target)
        self.folder = folder

    def may(self, name: str, host: str, wanted: int) -> int:
        """What may be done with the name in the folder that the walk is in; a person is asked where a rule says so."""
        files = self._files
        if files.answers is None:
            return files.access(self.at, host)
        files.answers.holds_for(host, there(self.at.fd, name))
        access = files.access(self.at, host)
        missing = wanted & ~access
        if not missing or missing & ~self._askable(host):
            return access
        return access | files.answers.ask(self.asked, host, self.operation, missing, self.at.fd, name)

    def _askable(self, host: str) -> int:
        asked = int(self._files.rules.asked(host))
        return asked if self.at.mount is not None and self.at.mount.writable else asked & _READ

    def _itself(self) -> None:
        """Have a person asked about the folder that the walk ends in, where it is not one that everybody sees: a mount's own."""
        at = self.at
        if self._files.answers is None or at.virtual or at.mount is None or at.guest == at.mount.guest:
            return
        if self._askable(at.host) & _READ and not self.may("", at.host, _READ) & _READ:
            raise self.deny(at.host)

    def deny(self, host: str | None, reason: str | None = None) -> Refusal:
        """The refusal of this path by policy."""
        return self._files.deny(self.asked, self.operation, self.wanted, host, reason)

    def _words(self, path: str) -> list[str]:
        words = [part for part in path.split("/") if part not in ("", ".")]
        words.reverse()  # so that the next one is popped
        self._steps += len(words)
        if self._steps > STEPS:
            raise Refusal(Error.NAME_TOO_LONG)
        return words

    def _up(self, *, linked: bool) -> None:
        at = self.at
        top = at.mount is not None and at.guest == at.mount.guest
        if len(self._stack) == 1 or (linked and top):
            raise self.deny(None, "it leads out of the directory that it begins in")
        self._files.release(self._stack.pop())
        self.at = self._stack[-1]

    def _enter(self, node: Node) -> None:
        if len(self._stack) > DEPTH:
            self._files.release(node)
            raise Refusal(Error.NAME_TOO_LONG)
        self._stack.append(node)
        self.at = node

    def _crosses(self, name: str) -> bool:
        at = self.at
        if not at.virtual and (at.mount is None or not at.mount.crossings):
            return False
        node = self._files.point(self.guest(name))
        if node is None and at.virtual:
            raise self.deny(None, "no directory is mounted there")
        if node is None or (node.virtual and not at.virtual):
            return False  # a virtual folder is only where no real one is
        self._enter(node)
        return True

    def _down(self, name: str) -> None:
        files, at, host = self._files, self.at, self.host(name)
        if files.rules.visible(host):
            try:
                fd = os.open(name, FOLDER, dir_fd=at.fd)
            except NotADirectoryError:
                if not is_link(at, name):
                    # A file that may not be known is not there.
                    raise Refusal(Error.NOT_DIRECTORY if files.rules.access(host) else Error.NO_ENTRY) from None
                self.follow(name)
                return
            except FileNotFoundError:
                self._missing(host)
                raise
            self._enter(Node(self.guest(name), host, at.mount, fd))
        elif is_link(at, name):  # a link is judged by where it ends; whether anything else is there is not told
            self.follow(name)
        else:
            raise self.deny("/".join([host, *reversed(self._names)]) if ".." not in self._names else host)

    def _missing(self, host: str) -> None:
        """A folder on the way is not there: have a person asked about what was to be reached, before that is told."""
        wanted = "/".join([host, *reversed(self._names)])
        if self._files.answers is None or ".." in self._names or not self._askable(wanted) & self.wanted:
            return
        if self.wanted & ~self.may(posixpath.basename(host), wanted, self.wanted):
            raise self.deny(wanted)


def is_link(folder: Node, name: str) -> bool:
    """Whether the name is a symbolic link; not, where it is nothing at all."""
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder.fd, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _is_folder(path: str) -> bool:
    return path.rpartition("/")[2] in ("", ".")
