"""Types without pointers: the 32 bytes of a value, so that a list of them is one copy.

Decides which JSON numbers, booleans and characters a type accepts: exactly its own, nothing coerced or rounded to fit. A float
is rounded to the nearest, as every reader of JSON does, but never to infinity.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any

from sandbox.errors import ComponentError
from sandbox.host.worker import values_layout as c
from sandbox.host.worker.values_refused import Refused, expected
from sandbox.wit import forms
from sandbox.wit.refusal import quoted
from sandbox.wit.types import Primitive, WitType

Pack = Callable[[Any], bytes]

_INTEGER_FORMATS = {
    "s8": (c.S8, "b23x"),
    "u8": (c.U8, "B23x"),
    "s16": (c.S16, "h22x"),
    "u16": (c.U16, "H22x"),
    "s32": (c.S32, "i20x"),
    "u32": (c.U32, "I20x"),
    "s64": (c.S64, "q16x"),
    "u64": (c.U64, "Q16x"),
}
_NOT_FINITE = {name: float(name) for name in forms.NOT_FINITE}
_STRINGS = 'what is not finite is one of the strings `"NaN"`, `"Infinity"`, `"-Infinity"`'


def pack(wit: WitType) -> Pack | None:
    """The function that gives the 32 bytes of a value without pointers, or None where the type has pointers."""
    if not isinstance(wit, Primitive) or wit.name == "string":
        return None
    if wit.name in forms.INTEGERS:
        return pack_integer(wit.name)
    known = {"bool": _pack_bool, "char": _pack_char, "f32": _pack_f32, "f64": _pack_f64}
    if wit.name not in known:
        raise ComponentError(f"`{wit.name}` is no WIT type that this host knows")
    return known[wit.name]


_BOOL = Struct("<B7xB23x")
_CHAR = Struct("<B7xI20x")
_F32 = Struct("<B7xf20x")
_F64 = Struct("<B7xd16x")


def _pack_bool(value: Any) -> bytes:
    if type(value) is not bool:
        raise expected("true or false", value)
    return _BOOL.pack(c.BOOL, value)


def _pack_char(value: Any) -> bytes:
    if type(value) is not str or len(value) != 1:
        raise expected("a string of exactly one character", value)
    if "\ud800" <= value <= "\udfff":
        raise Refused("a lone surrogate is no character")
    return _CHAR.pack(c.CHAR, ord(value))


def pack_integer(name: str) -> Pack:
    """The function that gives the 32 bytes of one integer type's value. Raises `Refused`."""
    low, high = forms.INTEGERS[name]
    kind, spelling = _INTEGER_FORMATS[name]
    packed, wide = Struct("<B7x" + spelling).pack, name in forms.WIDE

    def pack_one(value: Any) -> bytes:
        if type(value) is not int:
            if not (wide and type(value) is str):
                raise _no_integer(name, value)
            value = _from_decimal(name, value)
        elif wide and not -forms.SAFE <= value <= forms.SAFE:
            raise Refused(
                f"{quoted(value)} is beyond ±2^53, where JSON numbers lose digits", help="write it as a string of digits"
            )
        if not low <= value <= high:
            raise Refused(f"{quoted(value)} is outside of {name}, {low} to {high}")
        return packed(kind, value)

    return pack_one


def _no_integer(name: str, value: Any) -> Refused:
    if type(value) is float and value.is_integer():
        return Refused(f"expected an integer ({name}), got {quoted(value)}", help="write it without a fraction or exponent")
    what = "an integer or a decimal string" if name in forms.WIDE else "an integer"
    return expected(f"{what} ({name})", value)


def _from_decimal(name: str, text: str) -> int:
    if not forms.is_decimal(name, text):
        raise Refused(f"{quoted(text)} is no {name}", help='write decimal digits without leading zeros, `"18"`')
    return int(text)


def _number(value: Any) -> float:
    if type(value) is str and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if type(value) is not float and type(value) is not int:
        raise Refused(f"expected a number, got {quoted(value)}", help=_STRINGS)
    try:
        number = float(value)
    except OverflowError:
        raise Refused(f"{quoted(value)} is too large for a float") from None
    if number - number != 0.0:
        raise Refused("a number that is not finite", help=_STRINGS)
    return number


def _pack_f32(value: Any) -> bytes:
    number = _number(value)
    if type(value) is not str and not -forms.F32_MAX <= value <= forms.F32_MAX:
        raise Refused(f"{quoted(value)} is too large for f32")
    return _F32.pack(c.F32, number)


def _pack_f64(value: Any) -> bytes:
    return _F64.pack(c.F64, _number(value))
