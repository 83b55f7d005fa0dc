"""A template goes to a worker as JSON and comes out the same, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.template.template import (
    Access,
    Effect,
    EnvironmentRule,
    FileRule,
    Limits,
    NetworkRule,
    Preopen,
    WasiTemplate,
)
from sandbox.template.wire import from_wire, network_from_wire, network_to_wire, to_wire
from sandbox.wit.types import Digest

text = st.text(max_size=8)
some = st.one_of(st.none(), st.lists(text, max_size=3).map(tuple))
effects = st.sampled_from(Effect)
network_rules = st.builds(
    NetworkRule,
    effects,
    st.one_of(st.none(), text),
    st.one_of(st.none(), text),
    st.one_of(st.none(), st.lists(st.tuples(st.integers(1, 99), st.integers(1, 99)), max_size=3).map(tuple)),
    st.lists(text, max_size=2).map(tuple),
    some,
    some,
    text,
)
templates = st.builds(
    WasiTemplate,
    component=text.map(Digest),
    tenant=text,
    preopens=st.lists(st.builds(Preopen, text, text, st.booleans()), max_size=3).map(tuple),
    files=st.lists(st.builds(FileRule, effects, text, st.integers(0, 15).map(Access), text), max_size=3).map(tuple),
    network=st.lists(network_rules, max_size=3).map(tuple),
    environment=st.lists(st.builds(EnvironmentRule, effects, text, st.one_of(st.none(), text), text), max_size=3).map(tuple),
    denied_environment=st.lists(st.tuples(text, text), max_size=3).map(tuple),
    limits=st.builds(
        Limits,
        st.integers(1),
        fuel=st.one_of(st.none(), st.integers(1)),
        origins=st.lists(st.tuples(text, text), max_size=2).map(tuple),
    ),
    generation=text,
)


@pytest.mark.parametrize("field", list(to_wire(WasiTemplate())))
def test_a_missing_field_is_refused(field: str) -> None:
    data = to_wire(WasiTemplate())
    del data[field]
    with pytest.raises(ValueError, match="a template has the fields"):
        from_wire(data)


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValueError, match="a template has the fields"):
        from_wire({**to_wire(WasiTemplate()), "more": 1})


@pytest.mark.parametrize(
    "change",
    [
        {"files": [["allow", "/a", 1]]},
        {"files": [["ask", "/a", 1, "line"]]},
        {"files": [["allow", "/a", 16 | 1, "line", "more"]]},
        {"network": [["maybe", "a", None, None, [], None, None, ""]]},
        {"network": [["allow", "a"]]},
        {"preopens": [["/a"]]},
        {"environment": [["allow", "A"]]},
        {"limits": [1, 2]},
    ],
)
def test_a_row_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        from_wire({**to_wire(WasiTemplate()), **change})


@settings(deadline=None)
@given(templates)
def test_what_comes_out_is_what_went_in(template: WasiTemplate) -> None:
    arrived = from_wire(json.loads(json.dumps(to_wire(template))))
    assert arrived == template
    assert hash(arrived) == hash(template)
    assert all(isinstance(rule.access, Access) and isinstance(rule.effect, Effect) for rule in arrived.files)


@settings(deadline=None)
@given(st.lists(network_rules, max_size=4).map(tuple))
def test_the_network_rules_travel_alone_too(rules: tuple[NetworkRule, ...]) -> None:
    assert network_from_wire(json.loads(json.dumps(network_to_wire(rules)))) == rules
