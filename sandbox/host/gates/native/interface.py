"""One WASI interface as the host answers it, and how it gets into a linker.

Decides nothing: what a function answers is its own matter. A whole interface is defined, since defining one shadows
Wasmtime's of the same name whole.

Rules: nothing raises out of a callback, whatever it is; a function that failed ends the call as a trap and is remembered
in `Fault`, so that what the guest makes of it is never taken for a result. The objects that C holds pointers to are kept
by the `Definitions` that made them, for as long as the linker lives.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from wasmtime import WasmtimeError
from wasmtime.component import Linker, LinkerInstance, ResourceType

from sandbox.host.gates.native import ffi
from sandbox.host.gates.native.passthrough import Trap


class Current(Protocol):
    """What finds the call that a callback belongs to, and remembers what went wrong in one."""

    def enter(self, context: int) -> Any:
        """The call whose store has this context."""

    def fault(self, error: BaseException) -> None:
        """Remember that a host function failed with `error`."""


Handler = Callable[[Any, int, int], None]
"""A host function: the call, the address of the first argument, the address of the result (a `Bool(false)` to write over).

It drops the borrows among its arguments, whatever it answers.
"""
Destructor = Callable[[Any, int], None]
"""What is called with the call and the rep when a guest drops a resource of the host's."""


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface that the host answers: its full name, its resources, each with what drops one, and its functions."""

    name: str
    functions: tuple[tuple[str, Handler], ...]
    resources: tuple[tuple[str, ResourceType, Destructor | None], ...] = ()


@dataclass
class Definitions:
    """The callbacks behind one linker."""

    current: Current
    _kept: list[Any] = field(default_factory=list)

    def define(self, linker: Linker, interface: Interface) -> None:
        """Answer `interface` in `linker`."""
        with linker.root() as root, root.add_instance(interface.name) as instance:
            for name, kind, destructor in interface.resources:
                self._resource(instance, name, kind, destructor)
            for name, handler in interface.functions:
                self._function(instance, name, handler)

    def _function(self, instance: LinkerInstance, name: str, handler: Handler) -> None:
        current = self.current

        def callback(_data: Any, context: int, _type: Any, arguments: int, _n: int, results: int, _m: int) -> int:
            try:
                handler(current.enter(context), arguments, results)
            except BaseException as error:  # noqa: BLE001 - out of a callback it would end the process, or pass as a result
                return failed(current, error)
            return 0

        made = ffi.CALLBACK(callback)
        self._kept.append(made)
        raw = name.encode()
        error = ffi.linker_add_func(instance.ptr(), raw, len(raw), ctypes.cast(made, ctypes.c_void_p), None, None)
        _check(error, f"`{name}` cannot be defined")

    def _resource(self, instance: LinkerInstance, name: str, kind: ResourceType, destructor: Destructor | None) -> None:
        current = self.current

        def callback(_data: Any, context: int, rep: int) -> int:
            try:
                # Native types have a destructor of their own, where their own interface defines them.
                if destructor is not None:
                    destructor(current.enter(context), rep)
            except BaseException as error:  # noqa: BLE001 - as above
                return failed(current, error)
            return 0

        made = ffi.DESTRUCTOR(callback)
        self._kept.append(made)
        raw = name.encode()
        cast = ctypes.cast(made, ctypes.c_void_p)
        error = ffi.linker_add_resource(instance.ptr(), raw, len(raw), kind.ptr(), cast, None, None)
        _check(error, f"the resource `{name}` cannot be defined")


def failed(current: Current, error: BaseException) -> int:
    """End a callback that raised: Wasmtime's own error, or a new one that names no host detail."""
    try:
        if isinstance(error, Trap):
            return error.pointer
        current.fault(error)
    except BaseException as again:  # noqa: BLE001 - nothing may leave a callback
        del again
    return int(ffi.error_new(b"a host function failed"))


def _check(error: int, message: str) -> None:
    if error:
        ffi.error_delete(error)
        raise WasmtimeError(message)
