"""What a type does not accept is refused before the guest runs, with the path and what to write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from wasmtime import Engine, Store, WasmtimeError
from wasmtime.component import Component, Linker

from sandbox.errors import ComponentError
from sandbox.host.engine import make_engine
from sandbox.host.worker.values import ArgumentError, Codec, OutputTooLarge
from sandbox.wit.types import (
    EnumOf,
    Export,
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
from tests.host.values.conftest import Echo

Guest = Callable[[WitType], Echo]
U8, U64, S64, F32, F64, CHAR, STRING = (Primitive(name) for name in ("u8", "u64", "s64", "f32", "f64", "char", "string"))
LONE = "\ud800"
ITEM = Record((("name", STRING), ("size", OptionOf(U8))))


@pytest.mark.parametrize(
    ("wit", "value", "says"),
    [
        (Primitive("bool"), 1, "expected true or false, got 1"),
        (Primitive("bool"), "true", 'expected true or false, got "true"'),
        (U8, True, "expected an integer (u8), got true"),
        (U8, 1.0, "write it without a fraction"),
        (U8, 256, "256 is outside of u8, 0 to 255"),
        (U8, "1", "expected an integer (u8)"),
        (U8, 10**5000, "a number of more than 40 digits is outside of u8"),
        (Primitive("s8"), -129, "outside of s8"),
        (U64, 2**53, "write it as a string of digits"),
        (U64, "18446744073709551616", "outside of u64"),
        (U64, "-1", '"-1" is no u64'),
        (U64, "١", "is no u64"),
        (U64, "1\n", "is no u64"),
        (S64, "-9223372036854775809", "outside of s64"),
        (S64, "-0", "is no s64"),
        (F64, float("nan"), "not finite"),
        (F64, float("inf"), "not finite"),
        (F64, "nan", "expected a number"),
        (F64, 10**400, "too large for a float"),
        (F32, 3.5e38, "too large for f32"),
        (F32, True, "expected a number, got true"),
        (CHAR, "", "exactly one character"),
        (CHAR, "ab", "exactly one character"),
        (CHAR, LONE, "surrogate"),
        (CHAR, "e\u0301", "exactly one character"),
        (STRING, LONE, "surrogate"),
        (STRING, b"x", "expected a string"),
        (ListOf(U8), "AQ", "no base64"),
        (ListOf(U8), "AR==", "no base64"),
        (ListOf(U8), "AQ==\n", "no base64"),
        (ListOf(U8), "A-_D", "no base64"),
        (ListOf(U8), "é===", "no base64"),
        (ListOf(U8), [1, 256], "arguments.x[1]: 256 is outside"),
        (ListOf(U8), [True], "arguments.x[0]: expected an integer"),
        (ListOf(U8), None, "expected base64"),
        (ListOf(STRING), {"0": "a"}, "expected an array, got an object"),
        (ListOf(ITEM), [{"name": "a"}, {"name": 3}], "arguments.x[1].name: expected a string, got 3"),
        (ListOf(ITEM), [{"nmae": "a"}], "unknown field `nmae`\n  help: did you mean `name`?"),
        (ITEM, {}, "missing field `name`"),
        (ITEM, {"name": "a", LONE: 1}, "unknown field `\\ud800`"),
        (ITEM, {"name": "a", "__proto__": 1}, "unknown field `__proto__`"),
        (TupleOf((U8, STRING)), [1], "expected exactly 2 elements, got 1"),
        (TupleOf((U8, STRING)), [1, "a", 2], "expected exactly 2 elements, got 3"),
        (TupleOf((U8, STRING)), ["a", 1], "arguments.x[0]"),
        (Variant((("a", None), ("b", U8))), {"tag": "c"}, "unknown tag `c`"),
        (Variant((("a", None), ("b", U8))), {"tag": LONE}, "unknown tag"),
        (Variant((("a", None), ("b", U8))), {"tag": ["b"]}, "arguments.x.tag: expected a string"),
        (Variant((("a", None), ("b", U8))), {"tag": "a", "val": None}, "unknown key `val`"),
        (Variant((("a", None), ("b", U8))), {"tag": "b"}, "missing key `val`"),
        (Variant((("a", None), ("b", U8))), {"tag": "b", "val": "x"}, "arguments.x.val: expected an integer"),
        (Variant((("a", None),)), "a", "expected an object with `tag`"),
        (EnumOf(("read", "write")), "raed", "did you mean `read`?"),
        (EnumOf(("read", "write")), ["read"], "expected a string, one of `read`, `write`"),
        (FlagsOf(("r", "w")), ["r", "r"], "a flag is named twice"),
        (FlagsOf(("r", "w")), ["x"], "arguments.x[0]: unknown flag `x`"),
        (FlagsOf(("r", "w")), [{}], "arguments.x[0]: expected a string"),
        (FlagsOf(("r", "w")), "r", "expected an array of names"),
        (OptionOf(OptionOf(U8)), 1, "expected null or an object with `some`"),
        (OptionOf(OptionOf(U8)), {"some": 1, "none": 1}, "unknown key `none`"),
        (ResultOf(U8, None), {"ok": 1, "err": None}, "expected an object with `ok` or `err`"),
        (ResultOf(U8, None), {"err": 1}, "arguments.x.err: expected null, got 1"),
        (ResultOf(U8, None), {LONE: 1}, "expected an object with `ok` or `err`"),
    ],
    ids=lambda part: type(part).__name__,
)  # fmt: skip
def test_it_is_refused_with_the_place_and_what_to_write(guest: Guest, wit: WitType, value: Any, says: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        guest(wit).call({"x": value})
    assert says in str(refused.value)
    assert str(refused.value).startswith("arguments.x")
    str(refused.value).encode()  # what quotes a lone surrogate can still be sent


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "missing argument `x`"),
        ({"x": 1, "y": 2}, "unknown argument `y`"),
        ({"x": 1, LONE: 2}, "unknown argument `\\ud800`"),
        ({"x": 1, "__class__": 2}, "unknown argument `__class__`"),
        ({"X": 1}, "did you mean `x`?"),
        ([1], "expected an object"),
        (None, "expected an object"),
    ],
    ids=lambda part: type(part).__name__,
)
def test_arguments_are_a_closed_object(guest: Guest, arguments: Any, says: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        guest(U8).call(arguments)
    assert says in str(refused.value)


def test_a_refusal_is_short_however_long_the_value_is(guest: Guest) -> None:
    wit: WitType = U8
    for _level in range(30):
        wit = Record((("a" * 60, wit),))
    value: Any = "x" * 10**6
    for _level in range(30):
        value = {"a" * 60: value}
    with pytest.raises(ArgumentError) as refused:
        guest(wit).call({"x": value})
    assert len(str(refused.value)) < 500


def test_a_refused_call_never_reaches_the_guest_which_can_be_called_again(guest: Guest) -> None:
    made = guest(ListOf(ITEM))
    with pytest.raises(ArgumentError):
        made([{"name": "a"}, {"name": 1}])
    assert made([{"name": "b"}]) == [{"name": "b", "size": None}]


@pytest.mark.parametrize("wit", [STRING, ListOf(U8), ListOf(STRING), ListOf(ListOf(U8)), ListOf(Primitive("u16")), ListOf(ITEM)])
def test_a_result_of_too_many_bytes_is_refused(guest: Guest, wit: WitType) -> None:
    values: dict[WitType, Any] = {STRING: "é" * 400, ListOf(U8): "AAAA" * 200, ListOf(ITEM): [{"name": "n"}] * 40}
    value = values.get(wit, [[]] * 300 if wit == ListOf(ListOf(U8)) else [""] * 300 if wit == ListOf(STRING) else [1] * 600)
    made = guest(wit)
    with pytest.raises(OutputTooLarge, match="700 bytes"):
        made(value, output_bytes=700)
    made(value)


def test_the_limit_of_a_result_is_exact(guest: Guest) -> None:
    made = guest(STRING)
    assert made("é\n", output_bytes=6) == "é\n", 'the text is `"é\\n"`, six bytes of UTF-8'
    with pytest.raises(OutputTooLarge):
        made("é\n", output_bytes=5)


def test_a_trap_is_wasmtimes_error_and_frees_the_arguments() -> None:
    """The caller tells a trap from a refusal by its class."""
    engine = make_engine()
    component = Component(
        engine,
        """(component
          (core module $m
            (memory (export "m") 1)
            (func (export "r") (param i32 i32 i32 i32) (result i32) (i32.const 64))
            (func (export "f") (param i32 i32) unreachable))
          (core instance $i (instantiate $m))
          (func $f (param "x" string)
            (canon lift (core func $i "f") (memory (core memory $i "m")) (realloc (core func $i "r"))))
          (export "f" (func $f)))""",
    )
    store = Store(engine)
    func = Linker(engine).instantiate(store, component).get_func(store, "f")
    assert func is not None
    codec = Codec(Export(None, "f", (("x", STRING),), None))
    with pytest.raises(WasmtimeError, match="unreachable"):
        codec.call(store, func, {"x": "text"}, 100)


@pytest.mark.parametrize("wit", [Unsupported("own<file>"), ListOf(Unsupported("stream")), Primitive("u128")])
def test_a_type_that_json_cannot_carry_is_refused_before_any_call(wit: WitType) -> None:
    with pytest.raises(ComponentError):
        Codec(Export(None, "f", (("x", wit),), None))
    with pytest.raises(ComponentError):
        Codec(Export(None, "f", (), wit))


@pytest.mark.parametrize(("spelling", "wit"), [("u8", U8), ("$x", EnumOf(("a",)))])
def test_a_list_that_a_guest_only_claims_to_have_takes_no_memory(engine: Engine, spelling: str, wit: WitType) -> None:
    """Sixty million one-byte elements would be gigabytes of values: Wasmtime's own bound on what it copies ends the call."""
    text = f"""(component
      (core module $m
        (memory (export "m") 1024)
        (data (i32.const 0) "\\10\\00\\00\\00\\00\\87\\93\\03")
        (func (export "f") (result i32) (i32.const 0)))
      (core instance $i (instantiate $m))
      (type $e (enum "a")) (export $x "x" (type $e))
      (func $f (result (list {spelling})) (canon lift (core func $i "f") (memory (core memory $i "m"))))
      (export "f" (func $f)))"""
    store = Store(engine)
    func = Linker(engine).instantiate(store, Component(engine, text)).get_func(store, "f")
    assert func is not None
    with pytest.raises(WasmtimeError, match="too much data is being copied"):
        Codec(Export(None, "f", (), ListOf(wit))).call(store, func, {}, 2**20)
