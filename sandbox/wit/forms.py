"""The JSON forms of WIT values that schema and conversion share, so that they cannot drift apart.

Decides how a WIT value looks as JSON; `sandbox.wit.schema` publishes the forms, `sandbox.host.worker.values` moves them.

- `u64`, `s64`: a number up to 2⁵³−1 either side of zero, beyond that a decimal string: JavaScript rounds larger numbers.
- `f32`, `f64`: a number, or one of `"NaN"`, `"Infinity"`, `"-Infinity"`.
- `list<u8>`: base64 (RFC 4648 §4, padded, canonical); as an argument an array of numbers too.
- `option<T>`: null or the value; where `T` is itself an option, `{"some": …}` holds it, so that null stays unambiguous.
- `variant`: `{"tag": name}`, with `"val"` where the case has a payload. `result`: `{"ok": …}` or `{"err": …}`.
- `record`: an object; a field or parameter that is an option may be left out. `tuple`: an array of that length.
- `enum`: its name. `flags`: an array of distinct names.
"""

from __future__ import annotations

import re

from sandbox.wit.types import ListOf, OptionOf, Primitive, WitType

SAFE = 2**53 - 1
"""The largest integer that every JSON reader keeps exact (RFC 8259 §6)."""

F32_MAX = 3.4028234663852886e38
"""The largest finite `f32`."""

INTEGERS = {
    "s8": (-(2**7), 2**7 - 1),
    "u8": (0, 2**8 - 1),
    "s16": (-(2**15), 2**15 - 1),
    "u16": (0, 2**16 - 1),
    "s32": (-(2**31), 2**31 - 1),
    "u32": (0, 2**32 - 1),
    "s64": (-(2**63), 2**63 - 1),
    "u64": (0, 2**64 - 1),
}
"""The integer types with the smallest and largest value of each."""

WIDE = {"s64": "^(0|-?[1-9][0-9]{0,18})$", "u64": "^(0|[1-9][0-9]{0,19})$"}
"""What a 64-bit integer looks like as a string. The last few of these are out of range and refused when they are used."""

NOT_FINITE = ("NaN", "Infinity", "-Infinity")

BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"
"""Canonical base64: padded, and no bits that decoding would drop."""

_DECIMAL = {name: re.compile(pattern[:-1] + r"\Z") for name, pattern in WIDE.items()}


def is_decimal(name: str, text: str) -> bool:
    """Whether a string is how `s64` or `u64` may be written; its range is not looked at."""
    return _DECIMAL[name].match(text) is not None


def is_bytes(wit: WitType) -> bool:
    """Whether a type is `list<u8>`."""
    return isinstance(wit, ListOf) and wit.element == Primitive("u8")


def may_be_left_out(wit: WitType) -> bool:
    """Whether a field or parameter of this type may be missing."""
    return isinstance(wit, OptionOf)


def needs_some(option: OptionOf) -> bool:
    """Whether the payload is itself null sometimes, so that `{"some": …}` has to hold it."""
    return isinstance(option.payload, OptionOf)
