"""Hear at once of what other servers change in a store on a Redis server, and of a server that is lost.

Decides nothing of what a change means. The server tells of each change (PUBLISH), and is looked at beside that: a message may be
lost, a server may hang. Waits in its own time: nothing here holds up this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import redis
from redis.asyncio.client import PubSub, Redis

from sandbox.errors import HostUnavailable
from sandbox.state.redis.link import Link

LOOK_S = 0.25
"""How often the server is looked at while it tells nothing, and how long to wait before it is tried again."""


async def watch(link: Link, channel: str, meta: str) -> AsyncGenerator[HostUnavailable | None]:
    """None for each change, and whenever the server is there again; the error for each time that it was not."""
    while not link.closed:
        client = link.listener()
        try:
            async with client.pubsub() as heard:
                await heard.subscribe(channel)
                link.found()
                yield None  # whatever was changed before this
                async for _ in _changes(link, client, heard, meta):
                    yield None
        except (redis.RedisError, OSError) as error:
            yield link.lose(error)
        finally:
            await client.aclose()
        await asyncio.sleep(LOOK_S)


async def _changes(link: Link, client: Redis, heard: PubSub, meta: str) -> AsyncGenerator[None]:
    """Once for each change, as long as the server answers."""
    seen = await client.hget(meta, "head")
    # Not by being cancelled alone: the client's own timeouts may swallow that.
    while not link.closed:
        await heard.get_message(ignore_subscribe_messages=True, timeout=LOOK_S)
        head = await client.hget(meta, "head")
        if head != seen:
            seen = head
            yield
