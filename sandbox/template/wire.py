"""A template as JSON, for the way from the server to a worker, and back.

Both ends are this host, but a worker's end is read as strictly as anything else: a missing or unknown field is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from sandbox.template.template import (
    Access,
    Credential,
    Effect,
    EnvironmentRule,
    FileRule,
    HttpLimits,
    KeyValueRule,
    Limits,
    NetworkRule,
    Preopen,
    WasiTemplate,
)

_Value = TypeVar("_Value")


def to_wire(template: WasiTemplate) -> dict[str, Any]:
    """The template as plain data that `json.dumps` takes; rules are rows in the order of their fields."""
    return {field.name: _plain(getattr(template, field.name)) for field in fields(template)}


def from_wire(data: Mapping[str, Any]) -> WasiTemplate:
    """The template that `to_wire` wrote; raises `ValueError` for anything else."""
    known = {field.name for field in fields(WasiTemplate)}
    if set(data) != known:
        raise ValueError(f"a template has the fields {sorted(known)}, not {sorted(data)}")
    return WasiTemplate(**{name: _READ.get(name, _frozen)(value) for name, value in data.items()})


def network_to_wire(rules: tuple[NetworkRule, ...]) -> list[Any]:
    """The network rules alone, for the gateway."""
    return [_row(rule) for rule in rules]


def network_from_wire(rows: list[Any]) -> tuple[NetworkRule, ...]:
    """The rules that `network_to_wire` wrote."""
    return tuple(_network_rule(row) for row in rows)


def _file_rule(row: list[Any]) -> FileRule:
    effect, pattern, access, *rest = row
    return _value(FileRule, [Effect(effect), pattern, Access(access), *rest])


def _environment_rule(row: list[Any]) -> EnvironmentRule:
    effect, *rest = row
    return _value(EnvironmentRule, [Effect(effect), *rest])


def _network_rule(row: list[Any]) -> NetworkRule:
    effect, *rest, credential, limits = row
    added = None if credential is None else _value(Credential, credential)
    held = tuple(_value(HttpLimits, each) for each in limits)
    return _value(NetworkRule, [Effect(effect), *rest, added, held])


def _row(value: Any) -> list[Any]:
    return [_plain(getattr(value, field.name)) for field in fields(value)]


def _plain(item: Any) -> Any:
    if isinstance(item, tuple):
        return [_plain(part) for part in item]
    if is_dataclass(item):
        return _row(item)
    if isinstance(item, Access):
        return int(item)
    return str(item) if isinstance(item, Effect) else item


def _frozen(item: Any) -> Any:
    return tuple(_frozen(part) for part in item) if isinstance(item, list) else item


def _value(kind: type[_Value], row: list[Any]) -> _Value:
    if len(row) != len(fields(kind)):  # type: ignore[arg-type]  # every kind here is a dataclass
        raise ValueError(f"a {kind.__name__} has {len(fields(kind))} fields, not {len(row)}")  # type: ignore[arg-type]
    return kind(*(_frozen(item) for item in row))


_READ: dict[str, Callable[[Any], Any]] = {
    "preopens": lambda rows: tuple(_value(Preopen, row) for row in rows),
    "files": lambda rows: tuple(_file_rule(row) for row in rows),
    "network": network_from_wire,
    "environment": lambda rows: tuple(_environment_rule(row) for row in rows),
    "limits": lambda row: _value(Limits, row),
    "keyvalue": lambda row: None if row is None else _value(KeyValueRule, row),
}
"""How to read a field that is more than plain values."""
