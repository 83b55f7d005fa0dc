"""`wasi:filesystem`."""

from __future__ import annotations

from sandbox.host.gates.call import Call
from sandbox.host.gates.interface import Interface
from sandbox.host.gates.native import Passthrough


def interfaces(_passthrough: Passthrough) -> tuple[Interface, ...]:
    """Nothing yet: Wasmtime's own, with the template's preopens."""
    return ()


def close(_call: Call) -> None:
    """Nothing yet."""
