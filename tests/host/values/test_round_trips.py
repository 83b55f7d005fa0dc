"""What goes in comes out: JSON → a real guest → JSON, for any type."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wasmtime import Engine
from wasmtime.component import Component

from sandbox.host.compiler.world import describe
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
from tests.host.values.conftest import Echo
from tests.host.values.guests import echo, flatten
from tests.host.values.strategies import same, values, wit_types

Guest = Callable[[WitType], Echo]
U8, U32, U64, F32, F64, STRING = (Primitive(name) for name in ("u8", "u32", "u64", "f32", "f64", "string"))
PERSON = Record((("name", STRING), ("age", OptionOf(U8)), ("tags", ListOf(STRING))))
SHAPE = Variant((("nothing", None), ("circle", F32), ("count", U64), ("named", STRING), ("pair", TupleOf((F64, F32)))))


def came_back(guest: Echo, wit: WitType, value: Any) -> bool:
    returned = guest.call({"x": value})
    got = json.loads(returned.json_text)
    if isinstance(wit, ResultOf):
        got = {"err" if returned.is_err else "ok": got}
    return same(wit, value, got)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_value_of_any_type_comes_back(data: st.DataObject, guest: Guest) -> None:
    wit = data.draw(wit_types())
    made = guest(wit)
    for value in data.draw(st.lists(values(wit), min_size=1, max_size=6)):
        assert came_back(made, wit, value), value


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(wit=wit_types())
def test_reflection_tells_the_type_that_was_written(wit: WitType, engine: Engine) -> None:
    text, export = echo(wit)
    assert describe(engine, Component(engine, text)).exports == (export,)


@pytest.mark.parametrize(
    ("wit", "value"),
    [
        (TupleOf((U8,) * 16), list(range(16))),
        (TupleOf((U8,) * 17), list(range(17))),
        (TupleOf((STRING,) * 9), [str(n) for n in range(9)]),
        (ListOf(ListOf(ListOf(STRING))), [[["a"], []], []]),
        (EnumOf(tuple(f"e{n}" for n in range(300))), "e299"),
        (Variant(tuple((f"v{n}", F64 if n % 2 else F32) for n in range(257))), {"tag": "v256", "val": 0.25}),
        (FlagsOf(tuple(f"f{n}" for n in range(32))), ["f0", "f31"]),
        (OptionOf(OptionOf(OptionOf(U8))), {"some": {"some": None}}),
        (OptionOf(ResultOf(None, None)), {"err": None}),
        (ResultOf(ResultOf(U8, STRING), None), {"ok": {"err": "inner"}}),
        (STRING, "a\0b \U0001f600 \ud7ff\ue000\uffff"),
        (ListOf(SHAPE), [{"tag": "nothing"}, {"tag": "circle", "val": -0.0}, {"tag": "pair", "val": [1e300, "NaN"]}]),
        (
            Record((("a", SHAPE), ("b", PERSON))),
            {"a": {"tag": "count", "val": str(2**64 - 1)}, "b": {"name": "", "age": None, "tags": []}},
        ),
        (ListOf(F64), [5e-324, 1.7976931348623157e308, "-Infinity", -0.0]),
        (ListOf(F32), [1.401298464324817e-45, 3.4028234663852886e38, "Infinity"]),
        (ListOf(Primitive("char")), ["a", "\0", "\ud7ff", "\ue000", "\U0010ffff"]),
        (ListOf(Primitive("bool")), [True, False]),
    ],
    ids=lambda part: None if isinstance(part, (list, dict, str)) else type(part).__name__,
)
def test_the_edges_of_the_types_come_back(guest: Guest, wit: WitType, value: Any) -> None:
    assert came_back(guest(wit), wit, value)


def test_the_guests_take_both_ways_of_the_canonical_abi() -> None:
    """Sixteen flat parameters travel flat, seventeen in memory; without both the round trips would prove less."""
    assert len(flatten(TupleOf((U8,) * 16))) == 16
    assert len(flatten(TupleOf((STRING,) * 9))) == 18


def test_bytes_come_back_as_base64_whether_sent_as_base64_or_as_numbers(guest: Guest) -> None:
    made = guest(ListOf(U8))
    for data in (b"", b"\0", b"ab", bytes(range(256))):
        text = base64.b64encode(data).decode()
        assert made(text) == text
        assert made(list(data)) == text


def test_wide_integers_are_numbers_while_that_is_exact_and_strings_beyond(guest: Guest) -> None:
    made = guest(U64)
    assert made(2**53 - 1) == 2**53 - 1
    assert made("5") == 5
    assert made(str(2**53)) == str(2**53)
    assert made(str(2**64 - 1)) == str(2**64 - 1)
    assert guest(Primitive("s64"))(str(-(2**63))) == str(-(2**63))


def test_f32_shows_the_shortest_decimal_that_is_the_same_f32(guest: Guest) -> None:
    made = guest(F32)
    assert made(0.1) == 0.1
    assert made(16777217) == 16777216.0, "an f32 has 24 bits: a number in between is rounded, as by every reader of JSON"
    assert made(3.4028234663852886e38) <= 3.4028234663852886e38, "what is shown can be sent again"


def test_an_option_may_be_left_out_of_a_record_and_of_a_case(guest: Guest) -> None:
    assert guest(PERSON)({"name": "a", "tags": []}) == {"name": "a", "age": None, "tags": []}
    assert guest(Variant((("a", OptionOf(U8)),)))({"tag": "a"}) == {"tag": "a", "val": None}


def test_an_option_parameter_may_be_left_out(guest: Guest) -> None:
    assert json.loads(guest(OptionOf(U8)).call({}).json_text) is None


def test_the_err_of_a_result_is_told_apart_from_its_ok(guest: Guest) -> None:
    made = guest(ResultOf(STRING, STRING))
    ok, err = made.call({"x": {"ok": "same"}}), made.call({"x": {"err": "same"}})
    assert (ok.json_text, ok.is_err) == ('"same"', False)
    assert (err.json_text, err.is_err) == ('"same"', True)
