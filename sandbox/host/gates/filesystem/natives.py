"""Opening a file natively: the one thing of the filesystem that only Wasmtime can do, since streams are its own.

The gate has looked at the file already and holds it (`O_PATH`, links not followed). Wasmtime opens by path from the mount's
handle; between the two another process may have put something else there. So nothing is believed: what Wasmtime opened is
compared with what the gate holds, and dropped unless it is the very same file. The open truncates and creates nothing.

The new handle's descriptor is the lowest number that was free before (POSIX, open: this process has one thread that opens);
if it turns out to be none that fits, the open is done again and found among all descriptors. Wasmtime opens descriptors of
its own when it first does anything with a file: that is brought about before.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import c_uint8, c_uint32, c_uint64, memmove
from resource import RLIMIT_NOFILE, getrlimit

from sandbox.host.gates.filesystem.answers import Refusal
from sandbox.host.gates.filesystem.stats import identity
from sandbox.host.gates.native import ffi, values
from sandbox.host.gates.native.passthrough import Native, Passthrough
from sandbox.host.gates.native.values import Slot

ROOM = 4096
"""The longest path, in bytes, from a mount's folder to a file."""


class Frame:
    """Room for the arguments of a method that goes on to the native descriptor."""

    def __init__(self, count: int) -> None:
        self._values = (ffi.Val * count)()
        self.address = ctypes.addressof(self._values)
        self._handle = c_uint64.from_address(self.address + ffi.PAYLOAD)

    def forward(self, handle: int, arguments: int, count: int) -> None:
        """Take a guest's own arguments, the first of them for the native handle that it stands for.

        A shallow copy: the callee clones it, and nothing here is freed.
        """
        memmove(self.address, arguments, count * ffi.SIZE)
        self._handle.value = handle


class _Open:
    """The arguments of `gate-open`, written into the same bytes each time."""

    def __init__(self) -> None:
        self._values = (ffi.Val * 4)()
        self.address = at = ctypes.addressof(self._values)
        self._text = ctypes.create_string_buffer(ROOM)
        self._text_at = ctypes.addressof(self._text)
        for i, kind in enumerate((ffi.RESOURCE, ffi.STRING, ffi.U32, ffi.U32)):
            c_uint8.from_address(at + i * ffi.SIZE).value = kind
        self._handle = c_uint64.from_address(at + ffi.PAYLOAD)
        self._size = c_uint64.from_address(at + ffi.SIZE + ffi.VEC_SIZE)
        c_uint64.from_address(at + ffi.SIZE + ffi.VEC_DATA).value = self._text_at
        self._flags = c_uint32.from_address(at + 3 * ffi.SIZE + ffi.PAYLOAD)

    def fill(self, handle: int, path: bytes, flags: int) -> None:
        """Write the mount's handle, the path from it and the descriptor's flags."""
        if len(path) > ROOM:
            raise ValueError("a path from a mount's folder is longer than a host path may be")
        memmove(self._text_at, path, len(path))
        self._size.value = len(path)
        self._handle.value = handle
        self._flags.value = flags


_open = _Open()
# A call frees what the one before left here: nothing else has to.
_slot = Slot()
# Of this process: a worker is forked before any file is opened.
_begun: list[bool] = []


class Opener:
    """Opens files natively, in one store."""

    def __init__(self, passthrough: Passthrough, native: Native) -> None:
        self._native = native
        self._index = passthrough.indices["gate-open"]
        self._stat = passthrough.indices["descriptor-stat"]
        self.descriptor = -1
        """Of what was opened last."""

    def open(self, root: int, path: str, held: int, wanted: tuple[int, int], flags: int, *, truncate: bool) -> int | None:
        """The native handle, a box of our own, of the file that `held` holds; None if another one is there by now.

        `wanted` is that file's identity.
        """
        if not _begun:
            self._begin(root)
        free = os.dup(held)
        os.close(free)
        handle = self._call(root, path, flags)
        if not _is(free, wanted):
            self._native.drop(handle)
            known = _descriptors()
            handle = self._call(root, path, flags)
            new = _descriptors() - known
            if len(new) != 1 or not _is(free := new.pop(), wanted):
                self._native.drop(handle)
                return None
        if truncate:
            os.ftruncate(free, 0)
        self.descriptor = free
        return handle

    def _begin(self, root: int) -> None:
        _open.fill(root, b"", 0)
        self._native.call(self._stat, _open.address, 1, _slot.address)
        _begun.append(True)

    def _call(self, root: int, path: str, flags: int) -> int:
        _open.fill(root, path.encode(), flags)
        self._native.call(self._index, _open.address, 4, _slot.address)
        answer = values.payload(_slot.address)
        if values.is_ok(_slot.address):
            return values.move(answer)
        raise Refusal(c_uint32.from_address(answer + ffi.PAYLOAD).value)


def _is(descriptor: int, wanted: tuple[int, int]) -> bool:
    try:
        return identity(os.fstat(descriptor)) == wanted
    except OSError:
        return False  # not open


def _descriptors() -> set[int]:
    # Not from /proc/self/fd: a worker under Landlock may not list it. `open_files` is at most 65,536.
    return {descriptor for descriptor in range(min(getrlimit(RLIMIT_NOFILE)[0], 1 << 17)) if _open_now(descriptor)}


def _open_now(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
