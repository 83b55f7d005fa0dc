"""Whether a JSON value is what a WIT type looks like in a result.

Decides what `sandbox.wit.schema` publishes for a result, without a reader of schemas: a value that was rewritten on its way out
is held to its type in one pass. A property test holds the two to each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

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

_BASE64 = re.compile(forms.BASE64[:-1] + r"\Z")


def fits(wit: WitType, value: Any) -> bool:
    """Whether the schema of a result of this type accepts a value."""
    match wit:
        case Primitive():
            return _primitive(wit.name, value)
        case ListOf():
            if forms.is_bytes(wit):
                return isinstance(value, str) and _BASE64.match(value) is not None
            return isinstance(value, list) and all(fits(wit.element, item) for item in value)
        case TupleOf():
            return isinstance(value, list) and len(value) == len(wit.elements) and all(map(fits, wit.elements, value))
        case Record():
            return _object(dict(wit.fields), value)
        case Variant():
            return _variant(dict(wit.cases), value)
        case EnumOf():
            return isinstance(value, str) and value in wit.names
        case FlagsOf():
            names = isinstance(value, list) and all(isinstance(item, str) and item in wit.names for item in value)
            return names and len(set(value)) == len(value)
        case OptionOf():
            return value is None or (_payload("some", wit.payload, value) if forms.needs_some(wit) else fits(wit.payload, value))
        case ResultOf():
            return any(_payload(key, payload, value) for key, payload in (("ok", wit.ok), ("err", wit.err)))
        case Unsupported():
            return False


def _primitive(name: str, value: Any) -> bool:
    match name:
        case "bool":
            return isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "char":
            return isinstance(value, str) and len(value) == 1
        case "f32" | "f64":
            return value in forms.NOT_FINITE if isinstance(value, str) else _number(name, value)
        case _:
            return forms.is_decimal(name, value) if isinstance(value, str) and name in forms.WIDE else _integer(name, value)


def _number(name: str, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return name == "f64" or -forms.F32_MAX <= value <= forms.F32_MAX


def _integer(name: str, value: Any) -> bool:
    low, high = forms.INTEGERS[name]
    return type(value) is int and max(low, -forms.SAFE) <= value <= min(high, forms.SAFE)


def _object(fields: Mapping[str, WitType], value: Any) -> bool:
    """A closed object with each of the fields that may not be left out."""
    if not isinstance(value, dict) or not value.keys() <= fields.keys():
        return False
    return all(fits(wit, value[name]) if name in value else forms.may_be_left_out(wit) for name, wit in fields.items())


def _variant(cases: Mapping[str, WitType | None], value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(tag := value.get("tag"), str) or tag not in cases:
        return False
    payload = cases[tag]
    return _object({} if payload is None else {"val": payload}, {key: item for key, item in value.items() if key != "tag"})


def _payload(key: str, payload: WitType | None, value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != {key}:
        return False
    return value[key] is None if payload is None else fits(payload, value[key])
