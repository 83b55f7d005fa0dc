"""Host resources of one store: the records behind the handles that a guest holds.

Decides nothing but how many there may be. `descriptors` has its own, made for speed.

Rules: `take` turns a borrow among a callback's arguments into its record, which drops the borrow; a function takes all of its
borrows before anything else.
"""

from __future__ import annotations

from ctypes import byref, c_size_t
from typing import TypeVar

from sandbox.host.gates.native import ffi, values
from sandbox.host.gates.native.passthrough import Trap, check

MOST = 10_000
"""How many handles of ours a guest may hold of the interfaces that count here."""
_Record = TypeVar("_Record")


class Handles:
    """What a guest holds; the number of a resource's type goes with each."""

    def __init__(self, context: int) -> None:
        self.records: dict[int, object] = {}
        self._context = context
        self._next = 0
        self._out = c_size_t()

    def take(self, argument: int, kind: type[_Record]) -> _Record:
        """The record of the borrow that lies at `argument`."""
        error = ffi.any_to_host(self._context, values.resource(argument), byref(self._out))
        if error:
            raise Trap(error)
        host = self._out.value
        found = self.records[int(ffi.host_rep(host))]
        ffi.host_delete(host)
        if not isinstance(found, kind):
            raise values.MalformedError(f"a {kind.__name__} was expected")
        return found

    def give(self, record: object, number: int) -> values.Handle:
        """A new handle of the resource type `number`, a box of our own, for the guest."""
        if len(self.records) >= MOST:
            raise RuntimeError("a guest holds too many handles")
        self._next += 1
        self.records[self._next] = record
        host = ffi.host_new(True, self._next, number)
        error = ffi.host_to_any(self._context, host, byref(self._out))
        ffi.host_delete(host)
        check(error)
        return values.Handle(self._out.value)

    def dropped(self, rep: int) -> object:
        """A guest dropped a handle: its record, which is forgotten."""
        return self.records.pop(rep)
