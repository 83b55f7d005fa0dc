"""Wasmtime's own implementation of WASI, as a gate calls it: a passthrough component, and its instance in one store.

Decides nothing. `Passthrough` is made once, before any fork and without a WASI context; `Native` is one store's instance,
made when a gate is first touched, with its functions looked up once each. There are two: one for files and requests, and one
for the tunnels of sockets.

Rules: arguments are C values that the callee clones; a result is written over a `Bool(false)`; an error ends the call.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from wasmtime import Engine, Store, StoreContext
from wasmtime.component import Component, FuncType, Linker, OptionType, OwnType, ResourceType, ResultType
from wasmtime.component._component import ExportIndex  # the package does not export it by name

from sandbox.host.gates.native import ffi, values

FILE = Path(__file__).with_name("passthrough.wat")


def passthrough_text() -> str:
    """The passthrough component as text, for whoever compiles it."""
    return FILE.read_text(encoding="utf-8")


def tunnel_text() -> str:
    """The passthrough component of the sockets gate as text, for whoever compiles it."""
    return FILE.with_name("tunnel.wat").read_text(encoding="utf-8")


def probe_text() -> str:
    """The guest of `Gates.self_test` as text, for whoever compiles it."""
    return FILE.with_name("probe.wat").read_text(encoding="utf-8")


class Trap(Exception):  # noqa: N818 - it is how a guest ends, not how we fail
    """A native function ended the call: `pointer` is Wasmtime's error, for the callback to hand on."""

    def __init__(self, pointer: int) -> None:
        super().__init__("a native function trapped")
        self.pointer = pointer


def check(error: int) -> None:
    """Raise the error that a C function gave back, if any."""
    if error:
        raise Trap(error)


_RESULT = -1
_SHOWN_BY = (
    ("input-stream", "descriptor-read-via-stream", _RESULT),
    ("input-stream", "incoming-body-stream", _RESULT),
    ("output-stream", "descriptor-write-via-stream", _RESULT),
    ("output-stream", "outgoing-body-write", _RESULT),
    ("error", "filesystem-error-code", 0),
    ("outgoing-request", "handle", 0),
    ("request-options", "handle", 1),
    ("future-incoming-response", "handle", _RESULT),
    ("pollable", "subscribe-duration", _RESULT),
)
"""Of each native resource the exports that name it, and where: the number of the parameter, or its result."""


class Passthrough:
    """A passthrough component with the native linker, its exports' indices and the native resource types."""

    def __init__(self, engine: Engine, component: Component) -> None:
        self.engine = engine
        self.component = component
        self.linker = Linker(engine)
        self.linker.add_wasip2()
        self.linker.add_wasi_http()
        self._names = sorted(component.type.exports(engine))
        self.indices = {name: i for i, name in enumerate(self._names)}
        self._exports = [self._export(name) for name in self._names]
        self.pointers = [ctypes.cast(export.ptr(), ctypes.c_void_p).value or 0 for export in self._exports]
        self.resources = self._native_resources()

    def _export(self, name: str) -> ExportIndex:
        found = self.component.get_export_index(name)
        if found is None:
            raise RuntimeError(f"the passthrough has no export `{name}`")
        return found

    def _native_resources(self) -> dict[str, ResourceType]:
        # As an instance shows them: `component.type` has abstract ones. The store has no WASI context, and needs none.
        with Store(self.engine) as store:
            instance = self.linker.instantiate(store, self.component)

            def shape(name: str) -> FuncType:
                func = instance.get_func(store, name)
                assert func is not None
                return func.type(store)

            found = {}
            for resource, name, at in _SHOWN_BY:
                if name in self.indices:
                    kind = shape(name)
                    found[resource] = _own(kind.result if at == _RESULT else kind.params[at][1])
            return found


def _own(kind: Any) -> ResourceType:
    if isinstance(kind, ResultType):
        return _own(kind.ok)
    if isinstance(kind, OptionType):
        return _own(kind.payload)
    found: ResourceType = kind.ty
    assert isinstance(kind, OwnType) or isinstance(found, ResourceType)
    return found


class Native:
    """The passthrough's instance in one store."""

    def __init__(self, passthrough: Passthrough, store: Store | StoreContext, context: int) -> None:
        self.context = context
        self._passthrough = passthrough
        self._instance = passthrough.linker.instantiate(store, passthrough.component)
        self._at = ctypes.addressof(self._instance._instance)
        self._found = bytearray(len(passthrough.pointers))
        self._functions = (ctypes.c_char * (ffi.FUNC_SIZE * len(passthrough.pointers)))()
        self._base = ctypes.addressof(self._functions)

    def call(self, index: int, arguments: int, count: int, result: int) -> None:
        """Call the export with that index; `result` is the address of a whole value that is replaced, or 0."""
        function = self._base + index * ffi.FUNC_SIZE
        if not self._found[index]:
            if not ffi.get_func(self._at, self.context, self._passthrough.pointers[index], function):
                raise RuntimeError(f"the passthrough has no function {index}")
            self._found[index] = 1
        error = ffi.func_call(function, self.context, arguments, count, result, 1 if result else 0)
        if error:
            raise Trap(error)

    def invoke(self, name: str, *arguments: Any, returns: bool = True) -> Any:
        """Call the export `name` with Python values (`values.build`) and give back its result as one (`values.read`).

        A handle in the result is a box of our own, to be given to `drop` once.
        """
        slots = (ffi.Val * max(1, len(arguments)))()
        base, result = ctypes.addressof(slots), values.Slot()
        try:
            for i, argument in enumerate(arguments):
                values.build(base + i * ffi.SIZE, argument)
            self.call(self._passthrough.indices[name], base, len(arguments), result.address if returns else 0)
            return _kept(values.read(result.address)) if returns else None
        finally:
            result.clear()
            for i in range(len(arguments)):
                ffi.val_delete(base + i * ffi.SIZE)

    def forward(self, name: str, arguments: int, count: int, result: int) -> None:
        """Call the export `name` with a guest's own arguments and let it write the guest's own result."""
        self.call(self._passthrough.indices[name], arguments, count, result)

    def drop(self, pointer: int) -> None:
        """Drop the handle that a box of our own names, and free the box."""
        try:
            check(ffi.any_drop(self.context, pointer))
        finally:
            ffi.any_delete(pointer)


def _kept(value: Any) -> Any:
    """The same value with boxes of our own for its handles."""
    if isinstance(value, values.Handle):
        return values.Handle(values.keep(value.pointer))
    if isinstance(value, values.Ok):
        return values.Ok(_kept(value.value))
    if isinstance(value, values.Err):
        return values.Err(_kept(value.value))
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(_kept(item) for item in value)
    return [_kept(item) for item in value] if isinstance(value, list) else value
