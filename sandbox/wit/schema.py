"""The JSON Schema of an export's arguments and result.

Decides how the forms of `sandbox.wit.forms` are published; a property test holds it to what the conversion accepts.

Rules (so that no client drops the tool): the root is a plain object; everything is inlined, no `$ref`; no type unions, `anyOf`
instead; no schema is a bare boolean or untyped; no `format`. 2020-12; read as draft-07 it only says less: a reader that does
not know `prefixItems` sees a tuple as an array of that length whose items are any of its types.

Looser than the conversion in three places, all refused by it with a message: a whole number written with a fraction
(`1.0` is an integer to JSON Schema), a 64-bit decimal string past the type's range, text that is not Unicode (lone surrogates).
"""

from __future__ import annotations

from typing import Any

from sandbox.errors import ComponentError
from sandbox.wit import forms
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

Schema = dict[str, Any]

OUTPUT_KEY = "result"
"""Where the value stands in a tool's structured output, whose root has to be an object."""


def input_schema(export: Export) -> Schema:
    """The schema of an export's arguments: a closed object with a property for each parameter."""
    return _object(export.params, {name: type_schema(wit) for name, wit in export.params})


def output_schema(export: Export) -> Schema | None:
    """The schema of `{"result": value}`, or None where the function gives nothing."""
    given = export.gives
    return None if given is None else _closed({OUTPUT_KEY: type_schema(given, argument=False)}, [OUTPUT_KEY])


def type_schema(wit: WitType, *, argument: bool = True) -> Schema:
    """The schema of one type; as an `argument`, `list<u8>` may be an array of numbers too. Raises `ComponentError`."""
    match wit:
        case Primitive():
            return _primitive(wit.name)
        case ListOf():
            return _list(wit, argument=argument)
        case TupleOf():
            return _tuple([type_schema(element, argument=argument) for element in wit.elements])
        case Record():
            return _object(wit.fields, {name: type_schema(field, argument=argument) for name, field in wit.fields})
        case Variant():
            return _any_of([_case(name, payload, argument=argument) for name, payload in wit.cases])
        case EnumOf():
            return {"type": "string", "enum": list(wit.names)}
        case FlagsOf():
            return {"type": "array", "items": {"type": "string", "enum": list(wit.names)}, "uniqueItems": True}
        case OptionOf():
            return _option(wit, argument=argument)
        case ResultOf():
            return _any_of([_payload("ok", wit.ok, argument=argument), _payload("err", wit.err, argument=argument)])
        case Unsupported():
            raise ComponentError(f"`{wit.spelling}` cannot travel as JSON")


def _primitive(name: str) -> Schema:
    match name:
        case "bool":
            return {"type": "boolean"}
        case "string":
            return {"type": "string"}
        case "char":
            return {"type": "string", "minLength": 1, "maxLength": 1}
        case "f32":
            return _float({"type": "number", "minimum": -forms.F32_MAX, "maximum": forms.F32_MAX})
        case "f64":
            return _float({"type": "number"})
        case _:
            return _integer(name)


def _float(number: Schema) -> Schema:
    return _any_of([number, {"type": "string", "enum": list(forms.NOT_FINITE)}])


def _integer(name: str) -> Schema:
    if name not in forms.INTEGERS:
        raise ComponentError(f"`{name}` is no WIT type that this host knows")
    low, high = forms.INTEGERS[name]
    if name not in forms.WIDE:
        return {"type": "integer", "minimum": low, "maximum": high}
    safe = {"type": "integer", "minimum": max(low, -forms.SAFE), "maximum": forms.SAFE}
    return _any_of([safe, {"type": "string", "pattern": forms.WIDE[name]}])


def _list(wit: ListOf, *, argument: bool) -> Schema:
    items = {"type": "array", "items": type_schema(wit.element, argument=argument)}
    if not forms.is_bytes(wit):
        return items
    base64 = {"type": "string", "contentEncoding": "base64", "pattern": forms.BASE64}
    return _any_of([base64, items]) if argument else base64


def _tuple(elements: list[Schema]) -> Schema:
    distinct: list[Schema] = []
    for element in elements:
        if element not in distinct:
            distinct.append(element)
    sized: Schema = {"type": "array", "minItems": len(elements), "maxItems": len(elements), "items": _any_of(distinct)}
    return sized if len(distinct) == 1 else {**sized, "prefixItems": elements}


def _option(wit: OptionOf, *, argument: bool) -> Schema:
    payload = type_schema(wit.payload, argument=argument)
    if forms.needs_some(wit):
        payload = _closed({"some": payload}, ["some"])
    return _any_of([payload, {"type": "null"}])


def _case(name: str, payload: WitType | None, *, argument: bool) -> Schema:
    tag: Schema = {"tag": {"type": "string", "enum": [name]}}
    if payload is None:
        return _closed(tag, ["tag"])
    required = ["tag"] if forms.may_be_left_out(payload) else ["tag", "val"]
    return _closed({**tag, "val": type_schema(payload, argument=argument)}, required)


def _payload(key: str, payload: WitType | None, *, argument: bool) -> Schema:
    return _closed({key: {"type": "null"} if payload is None else type_schema(payload, argument=argument)}, [key])


def _object(named: tuple[tuple[str, WitType], ...], properties: Schema) -> Schema:
    return _closed(properties, [name for name, wit in named if not forms.may_be_left_out(wit)])


def _closed(properties: Schema, required: list[str]) -> Schema:
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


def _any_of(schemas: list[Schema]) -> Schema:
    """One schema alone, or `anyOf` with the `anyOf`s in it spread out."""
    spread = [inner for schema in schemas for inner in (schema["anyOf"] if set(schema) == {"anyOf"} else [schema])]
    return spread[0] if len(spread) == 1 else {"anyOf": spread}
