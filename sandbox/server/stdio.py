"""Carry MCP over this process's standard input and output.

Decides how bytes travel, and when a client has gone. Leaves what a line is to `sandbox.server.wire`.

Rules: the loop reads and writes pipes and sockets itself, and the SDK's server reads and writes through the two objects here.
The SDK's own transport hands each line to a thread and passes it through two queues: twice the time of a call, and its reader
hangs on Ctrl-C. What epoll does not take (a file, a terminal) is copied through a pipe by a thread. At the end of the input
the calls in flight are answered first: `printf … | sandbox run` gets its results.

Source: MCP 2025-11-25 and 2026-07-28, "Transports", stdio.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import mcp.types as t
from mcp.shared.message import SessionMessage

from sandbox.server.descriptors import Wire, pumped_input, pumped_output, release
from sandbox.server.ledger import Ledger
from sandbox.server.wire import MAX_LINE_BYTES, Refusal, read_line, refuse, write_line

FLUSH_SECONDS = 2.0
"""How long a client that has stopped reading may keep this process alive at its end."""

MAX_HELD = 8
"""Messages from before the first request that are kept: the last ones."""


class _Stream:
    """What the SDK asks of either direction besides its messages; the wire is closed by `serve_wire`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Nothing to do: the SDK closes its streams in the order that suits it, and answers still come after."""


class Outgoing(_Stream):
    """Messages to the client; the SDK's write stream."""

    def __init__(self, writer: asyncio.StreamWriter, gone: asyncio.Event, ledger: Ledger) -> None:
        self._writer = writer
        self._ledger = ledger
        self.gone = gone
        """The client reads no more: its end of our output is closed."""

    async def send(self, item: SessionMessage) -> None:
        """Write one message; a client that is gone gets nothing, and that is no error."""
        await self.write(item.message)

    async def write(self, message: t.JSONRPCMessage) -> None:
        """Write one message that needs no envelope."""
        if isinstance(message, t.JSONRPCResponse | t.JSONRPCError) and message.id is not None:
            self._ledger.answered(message.id)
        if self.gone.is_set():
            return
        self._writer.write(write_line(message))
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def flush(self) -> None:
        """Close, and wait until the client has what was written."""
        self._writer.close()
        await _first(self.gone, timeout=FLUSH_SECONDS)


class Incoming(_Stream):
    """Messages from the client, and answers to what is none; the SDK's read stream."""

    def __init__(self, reader: asyncio.StreamReader, outgoing: Outgoing, ledger: Ledger, at_end: Callable[[], None]) -> None:
        self._reader = reader
        self._outgoing = outgoing
        self._ledger = ledger
        self._at_end = at_end
        self._held: deque[SessionMessage] = deque(maxlen=MAX_HELD)

    async def opening(self) -> t.JSONRPCRequest | None:
        """The first request, None where the input ends before; it is read again, with what came before it."""
        while (message := await self._next()) is not None:
            self._held.append(SessionMessage(message))
            if isinstance(message, t.JSONRPCRequest):
                return message
        return None

    def __aiter__(self) -> Self:
        return self

    async def receive(self) -> SessionMessage:
        """The next message."""
        return await self.__anext__()

    async def __anext__(self) -> SessionMessage:
        if self._held:
            return self._held.popleft()
        if (message := await self._next()) is None:
            raise StopAsyncIteration
        return SessionMessage(message)

    async def _next(self) -> t.JSONRPCMessage | None:
        """The next message; None at the end, when everything is answered."""
        while (line := await self._line()) != b"":
            message = line if isinstance(line, Refusal) else read_line(line)
            if isinstance(message, t.JSONRPCRequest):
                message = self._ledger.ask(message) or message
            elif isinstance(message, t.JSONRPCNotification):
                self._ledger.cancelled(message)
            if isinstance(message, Refusal):
                await self._outgoing.write(message)
            elif message is not None:
                return message
        await self._end()
        return None

    async def _line(self) -> bytes | Refusal:
        """One line; empty at the end; the refusal of a line that is too long."""
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            return error.partial
        except asyncio.LimitOverrunError as error:
            await self._skip_line(error.consumed)
            return refuse(None, t.PARSE_ERROR, f"parse error: a message is at most {MAX_LINE_BYTES >> 20} MiB")

    async def _skip_line(self, consumed: int) -> None:
        while True:
            await self._reader.readexactly(consumed)
            try:
                await self._reader.readuntil(b"\n")
            except asyncio.LimitOverrunError as error:
                consumed = error.consumed
            except asyncio.IncompleteReadError:
                return
            else:
                return

    async def _end(self) -> None:
        """The input has ended: every call is answered, then every listener, unless nobody is left to read."""
        await _first(self._ledger.idle, self._outgoing.gone)
        self._at_end()
        await _first(self._ledger.empty, self._outgoing.gone, timeout=FLUSH_SECONDS)


@contextlib.asynccontextmanager
async def serve_wire(wire: Wire, *, at_end: Callable[[], None] = lambda: None) -> AsyncIterator[tuple[Incoming, Outgoing]]:
    """The two streams that `Server.run` takes, over `wire`, which is closed afterwards.

    `at_end` is called when the input has ended and every call in flight is answered; it ends what has no end of its own.
    """
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(release, wire.reading)
        stack.callback(release, wire.writing)
        ledger = Ledger()
        outgoing = await _connect_output(wire, ledger, stack)
        reader = await _connect_input(wire, stack)
        yield Incoming(reader, outgoing, ledger, at_end), outgoing


async def _connect_input(wire: Wire, stack: contextlib.AsyncExitStack) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    source = os.fdopen(pumped_input(os.dup(wire.reading)), "rb", 0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), source)
    stack.callback(transport.close)
    return reader


async def _connect_output(wire: Wire, ledger: Ledger, stack: contextlib.AsyncExitStack) -> Outgoing:
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    sink, pump = pumped_output(os.dup(wire.writing), same_as=wire.reading)
    if pump is not None:
        stack.push_async_callback(asyncio.to_thread, pump.join, FLUSH_SECONDS)
    transport, protocol = await loop.connect_write_pipe(lambda: _Gone(gone), os.fdopen(sink, "wb", 0))
    outgoing = Outgoing(asyncio.StreamWriter(transport, protocol, None, loop), gone, ledger)
    stack.push_async_callback(outgoing.flush)
    return outgoing


class _Gone(asyncio.streams.FlowControlMixin):
    """Notes when the client closes its end of our output."""

    def __init__(self, gone: asyncio.Event) -> None:
        super().__init__()
        self._gone = gone

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport's word that nothing more can be written."""
        super().connection_lost(exc)
        self._gone.set()


async def _first(*events: asyncio.Event, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio.wait's own
    """Wait until one of the events is set, or the time is over."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
