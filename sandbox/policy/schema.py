"""The policy document as JSON Schema, for editors.

Says the shape; what a shape cannot say (units out of range, a grant on `/proc`, an allow that is none) `load_policy` says.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from sandbox.policy.models import PolicyDocument
from sandbox.policy.version1 import Document1

DIALECT = "https://json-schema.org/draft/2020-12/schema"
HINT = "# yaml-language-server: $schema={place}"
"""The comment by which an editor finds the schema of a document."""

_EDITORS_KEY = {"$schema": {"type": "string", "description": "Where an editor finds this schema; it grants nothing"}}
_NOTHING: dict[str, Any] = {"type": "null"}
_ONLY_EMPTY = {"ipc": _NOTHING, "runtime": {"type": ["object", "null"], "additionalProperties": _NOTHING}}


def policy_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a version "2.0" document."""
    return schema_of(PolicyDocument, "Policy of a component")


def schema_of(model: type[BaseModel], title: str) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a document that is read strictly."""
    return _named(_without_null(model.model_json_schema()), title)


def policy_schema_1() -> dict[str, Any]:
    """JSON Schema of a version "1.0" document, where sections may be left empty and container settings too."""
    schema = _without_null(Document1.model_json_schema())
    for name, model in (*schema["$defs"].items(), ("", schema)):
        if name == "Permissions1":
            model["properties"] |= _ONLY_EMPTY
        if name == "NetworkEntry1":
            del model["properties"]["defaults"]
        lists = {key: part for key, part in model.get("properties", {}).items() if "$ref" in part or key in {"allow", "deny"}}
        model.get("properties", {}).update({key: {"anyOf": [part, _NOTHING]} for key, part in lists.items()})
    return _named(schema, 'Policy of a component, version "1.0"')


def _named(schema: dict[str, Any], title: str) -> dict[str, Any]:
    return {"$schema": DIALECT, **schema, "properties": {**_EDITORS_KEY, **schema["properties"]}, "title": title}


def _without_null(schema: Any) -> Any:
    """The schema without `null`: a key that is left out is left out, and one with nothing after it is an error."""
    if isinstance(schema, list):
        return [_without_null(item) for item in schema if item != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _without_null(value) for key, value in schema.items() if not (key == "default" and value is None)}
    choices = inner.get("anyOf")
    if isinstance(choices, list) and len(choices) == 1:
        del inner["anyOf"]
        inner = {**choices[0], **inner}
    return inner
