"""A template as JSON, for the way from the server to a worker, and back.

Both ends are this host, but a worker's end is read as strictly as anything else: a missing or unknown field is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from sandbox.template.template import Access, Effect, EnvironmentRule, FileRule, Limits, NetworkRule, Preopen, WasiTemplate
from sandbox.wit.types import Digest

_Value = TypeVar("_Value")


def to_wire(template: WasiTemplate) -> dict[str, Any]:
    """The template as plain data that `json.dumps` takes; rules are rows in the order of their fields."""
    return {
        "component": template.component,
        "tenant": template.tenant,
        "preopens": [_row(preopen) for preopen in template.preopens],
        "files": [_row(rule) for rule in template.files],
        "network": [_row(rule) for rule in template.network],
        "environment": [_row(rule) for rule in template.environment],
        "denied_environment": [list(pair) for pair in template.denied_environment],
        "limits": _row(template.limits),
        "generation": template.generation,
    }


def from_wire(data: Mapping[str, Any]) -> WasiTemplate:
    """The template that `to_wire` wrote; raises `ValueError` for anything else."""
    known = {field.name for field in fields(WasiTemplate)}
    if set(data) != known:
        raise ValueError(f"a template has the fields {sorted(known)}, not {sorted(data)}")
    return WasiTemplate(
        component=Digest(data["component"]),
        tenant=data["tenant"],
        preopens=tuple(_value(Preopen, row) for row in data["preopens"]),
        files=tuple(_file_rule(row) for row in data["files"]),
        network=network_from_wire(data["network"]),
        environment=tuple(_environment_rule(row) for row in data["environment"]),
        denied_environment=tuple((name, origin) for name, origin in data["denied_environment"]),
        limits=_value(Limits, [_frozen(item) for item in data["limits"]]),
        generation=data["generation"],
    )


def network_to_wire(rules: tuple[NetworkRule, ...]) -> list[Any]:
    """The network rules alone, for the gateway."""
    return [_row(rule) for rule in rules]


def network_from_wire(rows: list[Any]) -> tuple[NetworkRule, ...]:
    """The rules that `network_to_wire` wrote."""
    return tuple(_value(NetworkRule, [Effect(row[0]), *(_frozen(item) for item in row[1:])]) for row in rows)


def _file_rule(row: list[Any]) -> FileRule:
    effect, pattern, access, origin = row
    return FileRule(Effect(effect), pattern, Access(access), origin)


def _environment_rule(row: list[Any]) -> EnvironmentRule:
    effect, key, value, origin = row
    return EnvironmentRule(Effect(effect), key, value, origin)


def _row(value: Any) -> list[Any]:
    return [_plain(getattr(value, field.name)) for field in fields(value)]


def _plain(item: Any) -> Any:
    if isinstance(item, tuple):
        return [_plain(part) for part in item]
    if isinstance(item, Access):
        return int(item)
    return str(item) if isinstance(item, Effect) else item


def _frozen(item: Any) -> Any:
    return tuple(_frozen(part) for part in item) if isinstance(item, list) else item


def _value(kind: type[_Value], row: list[Any]) -> _Value:
    if len(row) != len(fields(kind)):  # type: ignore[arg-type]  # every kind here is a dataclass
        raise ValueError(f"a {kind.__name__} has {len(fields(kind))} fields, not {len(row)}")  # type: ignore[arg-type]
    return kind(*row)
