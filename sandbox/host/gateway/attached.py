"""One attached worker: its egress socket, its listener, its rules, and the requests it has on the way.

Decides which announcement a request on the listener belongs to. Rules: the socket says which worker speaks, the token in the
path says so again where no namespace keeps others out; an announcement is good for one request with the announced method;
secrets are held for the one call that a worker runs, and forgotten with its end; a worker that sends what no worker sends is
dropped; a worker that is gone takes its connections with it, by RST.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import hmac
import json
import os
import re
import socket
from collections.abc import Callable, Mapping
from typing import Any

import h11

from sandbox.host.gateway.caps import PENDING, Caps
from sandbox.host.gateway.exchange import Exchange
from sandbox.host.gateway.peer import READ_BYTES, Peer, Stream
from sandbox.host.gateway.refusal import Refused
from sandbox.host.gateway.request import Announcement, Ending
from sandbox.host.gateway.route import Routes
from sandbox.host.gateway.sockets import Sockets
from sandbox.host.gateway.tunnel import socket_of
from sandbox.host.gateway.uses import Uses
from sandbox.template.network import NetworkRules
from sandbox.template.sockets import TCP

MESSAGE_BYTES = 128 << 10
_TARGET = re.compile(rb"/([0-9A-Za-z_-]{16,128})/([0-9]{1,12})", re.ASCII)
_LAST_WORDS_SECONDS = 2.0
_SECRETS_SECONDS = 1.0
_CONNECTIONS_OVER_CAP = 4
_DESCRIPTOR = array.array("i").itemsize
_NONSENSE = "the worker sent what no worker sends"
_FIELDS = {"call": str, "n": int, "method": str, "scheme": str, "authority": str, "path": str}


class Worker:
    """The gateway's side of one worker. `record` gets the ending of each of its requests, `gone` is called once at its end."""

    def __init__(self, egress: socket.socket, routes: Routes, record: Callable[[Ending], None], gone: Callable[[], None]) -> None:
        self.rules = NetworkRules(())
        self.uses = Uses()
        self.caps = Caps()
        self._egress = egress
        self._routes = routes
        self._record = record
        self._gone = gone
        self._token = b""
        self._server: asyncio.Server | None = None
        self._announced: dict[int, Announcement] = {}
        self._sockets = Sockets()
        self._connections: dict[asyncio.Task[None], Peer] = {}
        self._exchanges: dict[asyncio.Task[None], Exchange] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._secrets: tuple[str, Mapping[str, str]] | None = None
        self._given = asyncio.Event()
        self.closed = False
        egress.setblocking(False)
        self._loop.add_reader(egress, self.drain)

    @property
    def crowded(self) -> bool:
        """Whether it has more connections than its cap."""
        return len(self._connections) > self.caps.connections

    def set_rules(self, rules: NetworkRules, caps: Caps, uses: Uses) -> None:
        """Judge by these from now on, and count in `uses`; what is on the way and no longer allowed is cut."""
        self.rules, self.caps, self.uses = rules, caps, uses
        for task, exchange in tuple(self._exchanges.items()):
            try:
                exchange.judge_again()
            except Refused as refusal:
                exchange.cut(f"revoked while it ran: {refusal.reason}", refusal)
                task.cancel()

    def give_secrets(self, call: str, values: Mapping[str, str]) -> None:
        """What may be added to the requests of the call that begins; the call before it has ended."""
        self._secrets = (call, values)
        self._given.set()
        self._given = asyncio.Event()

    async def secrets_of(self, call: str) -> Mapping[str, str]:
        """The values for a call's requests, by name; none where they do not come.

        They are sent before the call itself, but on another socket: its first request may be here a moment earlier.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SECRETS_SECONDS):
                while self._secrets is None or self._secrets[0] != call:
                    await self._given.wait()
                return self._secrets[1]
        return {}

    def end_call(self, call: str) -> None:
        """Cut what a call has left on the way at its end: nothing of it happens, or is told, after the call's outcome."""
        self.drain()
        self._announced = {number: asked for number, asked in self._announced.items() if asked.call != call}
        for task, exchange in tuple(self._exchanges.items()):
            if exchange.ending.call == call:
                exchange.cut("the call ended before the answer was complete", decision="error")
                task.cancel()
        if self._secrets is not None and self._secrets[0] == call:
            self._secrets = None
        self._sockets.forget(call)

    def sending(self, call: str) -> int:
        """The bytes that have left by what a call has on the way."""
        return sum(exchange.ending.bytes_out for exchange in self._exchanges.values() if exchange.ending.call == call)

    def reset(self, reason: str, *, decision: str = "deny") -> None:
        """Cut everything that is on the way, and forget what was announced."""
        self._announced.clear()
        for exchange in self._exchanges.values():
            exchange.cut(reason, decision=decision)
        for task, guest in self._connections.items():
            guest.reset()
            task.cancel()

    def close(self, reason: str = "the worker is gone") -> None:
        """Cut everything, stop listening, forget the worker."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._egress)
        self._egress.close()
        if self._server is not None:
            self._server.close()
        self._secrets = None
        self.reset(reason, decision="error")
        self._gone()

    def drain(self) -> None:
        """Read what the worker has announced so far; at its end, or at nonsense, drop it."""
        # Bounded, so that a worker that never stops sending does not stop the others.
        for _ in range(PENDING):
            if self.closed or not self._hear_one():
                return

    def _hear_one(self) -> bool:
        try:
            data, ancillary, flags, _ = self._egress.recvmsg(
                MESSAGE_BYTES, socket.CMSG_SPACE(_DESCRIPTOR), socket.MSG_CMSG_CLOEXEC
            )
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data, ancillary, flags = b"", [], 0
        descriptors = _descriptors(ancillary)
        try:
            if not data:
                self.close()
            elif flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                self.close(_NONSENSE)
            else:
                self._heard(json.loads(data), descriptors)
        except (ValueError, TypeError, KeyError, OSError, RecursionError):
            self.close(_NONSENSE)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def claim(self, request: h11.Request) -> Announcement:
        """The announcement that belongs to the request, once. Raises `Refused`."""
        # The worker announces before it connects, so what belongs to this request has already arrived.
        self.drain()
        found = _TARGET.fullmatch(request.target)
        if found is None or not hmac.compare_digest(found[1], self._token):
            raise Refused("the request carries no token of this worker", "not a request of this worker")
        announced = self._announced.pop(int(found[2]), None)
        if announced is None or announced.method.encode() != request.method or request.http_version != b"1.1":
            raise Refused("the request is not the one that was announced", "not a request of this worker")
        return announced

    def _heard(self, message: Any, descriptors: list[int]) -> None:
        if not isinstance(message, dict):
            raise TypeError("not an object")
        if "listen" in message:
            (descriptor,) = descriptors
            self._listen(socket.socket(fileno=os.dup(descriptor)), str(message["token"]).encode("ascii"))
            return
        if "dial" in message or "end" in message:
            self._sockets.heard(message)
            return
        fields = {name: message[name] for name in _FIELDS}
        if any(type(fields[name]) is not kind for name, kind in _FIELDS.items()):
            raise TypeError("a field of the wrong type")
        fields["method"].encode("ascii")
        self._announced[fields["n"]] = Announcement(**fields)
        if fields["scheme"] == TCP:
            self._sockets.announced(fields["n"])
        while len(self._announced) > PENDING:
            del self._announced[next(iter(self._announced))]

    def _listen(self, listener: socket.socket, token: bytes) -> None:
        if self._token or listener.family != socket.AF_INET or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ValueError("not a listener, or a second one")
        self._token = token
        listener.setblocking(False)
        self._keep(self._loop.create_task(self._start(listener)))

    async def _start(self, listener: socket.socket) -> None:
        self._server = await self._loop.create_server(self._stream, sock=listener)
        if self.closed:
            self._server.close()

    def _stream(self) -> Stream:
        reader = asyncio.StreamReader(READ_BYTES, loop=self._loop)
        stream = Stream(reader, lambda _, writer: self._connected(Peer(h11.SERVER, stream, reader, writer)))
        return stream

    def _connected(self, guest: Peer) -> None:
        if self.closed or len(self._connections) >= _CONNECTIONS_OVER_CAP * self.caps.connections:
            guest.reset()
            return
        task = self._loop.create_task(self._serve(guest))
        self._connections[task] = guest
        task.add_done_callback(self._connections.pop)
        self._keep(task)

    async def _serve(self, guest: Peer) -> None:
        """Every request of one connection, one after the other."""
        finished = False
        try:
            while isinstance(request := await self._next_request(guest), h11.Request):
                if not await self._carry(guest, request):
                    break
                guest.http.start_next_cycle()
            await _finish(guest)
            finished = True
        except (OSError, h11.RemoteProtocolError, TimeoutError):
            # The guest went away, or spoke no HTTP: there is nobody to tell.
            pass
        finally:
            if not finished:
                guest.reset()

    async def _next_request(self, guest: Peer) -> Any:
        async with asyncio.timeout(self.caps.idle_ms / 1000):
            return await guest.next_event()

    async def _carry(self, guest: Peer, request: h11.Request) -> bool:
        task = asyncio.current_task()
        assert task is not None
        exchange = self._exchanges[task] = self._exchange_of(guest, request)
        try:
            return await exchange.run(request)
        finally:
            del self._exchanges[task]

    def _exchange_of(self, guest: Peer, request: h11.Request) -> Exchange:
        # As in `claim`: what belongs to this request has already arrived.
        self.drain()
        found = _TARGET.fullmatch(request.target)
        announced = None if found is None else self._announced.get(int(found[2]))
        socket_kind = None if announced is None else socket_of(announced.scheme)
        if socket_kind is None:
            return Exchange(self, guest, self._routes, self._record)
        return socket_kind(self, guest, self._routes, self._record, self._sockets)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _finish(guest: Peer) -> None:
    if guest.http.their_state is h11.SEND_BODY:
        async with asyncio.timeout(_LAST_WORDS_SECONDS):
            await guest.discard()
    guest.close()


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, raw in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(raw[: len(raw) - len(raw) % _DESCRIPTOR])
    return list(found)
