"""`wasi:http/outgoing-handler`: no request leaves."""

from __future__ import annotations

from sandbox.host.gates import ffi, values
from sandbox.host.gates.call import Call
from sandbox.host.gates.interface import Interface
from sandbox.host.gates.native import Passthrough, check


def interfaces(passthrough: Passthrough) -> tuple[Interface, ...]:
    """The handler, with the native resources that it names."""
    names = ("outgoing-request", "request-options", "future-incoming-response")
    resources = tuple((name, passthrough.resources[name], None) for name in names)
    return (Interface("wasi:http/outgoing-handler@0.2.12", (("handle", _refuse),), resources),)


def _refuse(call: Call, arguments: int, results: int) -> None:
    check(ffi.any_drop(call.context, values.resource(arguments)))
    options = values.word(arguments + ffi.SIZE + ffi.PAYLOAD)
    if options:
        check(ffi.any_drop(call.context, values.resource(options)))
    values.build(results, values.Err(values.Case("HTTP-request-denied")))
