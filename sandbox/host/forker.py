"""The server's end of one zygote: start it, have it fork, hear who died.

Decides nothing. A zygote that dies takes its workers with it (PDEATHSIG); it is started again at the next spawn.

Rules: `spawn` does not wait: frames for a worker that is not forked yet lie in its socket.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.errors import HostUnavailable
from sandbox.host.cache import Variant
from sandbox.host.child import Child
from sandbox.host.outcome import Ending
from sandbox.host.process import Worker, wires

_IDS = itertools.count(1)
"""Of workers, across all zygotes of the process: the gateway knows workers by them."""


class Forker:
    """One zygote, of one engine variant. `own(variant)` gives the descriptors of the host's compiled components."""

    def __init__(
        self,
        variant: Variant,
        own: Callable[[Variant], tuple[int, ...]],
        on_dead: Callable[[Worker], None],
        *,
        unsafe_run: Path | None = None,
    ) -> None:
        self._variant = variant
        self._own = own
        self._unsafe_run = None if unsafe_run is None else str(unsafe_run)
        self._on_dead = on_dead
        self._child: Child | None = None
        self._workers: dict[int, Worker] = {}
        self._ready: asyncio.Future[dict[str, Any]] | None = None
        self.restarts = 0
        self.threads = 0
        """Of the zygote, when it had loaded: one, or forking it were wrong."""

    async def start(self) -> None:
        """Start the zygote, unless it runs, and wait until it has loaded."""
        if self._child is None or not self._child.alive:
            self._launch()
        assert self._ready is not None
        answer = await asyncio.shield(self._ready)
        self.threads = answer["threads"]

    async def spawn(self) -> Worker:
        """A new worker, on its way."""
        await self.start()
        assert self._child is not None
        ours, theirs = wires()
        worker = Worker(next(_IDS), ours, self._forget)
        self._workers[worker.id] = worker
        self._child.channel.send({"spawn": worker.id}, theirs)
        for fd in theirs:
            os.close(fd)
        return worker

    async def close(self) -> None:
        """End the zygote and every worker of it."""
        for worker in list(self._workers.values()):
            worker.kill(Ending.UNAVAILABLE)
        await asyncio.gather(*(worker.dead for worker in self._workers.values()))
        if self._child is not None:
            await self._child.close()

    def _launch(self) -> None:
        if self._child is not None:
            self.restarts += 1
        self._ready = asyncio.get_running_loop().create_future()
        self._child = Child("sandbox.host.zygote", self._frame, self._ended)
        order = {"start": True, "fuel": self._variant is Variant.FUEL, "unsafe_run": self._unsafe_run}
        self._child.channel.send(order, self._own(self._variant))

    def _frame(self, message: dict[str, Any], descriptors: list[int]) -> None:
        if "ready" in message and self._ready is not None and not self._ready.done():
            self._ready.set_result(message)
            return
        worker = self._workers.get(message.get("spawned") or message.get("exited") or message.get("failed") or 0)
        if "spawned" in message and worker is not None and descriptors:
            worker.spawned(descriptors.pop())
        elif worker is not None:
            worker.exited(message.get("status"), message.get("cpu_ms"))
        for fd in descriptors:
            os.close(fd)

    def _forget(self, worker: Worker) -> None:
        self._workers.pop(worker.id, None)
        self._on_dead(worker)

    def _ended(self, status: int) -> None:
        """The zygote is gone, and its workers with it: nobody will report their ends any more."""
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(HostUnavailable(f"the zygote ended while it started (exit status {status})"))
        for worker in list(self._workers.values()):
            worker.kill_quietly()
            worker.exited(None, None)
