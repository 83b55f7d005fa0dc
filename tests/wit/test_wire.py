"""A world crosses between processes unchanged, and what a compiler did not write is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.errors import ComponentError
from sandbox.wit.types import Export, Unsupported, World
from sandbox.wit.wire import export_from_json, export_to_json, type_from_json, world_from_json, world_to_json
from tests.host.values.strategies import wit_types

EXPORTS = st.builds(
    Export,
    st.none() | st.text(),
    st.text(),
    st.lists(st.tuples(st.text(), wit_types()), max_size=2).map(tuple),
    st.none() | wit_types(),
)
EMPTY: dict[str, Any] = {"imports": [], "exports": [], "docs": []}


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {**EMPTY, "more": 1},
        {**EMPTY, "imports": [1]},
        {**EMPTY, "imports": "wasi"},
        {**EMPTY, "docs": [["a"]]},
        {**EMPTY, "docs": [["a", 1]]},
        {**EMPTY, "exports": [{"name": "f"}]},
        {**EMPTY, "exports": [{"interface": 1, "name": "f", "params": [], "result": None}]},
        {**EMPTY, "exports": [{"interface": None, "name": "f", "params": [["x"]], "result": None}]},
        {**EMPTY, "exports": [{"interface": None, "name": "f", "params": {}, "result": None}]},
    ],
    ids=range(12),
)
def test_what_is_no_world_is_refused(body: Any) -> None:
    with pytest.raises(ComponentError):
        world_from_json(body)


@pytest.mark.parametrize(
    "body",
    [
        None,
        1,
        "u128",
        {},
        {"list": "u8", "tuple": []},
        {"list": None},
        {"record": {"a": "u8"}},
        {"result": ["u8"]},
        {"enum": [1]},
        {"map": 1},
    ],
    ids=range(10),
)
def test_what_is_no_type_is_refused(body: Any) -> None:
    with pytest.raises(ComponentError):
        type_from_json(body)


def test_a_type_without_an_end_is_refused() -> None:
    body: Any = "u8"
    for _level in range(500):
        body = {"list": body}
    with pytest.raises(ComponentError, match="levels"):
        type_from_json(body)


@settings(max_examples=40, deadline=None)
@given(exports=st.lists(EXPORTS, max_size=3))
def test_a_world_comes_back_as_it_was(exports: list[Export]) -> None:
    world = World(imports=("wasi:io/poll@0.2.0",), exports=tuple(exports), docs=(("", "text"),))
    assert world_from_json(json.loads(json.dumps(world_to_json(world)))) == world


def test_an_export_comes_back_with_what_it_cannot_carry() -> None:
    export = Export(None, "f", (("x", Unsupported("stream")),), Unsupported("own<file>"))
    assert export_from_json(export_to_json(export)) == export
