"""The gates of one process: where a guest's WASI calls meet its template.

Decides nothing itself: `filesystem`, `http` and `sockets` judge. This module makes the linker once (in the preloaded parent,
before any fork and without a WASI context), takes one template, and then makes one store after another.

Rules:
- Wasmtime's own version of WASI is shadowed, which answers every 0.2.x that a guest asks for; `self_test` holds it to that;
- one store at a time has a call; a gate that is touched in another one (a guest that calls WASI while it is prepared) ends
  the process with `PREPARE_TOUCHED_WASI`: there is no context to answer from, and native code would abort;
- a store is used for one call, and closed.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wasmtime import Engine, Store, WasiConfig
from wasmtime.component import Component, Instance, Linker

from sandbox.host.gates import config, http, keyvalue, logging
from sandbox.host.gates.bound import Bound, nobody, nothing_kept
from sandbox.host.gates.call import Call
from sandbox.host.gates.egress import Egress
from sandbox.host.gates.filesystem import gate as filesystem
from sandbox.host.gates.filesystem.mounts import Mounts
from sandbox.host.gates.filesystem.sizes import Sizes
from sandbox.host.gates.native.interface import Definitions
from sandbox.host.gates.native.passthrough import Passthrough
from sandbox.host.gates.sockets import gate as sockets
from sandbox.host.outcome import Denial
from sandbox.template.files import FileRules
from sandbox.template.network import NetworkRules
from sandbox.template.template import Limits, Preopen, WasiTemplate

PREPARE_TOUCHED_WASI = 86
"""The exit status of a worker whose guest called WASI while it was prepared: such a component is not prepared again."""

# Of one store; `memory_size` is of each memory, so the number of memories is bounded too (RLIMIT_DATA holds the sum).
INSTANCES, TABLES, MEMORIES, TABLE_ELEMENTS = 256, 64, 16, 1_000_000


@dataclass(slots=True)
class Prepared:
    """A guest in its store, and what has happened in it."""

    store: Store
    call: Call
    _instance: Instance | None = None

    @property
    def instance(self) -> Instance:
        """The guest."""
        assert self._instance is not None
        return self._instance

    @property
    def fault(self) -> BaseException | None:
        """What a host function failed with, or None: with a fault, whatever the guest returned is void."""
        return self.call.fault

    @property
    def requests(self) -> int:
        """How many requests went out."""
        return self.call.requests

    @property
    def denials(self) -> int:
        """How many refusals there were, repeated ones too."""
        return self.call.denials


class Gates:
    """The linker with its gates, and the call that runs."""

    def __init__(self, engine: Engine, passthrough: Component, tunnel: Component) -> None:
        self.engine = engine
        self.passthrough = Passthrough(engine, passthrough)
        self.tunnels = Passthrough(engine, tunnel)
        self.bound = Bound()
        self._call: Call | None = None
        self.linker = Linker(engine)
        self.linker.allow_shadowing = True
        self.linker.add_wasip2()
        self.linker.add_wasi_http()
        self._definitions = Definitions(self)
        for module in (filesystem, http, config, keyvalue, logging):
            for interface in module.interfaces(self.passthrough):
                self._definitions.define(self.linker, interface)
        for interface in sockets.interfaces(self.tunnels):
            self._definitions.define(self.linker, interface)

    def self_test(self, probe: Component, *, fuel: int | None = None) -> None:
        """Hold the linker to its first rule, with the compiled `probe_text`; without a WASI context, as in the parent.

        `fuel` is for an engine that counts it.

        Raises RuntimeError where a version of WASI is not answered by the gate: then no guest may run.
        """
        bound, self.bound = self.bound, Bound(WasiTemplate(limits=Limits(fuel=fuel)))
        prepared = self.instantiate(probe)
        try:
            self._call = prepared.call
            for version in ("first", "far"):
                func = prepared.instance.get_func(prepared.store, version)
                if func is None or func(prepared.store) != 1:  # the virtual root; Wasmtime's own has no preopen
                    raise RuntimeError(f"wasi:filesystem, {version} version, is not answered by the gate")
        finally:
            self.close(prepared)
            self.bound = bound

    def bind(
        self,
        template: WasiTemplate,
        preopened: tuple[tuple[Preopen, int], ...],
        egress: Egress | None,
        report: Callable[[Denial], None],
        *,
        ask: Callable[[Denial], str | None] = nobody,
        keep: Callable[[dict[str, Any]], dict[str, Any]] = nothing_kept,
        log: int | None = None,
        sizes: Sizes | None = None,
    ) -> None:
        """Serve `template` from now on; `preopened` are its preopens, each with its pinned directory's descriptor.

        `report` gets each refusal as it happens, `ask` each thing that an ask rule keeps back, `keep` what is asked of the
        component's values; `log` is the descriptor for `wasi:logging`, the call's standard error say; `sizes` are the bounds of
        what may be stored.
        """
        self.bound = Bound(
            template=template,
            rules=FileRules(template.files),
            mounts=Mounts(tuple(preopen for preopen, _ in preopened)),
            descriptors=tuple(descriptor for _, descriptor in preopened),
            network=NetworkRules(template.network),
            egress=egress,
            report=report,
            ask=ask,
            keep=keep,
            log=log,
            sizes=sizes,
        )

    def instantiate(self, component: Component, wasi: WasiConfig | None = None) -> Prepared:
        """A fresh store with the guest in it: called at once with `wasi`, or prepared for `activate` without."""
        store = Store(self.engine)
        self._limit(store)
        context = ctypes.cast(store._context(), ctypes.c_void_p).value or 0
        prepared = Prepared(store, Call(store, context, self.passthrough, self.tunnels, self.bound))
        try:
            if wasi is not None:
                self.activate(prepared, wasi)
            prepared._instance = self.linker.instantiate(store, component)
        except BaseException:
            self.close(prepared)
            raise
        return prepared

    def activate(self, prepared: Prepared, wasi: WasiConfig) -> None:
        """Give a store its WASI context, with the template's preopens added, and make it the current call."""
        for i, (preopen, descriptor) in enumerate(zip(self.bound.mounts.preopens, self.bound.descriptors, strict=True)):
            # By descriptor: what was pinned is what is opened, whatever the path has become.
            wasi.preopen_dir(f"/proc/self/fd/{descriptor}", str(i), preopen.writable)
        self._limit(prepared.store)
        prepared.store.set_wasi(wasi)
        prepared.store.set_wasi_http()
        self._call = prepared.call

    def close(self, prepared: Prepared) -> None:
        """End the call: free what the gates kept, and close the store with everything that is open in it."""
        if self._call is prepared.call:
            self._call = None
        filesystem.close(prepared.call)
        sockets.close(prepared.call)
        prepared.store.close()

    def _limit(self, store: Store) -> None:
        limits = self.bound.template.limits
        store.set_limits(
            memory_size=limits.memory_bytes,
            table_elements=TABLE_ELEMENTS,
            instances=INSTANCES,
            tables=TABLES,
            memories=MEMORIES,
        )
        if limits.fuel is not None:
            store.set_fuel(limits.fuel)

    def enter(self, context: int) -> Call:
        """The current call, for a callback in the store of that context; ends the process if there is none."""
        call = self._call
        if call is None or call.context != context:
            os._exit(PREPARE_TOUCHED_WASI)
        return call

    def fault(self, error: BaseException) -> None:
        """Void the current call's result."""
        if self._call is not None:
            self._call.fault = error
