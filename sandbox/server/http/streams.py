"""Answers that have no end of their own, and what ends them: the server's end, and the end of the token they were opened with.

Rule: whoever hears of this host by a stream could open it again now; after its token's end he could not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from starlette.types import Message, Send

from sandbox.server.http.identity import identity_in
from sandbox.server.http.request import Request

LONGEST_SECONDS = 86400.0
"""A longer time is no time to wait for."""


async def stream_until(
    request: Request, closing: asyncio.Event | None, send: Send, serve: Callable[[Send], Awaitable[None]]
) -> None:
    """Serve until it ends by itself, the server closes, or the request's token has ended; then the answer is ended properly."""
    stream = _Stream(send)
    telling = asyncio.ensure_future(_awaited(serve(stream)))
    ending = [asyncio.ensure_future(closing.wait())] if closing is not None else []
    try:
        await asyncio.wait({telling, *ending}, timeout=_left(request), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in (telling, *ending):
            each.cancel()
        await asyncio.gather(telling, *ending, return_exceptions=True)
    if not telling.cancelled() and (error := telling.exception()) is not None:
        raise error
    await stream.end()


def _left(request: Request) -> float | None:
    """For how many seconds the request's token is good; None where it has no end."""
    identity = identity_in(request.scope)
    if identity is None or identity.expires_at is None:
        return None
    return min(max(0.0, identity.expires_at - time.time()), LONGEST_SECONDS)


class _Stream:
    """Sends, and knows whether an answer has begun and has not ended."""

    def __init__(self, send: Send) -> None:
        self._send, self._open = send, False

    async def __call__(self, message: Message) -> None:
        self._open = message["type"] == "http.response.start" or bool(message.get("more_body"))
        await self._send(message)

    async def end(self) -> None:
        if self._open:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


async def _awaited(awaitable: Awaitable[None]) -> None:
    await awaitable
