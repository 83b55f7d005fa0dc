"""One call of an exported function with JSON arguments and a JSON result.

Decides which arguments the function takes; the types' forms are in `sandbox.wit.forms`, their conversion in `values_lower`
and `values_lift`. A trap surfaces as `wasmtime.WasmtimeError` (an exit as `ExitTrap`): the caller says what it means.

Rules: arguments are refused before the guest runs. Everything is freed on every path: refused half-way, trapped, too large.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wasmtime import Store
from wasmtime.component import Func

from sandbox.host.worker import values_layout as c
from sandbox.host.worker.values_lift import Budget, OutputTooLarge, read, read_outcome
from sandbox.host.worker.values_lower import fill
from sandbox.host.worker.values_pack import pack
from sandbox.host.worker.values_refused import Refused, check_keys
from sandbox.wit import forms
from sandbox.wit.refusal import ArgumentError
from sandbox.wit.types import Export, ResultOf, WitType

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)

__all__ = ["ArgumentError", "Codec", "OutputTooLarge", "Returned"]


@dataclass(frozen=True, slots=True)
class Returned:
    """What a function gave: its value as JSON text, or, with `is_err`, the `err` of its `result`. No value is `null`."""

    json_text: str
    is_err: bool


class Codec:
    """The conversion of one export, compiled once and used for each call; one call at a time.

    Raises `ComponentError` where a parameter or the result cannot travel as JSON.
    """

    def __init__(self, export: Export) -> None:
        self._names = {name: forms.may_be_left_out(wit) for name, wit in export.params}
        self._params = [(name, fill(wit)) for name, wit in export.params]
        self._results = 0 if export.result is None else 1
        self._read = _outcome(export.result)
        self._slots = ctypes.c_uint64 * ((len(self._params) + self._results) * c.SLOT // 8)
        owning = [wit for _name, wit in export.params] + ([] if export.result is None else [export.result])
        self._owning = [index * c.SLOT for index, wit in enumerate(owning) if pack(wit) is None]

    def call(self, store: Store, func: Func, arguments: Mapping[str, Any], output_bytes: int) -> Returned:
        """Call `func` with JSON `arguments` and give at most `output_bytes` of JSON.

        Raises `ArgumentError` before the guest runs, `OutputTooLarge` after it ran, `wasmtime.WasmtimeError` for a trap.
        """
        frame = self._slots()
        base = ctypes.addressof(frame)
        try:
            self._lower(arguments, base)
            result = base + len(self._params) * c.SLOT
            _enter(store, func, base, len(self._params), result, self._results)
            return self._lift(result, output_bytes)
        finally:
            for offset in self._owning:
                c.delete(base + offset)

    def _lower(self, arguments: Mapping[str, Any], base: int) -> None:
        if type(arguments) is not dict:
            raise ArgumentError("arguments", "expected an object")
        try:
            check_keys(arguments, self._names, "argument")
            for index, (name, write) in enumerate(self._params):
                try:
                    write(arguments.get(name), base + index * c.SLOT)
                except Refused as refused:
                    raise refused.at(f".{name}") from None
        except Refused as refused:
            raise ArgumentError("arguments" + refused.path, refused.message, help=refused.help) from None

    def _lift(self, result: int, output_bytes: int) -> Returned:
        slot = c.string_at(result, c.SLOT) if self._results else b""
        is_err, value = self._read(slot, 0, Budget(output_bytes))
        text = _ENCODER.encode(value)
        if len(text) > output_bytes or (not text.isascii() and len(text.encode()) > output_bytes):
            raise OutputTooLarge(output_bytes)
        return Returned(text, is_err)


def _outcome(result: WitType | None) -> Callable[[bytes, int, Budget], tuple[bool, Any]]:
    if result is None:
        return lambda _slots, _at, _budget: (False, None)
    if isinstance(result, ResultOf):
        return read_outcome(result)
    one = read(result)
    return lambda slots, at, budget: (False, one(slots, at, budget))


def _enter(store: Store, func: Func, params: int, count: int, result: int, results: int) -> None:
    """Call into wasm. The binding's own call also raises whatever another call left behind in its module global."""
    error = c.call_function(ctypes.addressof(func._func), store._context(), params, count, result, results)
    if error:
        raise c.take_error(error)
