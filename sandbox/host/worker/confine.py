"""The layers of a worker, in two halves: what a spare takes before it knows its template, and what it takes with it.

Decides the order, in which no layer undoes a later one: all of it happens in a process of one thread, before the guest's
component may start another. A layer that this machine lacks is reported, and the server decides whether to go on without.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from sandbox.host.gates.filesystem.size_rules import longest_file
from sandbox.host.layers import (
    capabilities,
    descriptors,
    dumpable,
    landlock,
    mdwe,
    namespaces,
    no_new_privs,
    pdeathsig,
    rlimits,
    seccomp,
)
from sandbox.host.measure import bounded
from sandbox.template.template import Limits, WasiTemplate

OWN_DESCRIPTORS = 32
"""What the worker itself holds open: its sockets and pipes, the engine's pollers; a guest's `open_files` come on top."""

OWN_MEMORY_BYTES = 32 << 20
"""What the host's side of a call may take on top of the guest's memory: arguments, the engine's threads."""

RESULT_EXPANSION = 64
"""Bytes that the engine takes for each byte of a result: a list's element is two values of 32 bytes and more on its way out.
Three quarters of `output` is the most that raw bytes can be, so this is enough for any result that is not too large."""

_CPU_SPARE_SECONDS = 60
_CPU_CALLS = 8


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the zygote found out once for all its workers."""

    pid: int
    mode: namespaces.Mode
    namespaces: dict[str, str]
    descriptors: tuple[int, ...]
    """What the engine holds open of the passthrough: it maps from these numbers, so they must stay what they are."""


class Lockdown:
    """The layers taken so far: `said` is what each one's probe answered (None: it holds)."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._parent = surroundings
        self.said: dict[str, str | None] = {}

    def as_spare(self, keep: Collection[int]) -> None:
        """All that does not depend on a template."""
        parent = self._parent
        keep = (*keep, *parent.descriptors)
        own_user = parent.mode is namespaces.Mode.USER
        self._take("pdeathsig", lambda: pdeathsig.apply(parent.pid), pdeathsig.probe)
        self._take("descriptors", lambda: descriptors.apply(keep), lambda: descriptors.probe(keep))
        self._take("namespaces", lambda: namespaces.apply(parent.mode), lambda: namespaces.probe(parent.namespaces, parent.mode))
        self._take("capabilities", capabilities.apply, capabilities.probe)
        # A change of capabilities clears the order.
        self._take("pdeathsig", lambda: pdeathsig.apply(None if own_user else parent.pid), pdeathsig.probe)
        self._take("no_new_privs", no_new_privs.apply, no_new_privs.probe)
        self._take("dumpable", dumpable.apply, dumpable.probe)
        self._take("rlimits", lambda: rlimits.apply(descriptors=1024, own_user_namespace=own_user), lambda: None)

    def for_template(
        self, template: WasiTemplate, data_bytes: int, paths: Iterable[tuple[int, landlock.Right]], port: int | None
    ) -> None:
        """What the template narrows; `data_bytes` is what the process holds already."""

        limits = template.limits
        # A file whose size is bounded is held by a descriptor of our own beside the guest's.
        files = limits.open_files * (2 if bounded(template.files) else 1)

        def limit() -> None:
            rlimits.limit_memory(data_bytes + limits.memory_bytes + OWN_MEMORY_BYTES + RESULT_EXPANSION * limits.output_bytes)
            rlimits.limit_files(longest_file(template.files))
            rlimits.limit_descriptors(OWN_DESCRIPTORS + files)
            rlimits.limit_cpu(cpu_seconds_of_life(limits))

        self._take("rlimits", limit, rlimits.probe)
        self._take("landlock", lambda: landlock.apply(paths, () if port is None else (port,)), landlock.probe)
        self._take("mdwe", mdwe.apply, mdwe.probe)
        self._take("seccomp", seccomp.apply, seccomp.probe)

    def _take(self, name: str, apply: Callable[[], None], probe: Callable[[], str | None]) -> None:
        try:
            apply()
            self.said[name] = probe()
        except OSError as error:
            self.said[name] = str(error)


def cpu_seconds_of_life(limits: Limits) -> int:
    """The CPU time of a worker's whole life, behind each call's own timer; one that used half of it is retired."""
    return _CPU_SPARE_SECONDS + _CPU_CALLS * -(-limits.cpu_time_ms // 1000)
