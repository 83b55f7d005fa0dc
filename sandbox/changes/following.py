"""Follow a store that other servers change: what they took away is stopped here as soon as it is heard of.

Decides how long what runs may go on while the store cannot be reached: what was taken away meanwhile is not heard of here. No new
call starts from the first moment (each call asks the store); what runs with something granted is stopped after GRACE_S.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from sandbox.errors import HostUnavailable, SandboxError

_LOG = logging.getLogger("sandbox")

GRACE_S = 5.0


class Follower(Protocol):
    """What of `Changes` this needs."""

    async def heard(self) -> None:
        """Apply what changed."""

    async def lose(self, error: HostUnavailable) -> None:
        """Nothing holds any more until the store can be asked."""


async def follow(heard: AsyncGenerator[HostUnavailable | None], changes: Follower) -> None:
    """Apply each change that is heard of, for ever; the error in its place says that the store cannot be reached."""
    lost_at: float | None = None
    taken_away = False
    async with aclosing(heard):
        async for error in heard:
            try:
                if error is None:
                    await changes.heard()
                    lost_at, taken_away = None, False
                elif lost_at is None:
                    lost_at = time.monotonic()
                    _LOG.error("%s", error)
                elif not taken_away and time.monotonic() - lost_at >= GRACE_S:
                    taken_away = True
                    await changes.lose(error)
            except SandboxError as failed:
                # It is tried again with the next word, and by each call.
                _LOG.error("what changed in the store does not hold here yet: %s", failed)
