"""Network rules as plain JSON values, for the gateway's control socket and the worker's template.

Pure. Strict both ways: what cannot be read raises ValueError, TypeError or KeyError, and the reader then allows nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox.template.template import Effect, NetworkRule

_FIELDS = frozenset(NetworkRule.__slots__)


def network_to_wire(rules: Iterable[NetworkRule]) -> list[dict[str, Any]]:
    """The rules as JSON values, in their order."""
    return [{name: getattr(rule, name) for name in NetworkRule.__slots__} | {"effect": rule.effect.value} for rule in rules]


def network_from_wire(values: Iterable[Any]) -> tuple[NetworkRule, ...]:
    """The rules that `network_to_wire` wrote."""
    return tuple(map(_rule, values))


def _rule(value: Any) -> NetworkRule:
    if not isinstance(value, dict) or set(value) != _FIELDS:
        raise ValueError(f"not a network rule: {value!r}")
    ports = value["ports"]
    return NetworkRule(
        effect=Effect(value["effect"]),
        host=_text(value["host"]),
        cidr=_text(value["cidr"]),
        ports=None if ports is None else tuple((int(low), int(high)) for low, high in ports),
        protocols=_texts(value["protocols"]) or (),
        methods=_texts(value["methods"]),
        paths=_texts(value["paths"]),
        origin=str(value["origin"]),
    )


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"not a text: {value!r}")
    return value


def _texts(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise TypeError(f"not a list of texts: {value!r}")
    return tuple(value)
