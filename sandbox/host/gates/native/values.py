"""C values of the component model, read and built where they lie.

Decides nothing. A value is an address; it says of itself what it is, so reading needs no types. Reading copies and frees
nothing. Building allocates with Wasmtime's own allocator: what is built is handed over whole, to a result, to a box, or to
`Slot.clear`.

Rules: a `Handle` read from a value is that value's own; to keep it, `keep` makes another box of the same handle; a value that
is built of a `Handle` has a box of its own.
"""

from __future__ import annotations

import ctypes
from ctypes import c_bool, c_uint8, c_uint16, c_uint32, c_uint64, string_at
from dataclasses import dataclass
from typing import Any, NamedTuple

from sandbox.host.gates.native import ffi

_u8 = c_uint8.from_address
_u64 = c_uint64.from_address


class Handle(NamedTuple):
    """A resource handle: the address of the box that names it."""

    pointer: int


class Case(NamedTuple):
    """A case of a variant, with its payload or None."""

    name: str
    payload: Any = None


class Ok(NamedTuple):
    """The good end of a `result`."""

    value: Any = None


class Err(NamedTuple):
    """The other end of a `result`."""

    value: Any = None


@dataclass(frozen=True, slots=True)
class Name:
    """An enum's case, where it is to be told from a string."""

    name: str


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags that are set, to be built."""

    names: tuple[str, ...]


class MalformedError(RuntimeError):
    """A value is not of the kind that its function's type promises: a fault of the host, never of a guest."""


def word(address: int) -> int:
    """The 64 bits at an address: a pointer, a size."""
    return _u64(address).value


def byte(address: int) -> int:
    """The byte at an address: a kind, a boolean."""
    return _u8(address).value


def text(value: int) -> str:
    """The string, or the name of the enum's case, that lies at `value`."""
    return string_at(_u64(value + ffi.VEC_DATA).value, _u64(value + ffi.VEC_SIZE).value).decode()


def raw(value: int) -> bytes:
    """The bytes of the string, or of the name of the enum's case, that lies at `value`."""
    return string_at(_u64(value + ffi.VEC_DATA).value, _u64(value + ffi.VEC_SIZE).value)


def resource(value: int) -> int:
    """The pointer of the handle that lies at `value`."""
    if _u8(value).value != ffi.RESOURCE:
        raise MalformedError(f"a handle was expected, not kind {_u8(value).value}")
    return _u64(value + ffi.PAYLOAD).value


def flag_names(value: int) -> list[bytes]:
    """The names of the flags that are set at `value`."""
    data, size = _u64(value + ffi.VEC_DATA).value, _u64(value + ffi.VEC_SIZE).value
    ends = range(data, data + size * ffi.NAME, ffi.NAME)
    return [string_at(_u64(at + ffi.NAME_DATA).value, _u64(at + ffi.NAME_SIZE).value) for at in ends]


def flag_bits(value: int, bits: dict[bytes, int]) -> int:
    """The flags that are set at `value`, each as its bit."""
    found, size = 0, _u64(value + ffi.VEC_SIZE).value
    if size:
        at = _u64(value + ffi.VEC_DATA).value
        for name in range(at, at + size * ffi.NAME, ffi.NAME):
            found |= bits[string_at(_u64(name + ffi.NAME_DATA).value, _u64(name + ffi.NAME_SIZE).value)]
    return found


def keep(pointer: int) -> int:
    """A box of our own for the handle that `pointer` names; to be given to `ffi.any_delete` once."""
    return int(ffi.any_clone(pointer))


def read(value: int) -> Any:
    """The Python value of the C value at `value`.

    string → str, enum → `Name`, variant → `Case`, result → `Ok`/`Err`, option → the payload or None, record → dict,
    tuple → tuple, flags → frozenset of str, handle → `Handle`.
    """
    kind = byte(value)
    reader = _READERS.get(kind)
    if reader is None:
        raise MalformedError(f"no rule to read a value of kind {kind}")
    return reader(value)


def _items(value: int) -> list[Any]:
    data, size = word(value + ffi.VEC_DATA), word(value + ffi.VEC_SIZE)
    return [read(at) for at in range(data, data + size * ffi.SIZE, ffi.SIZE)]


def fields(value: int) -> dict[str, int]:
    """The fields of the record at `value`: the address of each, by its name."""
    data, size = word(value + ffi.VEC_DATA), word(value + ffi.VEC_SIZE)
    found = {}
    for at in range(data, data + size * ffi.ENTRY, ffi.ENTRY):
        found[string_at(word(at + ffi.NAME_DATA), word(at + ffi.NAME_SIZE)).decode()] = at + ffi.ENTRY_VAL
    return found


def _boxed(pointer: int) -> Any:
    return read(pointer) if pointer else None


def _case(value: int) -> Case:
    name = string_at(word(value + ffi.VARIANT_DATA), word(value + ffi.VARIANT_SIZE)).decode()
    return Case(name, _boxed(word(value + ffi.VARIANT_VAL)))


def _result(value: int) -> Ok | Err:
    payload = _boxed(word(value + ffi.RESULT_VAL))
    return Ok(payload) if byte(value + ffi.RESULT_OK) else Err(payload)


def _signed(kind: Any) -> Any:
    return lambda value: kind.from_address(value + ffi.PAYLOAD).value


_READERS = {
    ffi.BOOL: _signed(c_bool),
    ffi.U8: _signed(c_uint8),
    ffi.U16: _signed(c_uint16),
    ffi.U32: _signed(c_uint32),
    ffi.U64: _signed(c_uint64),
    ffi.S8: _signed(ctypes.c_int8),
    ffi.S16: _signed(ctypes.c_int16),
    ffi.S32: _signed(ctypes.c_int32),
    ffi.S64: _signed(ctypes.c_int64),
    ffi.STRING: text,
    ffi.ENUM: lambda value: Name(text(value)),
    ffi.LIST: _items,
    ffi.TUPLE: lambda value: tuple(_items(value)),
    ffi.RECORD: lambda value: {name: read(at) for name, at in fields(value).items()},
    ffi.VARIANT: _case,
    ffi.OPTION: lambda value: _boxed(word(value + ffi.PAYLOAD)),
    ffi.RESULT: _result,
    ffi.FLAGS: lambda value: frozenset(name.decode() for name in flag_names(value)),
    ffi.RESOURCE: lambda value: Handle(resource(value)),
}


class Slot:
    """One C value of our own: room for an argument that is built, or for what a call returns."""

    __slots__ = ("_val", "address")

    def __init__(self) -> None:
        self._val = ffi.Val()  # zeros: `Bool(false)`, which owns nothing
        self.address = ctypes.addressof(self._val)

    def clear(self) -> None:
        """Free what lies here."""
        ffi.val_delete(self.address)
        self._val.kind = ffi.BOOL


def build(into: int, value: Any) -> None:
    """Write a new C value over the `Bool(false)` at `into`: of a str a string, of an int a u64, and what `read` gives.

    An option is built with `some` or `none`, a number of another width with `number`, raw bytes as a `list<u8>`.
    """
    if isinstance(value, _Build):
        value.write(into)
    elif isinstance(value, bool):
        number(value, ffi.BOOL).write(into)
    elif isinstance(value, int):
        number(value, ffi.U64).write(into)
    elif isinstance(value, str):
        _named(into, ffi.STRING, value)
    elif isinstance(value, Name):
        _named(into, ffi.ENUM, value.name)
    elif isinstance(value, Handle):
        _u64(into + ffi.PAYLOAD).value = keep(value.pointer)
        _u8(into).value = ffi.RESOURCE
    elif isinstance(value, Ok | Err):
        _build_result(into, value)
    elif isinstance(value, Case):
        _build_case(into, value)
    elif isinstance(value, Flags):
        _build_flags(into, value)
    elif isinstance(value, dict):
        _build_record(into, value)
    elif isinstance(value, tuple | list):
        _build_items(into, ffi.TUPLE if isinstance(value, tuple) else ffi.LIST, value)
    else:
        raise MalformedError(f"no rule to build a value of {type(value).__name__}")


@dataclass(frozen=True, slots=True)
class _Build:
    kind: int
    value: Any = None

    def write(self, into: int) -> None:
        """Write the value at `into`."""
        if self.kind == ffi.OPTION:
            pointer = 0 if self.value is None else box(self.value[0])
            _u64(into + ffi.PAYLOAD).value = pointer
        else:
            c_uint64.from_address(into + ffi.PAYLOAD).value = self.value
        _u8(into).value = self.kind


def some(value: Any) -> _Build:
    """An option that holds `value`."""
    return _Build(ffi.OPTION, (value,))


@dataclass(frozen=True, slots=True)
class _Octets(_Build):
    """A `list<u8>`, laid out at once: a value for each byte, but no step of Python's."""

    def write(self, into: int) -> None:
        data: bytes = self.value
        ffi.list_new_uninit(into + ffi.VEC_SIZE, len(data))
        items = bytearray(len(data) * ffi.SIZE)
        items[:: ffi.SIZE] = bytes((ffi.U8,)) * len(data)
        items[ffi.PAYLOAD :: ffi.SIZE] = data
        ctypes.memmove(word(into + ffi.VEC_DATA), (ctypes.c_char * len(items)).from_buffer(items), len(items))
        _u8(into).value = ffi.LIST


def octets(data: bytes) -> _Build:
    """A `list<u8>`."""
    return _Octets(ffi.LIST, data)


def read_octets(value: int) -> bytes:
    """The bytes of the `list<u8>` that lies at `value`."""
    return string_at(word(value + ffi.VEC_DATA), word(value + ffi.VEC_SIZE) * ffi.SIZE)[ffi.PAYLOAD :: ffi.SIZE]


none = _Build(ffi.OPTION)
"""An option that holds nothing."""


def number(value: int, kind: int) -> _Build:
    """A number (or boolean) of the C API's kind `kind`."""
    return _Build(kind, value)


def box(value: Any) -> int:
    """A value in a box of its own, as a result, an option or a variant's case points to; whoever gets it owns it."""
    slot = Slot()
    build(slot.address, value)
    return int(ffi.val_new(slot.address))


def _named(into: int, kind: int, name: str) -> None:
    raw = name.encode()
    ffi.byte_vec_new(into + ffi.VEC_SIZE, len(raw), raw)
    _u8(into).value = kind


def _build_result(into: int, value: Ok | Err) -> None:
    pointer = 0 if value.value is None else box(value.value)
    _u8(into + ffi.RESULT_OK).value = isinstance(value, Ok)
    _u64(into + ffi.RESULT_VAL).value = pointer
    _u8(into).value = ffi.RESULT


def _build_case(into: int, value: Case) -> None:
    pointer = 0 if value.payload is None else box(value.payload)
    raw = value.name.encode()
    ffi.byte_vec_new(into + ffi.VARIANT_SIZE, len(raw), raw)
    _u64(into + ffi.VARIANT_VAL).value = pointer
    _u8(into).value = ffi.VARIANT


def _build_items(into: int, kind: int, items: tuple[Any, ...] | list[Any]) -> None:
    ffi.list_new_uninit(into + ffi.VEC_SIZE, len(items))  # a tuple's vector is laid out as a list's
    data = word(into + ffi.VEC_DATA)
    _u8(into).value = kind
    for i, item in enumerate(items):
        build(data + i * ffi.SIZE, item)


def _build_flags(into: int, value: Flags) -> None:
    ffi.flags_new_uninit(into + ffi.VEC_SIZE, len(value.names))
    data = word(into + ffi.VEC_DATA)
    _u8(into).value = ffi.FLAGS
    for i, name in enumerate(value.names):
        raw_name = name.encode()
        ffi.byte_vec_new(data + i * ffi.NAME, len(raw_name), raw_name)


def _build_record(into: int, entries: dict[str, Any]) -> None:
    ffi.record_new_uninit(into + ffi.VEC_SIZE, len(entries))
    data = word(into + ffi.VEC_DATA)
    _u8(into).value = ffi.RECORD
    for i, (name, item) in enumerate(entries.items()):
        at, raw = data + i * ffi.ENTRY, name.encode()
        ffi.byte_vec_new(at + ffi.NAME_SIZE, len(raw), raw)
        build(at + ffi.ENTRY_VAL, item)


def set_word(address: int, value: int) -> None:
    """Write 64 bits."""
    _u64(address).value = value


def set_byte(address: int, value: int) -> None:
    """Write a byte."""
    _u8(address).value = value


def set_kind(value: int, kind: int) -> None:
    """Say what lies at `value`, when its payload is in place."""
    _u8(value).value = kind


def move(value: int) -> int:
    """Take the handle out of the value at `value`, which owns nothing after: the box is ours now."""
    pointer = resource(value)
    _u8(value).value = ffi.BOOL
    return pointer


def transfer(value: int, into: int) -> None:
    """Move a whole value over the `Bool(false)` at `into`; what is left at `value` owns nothing."""
    ctypes.memmove(into, value, ffi.SIZE)
    _u8(value).value = ffi.BOOL


def payload(result: int) -> int:
    """The address of what the `result` at `result` holds, good or not."""
    return _u64(result + ffi.RESULT_VAL).value


def is_ok(result: int) -> bool:
    """Whether the `result` at `result` is good."""
    return _u8(result + ffi.RESULT_OK).value != 0
