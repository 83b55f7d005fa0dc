"""WIT values in memory → JSON values, within a budget.

Decides how a result looks as JSON; the forms are those of `sandbox.wit.forms`. A type is compiled once into a function that
reads a slot out of bytes that were copied in one piece with their neighbours.

Rules: a guest chooses the size, so the budget is charged before anything of that size is made. Nothing is freed here: the
caller deletes the root.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from struct import Struct
from struct import error as StructError  # noqa: N812 - a class, whatever its module calls it
from typing import Any

from sandbox.errors import ComponentError
from sandbox.host.worker import values_layout as c
from sandbox.wit import forms
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

_NUMBERS = {
    "bool": "?23x",
    "s8": "b23x",
    "u8": "B23x",
    "s16": "h22x",
    "u16": "H22x",
    "s32": "i20x",
    "u32": "I20x",
    "s64": "q16x",
    "u64": "Q16x",
    "f32": "f20x",
    "f64": "d16x",
    "char": "I20x",
}
_SINGLE = Struct("<f")


class OutputTooLarge(Exception):  # noqa: N818 - it ends the call as a limit, `output`
    """A result has more JSON text than the call may return; `limit` is in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the result is larger than {limit} bytes of JSON")
        self.limit = limit


class Budget:
    """The bytes of JSON that a result may still take."""

    __slots__ = ("left", "limit")

    def __init__(self, limit: int) -> None:
        self.left = self.limit = limit

    def spend(self, size: int) -> None:
        """Charge `size` bytes, a lower bound of what the value will take. Raises `OutputTooLarge`."""
        self.left -= size
        if self.left < 0:
            raise OutputTooLarge(self.limit)


Read = Callable[[bytes, int, Budget], Any]


def read(wit: WitType) -> Read:
    """The function that reads the slot at an offset of some bytes as a JSON value of this type."""
    match wit:
        case Primitive():
            return _read_string if wit.name == "string" else _read_number(wit.name)
        case ListOf():
            return _read_bytes if forms.is_bytes(wit) else _read_list(wit.element)
        case TupleOf():
            return _read_tuple(wit.elements)
        case Record():
            return _read_record(wit.fields)
        case Variant():
            return _read_variant(wit.cases)
        case EnumOf():
            return _read_string
        case FlagsOf():
            return _read_flags(wit.names)
        case OptionOf():
            return _read_option(wit)
        case ResultOf():
            return _read_result(wit)
        case Unsupported():
            raise ComponentError(f"`{wit.spelling}` cannot travel as JSON")


def shown_f32(number: float) -> float:
    """The shortest decimal that is this `f32` again: 0.1, where the exact value is 0.10000000149011612."""
    for digits in range(6, 9):
        shorter = float(f"{number:.{digits}g}")
        try:
            if abs(shorter) <= forms.F32_MAX and _SINGLE.unpack(_SINGLE.pack(shorter))[0] == number:
                return shorter
        except (OverflowError, StructError):
            continue  # rounded up beyond the largest f32
    return number


def _finite(number: float) -> float | str:
    if number - number == 0.0:
        return number
    return "NaN" if number != number else ("Infinity" if number > 0 else "-Infinity")


def _wide(number: int) -> int | str:
    return number if -forms.SAFE <= number <= forms.SAFE else str(number)


def _show(name: str) -> Callable[[Any], Any] | None:
    """How a C number becomes JSON, or None where it already is."""
    if name == "f32":
        return lambda number: shown_f32(number) if number - number == 0.0 else _finite(number)
    return {"f64": _finite, "u64": _wide, "s64": _wide, "char": chr}.get(name)


def _read_number(name: str) -> Read:
    if name not in _NUMBERS:
        raise ComponentError(f"`{name}` is no WIT type that this host knows")
    unpack, show = Struct("<8x" + _NUMBERS[name]).unpack_from, _show(name)
    if show is None:
        return lambda slots, at, _budget: unpack(slots, at)[0]
    return lambda slots, at, _budget: show(unpack(slots, at)[0])


def _text(slots: bytes, at: int, budget: Budget) -> str:
    size, pointer = c.PAIR.unpack_from(slots, at)
    budget.spend(size + 2)
    return c.string_at(pointer, size).decode() if size else ""


def _read_string(slots: bytes, at: int, budget: Budget) -> Any:
    return _text(slots, at + 8, budget)


def _read_bytes(slots: bytes, at: int, budget: Budget) -> Any:
    """`list<u8>` at memory speed: every 32nd byte of the slots in one strided copy."""
    size, pointer = c.PAIR.unpack_from(slots, at + 8)
    budget.spend((size + 2) // 3 * 4 + 2)
    if not size:
        return ""
    data = c.view(pointer, size * c.SLOT)[8 :: c.SLOT].tobytes()
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def _read_list(element: WitType) -> Read:
    if isinstance(element, Primitive) and element.name != "string":
        return _read_numbers(element.name)
    one = read(element)

    def read_list(slots: bytes, at: int, budget: Budget) -> Any:
        size, pointer = c.PAIR.unpack_from(slots, at + 8)
        budget.spend(size * 2 + 1)
        if not size:
            return []
        inner = c.string_at(pointer, size * c.SLOT)
        return [one(inner, offset, budget) for offset in range(0, size * c.SLOT, c.SLOT)]

    return read_list


def _read_numbers(name: str) -> Read:
    unpack, show = Struct("<8x" + _NUMBERS[name]).iter_unpack, _show(name)

    def read_numbers(slots: bytes, at: int, budget: Budget) -> Any:
        size, pointer = c.PAIR.unpack_from(slots, at + 8)
        budget.spend(size * 2 + 1)
        if not size:
            return []
        numbers = unpack(c.view(pointer, size * c.SLOT))
        return [number for (number,) in numbers] if show is None else [show(number) for (number,) in numbers]

    return read_numbers


def _read_tuple(elements: tuple[WitType, ...]) -> Read:
    plan = [(read(element), index * c.SLOT) for index, element in enumerate(elements)]

    def read_tuple(slots: bytes, at: int, budget: Budget) -> Any:
        size, pointer = c.PAIR.unpack_from(slots, at + 8)
        budget.spend(size + 1)
        inner = c.string_at(pointer, size * c.SLOT)
        return [one(inner, offset, budget) for one, offset in plan]

    return read_tuple


def _read_record(fields: tuple[tuple[str, WitType], ...]) -> Read:
    plan = [(name, read(wit), index * c.ENTRY + 16) for index, (name, wit) in enumerate(fields)]
    size, cost = len(plan) * c.ENTRY, sum(len(name) + 4 for name, _wit in fields) + 1

    def read_record(slots: bytes, at: int, budget: Budget) -> Any:
        budget.spend(cost)
        inner = c.string_at(c.PAIR.unpack_from(slots, at + 8)[1], size)
        return {name: one(inner, offset, budget) for name, one, offset in plan}

    return read_record


def _unboxed(one: Read, pointer: int, budget: Budget) -> Any:
    return one(c.string_at(pointer, c.SLOT), 0, budget)


def _read_variant(cases: tuple[tuple[str, WitType | None], ...]) -> Read:
    plan = {name: None if wit is None else read(wit) for name, wit in cases}

    def read_variant(slots: bytes, at: int, budget: Budget) -> Any:
        budget.spend(10)
        tag = _text(slots, at + 8, budget)
        one = plan[tag]
        if one is None:
            return {"tag": tag}
        return {"tag": tag, "val": _unboxed(one, c.WORD.unpack_from(slots, at + 24)[0], budget)}

    return read_variant


def _read_flags(names: tuple[str, ...]) -> Read:
    def read_flags(slots: bytes, at: int, budget: Budget) -> Any:
        size, pointer = c.PAIR.unpack_from(slots, at + 8)
        inner = c.string_at(pointer, size * 16) if size else b""
        given = {_text(inner, offset, budget) for offset in range(0, size * 16, 16)}
        return [name for name in names if name in given]

    return read_flags


def _read_option(option: OptionOf) -> Read:
    one, nested = read(option.payload), forms.needs_some(option)

    def read_option(slots: bytes, at: int, budget: Budget) -> Any:
        pointer = c.WORD.unpack_from(slots, at + 8)[0]
        if not pointer:
            return None
        value = _unboxed(one, pointer, budget)
        return {"some": value} if nested else value

    return read_option


def _read_result(result: ResultOf) -> Read:
    outcome = read_outcome(result)

    def read_result(slots: bytes, at: int, budget: Budget) -> Any:
        budget.spend(8)
        is_err, value = outcome(slots, at, budget)
        return {"err" if is_err else "ok": value}

    return read_result


def read_outcome(result: ResultOf) -> Callable[[bytes, int, Budget], tuple[bool, Any]]:
    """The function that reads a `result` apart: whether it is the `err`, and its payload (None where it has none)."""
    ok = None if result.ok is None else read(result.ok)
    err = None if result.err is None else read(result.err)

    def outcome(slots: bytes, at: int, budget: Budget) -> tuple[bool, Any]:
        is_err, pointer = not slots[at + 8], c.WORD.unpack_from(slots, at + 16)[0]
        one = err if is_err else ok
        return is_err, None if one is None else _unboxed(one, pointer, budget)

    return outcome
