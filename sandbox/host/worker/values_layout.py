"""Where a WIT value lies in memory: Wasmtime's C structs, read and written by address.

Decides nothing about JSON. The binding's own conversion reflects every type at every call and makes a ctypes object of
every value; these are its structs (`wasmtime_component_val_t`, 32 bytes) with neither.

INVARIANT: a slot of 32 zero bytes is `bool false`, so it can be deleted at any moment. Memory is zeroed and attached to
its parent before it is filled; deleting the root then frees everything, wherever filling stopped.

Source: wasmtime's C API, `wasmtime/component/val.h`, version 50.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_size_t, c_ssize_t, c_void_p
from struct import Struct
from typing import Any

from wasmtime import WasmtimeError
from wasmtime import _ffi as ffi

SLOT = 32
"""Bytes of one value: its kind in the first byte, its content from the ninth."""

ENTRY = 48
"""Bytes of one record field: the name's vector (16), then the value's slot."""

BOOL, S8, U8, S16, U16, S32, U32, S64, U64, F32, F64, CHAR = range(12)
STRING, LIST, RECORD, TUPLE, VARIANT, ENUM, OPTION, RESULT, FLAGS = range(12, 21)

PAIR = Struct("<QQ")
"""A vector: its length, then its address."""

WORD = Struct("<Q")


def _check_layout() -> None:
    """Refuse to run on a Wasmtime whose structs are not those that this module writes."""
    value, entry = ffi.wasmtime_component_val_t, ffi.wasmtime_component_valrecord_entry_t
    found = (ctypes.sizeof(value), value.of.offset, ctypes.sizeof(entry), entry.val.offset, ffi.WASMTIME_COMPONENT_FLAGS.value)
    if found != (SLOT, 8, ENTRY, 16, FLAGS):
        raise RuntimeError(f"wasmtime's value layout is {found}, this module was written for another")


_check_layout()
_library = ctypes.CDLL(str(ffi.filename))
"""A handle of our own: its function objects take plain addresses, the binding's take typed pointers."""


def _bind(name: str, *arguments: Any, result: Any = None) -> Callable[..., Any]:
    function = getattr(_library, name)
    function.argtypes, function.restype = list(arguments), result
    return function  # type: ignore[no-any-return]  # ctypes gives its functions no type


new_bytes = _bind("wasm_byte_vec_new", c_void_p, c_size_t, c_char_p)
"""`new_bytes(at, length, data)`: a copy of `data` as the vector at `at`."""

new_list = _bind("wasmtime_component_vallist_new_uninit", c_void_p, c_size_t)
new_tuple = _bind("wasmtime_component_valtuple_new_uninit", c_void_p, c_size_t)
new_record = _bind("wasmtime_component_valrecord_new_uninit", c_void_p, c_size_t)
copy_record = _bind("wasmtime_component_valrecord_copy", c_void_p, c_void_p)
delete_record = _bind("wasmtime_component_valrecord_delete", c_void_p)
new_flags = _bind("wasmtime_component_valflags_new_uninit", c_void_p, c_size_t)
new_box = _bind("wasmtime_component_val_new", c_void_p, result=c_void_p)
"""`new_box(at)`: moves the value at `at` into a box of its own and gives its address."""

delete = _bind("wasmtime_component_val_delete", c_void_p)
call_function = _bind("wasmtime_component_func_call", c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, result=c_void_p)

memset = ctypes.memset
memmove = ctypes.memmove
string_at = ctypes.string_at

_view = ctypes.pythonapi.PyMemoryView_FromMemory
_view.argtypes, _view.restype = [c_void_p, c_ssize_t, c_int], ctypes.py_object


def view(address: int, size: int) -> memoryview:
    """Writable bytes of foreign memory; the caller keeps the memory alive while it holds the view."""
    return _view(address, size, 0x200)  # type: ignore[no-any-return]  # PyBUF_WRITE


def word_at(address: int) -> int:
    """The 64-bit word at an address."""
    return int.from_bytes(string_at(address, 8), "little")


def put_word(address: int, word: int) -> None:
    """Write a 64-bit word at an address."""
    memmove(address, WORD.pack(word), 8)


def put_kind(address: int, kind: int) -> None:
    """Say what a slot holds; written last, so that a slot is never read as what it is not yet."""
    memset(address, kind, 1)


def empty_box() -> int:
    """A box of its own that holds `bool false`, to be attached and then filled."""
    blank = ctypes.create_string_buffer(SLOT)
    box = int(new_box(ctypes.addressof(blank)))
    memset(box, 0, SLOT)  # a move need not copy what a `false` does not use
    return box


def take_error(pointer: int) -> Exception:
    """The binding's error (`WasmtimeError`, or `ExitTrap` with its code) for an error's address; owns it from then on."""
    return WasmtimeError._from_ptr(ctypes.cast(pointer, ctypes.POINTER(ffi.wasmtime_error_t)))
