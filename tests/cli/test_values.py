"""`KEY=value` words become arguments of the types that a tool's schema has."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.cli.values import arguments_from
from sandbox.errors import Code, SandboxError
from sandbox.wit.schema import input_schema
from sandbox.wit.types import Export, ListOf, OptionOf, Primitive, Record, WitType


def schema(**params: WitType) -> dict[str, Any]:
    return dict(input_schema(Export(None, "f", tuple(params.items()), None)))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["y=1"], "has no argument `y`"),
        (["x"], "`x` is no argument"),
        (["x=1", "x=2"], "`x` is given twice"),
        (["x=abc"], "`x=abc` is no integer"),
        (["x=1.5"], "`x=1.5` is no integer"),
        (["x=true"], "`x=true` is no integer"),
        (['{"x": 1, "x": 2}'], "occurs twice"),
        (['{"x": NaN}'], "`NaN` is not JSON"),
        (["{x}"], "not JSON"),
    ],
)
def test_a_word_that_is_no_argument_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(SandboxError) as caught:
        arguments_from(words, schema(x=Primitive("u32")))
    assert message in caught.value.message
    assert caught.value.code is Code.INVALID_ARGUMENTS


def test_a_key_that_is_nearly_one_is_named() -> None:
    with pytest.raises(SandboxError) as caught:
        arguments_from(["pth=x"], schema(path=Primitive("string")))
    assert caught.value.help == "did you mean `path`?"


@pytest.mark.parametrize(
    ("wit", "text", "value"),
    [
        (Primitive("string"), "5", "5"),
        (Primitive("string"), "", ""),
        (Primitive("string"), "a=b", "a=b"),
        (Primitive("u32"), "5", 5),
        (Primitive("s32"), "-5", -5),
        (Primitive("u64"), "9007199254740992", 2**53),
        (Primitive("u64"), "18446744073709551615", "18446744073709551615"),
        (Primitive("f64"), "1.5", 1.5),
        (Primitive("f64"), "2", 2),
        (Primitive("bool"), "true", True),
        (ListOf(Primitive("u32")), "[1,2]", [1, 2]),
        (ListOf(Primitive("u8")), "aGk=", "aGk="),
        (ListOf(Primitive("u8")), "[1,2]", [1, 2]),
        (Record((("a", Primitive("u8")),)), '{"a":1}', {"a": 1}),
        (OptionOf(Primitive("string")), "null", "null"),
        (OptionOf(Primitive("u32")), "7", 7),
    ],
)
def test_a_value_has_the_type_that_the_schema_takes(wit: WitType, text: str, value: object) -> None:
    made = arguments_from([f"x={text}"], schema(x=wit))
    assert made == {"x": value}
    assert type(made["x"]) is type(value)


def test_all_arguments_can_be_one_json_object() -> None:
    assert arguments_from(['{"x": 1, "y": [true]}'], schema(x=Primitive("u32"))) == {"x": 1, "y": [True]}
