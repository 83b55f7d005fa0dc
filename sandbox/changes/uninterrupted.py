"""Finish what was begun, whoever gives up waiting for it: a change that is half made must not be left so.

Rule: the one who waits is cancelled only once the work has ended, so a lock that it holds is held until then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_Done = TypeVar("_Done")


async def uninterrupted(work: Coroutine[Any, Any, _Done]) -> _Done:
    """What `work` returns or raises, in a task of its own; a cancellation of the caller is raised after its end."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled() and (failed := task.exception()) is not None:
        raise cancelled from failed
    raise cancelled
