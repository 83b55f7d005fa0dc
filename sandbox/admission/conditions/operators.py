"""What the operators of a condition compare, and what they say of one value.

Three-valued: None is "cannot tell", where a value is of a kind that the operator cannot be asked of: `"5"` is neither `5`
nor different from it. A text that a `starts_with` with a `/` is asked of cannot be told where it has empty, `.` or `..` parts,
parameters (`;`) or escapes of these, however often: it may lead elsewhere. A scheme's own `://` is none of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from ipaddress import ip_address, ip_network
from typing import Any

from sandbox.admission.conditions.facts import MISSING
from sandbox.admission.conditions.patterns import whole
from sandbox.policy.refusal import Refusal, one_of, quoted
from sandbox.policy.tree import Misread

Answer = bool | None
Scalar = str | int | bool | Decimal

OPERATORS = ("eq", "ne", "in", "not_in", "gt", "ge", "lt", "le", "matches", "contains", "starts_with", "exists", "cidr")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_WANDERS = re.compile(r"(?:^|/)\.{1,2}(?:[/?#]|$)|//|%(?:2[5ef]|5c)|[\\;\x00-\x1f]", re.IGNORECASE)
_MAX_VALUES = 10_000


def operand(operator: str, value: Any) -> Any:
    """What an operator compares with, in its one form; raises `Refusal`."""
    if operator not in OPERATORS:
        raise Refusal(f"{quoted(operator)} is no operator", one_of(operator, OPERATORS))
    if operator in {"in", "not_in"}:
        if not isinstance(value, list | tuple) or not value:
            raise Refusal(f"`{operator}` holds a list of values", f"write `{operator}: [a, b]`")
        if len(value) > _MAX_VALUES:
            raise Refusal(f"{len(value)} values are too many", f"write at most {_MAX_VALUES}")
        return tuple(scalar(each) for each in value)
    if operator == "cidr" and isinstance(value, list | tuple) and value:
        return tuple(_network(each) for each in value)
    if operator == "cidr":
        return (_network(value),)
    value = scalar(value)
    if operator == "exists" and not isinstance(value, bool):
        raise Refusal("`exists` holds yes or no", "write `exists: true`")
    if operator in {"gt", "ge", "lt", "le"} and (isinstance(value, bool) or not isinstance(value, int | float | Decimal)):
        raise Refusal(f"`{operator}` compares numbers, and {quoted(value)} is none", "write digits without quotes")
    if operator in {"matches", "starts_with"} and not isinstance(value, str):
        raise Refusal(f"`{operator}` holds a text, and {quoted(value)} is none", f'quote it: `{operator}: "{value}"`')
    return value


def scalar(value: Any) -> Scalar:
    """A text, a number or yes and no, of a document or of Python; raises `Refusal` for all else."""
    if isinstance(value, str | bool | int | Decimal):
        return value
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, Misread) and re.fullmatch(r"-?[0-9]+\.[0-9]+", value.text, re.ASCII):
        return Decimal(value.text)
    if isinstance(value, Misread):
        raise Refusal(f"YAML reads {quoted(value.text)} as {value.read_as}", f'quote it if a text is meant: `"{value.text}"`')
    raise Refusal("one value is meant here", "write a text, a number, `true` or `false`")


def _network(value: Any) -> str:
    try:
        return str(ip_network(str(value)))
    except ValueError:
        raise Refusal(f"{quoted(value)} is no network", "write `10.0.0.0/8`: an address and how many bits are fixed") from None


def asked(operator: str, value: Any) -> Callable[[Any], Answer]:
    """The operator as a question of one value; raises `Refusal` for an expression that is none."""
    match operator:
        case "eq" | "ne":
            return lambda it: _equal(it, value)
        case "in" | "not_in":
            return _among(value)
        case "gt":
            return lambda it: None if (number := _number(it)) is None else number > value
        case "ge":
            return lambda it: None if (number := _number(it)) is None else number >= value
        case "lt":
            return lambda it: None if (number := _number(it)) is None else number < value
        case "le":
            return lambda it: None if (number := _number(it)) is None else number <= value
        case "matches":
            matches = whole(value)
            return lambda it: matches(it) if isinstance(it, str) else None
        case "starts_with":
            return _prefixed(value)
        case "contains":
            return lambda it: _contains(it, value)
        case "cidr":
            networks = tuple(map(ip_network, value))
            return lambda it: _within(it, networks)
        case _:
            return lambda it: it is not MISSING


def _equal(it: Any, value: Any) -> Answer:
    it = _exact(it)
    return it == value if _kind(it) == _kind(value) else None


def _among(values: tuple[Any, ...]) -> Callable[[Any], Answer]:
    known, kinds = frozenset((_kind(each), each) for each in values), {_kind(each) for each in values}

    def answer(it: Any) -> Answer:
        it = _exact(it)
        kind = _kind(it)
        return (kind, it) in known if kind in kinds else None

    return answer


def _kind(value: Any) -> str | None:
    """What may be compared with what: `"5"` and `5` cannot be told apart or alike."""
    if isinstance(value, str):
        return "text"
    return "flag" if isinstance(value, bool) else "number" if isinstance(value, int | Decimal) else None


def _exact(value: Any) -> Any:
    """A number of arguments as it is written there: `0.1` of a document is no binary fraction. What is no number is none here."""
    if not isinstance(value, float):
        return value
    return Decimal(repr(value)) if value == value else MISSING


def _number(value: Any) -> int | Decimal | None:
    value = _exact(value)
    return value if _kind(value) == "number" else None


def _prefixed(value: str) -> Callable[[Any], Answer]:
    is_path = "/" in value

    def answer(it: Any) -> Answer:
        if not isinstance(it, str) or (is_path and _WANDERS.search(_SCHEME.sub("", it, count=1) if "://" in it else it)):
            return None
        return it.startswith(value)

    return answer


def _contains(it: Any, value: Any) -> Answer:
    if isinstance(it, str):
        return value in it if isinstance(value, str) else None
    if isinstance(it, list | tuple):
        said = {_equal(each, value) for each in it}
        return True if True in said else None if None in said else False
    return None


def _within(it: Any, networks: tuple[Any, ...]) -> Answer:
    try:
        address = ip_address(it) if isinstance(it, str) else None
    except ValueError:
        return None
    if address is None:
        return None
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in networks)
