"""The OpenAPI document: it is valid, it says what is there, and its examples are of its own schemas."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from sandbox.server.http.api.openapi import document
from sandbox.server.http.api.table import OPERATIONS
from tests.server.api.conftest import Callers

DOCUMENT: dict[str, Any] = json.loads(document())
DESCRIBED = [(path, method, told) for path, methods in DOCUMENT["paths"].items() for method, told in methods.items()]
operations = pytest.mark.parametrize(
    "told", [told for _, _, told in DESCRIBED], ids=[told["operationId"] for *_, told in DESCRIBED]
)


def test_it_is_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_it_describes_every_operation_and_no_other() -> None:
    described = {(path.removeprefix("/"), method.upper()) for path, method, _ in DESCRIBED}
    assert described == {(one.path, one.method) for one in OPERATIONS}
    ids = [told["operationId"] for *_, told in DESCRIBED]
    assert len(ids) == len(set(ids))


@operations
def test_each_tells_what_it_is_what_it_needs_and_every_refusal(told: dict[str, Any]) -> None:
    assert told["summary"]
    assert "Needs `" in told["description"]
    assert {"400", "401", "403", "405", "421", "422", "431", "500", "503"} <= told["responses"].keys()
    if "requestBody" in told:
        assert {"408", "413", "415"} <= told["responses"].keys()


@operations
def test_its_examples_are_of_its_schemas(told: dict[str, Any]) -> None:
    done = next(response for status, response in told["responses"].items() if status in ("200", "201"))
    for content in (done["content"]["application/json"], told.get("requestBody", {}).get("content", {}).get("application/json")):
        if content is not None:
            schema = {**content["schema"], "components": DOCUMENT["components"]}
            jsonschema.Draft202012Validator(schema).validate(content["examples"]["one"]["value"])


@pytest.mark.asyncio(loop_scope="package")
async def test_it_is_served_to_who_has_a_token(callers: Callers) -> None:
    assert await callers.reader.done("GET", "openapi.json") == DOCUMENT
