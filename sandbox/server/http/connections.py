"""What one connection may cost before its first request is whole: time, bytes, and a place among the others.

Decides when a connection is closed without an answer. Leaves requests to `sandbox.server.http.front`.

Rules: a request's head is whole within `HEAD_SECONDS` of its first byte, or of the connection; between two requests it may idle
for `IDLE_SECONDS`; one address has
`MAX_OF_ADDRESS` connections and all together `MAX_CONNECTIONS`; the head is at most `MAX_HEAD_BYTES`. h11 alone, which is strict
about what a header is; httptools, where it is installed, keeps the spaces behind a value.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 8.0
IDLE_SECONDS = 60
MAX_HEAD_BYTES = 32 << 10
MAX_OF_ADDRESS = 256
MAX_CONNECTIONS = 1024


class GuardedProtocol(H11Protocol):
    """uvicorn's protocol, with an end for who says nothing."""

    _head_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place, or be closed where there is none."""
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(_Corked(transport, self.loop))
        if len(self.connections) > MAX_CONNECTIONS or self._of_this_address() > MAX_OF_ADDRESS:
            transport.abort()
            return
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request: the clock runs until its head is whole, and again from the next one's first byte."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._head_came()
        elif self._head_due is None:
            self._await_head()

    def on_response_complete(self) -> None:
        """An answer has ended; the next request may have begun already."""
        super().on_response_complete()
        if self.conn.trailing_data[0] and self._head_due is None:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._head_came()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """Refuse what is no HTTP with the status that h11 found for it: 431 for a head that is too long."""
        error = sys.exception()
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        answer = h11.Response(status_code=status, headers=[("content-length", "0"), ("connection", "close")])
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.write((self.conn.send(answer) or b"") + (self.conn.send(h11.EndOfMessage()) or b""))
        self.transport.close()

    def _of_this_address(self) -> int:
        address = _address(self)
        return sum(1 for other in self.connections if _address(other) == address)

    def _await_head(self) -> None:
        self._head_due = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _head_came(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None


class _Corked(asyncio.Transport):
    """A transport that writes what is given to it in one turn of the loop at once: uvicorn gives the head and the body of an
    answer apart, and each would wake the client."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport, self._loop = transport, loop
        self._held: list[bytes | bytearray | memoryview] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write before the loop waits again."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def _flush(self) -> None:
        held, self._held = self._held, []
        if held:
            self._transport.write(b"".join(held))

    def close(self) -> None:
        """Close, once everything is written."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._held = []
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the connection."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Read no more for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._transport.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand it over."""
        self._transport.set_protocol(protocol)


def _address(protocol: Any) -> str | None:
    return None if protocol.client is None else str(protocol.client[0])
