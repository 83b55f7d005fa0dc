"""What the filesystem gate answers: WASI's error codes, and the values that are always the same.

Made once, cloned into a guest's result: a refusal costs one C call.

Source: wasi:filesystem/types@0.2.12, `enum error-code`, whose order the passthrough's numbers follow.
"""

from __future__ import annotations

import errno
from enum import IntEnum

from sandbox.host.gates.native import ffi, values
from sandbox.host.gates.native.values import Err, Name, Ok, Slot


class Error(IntEnum):
    """`error-code`, in the order of the WIT."""

    ACCESS = 0
    WOULD_BLOCK = 1
    ALREADY = 2
    BAD_DESCRIPTOR = 3
    BUSY = 4
    DEADLOCK = 5
    QUOTA = 6
    EXIST = 7
    FILE_TOO_LARGE = 8
    ILLEGAL_BYTE_SEQUENCE = 9
    IN_PROGRESS = 10
    INTERRUPTED = 11
    INVALID = 12
    IO = 13
    IS_DIRECTORY = 14
    LOOP = 15
    TOO_MANY_LINKS = 16
    MESSAGE_SIZE = 17
    NAME_TOO_LONG = 18
    NO_DEVICE = 19
    NO_ENTRY = 20
    NO_LOCK = 21
    INSUFFICIENT_MEMORY = 22
    INSUFFICIENT_SPACE = 23
    NOT_DIRECTORY = 24
    NOT_EMPTY = 25
    NOT_RECOVERABLE = 26
    UNSUPPORTED = 27
    NO_TTY = 28
    NO_SUCH_DEVICE = 29
    OVERFLOW = 30
    NOT_PERMITTED = 31
    PIPE = 32
    READ_ONLY = 33
    INVALID_SEEK = 34
    TEXT_FILE_BUSY = 35
    CROSS_DEVICE = 36


class Refusal(Exception):  # noqa: N818 - it is an answer to the guest
    """The answer to a guest is an error code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


_ERRNO = {
    errno.EACCES: Error.ACCESS,
    errno.EAGAIN: Error.WOULD_BLOCK,
    errno.EBADF: Error.BAD_DESCRIPTOR,
    errno.EBUSY: Error.BUSY,
    errno.EDQUOT: Error.QUOTA,
    errno.EEXIST: Error.EXIST,
    errno.EFBIG: Error.FILE_TOO_LARGE,
    errno.EILSEQ: Error.ILLEGAL_BYTE_SEQUENCE,
    errno.EINTR: Error.INTERRUPTED,
    errno.EINVAL: Error.INVALID,
    errno.EIO: Error.IO,
    errno.EISDIR: Error.IS_DIRECTORY,
    errno.ELOOP: Error.LOOP,
    errno.EMFILE: Error.INSUFFICIENT_MEMORY,
    errno.EMLINK: Error.TOO_MANY_LINKS,
    errno.ENAMETOOLONG: Error.NAME_TOO_LONG,
    errno.ENFILE: Error.INSUFFICIENT_MEMORY,
    errno.ENODEV: Error.NO_DEVICE,
    errno.ENOENT: Error.NO_ENTRY,
    errno.ENOMEM: Error.INSUFFICIENT_MEMORY,
    errno.ENOSPC: Error.INSUFFICIENT_SPACE,
    errno.ENOTDIR: Error.NOT_DIRECTORY,
    errno.ENOTEMPTY: Error.NOT_EMPTY,
    errno.ENOTSUP: Error.UNSUPPORTED,
    errno.ENXIO: Error.NO_SUCH_DEVICE,
    errno.EOVERFLOW: Error.OVERFLOW,
    errno.EPERM: Error.NOT_PERMITTED,
    errno.EROFS: Error.READ_ONLY,
    errno.ESPIPE: Error.INVALID_SEEK,
    errno.ETXTBSY: Error.TEXT_FILE_BUSY,
    errno.EXDEV: Error.CROSS_DEVICE,
}


def code_of(error: OSError) -> Error:
    """The error code for what the system said."""
    return _ERRNO.get(error.errno or 0, Error.IO)


def code_named(name: str) -> Error:
    """The error code that WIT calls so: `file-too-large`."""
    return Error[name.upper().replace("-", "_")]


def _made(value: object) -> Slot:
    slot = Slot()
    values.build(slot.address, value)
    return slot


_REFUSALS = [_made(Err(Name(code.name.lower().replace("_", "-")))) for code in Error]
_UNIT = _made(Ok())
_FOLDER_TYPE = _made(Ok(Name("directory")))


def clear(results: int) -> None:
    """Free what a guest's result holds already."""
    if values.byte(results) != ffi.BOOL:
        ffi.val_delete(results)
        values.set_kind(results, ffi.BOOL)


def refuse(results: int, code: int) -> None:
    """Answer with an error code."""
    clear(results)
    ffi.val_clone(_REFUSALS[code].address, results)


def unit(results: int) -> None:
    """Answer that it is done."""
    ffi.val_clone(_UNIT.address, results)


def folder_type(results: int) -> None:
    """Answer that it is a directory."""
    ffi.val_clone(_FOLDER_TYPE.address, results)
