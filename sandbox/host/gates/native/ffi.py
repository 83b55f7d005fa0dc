"""The functions and structures of Wasmtime's C API that the gates use, declared once.

wasmtime-py turns every value into Python objects; a gate moves the C values themselves. This module declares, it decides
nothing. Sizes and offsets come from the structures that wasmtime-py was generated with, never from a guess.

Ownership, as the C API has it (`crates/c-api/src/component`):
- a callback's arguments are the caller's: read, copied shallowly into the arguments of another call, never freed or changed;
- a callback's results are `Bool(false)` when it is entered, and freed by the caller after it: what lies there must be whole;
- `func_call` clones its arguments, frees what its results held, and writes new ones;
- a `resource_any` is a small box that names a handle: freeing the box does not drop the handle, dropping the handle does not
  free the box. Every box is freed once.

Its own `CDLL`: the argument types set here are not those of wasmtime-py, which shares the library.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_bool, c_char_p, c_size_t, c_uint32, c_void_p
from typing import Any

from wasmtime import _bindings, _ffi

_library = ctypes.CDLL(str(_ffi.filename))

Function = Callable[..., Any]


def _declare(name: str, result: Any, *params: Any) -> Function:
    function = getattr(_library, name)
    function.restype = result
    function.argtypes = params
    return function  # type: ignore[no-any-return] # ctypes does not say what a library's attribute is


# Pointers travel as integers (0 is null); an error is a pointer that whoever gets it must pass on or delete.
func_call = _declare("wasmtime_component_func_call", c_size_t, c_size_t, c_size_t, c_size_t, c_size_t, c_size_t, c_size_t)
get_func = _declare("wasmtime_component_instance_get_func", c_bool, c_void_p, c_size_t, c_void_p, c_size_t)
error_new = _declare("wasmtime_error_new", c_size_t, c_char_p)
error_delete = _declare("wasmtime_error_delete", None, c_size_t)
any_to_host = _declare("wasmtime_component_resource_any_to_host", c_size_t, c_size_t, c_size_t, c_void_p)
any_clone = _declare("wasmtime_component_resource_any_clone", c_size_t, c_size_t)
any_drop = _declare("wasmtime_component_resource_any_drop", c_size_t, c_size_t, c_size_t)
any_delete = _declare("wasmtime_component_resource_any_delete", None, c_size_t)
host_new = _declare("wasmtime_component_resource_host_new", c_size_t, c_bool, c_uint32, c_uint32)
host_rep = _declare("wasmtime_component_resource_host_rep", c_uint32, c_size_t)
host_to_any = _declare("wasmtime_component_resource_host_to_any", c_size_t, c_size_t, c_size_t, c_void_p)
host_delete = _declare("wasmtime_component_resource_host_delete", None, c_size_t)
val_new = _declare("wasmtime_component_val_new", c_size_t, c_size_t)
val_clone = _declare("wasmtime_component_val_clone", None, c_size_t, c_size_t)
val_delete = _declare("wasmtime_component_val_delete", None, c_size_t)
byte_vec_new = _declare("wasm_byte_vec_new", None, c_size_t, c_size_t, c_char_p)
list_new_uninit = _declare("wasmtime_component_vallist_new_uninit", None, c_size_t, c_size_t)
flags_new_uninit = _declare("wasmtime_component_valflags_new_uninit", None, c_size_t, c_size_t)
record_new_uninit = _declare("wasmtime_component_valrecord_new_uninit", None, c_size_t, c_size_t)
linker_add_func = _declare(
    "wasmtime_component_linker_instance_add_func", c_size_t, c_void_p, c_char_p, c_size_t, c_void_p, c_void_p, c_void_p
)
linker_add_resource = _declare(
    "wasmtime_component_linker_instance_add_resource",
    c_size_t,
    c_void_p,
    c_char_p,
    c_size_t,
    c_void_p,
    c_void_p,
    c_void_p,
    c_void_p,
)

CALLBACK = CFUNCTYPE(c_size_t, c_void_p, c_size_t, c_void_p, c_size_t, c_size_t, c_size_t, c_size_t)
"""A host function: data, context, type, arguments, their number, results, their number → an error or 0."""
DESTRUCTOR = CFUNCTYPE(c_size_t, c_void_p, c_size_t, c_uint32)
"""What is called when a guest drops a host resource: data, context, rep → an error or 0."""


def _offset(structure: Any, name: str) -> int:
    return int(getattr(structure, name).offset)


Val = _bindings.wasmtime_component_val_t
_VEC = _bindings.wasm_name_t
_ENTRY = _bindings.wasmtime_component_valrecord_entry_t
_VARIANT = _bindings.wasmtime_component_valvariant_t
_RESULT = _bindings.wasmtime_component_valresult_t

SIZE: int = ctypes.sizeof(Val)
FUNC_SIZE: int = ctypes.sizeof(_bindings.wasmtime_component_func_t)
PAYLOAD: int = _offset(Val, "of")
"""Where in a value its payload begins: the offset of everything below adds to it."""
VEC_SIZE: int = PAYLOAD + _offset(_VEC, "size")
"""Of a string, an enum, a list, a record, a tuple, flags."""
VEC_DATA: int = PAYLOAD + _offset(_VEC, "data")
VARIANT_SIZE: int = PAYLOAD + _offset(_VARIANT, "discriminant") + _offset(_VEC, "size")
VARIANT_DATA: int = PAYLOAD + _offset(_VARIANT, "discriminant") + _offset(_VEC, "data")
VARIANT_VAL: int = PAYLOAD + _offset(_VARIANT, "val")
RESULT_OK: int = PAYLOAD + _offset(_RESULT, "is_ok")
RESULT_VAL: int = PAYLOAD + _offset(_RESULT, "val")
ENTRY: int = ctypes.sizeof(_ENTRY)
"""One field of a record: its name, then its value."""
ENTRY_VAL: int = _offset(_ENTRY, "val")
NAME: int = ctypes.sizeof(_VEC)
"""One name of flags."""
NAME_SIZE: int = _offset(_VEC, "size")
NAME_DATA: int = _offset(_VEC, "data")

BOOL: int = _ffi.WASMTIME_COMPONENT_BOOL.value
S8: int = _ffi.WASMTIME_COMPONENT_S8.value
U8: int = _ffi.WASMTIME_COMPONENT_U8.value
S16: int = _ffi.WASMTIME_COMPONENT_S16.value
U16: int = _ffi.WASMTIME_COMPONENT_U16.value
S32: int = _ffi.WASMTIME_COMPONENT_S32.value
U32: int = _ffi.WASMTIME_COMPONENT_U32.value
S64: int = _ffi.WASMTIME_COMPONENT_S64.value
U64: int = _ffi.WASMTIME_COMPONENT_U64.value
STRING: int = _ffi.WASMTIME_COMPONENT_STRING.value
LIST: int = _ffi.WASMTIME_COMPONENT_LIST.value
RECORD: int = _ffi.WASMTIME_COMPONENT_RECORD.value
TUPLE: int = _ffi.WASMTIME_COMPONENT_TUPLE.value
VARIANT: int = _ffi.WASMTIME_COMPONENT_VARIANT.value
ENUM: int = _ffi.WASMTIME_COMPONENT_ENUM.value
OPTION: int = _ffi.WASMTIME_COMPONENT_OPTION.value
RESULT: int = _ffi.WASMTIME_COMPONENT_RESULT.value
FLAGS: int = _ffi.WASMTIME_COMPONENT_FLAGS.value
RESOURCE: int = _ffi.WASMTIME_COMPONENT_RESOURCE.value
