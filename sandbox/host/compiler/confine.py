"""The layers of the compile process: as a worker's, but that it makes code, so memory may become executable.

The server hands it no path: Landlock refuses every file there is. A layer that this machine lacks is reported, and the
server decides whether to go on without.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from sandbox.host.layers import (
    capabilities,
    descriptors,
    dumpable,
    landlock,
    namespaces,
    no_new_privs,
    rlimits,
    seccomp,
)

_DESCRIPTORS = 64
_FILE_BYTES = 4 << 30


def confine(*, memory_bytes: int, cpu_seconds: int, keep: Collection[int]) -> dict[str, str | None]:
    """Apply each layer, in an order in which none undoes the next; what each probe says, by name."""
    parents = namespaces.identities()
    mode = namespaces.find()
    said: dict[str, str | None] = {}

    def layer(name: str, apply: Callable[[], None], probe: Callable[[], str | None]) -> None:
        try:
            apply()
            said[name] = probe()
        except OSError as error:
            said[name] = str(error)

    def limit() -> None:
        rlimits.apply(descriptors=_DESCRIPTORS, own_user_namespace=False)
        rlimits.limit_files(_FILE_BYTES)
        rlimits.limit_memory(memory_bytes)
        rlimits.limit_cpu(cpu_seconds)

    layer("descriptors", lambda: descriptors.apply(keep), lambda: descriptors.probe(keep))
    layer("namespaces", lambda: namespaces.apply(mode), lambda: namespaces.probe(parents, mode))
    layer("capabilities", capabilities.apply, capabilities.probe)
    layer("no_new_privs", no_new_privs.apply, no_new_privs.probe)
    layer("dumpable", dumpable.apply, dumpable.probe)
    layer("rlimits", limit, rlimits.probe)
    layer("landlock", landlock.apply, landlock.probe)
    layer("seccomp", lambda: seccomp.apply(executable_memory=True), seccomp.probe)
    return said
