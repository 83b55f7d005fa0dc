"""The argument layer: text to arguments in one canonical form, and arguments to WIT values as the published schema says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import strategies as st

from sandbox.wit.arguments import arguments_digest, canonical, parse_arguments
from sandbox.wit.refusal import ArgumentError
from tests.fuzzing import Property
from tests.host.values.strategies import JUNK, nearly, values, wit_types
from tests.host.values.test_schema_agrees import agree

SIGNS = [
    '{"',
    '":',
    "}",
    "[",
    "]",
    ",",
    '"',
    "\\u",
    "d800",
    "\\",
    "NaN",
    "-Infinity",
    "1e400",
    "-0",
    "0.1",
    "true",
    "null",
    "a",
    "__proto__",
    "//",
]
PIECES = st.sampled_from([*SIGNS, " ", "9" * 40, "{" * 40, "[" * 200, "\x00", "\ufeff", "\U0001f600"])
TEXTS = st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=100)


def any_text(text: bytes | str) -> None:
    """Refused, or arguments whose canonical form is read as the same."""
    try:
        arguments = parse_arguments(text)
    except ArgumentError as error:
        said = str(error)
    else:
        said = ""
    assert len(said) < 4096
    if said:
        return
    again = canonical(arguments)
    assert parse_arguments(again) == arguments
    assert arguments_digest(parse_arguments(again)) == arguments_digest(arguments)
    json.loads(again)


def any_value(data: st.DataObject) -> None:
    """Whatever is sent for a type: the conversion takes it where the schema does, and gives it back the same."""
    wit = data.draw(wit_types())
    for value in data.draw(st.lists(nearly(wit) | values(wit) | JUNK, min_size=1, max_size=5)):
        agree(wit, value)


@contextmanager
def properties() -> Iterator[tuple[Property, ...]]:
    """All of them; they need nothing."""
    yield (
        Property(any_text, (TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=200) | TEXTS,)),
        Property(any_value, (st.data(),)),
    )
