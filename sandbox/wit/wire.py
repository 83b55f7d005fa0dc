"""A world as JSON and back, for the frames between the processes and for the compile cache.

Decides nothing. Reading is strict, since a compiler that ran on an untrusted component wrote it: whatever is not exactly what
`world_to_json` writes raises `ComponentError`.
"""

from __future__ import annotations

from typing import Any

from sandbox.errors import ComponentError
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
    World,
)

PRIMITIVES = frozenset({"bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64", "char", "string"})

MAX_LEVELS = 64
"""Levels of a type that are read; the compiler writes fewer (`sandbox.host.compiler.world.MAX_DEPTH`)."""


def world_to_json(world: World) -> dict[str, Any]:
    """A world as a JSON object."""
    return {
        "imports": list(world.imports),
        "exports": [export_to_json(export) for export in world.exports],
        "docs": [list(pair) for pair in world.docs],
    }


def world_from_json(body: Any) -> World:
    """The world that `world_to_json` wrote. Raises `ComponentError`."""
    parts = _object(body, "imports", "exports", "docs")
    return World(
        imports=tuple(_text(item) for item in _array(parts["imports"])),
        exports=tuple(export_from_json(item) for item in _array(parts["exports"])),
        docs=tuple((_text(name), _text(text)) for name, text in (_sized(pair, 2) for pair in _array(parts["docs"]))),
    )


def export_to_json(export: Export) -> dict[str, Any]:
    """An export as a JSON object."""
    return {
        "interface": export.interface,
        "name": export.name,
        "params": [[name, type_to_json(wit)] for name, wit in export.params],
        "result": _optional_to_json(export.result),
    }


def export_from_json(body: Any) -> Export:
    """The export that `export_to_json` wrote. Raises `ComponentError`."""
    parts = _object(body, "interface", "name", "params", "result")
    interface = parts["interface"]
    return Export(
        interface=None if interface is None else _text(interface),
        name=_text(parts["name"]),
        params=_named(parts["params"], 0),
        result=_optional_from_json(parts["result"], 0),
    )


def type_to_json(wit: WitType) -> Any:
    """A type as JSON: a primitive's name, or an object with one key."""
    match wit:
        case Primitive():
            return wit.name
        case ListOf():
            return {"list": type_to_json(wit.element)}
        case TupleOf():
            return {"tuple": [type_to_json(element) for element in wit.elements]}
        case Record():
            return {"record": [[name, type_to_json(field)] for name, field in wit.fields]}
        case Variant():
            return {"variant": [[name, _optional_to_json(payload)] for name, payload in wit.cases]}
        case EnumOf():
            return {"enum": list(wit.names)}
        case FlagsOf():
            return {"flags": list(wit.names)}
        case OptionOf():
            return {"option": type_to_json(wit.payload)}
        case ResultOf():
            return {"result": [_optional_to_json(wit.ok), _optional_to_json(wit.err)]}
        case Unsupported():
            return {"unsupported": wit.spelling}


def type_from_json(body: Any, level: int = 0) -> WitType:
    """The type that `type_to_json` wrote. Raises `ComponentError`."""
    if level > MAX_LEVELS:
        raise ComponentError(f"a type has more than {MAX_LEVELS} levels")
    if isinstance(body, str):
        if body not in PRIMITIVES:
            raise ComponentError(f"no WIT type is written `{body[:40]}`")
        return Primitive(body)
    if not isinstance(body, dict) or len(body) != 1:
        raise ComponentError("a type is a name or an object with one key")
    ((kind, content),) = body.items()
    return _compound(kind, content, level + 1)


def _compound(kind: str, content: Any, level: int) -> WitType:
    match kind:
        case "list":
            return ListOf(type_from_json(content, level))
        case "tuple":
            return TupleOf(tuple(type_from_json(element, level) for element in _array(content)))
        case "record":
            return Record(_named(content, level))
        case "variant":
            pairs = (_sized(pair, 2) for pair in _array(content))
            return Variant(tuple((_text(name), _optional_from_json(payload, level)) for name, payload in pairs))
        case "enum":
            return EnumOf(tuple(_text(name) for name in _array(content)))
        case "flags":
            return FlagsOf(tuple(_text(name) for name in _array(content)))
        case "option":
            return OptionOf(type_from_json(content, level))
        case "result":
            ok, err = _sized(content, 2)
            return ResultOf(_optional_from_json(ok, level), _optional_from_json(err, level))
        case "unsupported":
            return Unsupported(_text(content))
        case _:
            raise ComponentError(f"no WIT type is written `{kind[:40]}`")


def _optional_to_json(wit: WitType | None) -> Any:
    return None if wit is None else type_to_json(wit)


def _optional_from_json(body: Any, level: int) -> WitType | None:
    return None if body is None else type_from_json(body, level)


def _named(body: Any, level: int) -> tuple[tuple[str, WitType], ...]:
    pairs = (_sized(pair, 2) for pair in _array(body))
    return tuple((_text(name), type_from_json(wit, level)) for name, wit in pairs)


def _object(body: Any, *keys: str) -> dict[str, Any]:
    if not isinstance(body, dict) or set(body) != set(keys):
        raise ComponentError(f"expected an object with {', '.join(keys)}")
    return body


def _array(body: Any) -> list[Any]:
    if not isinstance(body, list):
        raise ComponentError("expected an array")
    return body


def _sized(body: Any, size: int) -> list[Any]:
    if len(_array(body)) != size:
        raise ComponentError(f"expected an array of {size}")
    return _array(body)


def _text(body: Any) -> str:
    if not isinstance(body, str):
        raise ComponentError("expected a string")
    return body
