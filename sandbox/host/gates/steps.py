"""The single steps of a walk: one name on one native directory handle, links never followed.

Decides nothing. Each step is one call into the passthrough (`gate-…` there) with arguments that are written into the same
few bytes each time, and answers with a number: below `FAILED` the type of what the name is, else `FAILED` and the error code.

Rules: a name is at most `NAME` bytes; one step at a time (there is one call at a time).
"""

from __future__ import annotations

import ctypes
from ctypes import c_uint8, c_uint32, c_uint64, memmove

from sandbox.host.gates import ffi, values
from sandbox.host.gates.answers import Error, Refusal
from sandbox.host.gates.native import Native, Passthrough
from sandbox.host.gates.values import Slot

NAME = 4096


class Frame:
    """Room for the arguments of a call: a directory's handle, then others, among them a name."""

    def __init__(self, kinds: tuple[int, ...], name: int) -> None:
        self._values = (ffi.Val * len(kinds))()
        self._text = ctypes.create_string_buffer(NAME)
        self._text_at = ctypes.addressof(self._text)
        self.count = len(kinds)
        self.address = ctypes.addressof(self._values)
        for i, kind in enumerate(kinds):
            c_uint8.from_address(self.address + i * ffi.SIZE).value = kind
        self._handle = c_uint64.from_address(self.address + ffi.PAYLOAD)
        self._size = c_uint64.from_address(self.address + name * ffi.SIZE + ffi.VEC_SIZE)
        c_uint64.from_address(self.address + name * ffi.SIZE + ffi.VEC_DATA).value = self._text_at

    def fill(self, directory: int, name: str) -> None:
        """Write the handle and the name."""
        raw = name.encode()
        if len(raw) > NAME:
            raise Refusal(Error.NAME_TOO_LONG)
        memmove(self._text_at, raw, len(raw))
        self._size.value = len(raw)
        self._handle.value = directory

    def at(self, index: int) -> int:
        """The address of an argument."""
        return self.address + index * ffi.SIZE

    def forward(self, handle: int, arguments: int, count: int) -> None:
        """Take a guest's own arguments, the first of them for the native handle that it stands for."""
        memmove(self.address, arguments, count * ffi.SIZE)
        self._handle.value = handle

    def point(self, index: int, handle: int) -> None:
        """Write a handle as an argument."""
        at = self.address + index * ffi.SIZE
        c_uint8.from_address(at).value = ffi.RESOURCE
        c_uint64.from_address(at + ffi.PAYLOAD).value = handle

    def copy(self, index: int, value: int) -> None:
        """Take a guest's own value as an argument; a shallow copy, which the callee clones."""
        memmove(self.address + index * ffi.SIZE, value, ffi.SIZE)


NAMED = (ffi.RESOURCE, ffi.STRING)
FLAGGED = (ffi.RESOURCE, ffi.FLAGS, ffi.STRING)  # no flag is set: a link is not followed


class Steps:
    """The steps, in one store."""

    _named = Frame(NAMED, 1)
    _open = Frame((*NAMED, ffi.U32, ffi.U32), 1)
    _how = c_uint32.from_address(_open.at(2) + ffi.PAYLOAD)
    _flags = c_uint32.from_address(_open.at(3) + ffi.PAYLOAD)
    # A call frees what the one before left here: nothing else has to.
    _slot = Slot()
    _number = c_uint32.from_address(_slot.address + ffi.PAYLOAD)

    def __init__(self, passthrough: Passthrough, native: Native) -> None:
        self._call = native.call
        indices = passthrough.indices
        self._type_index = indices["gate-type"]
        self._enter_index = indices["gate-enter"]
        self._open_index = indices["gate-open"]
        self._link_index = indices["gate-link"]

    def type(self, directory: int, name: str) -> int:
        """What the name is, or the error."""
        self._named.fill(directory, name)
        self._call(self._type_index, self._named.address, 2, self._slot.address)
        return self._number.value

    def enter(self, directory: int, name: str) -> tuple[int, int]:
        """Open the folder of that name: its handle, a box of ours; or 0 and why not."""
        self._named.fill(directory, name)
        self._call(self._enter_index, self._named.address, 2, self._slot.address)
        answer = values.payload(self._slot.address)
        if values.is_ok(self._slot.address):
            return values.move(answer), 0
        return 0, c_uint32.from_address(answer + ffi.PAYLOAD).value

    def open(self, directory: int, name: str, how: int, flags: int) -> tuple[int, int]:
        """Open the regular file or folder of that name: its handle, a box of ours, and its type; or 0 and why not."""
        self._open.fill(directory, name)
        self._how.value = how
        self._flags.value = flags
        self._call(self._open_index, self._open.address, 4, self._slot.address)
        answer = values.payload(self._slot.address)
        if not values.is_ok(self._slot.address):
            return 0, c_uint32.from_address(answer + ffi.PAYLOAD).value
        pair = values.word(answer + ffi.VEC_DATA)
        return values.move(pair), c_uint32.from_address(pair + ffi.SIZE + ffi.PAYLOAD).value

    def link(self, directory: int, name: str) -> tuple[str, int]:
        """What the link of that name says; or "" and the error."""
        self._named.fill(directory, name)
        self._call(self._link_index, self._named.address, 2, self._slot.address)
        answer = values.payload(self._slot.address)
        if not values.is_ok(self._slot.address):
            return "", c_uint32.from_address(answer + ffi.PAYLOAD).value
        return values.text(answer), 0
