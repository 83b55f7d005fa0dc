"""`wasi:config/store`: a store of configuration values that has none.

No policy field grants a value, so every key is absent; an interface that answers is what toolchains expect of a host.
"""

from __future__ import annotations

from sandbox.host.gates.call import Call
from sandbox.host.gates.native import values
from sandbox.host.gates.native.interface import Handler, Interface
from sandbox.host.gates.native.passthrough import Passthrough

# A version before 1.0 with a suffix is only compatible with itself, so each that is in use is named.
NAMES = (
    "wasi:config/store@0.2.0-rc.1",
    "wasi:config/store@0.2.0-draft",
    "wasi:config/store",
    "wasi:config/runtime@0.2.0-draft",
)


def interfaces(_passthrough: Passthrough) -> tuple[Interface, ...]:
    """The store, under each of its names."""
    functions: tuple[tuple[str, Handler], ...] = (("get", _get), ("get-all", _get_all))
    return tuple(Interface(name, functions) for name in NAMES)


def _get(_call: Call, _arguments: int, results: int) -> None:
    values.build(results, values.Ok(values.none))


def _get_all(_call: Call, _arguments: int, results: int) -> None:
    values.build(results, values.Ok([]))
