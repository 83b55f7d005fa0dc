"""A call's arguments as text: what is JSON here, and the one form of it that is hashed, approved and executed.

Decides what is well formed; whether it fits the function is decided by the conversion (`sandbox.host.worker.values`).

Rules: no duplicate keys (two readers would see two values), no `NaN` or `Infinity` literals, no number that a double cannot
hold, no lone surrogates in text or keys, bounded size and depth. The canonical form has sorted keys and no spaces, so equal
arguments have equal digests.

Source: RFC 8259; RFC 8785 for the idea, not the letter (it would round 64-bit integers).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NoReturn

from sandbox.wit.refusal import ArgumentError, named, quoted
from sandbox.wit.types import Digest

MAX_BYTES = 16 * 2**20
"""UTF-8 bytes of one call's arguments."""

MAX_DEPTH = 128
"""Levels of arrays and objects within each other; WIT types are never that deep."""

ROOT = "arguments"


def parse_arguments(text: str | bytes) -> dict[str, Any]:
    """The arguments that a JSON text holds. Raises `ArgumentError`."""
    decoded = _decoded(text)
    try:
        value = _DECODER.decode(decoded)
    except json.JSONDecodeError as error:
        raise ArgumentError(ROOT, f"not JSON: {error.msg.lower()} at character {error.pos}") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        # Python refuses to read an integer of more than 4,300 digits.
        raise ArgumentError(ROOT, "a number has too many digits") from None
    if not isinstance(value, dict):
        raise ArgumentError(ROOT, f"expected an object, got {quoted(value)}")
    _check_depth(value)
    return value


def canonical(arguments: Mapping[str, Any]) -> str:
    """The one JSON text of some arguments. Raises `ArgumentError` for whatever `parse_arguments` would not have given."""
    _check_depth(arguments)
    try:
        text = _ENCODER.encode(arguments)
    except (TypeError, ValueError) as error:
        raise ArgumentError(ROOT, f"not JSON: {str(error).lower()}") from None
    _check_size(len(_encoded(text)))
    return text


def arguments_digest(arguments: Mapping[str, Any]) -> Digest:
    """The SHA-256 of the canonical form. Raises `ArgumentError`."""
    return Digest(hashlib.sha256(canonical(arguments).encode()).hexdigest())


def _decoded(text: str | bytes) -> str:
    if isinstance(text, str):
        _check_size(len(text))
        _check_size(len(_encoded(text)))
        return text
    _check_size(len(text))
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise ArgumentError(ROOT, "not UTF-8") from None


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ArgumentError(ROOT, "a lone surrogate is no text") from None


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise ArgumentError(ROOT, f"larger than {MAX_BYTES} bytes")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _value in pairs]
        repeated = next(name for index, name in enumerate(names) if name in names[:index])
        raise ArgumentError(ROOT, f"the key {named(repeated)} is there twice")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ArgumentError(ROOT, f"`{name}` is no JSON", help=f'where a float is expected, write the string `"{name}"`')


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0.0:
        raise ArgumentError(ROOT, f"the number {named(text)} is too large")
    return number


def _too_deep() -> ArgumentError:
    return ArgumentError(ROOT, f"more than {MAX_DEPTH} levels deep")


def _check_depth(value: Any) -> None:
    """Walk the containers level by level: depth, keys that are text, and text (also keys) that is Unicode."""
    level = [value]
    for _depth in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for container in level:
            inner.extend(_checked(item) for item in _items(container) if isinstance(item, dict | list | str))
        level = [item for item in inner if not isinstance(item, str)]
        if not level:
            return
    raise _too_deep()


def _items(container: Any) -> Any:
    if not isinstance(container, Mapping):
        return container
    for key in container:
        if not isinstance(key, str):
            raise ArgumentError(ROOT, f"the key {quoted(key)} is no text")
        _checked(key)
    return container.values()


def _checked(item: Any) -> Any:
    if isinstance(item, str) and not item.isascii():
        _encoded(item)
    return item


_DECODER = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite)
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
