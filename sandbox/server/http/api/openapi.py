"""The OpenAPI 3.1 document of the HTTP API, made of the operations themselves.

Decides how they are described. Pure; made once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib import metadata
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from sandbox.server.http.api.models import Problem
from sandbox.server.http.api.operations import Operation
from sandbox.server.http.api.reading import KEY_PATTERN
from sandbox.server.http.api.table import OPERATIONS
from sandbox.server.http.names import API as BASE

_REF = "#/components/schemas/{model}"
_ABOUT = """What MCP does not have: whether an action would be allowed, the budgets of runs, approvals, grants, the record.

Every request carries the bearer token that MCP's endpoint takes, and whoever it stands for. Bodies are strict JSON; what is wrong
is told as problem details (RFC 9457), with the codes that MCP and the command line use. Amounts of money are JSON numbers, exact
to six decimals. Lists have at most 100 entries; `next` is the `after` of the next page."""
_EVERYWHERE = {
    400: "The request cannot be read",
    401: "No token, or one that stands for nobody",
    403: "The subject may not do this, or the page not speak to this server",
    405: "Another method is meant; `Allow` says which",
    421: "This server does not go by that name",
    422: "Something in the request is not as it should be; `problems` says where, and what to write instead",
    431: "The head is too long",
    500: "A fault of the host's; its log says more",
    503: "The host cannot do it now: its record or state is out of reach, or everything is stopped",
}
_OF_BODIES = {408: "The body is too slow", 413: "The body is too large", 415: "The body is not `application/json`"}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A name of this very request: said again it is done once",
    "schema": {"type": "string", "pattern": KEY_PATTERN},
    "example": "3f1c9a52-charge-17",
}


def document() -> str:
    """The document, as JSON."""
    models: set[type[BaseModel]] = {Problem}
    for one in OPERATIONS:
        models |= {one.gives} | ({one.takes} if one.takes is not None else set())
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema([(model, "validation") for model in ordered], ref_template=_REF)
    made = {
        "openapi": "3.1.0",
        "info": {"title": "sandbox", "version": metadata.version("sandbox"), "description": _ABOUT},
        "servers": [{"url": BASE}],
        "security": [{"bearer": []}],
        "tags": [{"name": name} for name in dict.fromkeys(map(_tag, OPERATIONS))],
        "paths": _paths(OPERATIONS),
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "The token that MCP's endpoint takes"}
            },
        },
    }
    return json.dumps(made, ensure_ascii=False)


def _paths(operations: Iterable[Operation]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for one in operations:
        paths.setdefault(f"/{one.path}", {})[one.method.lower()] = _described(one)
    return paths


def _described(one: Operation) -> dict[str, Any]:
    needs = " Needs " + " and ".join(f"`{scope}`" for scope in one.scopes) + "."
    told: dict[str, Any] = {
        "operationId": one.id,
        "tags": [_tag(one)],
        "summary": one.summary,
        "description": one.description + needs,
        "parameters": [*_path_parameters(one), *_query_parameters(one), *([_KEY] if one.once else [])],
        "responses": _responses(one),
    }
    if one.takes is not None:
        content = {"schema": _ref(one.takes), "examples": {"one": {"value": one.example.body}}}
        told["requestBody"] = {"required": True, "content": {"application/json": content}}
    return told


def _responses(one: Operation) -> dict[str, Any]:
    done: dict[str, Any] = {
        "description": (one.gives.__doc__ or "").strip(),
        "content": {"application/json": {"schema": _ref(one.gives), "examples": {"one": {"value": one.example.answer}}}},
    }
    if one.links:
        done["links"] = {f"{link.operation}After": _link(link.operation, link.parameters, link.body) for link in one.links}
    refused = {**_EVERYWHERE, **(_OF_BODIES if one.takes is not None else {}), **one.refusals}
    return {str(one.status): done, **{str(status): _refusal(status, told) for status, told in sorted(refused.items())}}


def _link(operation: str, parameters: Any, body: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"operationId": operation}
    if parameters:
        told["parameters"] = dict(parameters)
    if body is not None:
        told["requestBody"] = dict(body)
    return told


def _refusal(status: int, told: str) -> dict[str, Any]:
    refusal: dict[str, Any] = {"description": told, "content": {"application/problem+json": {"schema": _ref(Problem)}}}
    if status == 429:
        seconds = {"schema": {"type": "integer", "minimum": 0}, "description": "Seconds, where waiting helps"}
        refusal["headers"] = {"Retry-After": seconds}
    return refusal


def _path_parameters(one: Operation) -> list[dict[str, Any]]:
    examples = {"run_id": "nightly-7", "component": "fetch"} | {
        name: one.example.answer.get("id", one.example.answer.get("grant")) for name in ("grant_id", "approval_id")
    }
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": (schema := TypeAdapter(kind).json_schema()),
            "description": schema.pop("description", ""),
            "example": examples[name],
        }
        for name, kind in one.parameters.items()
    ]


def _query_parameters(one: Operation) -> list[dict[str, Any]]:
    schema = one.query.model_json_schema()
    return [_query_parameter(name, dict(field)) for name, field in schema.get("properties", {}).items()]


def _query_parameter(name: str, field: dict[str, Any]) -> dict[str, Any]:
    # A query has no null: what may be left out is left out.
    plain = next((dict(each) for each in field.get("anyOf", ()) if each.get("type") != "null"), field)
    plain |= {key: field[key] for key in ("default",) if field.get(key) is not None}
    description = plain.pop("description", "")
    for noise in ("title",):
        plain.pop(noise, None)
    return {"name": name, "in": "query", "required": False, "schema": plain, "description": description}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}


def _tag(one: Operation) -> str:
    return one.path.partition("/")[0]
