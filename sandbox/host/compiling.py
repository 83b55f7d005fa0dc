"""Have a component compiled by a process of its own, and its artefact sealed.

Decides how much a compilation may use, and that one which had to be stopped is not tried again under the same limits. The
cache decides what may be loaded; the compile process is not trusted beyond the bytes it writes.

Rules: a component is compiled once however many ask for it at a time; compilations beyond `at_once` wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.errors import Code, ComponentError, HostUnavailable
from sandbox.host.cache import CompileCache, Compiled, Variant
from sandbox.host.child import Child
from sandbox.wit.types import Digest

_WORLD_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class CompileLimits:
    """What one compilation may use. An 18 MB CPython component takes 12–14 s of CPU and 370 MiB.

    The bound that counts is CPU time, which does not depend on what else the machine does; `wall_ms` is behind it.
    """

    cpu_ms: int = 60_000
    memory_bytes: int = 1 << 30
    wall_ms: int = 180_000

    @property
    def words(self) -> str:
        """The limits as one text: a quarantine holds for these only."""
        return f"{self.cpu_ms} ms of CPU, {self.memory_bytes} bytes, {self.wall_ms} ms"


@dataclass(frozen=True, slots=True)
class Source:
    """What to compile: `data` is wasm, or (the host's own two alone) component text."""

    digest: Digest
    data: bytes
    describe: bool = True


class Compiling:
    """The compile processes of one host."""

    def __init__(self, cache: CompileCache, limits: CompileLimits, on_layers: Callable[[dict[str, str | None]], None]) -> None:
        self._cache = cache
        self._limits = limits
        self._on_layers = on_layers
        self._turn = asyncio.Semaphore(1)
        self._under_way: dict[tuple[Digest, Variant], asyncio.Task[Compiled]] = {}
        self._children: set[Child] = set()
        self._closed = False
        self.hits = self.misses = 0
        """How often an artefact was in the cache, how often it had to be compiled."""

    async def get(self, source: Source, variant: Variant) -> Compiled:
        """The artefact, from the cache or compiled now. Raises ComponentError where it cannot be."""
        key = (source.digest, variant)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._get(source, variant))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        # Who asked first may go away: the others still want it.
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Stop what is being compiled; it says nothing about the component."""
        self._closed = True
        for child in list(self._children):
            child.kill()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _get(self, source: Source, variant: Variant) -> Compiled:
        found = await asyncio.to_thread(self._cache.find, source.digest, variant)
        if found is not None:
            self.hits += 1
            return found
        self.misses += 1
        stopped = self._cache.quarantined(source.digest, variant, self._limits.words)
        if stopped is not None:
            raise _stopped(stopped)
        async with self._turn:
            return await self._compile(source, variant)

    async def _compile(self, source: Source, variant: Variant) -> Compiled:
        fd, path = self._cache.scratch()
        try:
            answer = await self._run(source, variant, fd)
        except BaseException:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        if "refused" in answer:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise ComponentError(str(answer["refused"]), help=answer.get("help"), code=Code.COMPILATION_FAILED)
        return await asyncio.to_thread(self._cache.store, source.digest, variant, (fd, path), answer.get("world"))

    async def _run(self, source: Source, variant: Variant, output: int) -> dict[str, Any]:
        """The compile process's answer. One that had to be stopped is quarantined."""
        answers: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

        def answered(message: dict[str, Any], descriptors: list[int]) -> None:
            for fd in descriptors:
                os.close(fd)
            if not answers.done():
                answers.set_result(message)

        def ended(status: int) -> None:
            if not answers.done():
                answers.set_exception(_Died(status))

        child = Child("sandbox.host.compiler", answered, ended, limit=_WORLD_BYTES)
        self._children.add(child)
        sealed = _sealed_copy(source.data)
        try:
            child.channel.send(self._request(source, variant), (sealed, output))
            async with asyncio.timeout(self._limits.wall_ms / 1000):
                answer = await answers
        except TimeoutError:
            raise self._give_up(source, variant, f"it took longer than {self._limits.wall_ms / 1000:g}s") from None
        except _Died as death:
            if self._closed:
                raise HostUnavailable("the host was closed while the component was compiled") from None
            raise self._give_up(source, variant, _cause(death.status, self._limits)) from None
        finally:
            os.close(sealed)
            child.kill()
            await child.exited
            self._children.discard(child)
        self._on_layers(answer.get("layers", {}))
        return answer

    def _request(self, source: Source, variant: Variant) -> dict[str, Any]:
        return {
            "fuel": variant is Variant.FUEL,
            "describe": source.describe,
            "memory_bytes": self._limits.memory_bytes,
            "cpu_seconds": max(1, self._limits.cpu_ms // 1000),
        }

    def _give_up(self, source: Source, variant: Variant, reason: str) -> ComponentError:
        self._cache.quarantine(source.digest, variant, reason, self._limits.words)
        return _stopped(reason)


class _Died(Exception):  # noqa: N818 - it is a fact, not an error of ours
    """The compile process ended without an answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"exit status {status}")
        self.status = status


def _cause(status: int, limits: CompileLimits) -> str:
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"it used more than {limits.cpu_ms // 1000}s of CPU time"
    if status == -signal.SIGABRT:
        return f"it used more than {limits.memory_bytes >> 20}Mi of memory"
    return f"the compiler failed (exit status {status})"


def _stopped(reason: str) -> ComponentError:
    return ComponentError(
        f"compiling the component was stopped: {reason}",
        help="it is not tried again under the same limits; a component of ordinary size stays far below them",
        code=Code.COMPILATION_FAILED,
    )


def _sealed_copy(data: bytes) -> int:
    """A descriptor on memory that holds `data` and that nobody can change any more: what was digested is what is compiled."""
    fd = os.memfd_create("component", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with contextlib.closing(os.fdopen(os.dup(fd), "wb")) as file:
        file.write(data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    return fd
