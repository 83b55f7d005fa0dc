"""Turn `KEY=value` words into a tool's arguments, by the tool's schema.

Decides the JSON type that a word means. Leaves whether the value is right to the host, which judges every call the same.

Rules: a string stays as it is written; a number, boolean, list or object is JSON; where the schema takes a string or
something else, what reads as that something is it, but for an integer that JSON would not keep exactly. A key that the tool
does not have is an error that names those it has.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from sandbox.errors import Code, SandboxError

_EXACT = 2**53
"""Beyond it, 64-bit integers are written as strings of digits."""

_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object", type(None): "null"}


def arguments_from(words: Sequence[str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that `words` say: one JSON object, or `KEY=value` each.

    Raises:
        SandboxError: `invalid_arguments`, a word that is neither, a key that is unknown or written twice.
    """
    if len(words) == 1 and words[0].startswith("{"):
        return _object(words[0])
    made: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            _refuse(f"`{word}` is no argument", help="write `KEY=value` for each, or all of them as one `{…}` in JSON")
        if key in made:
            _refuse(f"`{key}` is given twice")
        made[key] = _value(key, text, schema)
    return made


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_constant)
    except ValueError as error:
        _refuse(f"the arguments are not JSON: {error}", help="write `KEY=value` for each, or all of them as one `{…}` in quotes")
    assert isinstance(value, dict)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return dict(pairs)


def _constant(text: str) -> NoReturn:
    raise ValueError(f"`{text}` is not JSON; write it as a string")


def _value(key: str, text: str, schema: Mapping[str, Any]) -> Any:
    properties: Mapping[str, Any] = schema.get("properties", {})
    if key not in properties:
        near = difflib.get_close_matches(key, properties, n=1)
        known = ", ".join(f"`{name}`" for name in properties) or "none"
        _refuse(f"the tool has no argument `{key}`", help=f"did you mean `{near[0]}`?" if near else f"its arguments: {known}")
    allowed = frozenset(_types(properties[key]))
    if allowed <= {"string", "null"}:
        return text
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_constant)
    except ValueError:
        value = text
    kind = _TYPES[type(value)]
    if kind == "integer" and "string" in allowed and abs(value) > _EXACT:
        return text
    if kind in allowed or (kind == "integer" and "number" in allowed):
        return value
    if "string" in allowed:
        return text
    return _refuse(f"`{key}={text}` is no {' or '.join(sorted(allowed))}", help="lists and objects are written in JSON")


def _types(schema: Mapping[str, Any]) -> Iterator[str]:
    """The JSON types that a schema takes at its top."""
    if isinstance(found := schema.get("type"), str):
        yield found
    elif "enum" in schema:
        yield from (_TYPES[type(value)] for value in schema["enum"])
    elif "const" in schema:
        yield _TYPES[type(schema["const"])]
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _types(choice)


def _refuse(message: str, *, help: str | None = None) -> NoReturn:  # noqa: A002 - the word of the error style
    raise SandboxError(message, help=help, code=Code.INVALID_ARGUMENTS)
