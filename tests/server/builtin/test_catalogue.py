"""The host's own tools as they are listed: the same for everyone, portable, and each under one name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sandbox.errors import SandboxError
from sandbox.server.builtin import arguments
from sandbox.server.builtin.catalogue import CATALOGUE, Own, find
from sandbox.wit.reserved import RESERVED, reserved

SNAPSHOT = Path(__file__).with_name("tools.json")
every_tool = pytest.mark.parametrize("own", CATALOGUE, ids=lambda own: own.name)


def listed() -> list[dict[str, Any]]:
    return [own.shown().model_dump(mode="json", by_alias=True, exclude_none=True) for own in CATALOGUE]


def test_the_tools_are_listed_as_they_were() -> None:
    """To take a change over: `python -m tests.server.builtin.test_catalogue`, and look at the difference."""
    assert listed() == json.loads(SNAPSHOT.read_text())


@every_tool
def test_every_client_can_read_a_tool(own: Own) -> None:
    tool = own.shown()
    assert re.fullmatch(r"[a-z_]{1,40}", tool.name)
    assert tool.description is not None
    assert tool.output_schema is not None
    for schema in (tool.input_schema, tool.output_schema):
        assert schema["type"] == "object"
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft7Validator.check_schema(schema)
        for part in parts(schema):
            assert not {"$ref", "$defs", "anyOf", "oneOf", "allOf", "not", "if", "prefixItems"} & part.keys()
            assert isinstance(part.get("type", ""), str)
            assert all(re.fullmatch(r"[a-z_]{1,64}", name) for name in part.get("properties", {}))
    assert tool.input_schema["additionalProperties"] is False
    assert all("description" in part for part in tool.input_schema["properties"].values())


@every_tool
def test_only_what_reads_says_that_it_reads_and_what_takes_away_that_it_does(own: Own) -> None:
    hints = own.hints
    assert hints.read_only_hint is (own.name.startswith("list_") or own.name == "get_policy")
    assert hints.destructive_hint is own.name.startswith(("revoke_", "reset_", "unload_"))
    assert hints.open_world_hint is (own.name == "load_component")


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("grant-storage-permission", "grant_storage_permission"),
        ("Grant_Storage_Permission", "grant_storage_permission"),
        ("grant-environment-variable-permission", "grant_environment_permission"),
        ("revoke-environment-variable-permission", "revoke_environment_permission"),
        ("load-component", "load_component"),
        ("unload-component", "unload_component"),
        ("list-components", "list_components"),
        ("get-policy", "get_policy"),
        ("reset-permission", "reset_permission"),
        ("search-components", None),
        ("files__read", None),
        ("", None),
    ],
)
def test_other_spellings_mean_the_same_tool(name: str, means: str | None) -> None:
    found = find(name)
    assert (None if found is None else found.name) == means


def test_no_component_can_have_a_tool_of_these_names() -> None:
    assert {own.name for own in CATALOGUE} <= RESERVED
    assert reserved("Grant-Environment-Variable-Permission")


@pytest.mark.parametrize(
    ("tool", "written", "read"),
    [
        (
            "grant-storage-permission",
            {"component_id": "c", "details": {"uri": "fs:///tmp/test", "access": ["read"]}},
            {"uri": "fs:///tmp/test", "access": ["read"]},
        ),
        ("grant-network-permission", {"component_id": "c", "details": {"host": "a.example"}}, {"host": "a.example"}),
        ("grant-environment-variable-permission", {"component_id": "c", "details": {"key": "API"}}, {"key": "API"}),
        ("grant-memory-permission", {"component_id": "c", "details": {"memory": "64Mi"}}, {"memory": "64Mi"}),
        ("grant_resource_permission", {"component_id": "c", "limit": "open_files", "value": "9"}, {"open_files": 9}),
    ],
)
def test_the_existing_ecosystems_shapes_are_read(tool: str, written: dict[str, Any], read: dict[str, Any]) -> None:
    own = find(tool)
    assert own is not None
    found = arguments.read(own.takes, written)
    assert (found.component_id, found.entry()) == ("c", read)


def test_an_id_is_a_component_and_whole_seconds_are_a_time() -> None:
    assert arguments.read(arguments.OfComponent, {"id": "c"}).component_id == "c"
    asked = {"component_id": "c", "key": "K", "expires_in": 90}
    assert arguments.read(arguments.GrantEnvironment, asked).seconds == 90


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({}, "`component_id` is missing; `uri` is missing; `access` is missing"),
        ({"component_id": "c", "uri": "fs:///x", "acess": ["read"]}, "did you mean `access`?"),
        ({"component_id": "c", "uri": "fs:///x", "access": "read"}, "`access`: input should be a valid list"),
        ({"component_id": "c", "uri": "fs:///x", "access": ["read"], "max_uses": True}, "`max_uses`"),
        ({"component_id": "c", "uri": "fs:///x", "access": ["read"], "max_uses": 1.5}, "`max_uses`"),
        ({"component_id": "c", "uri": 7, "access": ["read"]}, "`uri`: input should be a valid string"),
        ({"component_id": "c", "details": {"component_id": "d", "uri": "fs:///x", "access": ["read"]}}, "`details`"),
        ({"component_id": "c", "details": "uri"}, "`details`"),
        ({"component_id": "c", "uri": "fs:///x", "access": ["read"], "who": "root"}, "unknown argument `who`"),
        ({"component_id": "c", "uri": "fs:///x", "access": ["read"], "session": "other"}, "unknown argument `session`"),
        ({"component_id": "c", "uri": "fs:///x", "access": ["read"], "effect": "deny"}, "unknown argument `effect`"),
        ({"component_id": "c", "uri": "fs:///x", "access": ["read"], "__class__": "x"}, "unknown argument `__class__`"),
    ],
)
def test_a_wrong_argument_is_named_with_what_to_write(written: dict[str, Any], said: str) -> None:
    with pytest.raises(SandboxError) as refused:
        arguments.read(arguments.GrantStorage, written)
    assert refused.value.code == "invalid_arguments"
    assert said in str(refused.value)


def parts(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema and all that it is made of."""
    yield schema
    for inner in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])):
        yield from parts(inner)


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(listed(), indent=1, ensure_ascii=False) + "\n")
