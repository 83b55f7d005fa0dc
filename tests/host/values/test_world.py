"""What a component says it is, by reflection: real toolchain output, and types that try to be too large."""

from __future__ import annotations

import json

import pytest
from wasmtime import Engine
from wasmtime.component import Component

from sandbox.errors import ComponentError
from sandbox.host.compiler.world import MAX_DEPTH, MAX_FUNCTIONS, MAX_NODES, describe
from sandbox.wit.tools import notes_of, tools_of
from sandbox.wit.types import Digest, Export, ListOf, Primitive, Unsupported, WitType, World
from sandbox.wit.wire import world_from_json, world_to_json
from tests.host.values.guests import component, echo

DIGEST = Digest("0" * 64)
U8 = Primitive("u8")


def world(engine: Engine, text: str) -> World:
    return describe(engine, Component(engine, text))


def lifted(types: str, parameter: str, *, name: str = "f", exports: int = 1) -> str:
    """A component whose function `f` takes one parameter of a type; it is never called."""
    many = "\n".join(f'(export "{name}{index}" (func $f))' for index in range(1, exports))
    return f"""(component
      (core module $m (memory (export "m") 1)
        (func (export "r") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export "f") (param i32 i32) unreachable))
      (core instance $i (instantiate $m)) {types}
      (func $f (param "x" {parameter})
        (canon lift (core func $i "f") (memory (core memory $i "m")) (realloc (core func $i "r"))))
      (export "{name}" (func $f)) {many})"""


def test_a_type_that_doubles_at_every_level_is_unsupported_and_costs_nothing(engine: Engine) -> None:
    """Thirty lines of wasm, 2³⁰ nodes written out."""
    types = "(type $t0 (tuple u8 u8))" + "".join(f"(type $t{n} (tuple $t{n - 1} $t{n - 1}))" for n in range(1, 14))
    text = lifted(f"{types} (type $l (list $t13))", "$l")
    found = world(engine, text)
    assert found.exports == (Export(None, "f", (), Unsupported(f"types of more than {MAX_NODES} parts")),)
    assert tools_of("c", found, DIGEST) == ()
    assert "more than" in notes_of(found)[0].message


def test_a_type_of_too_many_levels_is_unsupported(engine: Engine) -> None:
    types = "(type $t0 (list u8))" + "".join(f"(type $t{n} (list $t{n - 1}))" for n in range(1, MAX_DEPTH + 2))
    (export,) = world(engine, lifted(types, f"$t{MAX_DEPTH + 1}")).exports
    assert export.result == Unsupported(f"a type of more than {MAX_DEPTH} levels")


def test_more_functions_than_the_host_lists_are_refused(engine: Engine) -> None:
    with pytest.raises(ComponentError, match=f"more than {MAX_FUNCTIONS} functions"):
        world(engine, lifted("", "string", exports=MAX_FUNCTIONS + 1))


def test_a_resource_is_unsupported_by_its_name(engine: Engine) -> None:
    text = """(component
      (type $r (resource (rep i32))) (export $e "thing" (type $r))
      (core module $m (func (export "f") (param i32)))
      (core instance $i (instantiate $m))
      (func $f (param "x" (own $e)) (canon lift (core func $i "f")))
      (export "take" (func $f)))"""
    found = world(engine, text)
    assert found.exports == (Export(None, "take", (("x", Unsupported("own<resource>")),), None),)
    (note,) = notes_of(found)
    assert (note.wit_id, note.message) == ("take", "it uses `own<resource>`, which JSON cannot carry")


def test_the_functions_of_an_interface_carry_its_id_and_an_inner_instance_is_no_tool(engine: Engine) -> None:
    text = """(component
      (core module $m (func (export "f")))
      (core instance $i (instantiate $m))
      (func $f (canon lift (core func $i "f")))
      (instance $inner (export "run" (func $f)))
      (instance $outer (export "run" (func $f)) (export "inner" (instance $inner)))
      (export "acme:demo/api@1.2.0" (instance $outer))
      (export "plain" (func $f)))"""
    found = world(engine, text)
    assert [tool.wit_id for tool in tools_of("c", found, DIGEST)] == ["acme:demo/api@1.2.0#run", "plain"]
    assert [note.wit_id for note in notes_of(found)] == ["acme:demo/api@1.2.0#inner"]


def test_an_imported_type_that_the_component_defines_is_no_import(engine: Engine) -> None:
    text = """(component
      (import "acme:demo/types" (instance $types (type $p u32) (export "point" (type (eq $p)))))
      (alias export $types "point" (type $point))
      (import "point" (type (eq $point)))
      (import "log" (func (param "x" string))))"""
    assert world(engine, text).imports == ("acme:demo/types", "log")


def test_a_described_world_survives_the_wire(engine: Engine) -> None:
    types: list[tuple[str, WitType]] = [("one", U8), ("two", ListOf(ListOf(U8)))]
    found = world(engine, component(types))
    assert world_from_json(json.loads(json.dumps(world_to_json(found)))) == found
    assert [tool.name for tool in tools_of("c", found, DIGEST)] == ["c__one", "c__two"]


def test_nothing_is_instantiated(engine: Engine) -> None:
    """A component whose start function never ends is described all the same."""
    text, _export = echo(U8)
    looping = text.replace("(func $reset", "(func $loop (loop $l (br $l))) (start $loop) (func $reset")
    assert [export.name for export in world(engine, looping).exports] == ["echo"]
