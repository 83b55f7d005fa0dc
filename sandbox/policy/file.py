"""Read a policy file that nobody but its owner can change (ATTACKS POL-07).

Looked at through the one descriptor that is then read: a symlink, another kind of file, a second name (hardlink), another
owner, or write permission for group or others is refused, and at most the size of a policy is read. A user's private group
(umask 002 on most distributions: the group of the user's own name, with nobody else in it) is not others.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

from sandbox.errors import Code, PolicyError, Problem
from sandbox.policy.tree import MAX_BYTES


def read_policy_file(path: Path) -> bytes:
    """The file's bytes; raises `PolicyError` (`policy_not_found`, or `invalid_format` for a file that is refused)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        raise _refused(path, "there is no such file", "is its path right?", Code.POLICY_NOT_FOUND) from None
    except OSError as error:
        if path.is_symlink():
            raise _refused(path, "the file is a symlink", "name the file it leads to") from None
        raise _refused(path, f"the file cannot be opened: {error.strerror}", None) from None
    try:
        _refuse_foreign(path, os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_BYTES + 1)
    finally:
        os.close(descriptor)


def _refuse_foreign(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _refused(path, "this is no regular file", "name a file")
    if status.st_size > MAX_BYTES:
        raise _refused(path, f"{status.st_size} bytes are more than the {MAX_BYTES} of a policy", "split it")
    if status.st_nlink > 1:
        raise _refused(
            path, "the file has a second name (hardlink), by which others may change it", f"copy it: `cp {path} new.yaml`"
        )
    if status.st_uid not in {os.geteuid(), 0}:
        raise _refused(path, f"the file belongs to user {status.st_uid}", "copy it to a file of your own")
    by_group = status.st_mode & stat.S_IWGRP and not _is_private_group(status.st_gid)
    if by_group or status.st_mode & stat.S_IWOTH:
        raise _refused(path, "group or others may write the file", f"`chmod go-w {path}`")


def _is_private_group(gid: int) -> bool:
    """Whether a group is this user's alone: it has the user's name, is the user's own, and lists nobody else."""
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return gid == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _refused(path: Path, message: str, help: str | None, code: Code = Code.INVALID_FORMAT) -> PolicyError:  # noqa: A002 - the word of the error style
    return PolicyError((Problem(f"{path}:1:1", "", message, help),), code=code)
