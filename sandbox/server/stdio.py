"""Carry MCP over this process's standard input and output.

Decides how bytes travel, and when a client has gone. Leaves what a line is to `sandbox.server.wire`.

Rules: the loop reads and writes pipes and sockets natively: the SDK's transport hands each line to a thread, three hops a
call, and its reader hangs on Ctrl-C. What epoll does not take (a file, a terminal) is copied through a pipe by a thread. At
the end of the input the calls in flight are answered first: `printf … | sandbox run` gets its results.

Source: MCP 2025-11-25 and 2026-07-28, "Transports", stdio.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import anyio
import mcp.types as t
from mcp.shared._context_streams import ContextReceiveStream, ContextSendStream, create_context_streams
from mcp.shared.message import SessionMessage

from sandbox.server.descriptors import Wire, pumped_input, pumped_output, release
from sandbox.server.ledger import Ledger
from sandbox.server.wire import MAX_LINE_BYTES, Refusal, read_line, refuse, write_line

FLUSH_SECONDS = 2.0
"""How long a client that has stopped reading may keep this process alive at its end."""


@dataclass(slots=True)
class _Link:
    """Both directions of one client, and what ends them."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    gone: asyncio.Event
    """The client reads no more: its end of our output is closed."""
    ledger: Ledger = field(default_factory=Ledger)

    async def lines(self) -> AsyncIterator[bytes | Refusal]:
        """Each line; a line that is too long becomes its refusal."""
        while True:
            try:
                line = await self.reader.readuntil(b"\n")
            except asyncio.IncompleteReadError as error:
                line = error.partial
            except asyncio.LimitOverrunError as error:
                await self._skip_line(error.consumed)
                yield refuse(None, t.PARSE_ERROR, f"parse error: a message is at most {MAX_LINE_BYTES >> 20} MiB")
                continue
            if not line:
                return
            yield line

    async def _skip_line(self, consumed: int) -> None:
        while True:
            await self.reader.readexactly(consumed)
            try:
                await self.reader.readuntil(b"\n")
            except asyncio.LimitOverrunError as error:
                consumed = error.consumed
            except asyncio.IncompleteReadError:
                return
            else:
                return

    async def send(self, message: t.JSONRPCMessage) -> None:
        """Write one message; a client that is gone gets nothing, and that is no error."""
        if isinstance(message, t.JSONRPCResponse | t.JSONRPCError) and message.id is not None:
            self.ledger.answered(message.id)
        if self.gone.is_set():
            return
        self.writer.write(write_line(message))
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()


class _Output(asyncio.streams.FlowControlMixin):
    """Notes when the client closes its end of our output."""

    def __init__(self, gone: asyncio.Event) -> None:
        super().__init__()
        self._gone = gone

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport's word that nothing more can be written."""
        super().connection_lost(exc)
        self._gone.set()


Streams = tuple[ContextReceiveStream[SessionMessage | Exception], ContextSendStream[SessionMessage]]


@contextlib.asynccontextmanager
async def serve_wire(wire: Wire, *, at_end: Callable[[], None] = lambda: None) -> AsyncIterator[Streams]:
    """The two streams that `Server.run` takes, over `wire`.

    `at_end` is called when the input has ended and every call in flight is answered, before the streams close.
    """
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        link = await _connect(loop, wire, stack)
        to_server, from_client = create_context_streams[SessionMessage | Exception](0)
        to_client, from_server = create_context_streams[SessionMessage](0)
        async with anyio.create_task_group() as group:
            group.start_soon(_read, link, to_server, at_end)
            group.start_soon(_write, link, from_server)
            yield from_client, to_client
            group.cancel_scope.cancel()


async def _connect(loop: asyncio.AbstractEventLoop, wire: Wire, stack: contextlib.AsyncExitStack) -> _Link:
    stack.callback(release, wire.reading)
    stack.callback(release, wire.writing)
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    source = os.fdopen(pumped_input(os.dup(wire.reading)), "rb", 0)
    reading, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), source)
    stack.callback(reading.close)
    gone = asyncio.Event()
    sink, pump = pumped_output(os.dup(wire.writing), same_as=wire.reading)
    if pump is not None:
        stack.push_async_callback(asyncio.to_thread, pump.join, FLUSH_SECONDS)
    writing, protocol = await loop.connect_write_pipe(lambda: _Output(gone), os.fdopen(sink, "wb", 0))
    writer = asyncio.StreamWriter(writing, protocol, None, loop)
    stack.push_async_callback(_flush, writer, gone)
    return _Link(reader, writer, gone)


async def _flush(writer: asyncio.StreamWriter, gone: asyncio.Event) -> None:
    writer.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FLUSH_SECONDS):
            await gone.wait()


async def _read(link: _Link, to_server: ContextSendStream[SessionMessage | Exception], at_end: Callable[[], None]) -> None:
    with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
        async with to_server:
            async for line in link.lines():
                message = line if isinstance(line, Refusal) else read_line(line)
                if isinstance(message, t.JSONRPCRequest):
                    message = link.ledger.ask(message) or message
                elif isinstance(message, t.JSONRPCNotification):
                    link.ledger.cancelled(message)
                if isinstance(message, Refusal):
                    await link.send(message)
                elif message is not None:
                    await to_server.send(SessionMessage(message))
            await _first(link.ledger.idle, link.gone)
            at_end()
            await _first(link.ledger.empty, link.gone, timeout=FLUSH_SECONDS)


async def _first(*events: asyncio.Event, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio.wait's own
    """Wait until one of the events is set, or the time is over."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _write(link: _Link, from_server: ContextReceiveStream[SessionMessage]) -> None:
    with contextlib.suppress(anyio.ClosedResourceError):
        async with from_server:
            async for carried in from_server:
                await link.send(carried.message)
