"""JSON → WIT values in memory, strict and exact: nothing is coerced, rounded to fit, or ignored.

Decides which JSON a type accepts; `sandbox.wit.schema` publishes the same, and a property test holds the two together.
A type is compiled once into a function that fills a zeroed slot at an address; types without pointers are compiled into
one that gives the slot's 32 bytes, so that a list of them is one copy.

Rules: whatever raises half-way leaves memory that deleting the root frees (`values_layout`).
"""

from __future__ import annotations

import binascii
import ctypes
from collections.abc import Callable
from typing import Any

from sandbox.errors import ComponentError
from sandbox.host.worker import values_layout as c
from sandbox.host.worker.values_pack import Pack, pack, pack_integer
from sandbox.host.worker.values_refused import Refused, check_keys, expected, no_name
from sandbox.wit import forms
from sandbox.wit.refusal import listed, quoted
from sandbox.wit.types import (
    EnumOf,
    FlagsOf,
    ListOf,
    OptionOf,
    Primitive,
    Record,
    ResultOf,
    TupleOf,
    Unsupported,
    Variant,
    WitType,
)

Fill = Callable[[Any, int], None]


def fill(wit: WitType) -> Fill:
    """The function that writes a JSON value of this type into a zeroed slot. Raises `Refused`."""
    flat = pack(wit)
    if flat is not None:
        return _fill_flat(flat)
    match wit:
        case Primitive():
            return _fill_string
        case ListOf():
            return _fill_bytes if forms.is_bytes(wit) else _fill_list(wit.element)
        case TupleOf():
            return _fill_tuple(wit.elements)
        case Record():
            return _fill_record(wit.fields)
        case Variant():
            return _fill_variant(wit.cases)
        case EnumOf():
            return _fill_enum(wit.names)
        case FlagsOf():
            return _fill_flags(wit.names)
        case OptionOf():
            return _fill_option(wit)
        case ResultOf():
            return _fill_result(wit)
        case Unsupported():
            raise ComponentError(f"`{wit.spelling}` cannot travel as JSON")


def _fill_flat(flat: Pack) -> Fill:
    def fill_flat(value: Any, at: int) -> None:
        c.memmove(at, flat(value), c.SLOT)

    return fill_flat


def _encoded(value: Any) -> bytes:
    if type(value) is not str:
        raise expected("a string", value)
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise Refused("a lone surrogate is no text") from None


def _fill_string(value: Any, at: int) -> None:
    data = _encoded(value)
    c.new_bytes(at + 8, len(data), data)
    c.put_kind(at, c.STRING)


def _fill_bytes(value: Any, at: int) -> None:
    """`list<u8>` at memory speed: the bytes go into every 32nd place of the slots in one strided copy."""
    data = _from_base64(value) if type(value) is str else _from_numbers(value)
    c.new_list(at + 8, len(data))
    if data:
        slots = c.view(c.word_at(at + 16), len(data) * c.SLOT)
        slots[0 :: c.SLOT] = bytes([c.U8]) * len(data)
        slots[8 :: c.SLOT] = data
    c.put_kind(at, c.LIST)


def _from_base64(text: str) -> bytes:
    try:
        data = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (ValueError, binascii.Error):
        raise _no_base64(text) from None
    if binascii.b2a_base64(data, newline=False) != text.encode():
        raise _no_base64(text)  # bits that decoding drops: two texts would be one value
    return data


def _no_base64(text: str) -> Refused:
    return Refused(f"{quoted(text)} is no base64", help="write standard base64 with its padding, or an array of numbers 0 to 255")


def _from_numbers(value: Any) -> bytes:
    if type(value) is not list:
        raise expected("base64 (a string) or an array of numbers 0 to 255", value)
    if set(map(type, value)) <= {int}:
        try:
            return bytes(value)
        except (ValueError, OverflowError):
            pass  # the loop below finds which one
    item = pack_integer("u8")
    for index, element in enumerate(value):
        try:
            item(element)
        except Refused as refused:
            raise refused.at(f"[{index}]") from None
    raise AssertionError("bytes() refused what every element's check accepts")


def _slots(values: list[Any], fills: list[Fill] | Fill, data: int) -> None:
    """Fill the slots of a list or tuple, naming the element in a refusal."""
    one = fills if callable(fills) else None
    for index, value in enumerate(values):
        try:
            (one or fills[index])(value, data + index * c.SLOT)  # type: ignore[index]  # a list where `one` is None
        except Refused as refused:
            raise refused.at(f"[{index}]") from None


def _fill_list(element: WitType) -> Fill:
    flat, one = pack(element), fill(element)

    def fill_list(value: Any, at: int) -> None:
        if type(value) is not list:
            raise expected("an array", value)
        packed = _packed(value, flat) if flat else None
        c.new_list(at + 8, len(value))
        data = c.word_at(at + 16)
        if packed is not None:
            c.memmove(data, packed, len(packed))
            c.put_kind(at, c.LIST)
            return
        c.memset(data, 0, len(value) * c.SLOT)
        c.put_kind(at, c.LIST)
        _slots(value, one, data)

    return fill_list


def _packed(values: list[Any], flat: Pack) -> bytes:
    try:
        return b"".join(map(flat, values))
    except Refused:
        for index, value in enumerate(values):
            try:
                flat(value)
            except Refused as refused:
                raise refused.at(f"[{index}]") from None
        raise


def _fill_tuple(elements: tuple[WitType, ...]) -> Fill:
    fills = [fill(element) for element in elements]

    def fill_tuple(value: Any, at: int) -> None:
        if type(value) is not list:
            raise expected(f"an array of {len(fills)}", value)
        if len(value) != len(fills):
            raise Refused(f"expected exactly {len(fills)} elements, got {len(value)}")
        c.new_tuple(at + 8, len(fills))
        data = c.word_at(at + 16)
        c.memset(data, 0, len(fills) * c.SLOT)
        c.put_kind(at, c.TUPLE)
        _slots(value, fills, data)

    return fill_tuple


def _fill_record(fields: tuple[tuple[str, WitType], ...]) -> Fill:
    names = {name: forms.may_be_left_out(wit) for name, wit in fields}
    plan = [(name, fill(wit), 16 + index * c.ENTRY) for index, (name, wit) in enumerate(fields)]
    template = RecordTemplate(tuple(names))

    def fill_record(value: Any, at: int) -> None:
        if type(value) is not dict:
            raise expected("an object", value)
        check_keys(value, names, "field")
        c.copy_record(at + 8, template.at)
        c.put_kind(at, c.RECORD)
        data = c.word_at(at + 16)
        for name, write, offset in plan:
            # The copy left `false` in the slot, and what was in that memory before behind it.
            c.memset(data + offset, 0, c.SLOT)
            try:
                write(value.get(name), data + offset)
            except Refused as refused:
                raise refused.at(f".{name}") from None

    return fill_record


class RecordTemplate:
    """A record's field names with `false` in every field, copied in one call for each record."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._vector = (ctypes.c_uint64 * 2)()
        self.at = ctypes.addressof(self._vector)
        c.new_record(self.at, len(names))
        data = self._vector[1]
        c.memset(data, 0, len(names) * c.ENTRY)
        for index, name in enumerate(names):
            encoded = name.encode()
            c.new_bytes(data + index * c.ENTRY, len(encoded), encoded)

    def __del__(self) -> None:
        c.delete_record(self.at)


def _boxed(write: Fill, value: Any, pointer_at: int, step: str) -> None:
    """Attach an empty box at `pointer_at`, then fill it."""
    box = c.empty_box()
    c.put_word(pointer_at, box)
    try:
        write(value, box)
    except Refused as refused:
        raise refused.at(step) from None


def _fill_variant(cases: tuple[tuple[str, WitType | None], ...]) -> Fill:
    plan = {name: (name.encode(), None if wit is None else fill(wit), wit) for name, wit in cases}

    def fill_variant(value: Any, at: int) -> None:
        if type(value) is not dict or "tag" not in value:
            raise Refused(f"expected an object with `tag`, got {quoted(value)}", help=f"the tags are {listed(plan)}")
        encoded, write, wit = _case(plan, value["tag"])
        keys = {"tag": False} if wit is None else {"tag": False, "val": forms.may_be_left_out(wit)}
        check_keys(value, keys, "key")
        c.new_bytes(at + 8, len(encoded), encoded)
        c.put_kind(at, c.VARIANT)
        if write is not None:
            _boxed(write, value.get("val"), at + 24, ".val")

    return fill_variant


def _case(plan: dict[str, Any], tag: Any) -> Any:
    if type(tag) is not str or tag not in plan:
        raise no_name("tag", tag, plan).at(".tag")
    return plan[tag]


def _fill_enum(names: tuple[str, ...]) -> Fill:
    encoded = {name: name.encode() for name in names}

    def fill_enum(value: Any, at: int) -> None:
        data = encoded.get(value) if type(value) is str else None
        if data is None:
            raise no_name("name", value, names)
        c.new_bytes(at + 8, len(data), data)
        c.put_kind(at, c.ENUM)

    return fill_enum


def _fill_flags(names: tuple[str, ...]) -> Fill:
    encoded = {name: name.encode() for name in names}

    def fill_flags(value: Any, at: int) -> None:
        if type(value) is not list:
            raise expected("an array of names", value)
        for index, name in enumerate(value):
            if type(name) is not str or name not in encoded:
                raise no_name("flag", name, names).at(f"[{index}]")
        if len(set(value)) != len(value):
            raise Refused("a flag is named twice")
        c.new_flags(at + 8, len(value))
        data = c.word_at(at + 16)
        c.memset(data, 0, len(value) * 16)
        c.put_kind(at, c.FLAGS)
        for index, name in enumerate(value):
            c.new_bytes(data + index * 16, len(encoded[name]), encoded[name])

    return fill_flags


def _fill_option(option: OptionOf) -> Fill:
    write = fill(option.payload)

    def fill_option(value: Any, at: int) -> None:
        c.put_kind(at, c.OPTION)
        if value is not None:
            _boxed(write, value, at + 8, "")

    def fill_nested(value: Any, at: int) -> None:
        c.put_kind(at, c.OPTION)
        if value is None:
            return
        if type(value) is not dict or "some" not in value:
            raise Refused(f"expected null or an object with `some`, got {quoted(value)}", help='write `{"some": …}`')
        check_keys(value, {"some": False}, "key")
        _boxed(write, value["some"], at + 8, ".some")

    return fill_nested if forms.needs_some(option) else fill_option


def _fill_result(result: ResultOf) -> Fill:
    plan = {
        "ok": (1, None if result.ok is None else fill(result.ok)),
        "err": (0, None if result.err is None else fill(result.err)),
    }

    def fill_result(value: Any, at: int) -> None:
        if type(value) is not dict or len(value) != 1 or next(iter(value)) not in plan:
            raise Refused(f"expected an object with `ok` or `err`, got {quoted(value)}", help='write `{"ok": …}` or `{"err": …}`')
        ((key, payload),) = value.items()
        is_ok, write = plan[key]
        c.memset(at + 8, is_ok, 1)
        c.put_kind(at, c.RESULT)
        if write is not None:
            _boxed(write, payload, at + 16, f".{key}")
        elif payload is not None:
            raise expected("null", payload).at(f".{key}")

    return fill_result
