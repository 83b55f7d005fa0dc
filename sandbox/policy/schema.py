"""The policy document as JSON Schema, for editors.

Says the shape; what a shape cannot say (units out of range, a grant on `/proc`, an allow that is none) `load_policy` says.
"""

from __future__ import annotations

from typing import Any

from sandbox.policy.models import PolicyDocument

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def policy_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a version "2.0" document."""
    return {"$schema": DIALECT, **PolicyDocument.model_json_schema(), "title": "Policy of a component"}
