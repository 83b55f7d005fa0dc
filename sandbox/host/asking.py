"""A call that waits in a gate until somebody says yes or no: the host's side of a question.

Decides nothing about the answer. While somebody is asked the call's `wall_time` stands still (`sandbox.host.suspension`); where
nobody can be asked the answer is no, at once.

Rules: a worker asks one thing at a time, and a worker that asks twice has been taken over; an error in asking is a no; a call
that ends takes its question with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from sandbox.host.ending import read_denial
from sandbox.host.outcome import Denial
from sandbox.host.process import Worker
from sandbox.host.running import RunningCalls
from sandbox.host.suspension import Why

_LOG = logging.getLogger("sandbox")

ANSWER_SECONDS = 300.0
"""How long a call may wait for people, over all its questions; then the answer is no."""

LAST_RESORT_SECONDS = ANSWER_SECONDS + 30.0
"""A call that waits for longer has been forgotten, and is ended."""

NOBODY = "nobody could be asked"

Ask = Callable[[Denial], Awaitable[str | None]]
"""Has a person asked about what would be denied: None for a yes, else in a few words why not."""


class Questions:
    """What one call asks, one after the other."""

    __slots__ = ("_ask", "_call_id", "_calls", "_task", "_worker")

    def __init__(self, call_id: str, calls: RunningCalls, worker: Worker, ask: Ask | None) -> None:
        self._call_id, self._calls, self._worker, self._ask = call_id, calls, worker, ask
        self._task: asyncio.Task[None] | None = None
        worker.on_ask = self._heard

    def close(self) -> None:
        """The call is over, and so is whatever it asked."""
        if self._task is not None:
            self._task.cancel()

    def _heard(self, wanted: Any) -> None:
        if self._task is not None and not self._task.done():
            raise ValueError("a worker asks while it waits for an answer")
        if self._ask is None:
            self._worker.answer(NOBODY)
            return
        self._calls.pause(self._call_id, Why.QUESTION, LAST_RESORT_SECONDS)
        self._task = asyncio.get_running_loop().create_task(self._answered(self._ask, read_denial(wanted)))

    async def _answered(self, ask: Ask, wanted: Denial) -> None:
        try:
            why = await ask(wanted)
        except Exception as error:  # noqa: BLE001 - an error in a check is a refusal, of whatever kind
            _LOG.error("a question was not asked: %s", error)
            why = "the question could not be asked"
        self._calls.resume(self._call_id, Why.QUESTION)
        self._worker.answer(why)
