"""One side of a request: a byte stream and the HTTP/1.1 state machine over it.

Decides nothing. Rules: never more than one buffer of either side is held, a slow reader stops the writer; an end is only a
clean one if the protocol says so (`Peer.next_event` raises for a body that stops short, and for TLS that ends without its
close_notify); `reset` sends RST, never FIN.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from typing import Any

import h11

from sandbox.host.gateway.caps import HEAD_BYTES

Role = h11.CLIENT | h11.SERVER
READ_BYTES = 256 << 10
_RESET = struct.pack("ii", 1, 0)


class Stream(asyncio.StreamReaderProtocol):
    """A stream protocol that remembers how the other end ended: `failure` is None for a clean end.

    asyncio takes TLS without close_notify for a clean end, and forgets what was received before a reset: an answer that was
    complete by then is lost. Here both are an end of the stream with a failure beside it.
    """

    failure: BaseException | None = None
    _tls: ssl.SSLObject | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the TLS object, where there is one."""
        super().connection_made(transport)
        self._tls = transport.get_extra_info("ssl_object")

    def eof_received(self) -> bool | None:
        """A truncation (RFC 8446 6.1) is remembered as one."""
        if self._tls is not None and not _closed_by_notice(self._tls):
            self.failure = ConnectionResetError("TLS ended without close_notify")
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """An end is an end of the data, after what was received."""
        self.failure = self.failure or exc
        super().connection_lost(None)


def _closed_by_notice(tls: ssl.SSLObject) -> bool:
    try:
        return tls.read(1) == b""
    except ssl.SSLError:
        return False


class Peer:
    """A reader, a writer and an h11 connection. Raises `h11.RemoteProtocolError` and `OSError` of the other end."""

    def __init__(self, role: type[Role], stream: Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.http = h11.Connection(our_role=role, max_incomplete_event_size=HEAD_BYTES)
        self.received = 0
        self._stream = stream
        self._reader = reader
        self._writer = writer

    async def next_event(self) -> Any:
        """The next h11 event, PAUSED included."""
        while True:
            event = self.http.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self.http.they_are_waiting_for_100_continue:
                await self.send(h11.InformationalResponse(status_code=100, headers=[]))
            self.http.receive_data(await self._read(READ_BYTES))

    async def send(self, event: h11.Event) -> None:
        """Write an event, and wait while the other end does not keep up."""
        data = self.http.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()

    async def receive(self) -> bytes:
        """What comes next, as it comes: b"" at the end. For a connection that speaks no HTTP."""
        return await self._read(READ_BYTES)

    async def transmit(self, data: bytes) -> None:
        """Write bytes as they are, and wait while the other end does not keep up."""
        self._writer.write(data)
        await self._writer.drain()

    def half_close(self) -> None:
        """FIN, once everything is written; the other end may go on."""
        if self._writer.can_write_eof() and not self._writer.is_closing():
            self._writer.write_eof()

    async def gone(self) -> bool:
        """Wait until the other end closes (True) or sends more, which is kept for the next message (False)."""
        if self.http.trailing_data[0]:
            return False
        data = await self._read(1)
        if data:
            self.http.receive_data(data)
        return not data

    async def discard(self) -> None:
        """Half-close, then read and forget until the other end closes: closing on unread data would destroy our last words."""
        self._writer.write_eof()
        while await self._reader.read(READ_BYTES):
            pass

    async def _read(self, size: int) -> bytes:
        data = await self._reader.read(size)
        self.received += len(data)
        if not data and self._stream.failure is not None:
            raise ConnectionResetError(str(self._stream.failure))
        return data

    def close(self) -> None:
        """Close cleanly, once everything is written."""
        self._writer.close()

    def reset(self) -> None:
        """End with RST, at once: nothing that was on the way counts."""
        sock = self._writer.get_extra_info("socket")
        if sock is not None and sock.fileno() != -1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._writer.transport.abort()
