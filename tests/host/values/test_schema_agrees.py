"""The published schema accepts what the conversion accepts, and nothing else: there is no second validator.

Three things JSON Schema cannot say, so the reader here is set to them: an integer is written without fraction or exponent
(`1.0` is refused), a pattern's `$` is the end of the text (ECMA-262; Python's also stands before a last newline), and text has no
lone surrogates. One thing it could only say at length, and does not: which decimal strings of nineteen or twenty digits still
fit into 64 bits.
"""

from __future__ import annotations

import ctypes
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator, ValidationError
from jsonschema.validators import extend

from sandbox.host.worker import values_layout as c
from sandbox.host.worker.values_lift import Budget, read
from sandbox.host.worker.values_lower import fill
from sandbox.host.worker.values_refused import Refused
from sandbox.wit.schema import input_schema, output_schema, type_schema
from sandbox.wit.types import Export, ListOf, OptionOf, Primitive, ResultOf, TupleOf, WitType
from tests.host.values.strategies import JUNK, NEARLY, PRIMITIVES, nearly, values, wit_types


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not re.search(pattern.replace("$", r"\Z"), instance):
        yield ValidationError("the pattern does not match")


def _integer(_checker: Any, instance: Any) -> bool:
    return type(instance) is int


def _reader(base: Any) -> Any:
    return extend(base, validators={"pattern": _pattern}, type_checker=base.TYPE_CHECKER.redefine("integer", _integer))


NOW, DRAFT_7 = _reader(Draft202012Validator), _reader(Draft7Validator)


def lifted(wit: WitType, value: Any) -> tuple[bool, Any]:
    """Whether the conversion accepts a value, and how it would be shown again."""
    slot = (ctypes.c_uint64 * 4)()
    at = ctypes.addressof(slot)
    try:
        fill(wit)(value, at)
        return True, read(wit)(c.string_at(at, c.SLOT), 0, Budget(2**20))
    except Refused:
        return False, None
    finally:
        c.delete(at)


def agree(wit: WitType, value: Any) -> None:
    accepted, shown = lifted(wit, value)
    assert NOW(type_schema(wit)).is_valid(value) == accepted, (wit, value)
    if accepted:
        assert DRAFT_7(type_schema(wit)).is_valid(value), "an older reader sees less, it does not refuse"
        assert NOW(type_schema(wit, argument=False)).is_valid(shown), "what is shown fits the output's schema"
        assert lifted(wit, shown) == (True, shown), "what is shown can be sent again"


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_schema_and_conversion_accept_the_same(data: st.DataObject) -> None:
    wit = data.draw(wit_types())
    for value in data.draw(st.lists(nearly(wit) | values(wit) | JUNK, min_size=1, max_size=5)):
        agree(wit, value)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_schema_and_conversion_accept_the_same_for_long(data: st.DataObject) -> None:
    wit = data.draw(wit_types())
    for value in data.draw(st.lists(nearly(wit) | values(wit) | JUNK, min_size=1, max_size=5)):
        agree(wit, value)


@pytest.mark.parametrize("name", [*PRIMITIVES, "bytes"])
def test_they_agree_on_what_models_write_nearly_right(name: str) -> None:
    wit: WitType = ListOf(Primitive("u8")) if name == "bytes" else Primitive(name)
    for value in NEARLY:
        for each in (wit, OptionOf(wit), ListOf(wit), TupleOf((wit, Primitive("bool")))):
            for wrapped in (value, [value], [value, True]):
                agree(each, wrapped)


def test_the_one_place_where_the_schema_is_wider_is_refused_by_the_conversion() -> None:
    for name, text in (("u64", str(2**64)), ("s64", str(2**63)), ("s64", str(-(2**63) - 1))):
        assert NOW(type_schema(Primitive(name))).is_valid(text)
        assert lifted(Primitive(name), text) == (False, None)


def _schemas(schema: Any) -> Iterator[dict[str, Any]]:
    """A schema and every schema within it."""
    yield schema
    for key, inner in schema.items():
        if key == "properties":
            for each in inner.values():
                yield from _schemas(each)
        elif key == "items":
            yield from _schemas(inner)
        elif key in ("anyOf", "prefixItems"):
            for each in inner:
                yield from _schemas(each)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(params=st.lists(wit_types(), max_size=3), result=st.none() | wit_types())
def test_every_schema_is_portable(params: list[WitType], result: WitType | None) -> None:
    """What drops a tool in one client or another: composition at the root, `$ref`, type unions, bare booleans, formats."""
    export = Export(None, "f", tuple((f"p{index}", wit) for index, wit in enumerate(params)), result)
    published = [schema for schema in (input_schema(export), output_schema(export)) if schema is not None]
    for root in published:
        assert root["type"] == "object"
        assert not {"anyOf", "oneOf", "allOf", "$ref", "$defs"} & root.keys()
        Draft202012Validator.check_schema(root)
        Draft7Validator.check_schema(root)
        assert json.loads(json.dumps(root)) == root
        for schema in _schemas(root):
            assert isinstance(schema, dict)
            assert isinstance(schema.get("type", ""), str)
            assert ("type" in schema) != ("anyOf" in schema), "typed, or a choice of typed ones"
            assert not {"$ref", "format", "oneOf", "allOf", "not", "const"} & schema.keys()


def test_an_err_is_no_part_of_the_output_schema() -> None:
    def given_by(result: WitType | None) -> Any:
        return output_schema(Export(None, "f", (), result))

    u8 = {"type": "integer", "minimum": 0, "maximum": 255}
    assert given_by(ResultOf(Primitive("u8"), Primitive("string")))["properties"] == {"result": u8}
    assert given_by(ResultOf(None, Primitive("string"))) is None
    assert given_by(None) is None


def test_a_tuple_of_one_type_needs_no_prefix() -> None:
    schema = type_schema(TupleOf((Primitive("bool"), Primitive("bool"))))
    assert schema == {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "boolean"}}
