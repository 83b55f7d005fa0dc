"""The policy document as JSON Schema, for editors.

Says the shape; what a shape cannot say (units out of range, a grant on `/proc`, an allow that is none) `load_policy` says.
"""

from __future__ import annotations

from typing import Any

from sandbox.policy.models import PolicyDocument

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def policy_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a version "2.0" document."""
    schema = _without_null(PolicyDocument.model_json_schema())
    return {"$schema": DIALECT, **schema, "title": "Policy of a component"}


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
