"""Which interfaces the host implements, and the refusal of a component that wants others.

Decides only whether an interface exists here; what it may reach is the policy's to say, so a known import without a rule is no
reason to refuse: toolchains import all of WASI.

Source: WASI 0.2 (wasi.dev); the linker satisfies any 0.2.x with Wasmtime's 0.2.12.
"""

from __future__ import annotations

import re

from sandbox.errors import ComponentError
from sandbox.wit.refusal import listed
from sandbox.wit.types import World

WASI_02: dict[str, tuple[str, ...]] = {
    "wasi:cli": (
        *("environment", "exit", "stdin", "stdout", "stderr"),
        *("terminal-input", "terminal-output", "terminal-stdin", "terminal-stdout", "terminal-stderr"),
    ),
    "wasi:clocks": ("monotonic-clock", "wall-clock"),
    "wasi:filesystem": ("types", "preopens"),
    "wasi:http": ("types", "outgoing-handler"),
    "wasi:io": ("error", "poll", "streams"),
    "wasi:random": ("random", "insecure", "insecure-seed"),
    "wasi:sockets": (
        *("network", "instance-network", "ip-name-lookup"),
        *("tcp", "tcp-create-socket", "udp", "udp-create-socket"),
    ),
}
"""The interfaces of WASI 0.2 that are linked. Sockets are linked to functions that refuse."""

OTHERS = frozenset({"wasi:config/store", "wasi:logging/logging"})
"""Small interfaces of the host's own, in the drafts that toolchains know; any version is answered."""

DRAFTS = frozenset({"wasi:keyvalue/store@0.2.0-draft", "wasi:keyvalue/store@0.2.0-draft2"})
"""Drafts that differ from each other: these versions alone are answered."""

_ID = re.compile(r"(?P<package>[a-z][a-z0-9-]*:[a-z][a-z0-9-]*)/(?P<interface>[a-z][a-z0-9-]*)(?:@(?P<version>[^@]+))?")
_STABLE_02 = re.compile(r"0\.2\.(0|[1-9][0-9]{0,5})")

IMPLEMENTED = ", ".join([f"{package} 0.2" for package in WASI_02] + sorted({*OTHERS, *DRAFTS}))


def check_imports(world: World) -> None:
    """Refuse a world that imports what this host does not implement. Raises `ComponentError` naming all of it."""
    unknown = [name for name in world.imports if not implemented(name)]
    if not unknown:
        return
    newer = [name for name in unknown if re.match(r"wasi:.*@0\.3\.", name)]
    if newer:
        raise ComponentError(
            f"the component wants WASI 0.3: {listed(newer)}", help="build it for WASI 0.2, this host implements 0.2"
        )
    raise ComponentError(f"the component imports what this host does not implement: {listed(unknown)}", help=_help(unknown))


def implemented(name: str) -> bool:
    """Whether an import, by its id, is one that the host supplies."""
    parts = _ID.fullmatch(name)
    if parts is None:
        return False
    if f"{parts['package']}/{parts['interface']}" in OTHERS or name in DRAFTS:
        return True
    known = parts["interface"] in WASI_02.get(parts["package"], ())
    return known and parts["version"] is not None and _STABLE_02.fullmatch(parts["version"]) is not None


def _help(unknown: list[str]) -> str:
    supplied = f"implemented are {IMPLEMENTED}"
    if any(name.startswith("wasi_snapshot_preview1") for name in unknown):
        return f"adapt it: `wasm-tools component new IN.wasm --adapt wasi_snapshot_preview1=ADAPTER.wasm -o OUT.wasm`; {supplied}"
    if any(":" not in name for name in unknown):
        return f"compose it with a component that exports them, or remove them from its world; {supplied}"
    return f"remove them from its world, or compose it with a component that exports them; {supplied}"
