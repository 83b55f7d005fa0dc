"""Take layers and gates away from workers, one by one: run in the zygotes of a host that a test started so.

What a worker goes without stands in its policy, as the value of the variable `SANDBOX_WITHOUT`: names of layers (of
`sandbox.host.layers.report`), and of gates:

- `files`: `wasi:filesystem` is Wasmtime's own, on the preopens as they are; with `narrow` too, each of them is the whole disk;
- `http`: `wasi:http/outgoing-handler` is Wasmtime's own;
- `sockets`: `wasi:sockets` is Wasmtime's own; with `dialling` instead, its gate lets every name and address through;
- `environment`: the guest inherits its worker's.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

from wasmtime import WasiConfig
from wasmtime.component import Linker

from sandbox.host.gates import config, http, logging
from sandbox.host.gates.filesystem import gate as filesystem
from sandbox.host.gates.gates import Gates
from sandbox.host.gates.native.interface import Definitions
from sandbox.host.gates.sockets import gate as sockets
from sandbox.host.gates.sockets import lookup, tcp
from sandbox.host.worker.confine import Lockdown
from sandbox.template.network import NetworkDecision
from sandbox.template.sockets import SocketDecision

NAMED = re.compile(rb'"SANDBOX_WITHOUT","([a-z_ ]*)"')
WHOLE = (b'"take":', b'"probe":')
PEEKED = 1 << 16
gone: set[str] = set()
"""Of this process: a worker."""


def learn(control: int) -> None:
    """Wait for the worker's first order, without taking it, and read what it goes without."""
    with socket.socket(fileno=os.dup(control)) as peeking:
        while not any(word in (seen := peeking.recv(PEEKED, socket.MSG_PEEK)) for word in WHOLE):
            if not seen:
                return
    found = NAMED.search(seen)
    gone.update(found[1].decode().split() if found else ())


def without_spare_layers(as_spare: Callable[[Lockdown, Collection[int]], None]) -> Any:
    """The first half of the layers, once it is known which of them."""

    def replaced(self: Lockdown, keep: Collection[int]) -> None:
        learn(next(iter(keep)))
        as_spare(self, keep)

    return replaced


def without_layer(take: Callable[..., None]) -> Any:
    """Each layer, unless the worker goes without it; nobody is told."""

    def replaced(self: Lockdown, name: str, *rest: Any) -> None:
        if name in gone:
            self.said[name] = None
        else:
            take(self, name, *rest)

    return replaced


def without_gates(bind: Callable[..., None]) -> Any:
    """The linker, with Wasmtime's own where a gate is gone."""

    def replaced(self: Gates, *arguments: Any, **named: Any) -> None:
        left = {"files": filesystem, "http": http, "sockets": sockets}
        modules = [config, logging, *(module for name, module in left.items() if name not in gone)]
        if gone & set(left):
            self.linker = Linker(self.engine)
            self.linker.allow_shadowing = True
            self.linker.add_wasip2()
            self.linker.add_wasi_http()
            self._definitions = Definitions(self)
            for interface in interfaces(self, modules):
                self._definitions.define(self.linker, interface)
        bind(self, *arguments, **named)

    return replaced


def interfaces(gates: Gates, modules: Iterable[Any]) -> Iterable[Any]:
    """What the modules define."""
    natives = {sockets: gates.tunnels}
    return [interface for module in modules for interface in module.interfaces(natives.get(module, gates.passthrough))]


def without_judging(judge: Callable[..., SocketDecision]) -> Any:
    """A decision about a socket, as if a rule allowed it."""

    def replaced(*arguments: Any) -> SocketDecision:
        decided = judge(*arguments)
        return replace(decided, decision=NetworkDecision(True, None)) if "dialling" in gone else decided

    return replaced


def without_bounds(activate: Callable[..., None]) -> Any:
    """The preopens under the guest's names, wide where they are not to be narrow; and the worker's environment."""

    def replaced(self: Gates, prepared: Any, wasi: WasiConfig) -> None:
        if "files" in gone:
            for preopen, descriptor in zip(self.bound.mounts.preopens, self.bound.descriptors, strict=True):
                host = "/" if "narrow" in gone else f"/proc/self/fd/{descriptor}"
                wasi.preopen_dir(host, preopen.guest_path, preopen.writable)
        if "environment" in gone:
            wasi.inherit_env()
        activate(self, prepared, wasi)

    return replaced


Lockdown.as_spare = without_spare_layers(Lockdown.as_spare)  # type: ignore[method-assign]  # that is what this is for
Lockdown._take = without_layer(Lockdown._take)  # type: ignore[method-assign]  # as above
tcp.decide_dial = without_judging(tcp.decide_dial)  # type: ignore[attr-defined]  # as above
lookup.decide_name = without_judging(lookup.decide_name)  # type: ignore[attr-defined]  # as above
Gates.bind = without_gates(Gates.bind)  # type: ignore[method-assign]  # as above
Gates.activate = without_bounds(Gates.activate)  # type: ignore[method-assign]  # as above
