"""Workers, kept warm: which one runs a call, when a new one is made, and which one gives way.

Decides nothing about a call. A worker serves one component under one template (`Key`) for its life; spares wait untaken, their
layers half on. When as many are taken as may be, the one that has been idle longest gives way; when none is idle, callers wait.

Rules: spares and workers are bounded in number; what died leaves every list at once; a spare that is used is replaced.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from sandbox.host.process import Worker
from sandbox.host.turns import QueueFull
from sandbox.template.template import WasiTemplate


@dataclass(frozen=True, slots=True)
class Key:
    """What a worker is taken for."""

    template: WasiTemplate
    """With its component's digest, its tenant and its limits in it: workers are never shared between any of them."""

    @property
    def fuel(self) -> bool:
        """Whether it needs the variant of the engine that counts instructions."""
        return self.template.limits.fuel is not None


class Pool:
    """The workers of one host. `spawn(fuel)` forks one, `equip(worker, key)` has it take what the key names."""

    def __init__(
        self,
        spawn: Callable[[bool], Awaitable[Worker]],
        equip: Callable[[Worker, Key], Awaitable[None]],
        *,
        max_workers: int,
        spares: int,
        longest_queue: int,
    ) -> None:
        self._spawn = spawn
        self._equip = equip
        self._max_workers = max_workers
        self._wanted_spares = spares
        self._longest_queue = longest_queue
        self._spares: deque[Worker] = deque()
        self._idle: dict[Worker, Key] = {}
        """In the order in which they became idle."""
        self._taken: set[Worker] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._refilling: asyncio.Task[None] | None = None
        self._growing: asyncio.Task[Worker] | None = None
        self._making = 0
        self._closed = False

    @property
    def counts(self) -> dict[str, int]:
        """How many workers are spare, idle, taken (idle ones included), and how many calls wait for one."""
        return {
            "spares": len(self._spares),
            "idle": len(self._idle),
            "taken": len(self._taken),
            "waiting": len(self._waiting),
        }

    async def acquire(self, key: Key) -> Worker:
        """A worker that is ready for `key` and runs nothing. Raises QueueFull where too many wait."""
        while True:
            idle = [worker for worker, known in self._idle.items() if known == key and worker.alive]
            if idle:
                worker = next((one for one in idle if one.rested), idle[0])
                del self._idle[worker]
                if not worker.rested:
                    self._grow(key)
                return worker
            if await self._room():
                return await self._make(key)

    def release(self, worker: Worker) -> None:
        """Give a worker back that may run another call."""
        if worker.alive and not worker.spent and isinstance(worker.key, Key) and not self._closed:
            self._idle[worker] = worker.key
            self._wake()
        else:
            worker.kill_quietly()

    def lost(self, worker: Worker) -> None:
        """A worker is dead."""
        self._idle.pop(worker, None)
        self._taken.discard(worker)
        if worker in self._spares:
            self._spares.remove(worker)
        self._wake()
        self.refill()

    def retire(self, wanted: Callable[[WasiTemplate], bool]) -> int:
        """End the idle workers whose template is `wanted`; how many."""
        chosen = [worker for worker, key in self._idle.items() if wanted(key.template)]
        for worker in chosen:
            self._end(worker)
        return len(chosen)

    def spend(self, worker_ids: Collection[int]) -> None:
        """Let these workers run no further call: idle ones end now, the others with the call that they run."""
        for worker in [worker for worker in self._taken if worker.id in worker_ids]:
            worker.spent = True
            if worker in self._idle:
                self._end(worker)

    def refill(self) -> None:
        """Have as many spares made as are missing, in the background."""
        if not self._closed and len(self._spares) < self._wanted_spares and self._refilling is None:
            self._refilling = asyncio.get_running_loop().create_task(self._refill())
            self._refilling.add_done_callback(self._refilled)

    async def close(self) -> None:
        """Make no more workers. Who owns the zygotes ends those that live."""
        self._closed = True
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.cancel()
        tasks = [task for task in (self._refilling, self._growing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _room(self) -> bool:
        """Whether another worker may be taken now; if not, wait until something has changed, and look again."""
        if len(self._taken) + self._making < self._max_workers:
            return True
        if self._idle:
            self._end(next(iter(self._idle)))
            return True
        if len(self._waiting) >= self._longest_queue:
            raise QueueFull
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._wake()
            raise
        return False

    async def _make(self, key: Key) -> Worker:
        self._making += 1
        try:
            worker = await self._fresh(key.fuel)
        except BaseException:
            # The room that it would have taken is free again: who waits for some must hear of it.
            self._making -= 1
            self._wake()
            raise
        self._making -= 1
        self._taken.add(worker)
        try:
            await self._equip(worker, key)
        except BaseException:
            worker.kill_quietly()
            raise
        finally:
            self.refill()
        return worker

    def _grow(self, key: Key) -> None:
        """Make a second worker beside the only one of `key`, in the background.

        A large component's worker cleans up and prepares for as long as a call takes; calls that follow each other closely
        then take turns between two. There is room for it or it is not made: nobody gives way to it.
        """
        alone = sum(worker.key == key for worker in self._taken) == 1
        room = self._spares and len(self._taken) + self._making < self._max_workers
        if alone and room and self._growing is None and not self._closed:
            self._growing = asyncio.get_running_loop().create_task(self._make(key))
            self._growing.add_done_callback(self._grown)

    def _grown(self, task: asyncio.Task[Worker]) -> None:
        self._growing = None
        # What went wrong here, a call that needs a worker meets too, and its caller is told.
        if not task.cancelled() and task.exception() is None:
            self.release(task.result())

    async def _fresh(self, fuel: bool) -> Worker:
        """A spare that lives, or a new fork. Fuel has no spares: few ask for it."""
        while self._spares and not fuel:
            worker = self._spares.popleft()
            if worker.alive:
                return worker
        return await self._spawn(fuel)

    async def _refill(self) -> None:
        while len(self._spares) < self._wanted_spares:
            self._spares.append(await self._spawn(False))

    def _refilled(self, task: asyncio.Task[None]) -> None:
        self._refilling = None
        if not task.cancelled() and task.exception() is not None:
            # The next call that needs a worker meets the same failure, and tells its caller.
            asyncio.get_running_loop().call_exception_handler({"message": "no spare worker", "exception": task.exception()})

    def _end(self, worker: Worker) -> None:
        self._idle.pop(worker, None)
        self._taken.discard(worker)
        worker.kill_quietly()

    def _wake(self) -> None:
        """Let who waits longest look again."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
