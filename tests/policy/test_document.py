"""The document as a value: frozen, with a digest of its meaning and lines; its schema; the named policies."""

from __future__ import annotations

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from sandbox.errors import Code, PolicyError
from sandbox.policy.load import load_policy
from sandbox.policy.named import named_policy, policy_names, policy_text
from sandbox.policy.schema import policy_schema

FULL = """\
version: "2.0"
description: Everything that is enforced
permissions:
  storage:
    allow:
      - uri: fs:///srv/data/**
        access: [read]
        mount: /data
      - uri: "fs:///srv/out/*.{csv,txt}"
        access: [read, write, create, delete]
    deny:
      - uri: fs:///srv/data/private/**
        access: [read]
      - uri: fs:///srv/data/secret
  network:
    allow:
      - host: api.example.com
        ports: [443, "8000-8999"]
        protocols: [https]
        methods: [GET]
        paths: ["/v1/**"]
      - cidr: 10.1.0.0/16
        ports: any
    deny:
      - host: admin.example.com
  environment:
    allow:
      - key: LANG
      - key: WEATHER_*
      - key: MODE
        value: production
    deny:
      - key: WEATHER_ADMIN
  resources:
    limits: {memory: 64Mi, cpu_time: 2s, wall_time: 1m, fuel: 100, output: 1Mi, stdio: 64Ki, open_files: 6, concurrency: 4}
"""


def test_a_document_that_is_frozen_refuses_to_change() -> None:
    document = load_policy(FULL, file="p.yaml")
    with pytest.raises(ValidationError):
        document.description = "x"
    with pytest.raises(ValidationError):
        document.permissions.storage.allow[0].uri = "fs:///etc/**"


def test_every_enforced_field_is_read() -> None:
    document = load_policy(FULL, file="p.yaml")
    assert document.permissions.network.allow[0].port_ranges == ((443, 443), (8000, 8999))
    assert document.permissions.network.allow[1].port_ranges == ((1, 65535),)
    assert document.permissions.storage.deny[1].access == ("read", "write", "create", "delete")
    assert document.permissions.resources.limits.written == {
        "memory": 64 << 20,
        "cpu_time": 2000,
        "wall_time": 60_000,
        "fuel": 100,
        "output": 1 << 20,
        "stdio": 64 << 10,
        "open_files": 6,
        "concurrency": 4,
    }
    lines = FULL.splitlines()
    fuel = next(at for at, line in enumerate(lines, 1) if "fuel" in line)
    assert document.permissions.resources.limits.origin("fuel") == f"p.yaml:{fuel}:{lines[fuel - 1].index('100') + 1}"
    entries = [at for at, line in enumerate(lines, 1) if line.startswith("      - ")]
    assert [entry.origin for _, _, found in document.sections() for entry in found] == [f"p.yaml:{at}:9" for at in entries]


def test_the_digest_is_of_meaning_and_lines() -> None:
    document = load_policy(FULL, file="p.yaml")
    assert document.digest == load_policy(FULL, file="p.yaml").digest
    assert document.digest == load_policy(FULL.replace('"64Ki"', "64Ki") + "# a comment\n", file="p.yaml").digest
    assert document.digest != load_policy(FULL, file="q.yaml").digest
    assert document.digest != load_policy("# moved\n" + FULL, file="p.yaml").digest
    assert document.digest != load_policy(FULL.replace("mount: /data", "mount: /date"), file="p.yaml").digest


def test_the_smallest_document_grants_nothing() -> None:
    document = load_policy('version: "2.0"', file="p.yaml")
    assert all(not entries for _, _, entries in document.sections())
    assert document.permissions.resources.limits.written == {}


def test_the_schema_is_a_schema_and_takes_the_full_document() -> None:
    schema = policy_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(FULL), schema, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "change",
    [
        ("version:", "versoin:"),
        ("access: [read]", "access: read"),
        ("memory: 64Mi", "memory: 64"),
        ("open_files: 6", "open_files: 65537"),
        ("ports: any", "ports: 443"),
        ("mount: /data", "max_file_size: 1"),
        ("mount: /data", "mount:"),
        ("ports: any", "ports: [true]"),
    ],
)
def test_the_schema_refuses_what_has_another_shape(change: tuple[str, str]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(FULL.replace(*change)), policy_schema(), jsonschema.Draft202012Validator)


@pytest.mark.parametrize("name", ["deny-all", "one-host", "read-only", "workspace"])
def test_a_named_policy_loads_without_a_warning(name: str) -> None:
    document = named_policy(name)
    assert document.warnings == ()
    assert document.description
    jsonschema.validate(yaml.safe_load(policy_text(name)), policy_schema(), jsonschema.Draft202012Validator)


def test_the_named_policies_are_these() -> None:
    assert policy_names() == ("deny-all", "one-host", "read-only", "workspace")


@pytest.mark.parametrize("name", ["deny-al", "../pyproject", "", "deny-all.yaml", "/etc/passwd"])
def test_no_other_name_is_a_policy(name: str) -> None:
    with pytest.raises(PolicyError) as caught:
        named_policy(name)
    assert caught.value.code is Code.POLICY_NOT_FOUND


def test_deny_all_grants_nothing() -> None:
    assert all(not entries for _, _, entries in named_policy("deny-all").sections())
