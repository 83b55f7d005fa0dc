"""The admission document as JSON Schema, for editors.

Says the shape; what a shape cannot say (an expression that is none, a role that is not there) `load_admission` says.
"""

from __future__ import annotations

from typing import Any

from sandbox.admission.document.models import VERSION, AdmissionDocument
from sandbox.policy.schema import schema_of


def admission_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a version "1.0" document."""
    schema = schema_of(AdmissionDocument, "Who may make which call")
    schema["properties"]["version"] = {"const": VERSION}
    return schema
