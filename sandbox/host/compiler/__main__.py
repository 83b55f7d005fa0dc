"""Compile one component, say what it imports and exports, and exit: `python -I -m sandbox.host.compiler FD`.

Decides nothing; instantiates nothing. Whoever wrote the component may crash this process, make it slow or take it over:
it has rlimits, no network, no files but the two it was handed, and its end is read by the server, which alone seals.

Frame in:  {"fuel", "describe", "memory_bytes", "cpu_seconds"} + source, output
Frame out: {"world": … or null, "layers": …} · {"refused": message, "help": …}
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from typing import Any, NoReturn

from wasmtime import WasmtimeError
from wasmtime.component import Component

from sandbox.errors import ComponentError
from sandbox.host import wire
from sandbox.host.compiler.confine import confine
from sandbox.host.compiler.world import describe
from sandbox.host.engine import make_engine
from sandbox.host.layers import pdeathsig
from sandbox.wit.wire import world_to_json

_MESSAGE_CHARACTERS = 400
_NICER = 5
"""The server and its workers go first: compiling can wait, calls cannot."""


def main() -> NoReturn:
    """Serve the one request."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pdeathsig.apply()
    os.nice(_NICER)
    control = socket.socket(fileno=int(sys.argv[1]))
    received = wire.receive(control)
    if received is None:
        os._exit(0)
    request, (source, output) = received
    layers = confine(
        memory_bytes=request["memory_bytes"],
        cpu_seconds=request["cpu_seconds"],
        keep=(control.fileno(), source, output),
    )
    answer = _answer(request, source, output)
    wire.send(control, wire.encode({**answer, "layers": layers, "peak_bytes": _peak_bytes()}))
    # The engine's threads are left as they are: there is nothing to clean up that the kernel does not.
    os._exit(0)


def _answer(request: dict[str, Any], source: int, output: int) -> dict[str, Any]:
    engine = make_engine(fuel=request["fuel"])
    try:
        component = Component(engine, _read(source))
        world = world_to_json(describe(engine, component)) if request["describe"] else None
    except WasmtimeError as error:
        return {"refused": f"the component does not compile: {_one_line(error)}", "help": None}
    except ComponentError as error:
        return {"refused": error.message, "help": error.help}
    _write(output, component.serialize())
    return {"world": world}


def _one_line(error: WasmtimeError) -> str:
    """The engine's message without line breaks, bounded. It may quote the component: untrusted."""
    return " ".join(str(error).split())[:_MESSAGE_CHARACTERS]


def _read(fd: int) -> bytes:
    """All of the source. It is never text here unless one of the host's own two: the caller has checked the magic."""
    parts = []
    at = 0
    while part := os.pread(fd, 1 << 24, at):
        parts.append(part)
        at += len(part)
    return b"".join(parts)


def _write(fd: int, data: bytes | bytearray) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
