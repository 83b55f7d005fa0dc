"""Whether a value fits its type is what the published schema of a result says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from sandbox.wit.fitting import fits
from sandbox.wit.schema import type_schema
from sandbox.wit.types import ListOf, OptionOf, Primitive, TupleOf, Unsupported, WitType
from tests.host.values.strategies import JUNK, NEARLY, PRIMITIVES, nearly, values, wit_types


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """As ECMA-262 has it: `$` is the end of the text alone."""
    if isinstance(instance, str) and not re.search(pattern.replace("$", r"\Z"), instance):
        yield ValidationError("the pattern does not match")


_TYPES = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _checker, instance: type(instance) is int)
READER = extend(Draft202012Validator, validators={"pattern": _pattern}, type_checker=_TYPES)


def agree(wit: WitType, *each: Any) -> None:
    reader = READER(type_schema(wit, argument=False))
    for value in each:
        assert reader.is_valid(value) == fits(wit, value), (wit, value)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_value_fits_where_the_schema_of_a_result_accepts_it(data: st.DataObject) -> None:
    wit = data.draw(wit_types())
    shown = data.draw(values(wit))
    assert fits(wit, shown), (wit, shown)
    agree(wit, shown, *data.draw(st.lists(nearly(wit) | JUNK, min_size=1, max_size=4)))


@pytest.mark.parametrize("name", [*PRIMITIVES, "bytes"])
def test_they_agree_on_what_is_nearly_right(name: str) -> None:
    wit: WitType = ListOf(Primitive("u8")) if name == "bytes" else Primitive(name)
    for each in (wit, OptionOf(OptionOf(wit)), TupleOf((wit, Primitive("bool")))):
        agree(each, *NEARLY, *([value, True] for value in NEARLY))


def test_what_json_cannot_carry_fits_nothing() -> None:
    assert not fits(Unsupported("own<file>"), None)
