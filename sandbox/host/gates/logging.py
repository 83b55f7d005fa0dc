"""`wasi:logging/logging`: a guest's log goes where its standard error goes.

Rules: one line a message, cut at `LINE` bytes; a newline inside is shown as one, so a message cannot pass for two.
"""

from __future__ import annotations

import os

from sandbox.host.gates.call import Call
from sandbox.host.gates.native import ffi, values
from sandbox.host.gates.native.interface import Handler, Interface
from sandbox.host.gates.native.passthrough import Passthrough

NAMES = ("wasi:logging/logging@0.1.0-draft", "wasi:logging/logging")
LINE = 8192


def interfaces(_passthrough: Passthrough) -> tuple[Interface, ...]:
    """The log, under each of its names."""
    functions: tuple[tuple[str, Handler], ...] = (("log", _log),)
    return tuple(Interface(name, functions) for name in NAMES)


def _log(call: Call, arguments: int, _results: int) -> None:
    level, context, message = (values.text(arguments + i * ffi.SIZE) for i in range(3))
    if call.bound.log is not None:
        line = f"{level} {context}: {message}".replace("\r", "\\r").replace("\n", "\\n").encode()
        os.write(call.bound.log, line[:LINE] + b"\n")
