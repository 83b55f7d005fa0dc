"""Random WIT types, JSON that fits them, and JSON that nearly does."""

from __future__ import annotations

import base64
import copy
import struct
from typing import Any

from hypothesis import strategies as st

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
    Variant,
    WitType,
)

PRIMITIVES = [*forms.INTEGERS, "bool", "f32", "f64", "char", "string"]
# A pool: names from a pattern take most of the time that such a test has.
NAMES = st.sampled_from([f"{first}{rest}" for first in "abcdefgh" for rest in ("", "1", "-b", "-long-name", "-2")])


def _names(most: int) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(NAMES, min_size=1, max_size=most, unique=True).map(tuple)


def _named(inner: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[tuple[tuple[str, Any], ...]]:
    return st.lists(st.tuples(NAMES, inner), min_size=1, max_size=most, unique_by=lambda pair: pair[0]).map(tuple)


def _compound(inner: st.SearchStrategy[WitType]) -> st.SearchStrategy[WitType]:
    maybe = st.none() | inner
    return st.one_of(
        inner.map(ListOf),
        st.lists(inner, min_size=1, max_size=4).map(lambda elements: TupleOf(tuple(elements))),
        _named(inner, 5).map(Record),
        _named(maybe, 4).map(Variant),
        inner.map(OptionOf),
        st.builds(ResultOf, maybe, maybe),
    )


def wit_types() -> st.SearchStrategy[WitType]:
    """Any type that JSON carries; about one in ten has more than sixteen flat parameters."""
    leaves = st.one_of(
        st.sampled_from(PRIMITIVES).map(Primitive),
        st.just(ListOf(Primitive("u8"))),
        _names(5).map(EnumOf),
        _names(20).map(FlagsOf),
    )
    nested = st.recursive(leaves, _compound, max_leaves=8)
    return nested | st.lists(nested, min_size=9, max_size=20).map(lambda elements: TupleOf(tuple(elements)))


def _integers(name: str) -> st.SearchStrategy[Any]:
    low, high = forms.INTEGERS[name]
    shown = st.integers(low, high) | st.sampled_from([low, high])
    return shown.map(lambda number: number if -forms.SAFE <= number <= forms.SAFE else str(number))


def _primitive(name: str) -> st.SearchStrategy[Any]:
    if name in forms.INTEGERS:
        return _integers(name)
    if name in ("f32", "f64"):
        width = 32 if name == "f32" else 64
        return st.floats(allow_nan=False, allow_infinity=False, width=width) | st.sampled_from(forms.NOT_FINITE)
    characters = st.characters(exclude_categories=["Cs"])
    return {"bool": st.booleans(), "char": characters, "string": st.text(characters, max_size=12)}[name]


def values(wit: WitType) -> st.SearchStrategy[Any]:
    """JSON of a type in the form in which a guest's value is shown."""
    match wit:
        case Primitive():
            return _primitive(wit.name)
        case ListOf():
            if forms.is_bytes(wit):
                return st.binary(max_size=20).map(lambda data: base64.b64encode(data).decode())
            return st.lists(values(wit.element), max_size=4)
        case TupleOf():
            return st.tuples(*map(values, wit.elements)).map(list)
        case Record():
            return st.fixed_dictionaries({name: values(field) for name, field in wit.fields})
        case Variant():
            return st.one_of([_case(name, payload) for name, payload in wit.cases])
        case EnumOf():
            return st.sampled_from(wit.names)
        case FlagsOf():
            return st.sets(st.sampled_from(wit.names)).map(lambda given: [name for name in wit.names if name in given])
        case OptionOf():
            inner = values(wit.payload)
            return st.none() | (inner.map(lambda value: {"some": value}) if forms.needs_some(wit) else inner)
        case ResultOf():
            return st.one_of(_payload("ok", wit.ok), _payload("err", wit.err))
    raise TypeError(wit)


def _case(name: str, payload: WitType | None) -> st.SearchStrategy[Any]:
    return st.just({"tag": name}) if payload is None else values(payload).map(lambda value: {"tag": name, "val": value})


def _payload(key: str, payload: WitType | None) -> st.SearchStrategy[Any]:
    return (st.none() if payload is None else values(payload)).map(lambda value: {key: value})


# What a model writes that is nearly right, for every type at once.
NEARLY: list[Any] = [
    *(None, True, False, 0, 1, -1, 127, 128, 255, 256, 65535, 65536, 2**31, 2**32, 2**53 - 1, 2**53, -(2**53), 2**63, 2**64),
    *(0.5, -0.0, 1.0, 1e39, 3.4028234663852886e38, 3.4028235e38, int(3.4028234663852886e38) + 1, 1e308, 10**308),
    *(
        "",
        "0",
        "-0",
        "+1",
        "01",
        "1.0",
        " 1",
        "1\n",
        "-1",
        "9007199254740993",
        "18446744073709551615",
        "-9223372036854775808",
        "1e3",
    ),
    *("NaN", "nan", "Infinity", "-Infinity", "inf", "x", "xy", "\x00", "é", "e\u0301", "\U0001f600", "\ufeff"),
    *("AQ==", "AQ", "AQ=", "AR==", "AQI=", "AQJ=", "AQID", "AQ==\n", "A-_D", "A A=", "====", "AQ==AQ==", "A" * 40),
    *([], [1], [1, 2], [None], [[]], [256], [True], [1.0], ["a", "a"], [{}], {}, {"some": None}, {"some": 1}, {"ok": None}),
    *({"err": None}, {"ok": None, "err": None}, {"tag": "a"}, {"tag": 1}, {"val": 1}, {"__proto__": 1}, {"__class__": 1}),
]

JUNK = st.sampled_from(NEARLY).map(copy.deepcopy) | st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def nearly(draw: st.DrawFn, wit: WitType) -> Any:
    """JSON of a type with up to two places changed: a value, a key more or less, an element more or less."""
    value = copy.deepcopy(draw(values(wit)))
    for _change in range(draw(st.integers(0, 2))):
        value = _changed(draw, value)
    return value


def _changed(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict) and value and draw(st.booleans()):
        return _changed_object(draw, value)
    if isinstance(value, list) and draw(st.booleans()):
        return _changed_array(draw, value)
    return draw(JUNK)


def _changed_object(draw: st.DrawFn, value: dict[str, Any]) -> Any:
    key = draw(st.sampled_from(sorted(value)))
    match draw(st.sampled_from(["inside", "remove", "rename", "add"])):
        case "inside":
            value[key] = _changed(draw, value[key])
        case "remove":
            del value[key]
        case "rename":
            value[key.upper() + "_"] = value.pop(key)
        case "add":
            value[draw(NAMES)] = draw(JUNK)
    return value


def _changed_array(draw: st.DrawFn, value: list[Any]) -> Any:
    at = draw(st.integers(0, max(0, len(value) - 1)))
    match draw(st.sampled_from(["inside", "remove", "repeat", "add"])):
        case "inside" if value:
            value[at] = _changed(draw, value[at])
        case "remove" if value:
            del value[at]
        case "repeat" if value:
            value.append(value[at])
        case _:
            value.append(draw(JUNK))
    return value


def same(wit: WitType, sent: Any, got: Any) -> bool:
    """Whether a value came back: equal, floats by their bits, `f32` by its 32 bits."""
    match wit:
        case Primitive("f32" | "f64") if not isinstance(sent, str) and not isinstance(got, str):
            spelling = "<f" if wit.name == "f32" else "<d"
            return struct.pack(spelling, sent) == struct.pack(spelling, got)
        case ListOf() if not forms.is_bytes(wit):
            return len(sent) == len(got) and all(same(wit.element, a, b) for a, b in zip(sent, got, strict=True))
        case TupleOf():
            return len(sent) == len(got) and all(same(w, a, b) for w, a, b in zip(wit.elements, sent, got, strict=True))
        case Record():
            return sent.keys() == got.keys() and all(same(field, sent[name], got[name]) for name, field in wit.fields)
        case Variant():
            payload = dict(wit.cases).get(sent["tag"])
            return (
                sent.keys() == got.keys() and sent["tag"] == got["tag"] and _same_maybe(payload, sent.get("val"), got.get("val"))
            )
        case OptionOf() if sent is not None and got is not None:
            return same(wit.payload, sent["some"], got["some"]) if forms.needs_some(wit) else same(wit.payload, sent, got)
        case ResultOf():
            (key,) = sent
            return sent.keys() == got.keys() and _same_maybe(wit.ok if key == "ok" else wit.err, sent[key], got[key])
    return type(sent) is type(got) and bool(sent == got)


def _same_maybe(wit: WitType | None, sent: Any, got: Any) -> bool:
    return sent is None and got is None if wit is None else same(wit, sent, got)
