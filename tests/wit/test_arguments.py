"""ARG-01, ARG-03, ARG-05: what is no JSON here, and the one form that is hashed and executed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.wit.arguments import MAX_BYTES, MAX_DEPTH, arguments_digest, canonical, parse_arguments
from sandbox.wit.refusal import ArgumentError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (r'{"x": "\ud800"}', "surrogate"),
        (r'{"x": ["a", {"b": "\udfff"}]}', "surrogate"),
        (r'{"\ud800": 1}', "surrogate"),
        (r'{"x": {"\udc00": 1}}', "surrogate"),
        ('{"x": "\ud800"}', "surrogate"),
        (b'{"x": "\xed\xa0\x80"}', "not UTF-8"),
        (b"\xff", "not UTF-8"),
        ('{"x": NaN}', "`NaN` is no JSON"),
        ('{"x": -Infinity}', "`-Infinity` is no JSON"),
        ('{"x": 1e999}', "the number `1e999` is too large"),
        ('{"x": ' + "1" * 5000 + "}", "too many digits"),
        ('{"a": 1, "a": 2}', "the key `a` is there twice"),
        ('{"x": [{"a": 1, "\\u0061": 2}]}', "the key `a` is there twice"),
        ('{"x": ' + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1) + "}", "levels deep"),
        ('{"x": ' + "[" * 100_000 + "]" * 100_000 + "}", "levels deep"),
        ('{"x": ' * 5000 + "1" + "}" * 5000, "levels deep"),
        ("[1]", "expected an object, got an array"),
        ("null", "expected an object, got null"),
        ("", "not JSON"),
        ("{'a': 1}", "not JSON"),
        ('{"a": 1} {"b": 2}', "not JSON: extra data"),
        ('{"a": 1,}', "not JSON"),
        (" " * (MAX_BYTES + 1), f"larger than {MAX_BYTES} bytes"),
        ("é" * (MAX_BYTES // 2 + 1), f"larger than {MAX_BYTES} bytes"),
    ],
    ids=range(24),
)
def test_it_is_refused(text: str | bytes, says: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        parse_arguments(text)
    assert says in str(refused.value)
    str(refused.value).encode()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"x": float("nan")}, "not JSON"),
        ({"x": float("inf")}, "not JSON"),
        ({"x": b"bytes"}, "not JSON"),
        ({"x": {1: 2}}, "the key 1 is no text"),
        ({1: 2}, "the key 1 is no text"),
        ({"x": "\ud800"}, "surrogate"),
        ({"\ud800": 1}, "surrogate"),
        ({"x": "a" * (MAX_BYTES + 1)}, "larger than"),
    ],
    ids=range(8),
)
def test_a_mapping_that_no_text_could_give_has_no_canonical_form(arguments: Any, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        canonical(arguments)


def test_a_mapping_that_holds_itself_has_no_canonical_form() -> None:
    arguments: dict[str, Any] = {}
    arguments["x"] = [arguments]
    with pytest.raises(ArgumentError, match="levels deep"):
        canonical(arguments)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_the_canonical_form_is_the_arguments_and_only_one_form(arguments: dict[str, Any]) -> None:
    text = canonical(arguments)
    assert parse_arguments(text) == arguments
    assert canonical(parse_arguments(text)) == text
    spaced = json.dumps(dict(reversed(arguments.items())), indent=2)
    assert canonical(parse_arguments(spaced)) == text
    assert arguments_digest(parse_arguments(spaced)) == arguments_digest(arguments)


def test_what_differs_has_another_digest() -> None:
    """A number is not its string, an integer not its float: each is another call."""
    several: list[Any] = [1, 1.0, "1", True, [1], None]
    assert len({arguments_digest({"x": value}) for value in several}) == len(several)


def test_the_deepest_and_the_plainest_are_accepted() -> None:
    deep = '{"x":' + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1) + "}"
    assert canonical(parse_arguments(deep)) == deep
    assert parse_arguments(b"{}") == {}
