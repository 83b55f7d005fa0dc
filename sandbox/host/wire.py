"""Frames between the host's own processes: a length (u32, little endian), then that many bytes of JSON.

Decides how a message is delimited and how descriptors travel with it; says nothing about what a message means.

Rules: a frame longer than the reader's limit ends the connection, it is never read to its end; descriptors ride on the
first byte of their frame (SCM_RIGHTS) and arrive close-on-exec.
"""

from __future__ import annotations

import array
import json
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

HEADER = struct.Struct("<I")
MAX_DESCRIPTORS = 8
SMALL_FRAME = 1 << 20
"""Enough for every message that carries no arguments and no result."""

_ANCILLARY = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)


class FrameError(Exception):
    """The peer sent something that is no frame, or one over the limit: the connection is of no more use."""


def encode(message: Mapping[str, Any]) -> bytes:
    """A frame of `message`. NaN and infinities are refused: they are not JSON."""
    return encode_text(json.dumps(message, allow_nan=False, separators=(",", ":")))


def encode_text(text: str) -> bytes:
    """A frame of a JSON object that is already text, so that a large value is written once."""
    body = text.encode("ascii") if text.isascii() else text.encode()
    return HEADER.pack(len(body)) + body


def encode_with(message: Mapping[str, Any], key: str, text: str) -> bytes:
    """A frame of `message` with one more `key`, whose value is JSON text already."""
    head = json.dumps(message, allow_nan=False, separators=(",", ":"))
    return encode_text(f'{head[:-1]},"{key}":{text}}}')


def decode(body: bytes | bytearray) -> dict[str, Any]:
    """The message in a frame's body."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a frame is no JSON: {error}") from error
    if not isinstance(message, dict):
        raise FrameError("a frame is no JSON object")
    return message


def send(sock: socket.socket, data: bytes, descriptors: Sequence[int] = ()) -> None:
    """Write one encoded frame to a blocking stream socket, with `descriptors` on its first byte."""
    if not descriptors:
        sock.sendall(data)
        return
    sent = socket.send_fds(sock, [data], list(descriptors))
    sock.sendall(memoryview(data)[sent:])


def receive(sock: socket.socket, limit: int = SMALL_FRAME) -> tuple[dict[str, Any], list[int]] | None:
    """Read one frame from a blocking stream socket: the message and its descriptors, or None at the end."""
    descriptors: list[int] = []
    header = _exactly(sock, HEADER.size, descriptors)
    if not header:
        return None
    (length,) = HEADER.unpack(header)
    if length > limit:
        raise FrameError(f"a frame of {length} bytes is over the limit of {limit}")
    body = _exactly(sock, length, descriptors)
    if len(body) < length:
        return None
    return decode(body), descriptors


def _exactly(sock: socket.socket, size: int, descriptors: list[int]) -> bytearray:
    """`size` bytes, or none where the peer is gone."""
    data = bytearray()
    while len(data) < size:
        part, received = receive_some(sock, size - len(data))
        descriptors += received
        if not part:
            return bytearray()
        data += part
    return data


def receive_some(sock: socket.socket, size: int) -> tuple[bytes, list[int]]:
    """One `recvmsg`: bytes (empty at the end) and the descriptors that came with them."""
    data, ancillary, flags, _ = sock.recvmsg(size, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
    descriptors = [fd for level, kind, raw in ancillary for fd in _rights(level, kind, raw)]
    if flags & socket.MSG_CTRUNC:
        raise FrameError("more descriptors came with a frame than one may carry")
    return data, descriptors


def _rights(level: int, kind: int, raw: bytes) -> Iterator[int]:
    if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
        found = array.array("i")
        found.frombytes(raw[: len(raw) - len(raw) % found.itemsize])
        yield from found


class FrameBuffer:
    """Bytes as they arrive, cut into frame bodies. `limit` may be changed between frames."""

    def __init__(self, limit: int = SMALL_FRAME) -> None:
        self.limit = limit
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add `data`; yield every body that is now complete."""
        self._data += data
        while len(self._data) >= HEADER.size:
            (length,) = HEADER.unpack_from(self._data)
            if length > self.limit:
                raise FrameError(f"a frame of {length} bytes is over the limit of {self.limit}")
            end = HEADER.size + length
            if len(self._data) < end:
                return
            body = bytes(memoryview(self._data)[HEADER.size : end])
            del self._data[:end]
            yield body
