"""Serve one client on a wire until it goes."""

from __future__ import annotations

import asyncio

from mcp.server.runner import serve_dual_era_loop, serve_loop

from sandbox.api import Sandbox
from sandbox.policy.grants import Lifetime
from sandbox.server.descriptors import Wire
from sandbox.server.own_tools import OwnTools
from sandbox.server.server import SandboxServer
from sandbox.server.stdio import serve_wire


async def serve(
    sandbox: Sandbox, wire: Wire, loading: asyncio.Task[None], own: OwnTools | None = None, *, most: Lifetime = "session"
) -> None:
    """Answer the client on `wire`, while `loading` loads the components; returns when its input and its calls have ended.

    A yes of the client's is good for `most` at most. A failure of `loading` ends it, and is raised. Cancelled, it stops at once:
    what is in flight is answered with "Connection closed", and its workers die.
    """
    if loading.done():
        loading.result()
    serving = asyncio.create_task(_serve(sandbox, wire, loading, own, most))
    try:
        await served(serving, loading)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def served(serving: asyncio.Task[None], loading: asyncio.Task[None]) -> None:
    """Wait for the end of `serving`, or for a failure of `loading`, whichever comes first."""
    await asyncio.wait({loading, serving}, return_when=asyncio.FIRST_COMPLETED)
    if loading.done():
        loading.result()
    await serving


async def _serve(sandbox: Sandbox, wire: Wire, loading: asyncio.Task[None], own: OwnTools | None, most: Lifetime) -> None:
    server = SandboxServer(sandbox, loading, own, most=most)
    async with serve_wire(wire, at_end=server.close_listeners) as (reading, writing):
        options = server.create_initialization_options()
        async with server.lifespan(server) as state:
            opening = await reading.opening()
            if opening is not None and opening.method == "initialize":
                # The SDK's loop for both eras passes every message through one more queue, for good.
                await serve_loop(server, reading, writing, lifespan_state=state, init_options=options)
            else:
                await serve_dual_era_loop(server, reading, writing, lifespan_state=state, init_options=options)
