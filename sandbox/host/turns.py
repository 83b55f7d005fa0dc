"""Who runs next: at most so many calls of one component at a time, the others in the order in which they came.

Decides when a call is refused rather than queued: where the queue is full. Cancelling a waiting call takes it out of the queue.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class QueueFull(Exception):  # noqa: N818 - it reads as the fact it is
    """More calls wait already than may."""


class Turns:
    """A first-in-first-out queue for each key, each with its own number of turns at a time."""

    def __init__(self, *, longest: int) -> None:
        self._longest = longest
        self._running: dict[Hashable, int] = {}
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    @property
    def waiting(self) -> int:
        """How many calls wait, over all keys."""
        return sum(map(len, self._waiting.values()))

    @asynccontextmanager
    async def turn(self, key: Hashable, at_once: int) -> AsyncIterator[None]:
        """Wait for a turn and hold it. Raises QueueFull."""
        await self._enter(key, at_once)
        try:
            yield
        finally:
            self._leave(key)

    async def _enter(self, key: Hashable, at_once: int) -> None:
        queue = self._waiting.get(key)
        if not queue and self._running.get(key, 0) < at_once:
            self._running[key] = self._running.get(key, 0) + 1
            return
        queue = self._waiting.setdefault(key, deque())
        if len(queue) >= self._longest:
            raise QueueFull
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave(key)
            elif turn in queue:
                # Not where `_leave` has passed over it in the moment since it was cancelled.
                queue.remove(turn)
            raise

    def _leave(self, key: Hashable) -> None:
        """Hand the turn to who waits longest, or give it back."""
        queue = self._waiting.get(key)
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._waiting.pop(key, None)
        left = self._running[key] - 1
        if left:
            self._running[key] = left
        else:
            del self._running[key]
