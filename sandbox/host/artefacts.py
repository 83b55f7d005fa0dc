"""Components from bytes to something a worker can load: checked, compiled, read, and held by descriptor.

Decides that a component is refused before anything of it runs: by its bytes, by what the compiler says, by what it imports.
Holds an open, verified descriptor of each compiled component, and compiles again what was lost or changed since.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from sandbox.errors import ComponentError, HostUnavailable
from sandbox.host.cache import CompileCache, Compiled, Variant
from sandbox.host.compiling import Compiling, Source
from sandbox.host.engine_settings import SETTINGS
from sandbox.host.settings import HostSettings
from sandbox.wit.binary import Binary, precheck, precheck_file
from sandbox.wit.docs import attach_docs
from sandbox.wit.imports import check_imports
from sandbox.wit.types import Digest, World
from sandbox.wit.wire import world_from_json

_OWN = ("passthrough.wat", "tunnel.wat", "probe.wat")
"""The host's own components: what the gates call, what sockets are made of, and the guest of the gates' self-test."""


MAX_HELD = 256
"""Compiled components whose file is kept open; a host may see more in its life than a process may have descriptors."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A component that passed every check and is compiled."""

    digest: Digest
    world: World
    size: int
    policy_section: bytes | None = field(repr=False)


class Artefacts:
    """The compiled components of one host."""

    def __init__(self, settings: HostSettings) -> None:
        self._settings = settings
        self._cache = CompileCache(settings.cache_folder, SETTINGS)
        self._compiling = Compiling(self._cache, settings.compile_limits, self._compiler_layers)
        self._held: dict[tuple[Digest, Variant], Compiled] = {}
        self._own: tuple[Source, ...] = ()
        self._hits = 0

    @property
    def counts(self) -> dict[str, int]:
        """How often a compiled component was there when it was asked for, how often it had to be compiled."""
        return {"compiled_hits": self._hits + self._compiling.hits, "compiled_misses": self._compiling.misses}

    async def open(self) -> None:
        """Open the cache and read the host's own components."""
        await asyncio.to_thread(self._cache.open)
        # Not by the package's own name: naming it would import it, and the engine with it.
        gates = resources.files("sandbox.host").joinpath("gates", "native")
        texts = [gates.joinpath(name).read_bytes() for name in _OWN]
        self._own = tuple(Source(Digest(hashlib.sha256(text).hexdigest()), text, describe=False) for text in texts)

    def own(self, variant: Variant) -> tuple[int, ...]:
        """The descriptors of the compiled passthrough and probe, for a zygote."""
        return tuple(self._held[source.digest, variant].fd for source in self._own)

    async def load(self, source: Path | bytes) -> Loaded:
        """Check a component and have it compiled. Raises ComponentError."""
        binary = await asyncio.to_thread(self._precheck, source)
        compiled = await self._hold(Source(binary.digest, binary.data), Variant.PLAIN)
        world = attach_docs(world_from_json(compiled.world), binary.package_docs)
        check_imports(world)
        await asyncio.to_thread(self._cache.keep_source, binary.digest, binary.data)
        return Loaded(binary.digest, world, binary.size, binary.policy)

    async def compiled(self, digest: Digest, *, fuel: bool) -> Compiled:
        """The verified artefact of a component that was loaded. Raises ComponentError where its bytes are lost."""
        variant = Variant.FUEL if fuel else Variant.PLAIN
        held = self._found((digest, variant))
        if held is not None:
            return held
        data = await asyncio.to_thread(self._cache.source, digest, self._settings.component_bytes)
        if data is None:
            raise ComponentError("the component's bytes are gone from the cache", help="load it again")
        return await self._hold(Source(digest, data), variant)

    async def prepare(self, variant: Variant) -> None:
        """Have the host's own components compiled for a variant of the engine, where they are not yet."""
        for source in self._own:
            if (source.digest, variant) not in self._held:
                await self._hold(source, variant)

    async def close(self) -> None:
        """Stop compiling, and give every descriptor back."""
        await self._compiling.close()
        for compiled in self._held.values():
            compiled.close()
        self._held.clear()

    def _precheck(self, source: Path | bytes) -> Binary:
        limit = self._settings.component_bytes
        return precheck(source, limit=limit) if isinstance(source, bytes) else precheck_file(source, limit=limit)

    async def _hold(self, source: Source, variant: Variant) -> Compiled:
        key = (source.digest, variant)
        held = self._found(key)
        if held is not None:
            return held
        compiled = await self._compiling.get(source, variant)
        old = self._held.pop(key, None)
        self._held[key] = compiled
        if old is not None and old is not compiled:
            old.close()
        self._let_go()
        return compiled

    def _found(self, key: tuple[Digest, Variant]) -> Compiled | None:
        """What is held and still as it was; it counts as used."""
        held = self._held.get(key)
        if held is None or not held.unchanged:
            return None
        self._held[key] = self._held.pop(key)
        self._hits += 1
        return held

    def _let_go(self) -> None:
        """Close those that were not used for longest: the next call of such a component finds it in the cache."""
        own = {source.digest for source in self._own}
        spare = [key for key in self._held if key[0] not in own]
        for key in spare[:-MAX_HELD]:
            self._held.pop(key).close()

    def _compiler_layers(self, said: dict[str, str | None]) -> None:
        missing = [name for name, detail in said.items() if detail is not None]
        if missing and self._settings.isolation == "strict":
            raise HostUnavailable(f"isolation is `strict` and the compiler lacks layers: {', '.join(missing)}")
