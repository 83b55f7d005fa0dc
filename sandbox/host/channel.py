"""The server's end of a socket to one of its processes: frames out, frames in, no waiting.

Decides nothing about messages. Runs on the event loop's thread alone.

Rules: what the peer sends is bounded by `limit`; a peer that breaks the framing is closed like one that went away; what
cannot be written at once is queued, with duplicates of its descriptors, so that the caller may close its own.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.host import wire

_READ_BYTES = 1 << 16


class Channel:
    """One connected stream socket. `on_frame(message, descriptors)` and `on_close()` are called from the event loop."""

    def __init__(
        self,
        sock: socket.socket,
        on_frame: Callable[[dict[str, Any], list[int]], None],
        on_close: Callable[[], None],
        *,
        limit: int = wire.SMALL_FRAME,
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._on_frame = on_frame
        self._on_close = on_close
        self._incoming = wire.FrameBuffer(limit)
        self._descriptors: list[int] = []
        self._outgoing: deque[tuple[memoryview, list[int]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._readable)
        self.closed = False

    def set_limit(self, limit: int) -> None:
        """The longest frame that the peer may send from now on, in bytes."""
        self._incoming.limit = limit

    def send(self, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send `message`; what a closed channel is given is dropped, its `on_close` has told."""
        counted = {**message, "fds": len(descriptors)} if descriptors else message
        self.send_encoded(wire.encode(counted), descriptors)

    def send_encoded(self, data: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send a frame that `sandbox.host.wire` has encoded."""
        if self.closed:
            return
        if self._outgoing:
            self._outgoing.append((memoryview(data), [os.dup(fd) for fd in descriptors]))
            return
        try:
            sent = self._write(data, descriptors)
        except OSError:
            self._lost()
            return
        if sent < len(data):
            left = [] if sent else [os.dup(fd) for fd in descriptors]
            self._outgoing.append((memoryview(data)[sent:], left))
            self._loop.add_writer(self._sock, self._writable)

    def drain(self) -> None:
        """Deliver what a dead peer left behind: its last frames may arrive after the news of its death."""
        while not self.closed and self._readable():
            pass

    def close(self) -> None:
        """Close the socket; `on_close` is not called."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        for _, descriptors in self._outgoing:
            _close_all(descriptors)
        _close_all(self._descriptors)
        self._outgoing.clear()

    def _write(self, data: bytes | memoryview, descriptors: Sequence[int]) -> int:
        """How much was taken; 0 where the socket is full."""
        try:
            if descriptors:
                return socket.send_fds(self._sock, [data], list(descriptors))
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0

    def _writable(self) -> None:
        while self._outgoing:
            data, descriptors = self._outgoing[0]
            try:
                sent = self._write(data, descriptors)
            except OSError:
                self._lost()
                return
            if sent:
                _close_all(descriptors)
            if sent < len(data):
                self._outgoing[0] = (data[sent:], descriptors)
                return
            self._outgoing.popleft()
        self._loop.remove_writer(self._sock)

    def _readable(self) -> bool:
        """Read once; whether there was something."""
        try:
            data, descriptors = wire.receive_some(self._sock, _READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        except (OSError, wire.FrameError):
            self._lost()
            return False
        self._descriptors += descriptors
        if not data:
            self._lost()
            return False
        try:
            for body in self._incoming.feed(data):
                self._deliver(body)
                if self.closed:
                    return False
        except wire.FrameError:
            self._lost()
            return False
        if len(self._descriptors) > wire.MAX_DESCRIPTORS:
            # Of the one frame that has begun. A peer that is taken over could fill our table with them.
            self._lost()
            return False
        return True

    def _deliver(self, body: bytes) -> None:
        message = wire.decode(body)
        # One read may end in the first byte of the next frame and bring its descriptors: a frame says how many are its own.
        count = message.get("fds", 0)
        if not isinstance(count, int) or not 0 <= count <= len(self._descriptors):
            raise wire.FrameError("a frame names descriptors that did not come")
        descriptors, self._descriptors = self._descriptors[:count], self._descriptors[count:]
        self._on_frame(message, descriptors)

    def _lost(self) -> None:
        if not self.closed:
            self.close()
            self._on_close()


def _close_all(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())
