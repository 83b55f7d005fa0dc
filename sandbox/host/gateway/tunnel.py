"""A socket of a guest, carried to the address it asked for; and the addresses of a name, told and remembered.

1. claim what the worker announced; wait until it says where to, or goes
2. judge address and port by the worker's rules, with the names that led there in this call
3. dial that address, and judge once more
4. carry bytes both ways, within the caps, until both sides are done
5. tell the record how it ended, before the guest can know

Rules: what is dialled is the address that was judged, nothing is resolved again; a refusal is a status, while there is no answer
yet; a reset on one side is a reset on the other, an end of the stream is an end; a guest that closes is told so only once all
that it wrote is here; what a call leaves open is reset at its end.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import h11

from sandbox.host.gateway.dial import Target
from sandbox.host.gateway.exchange import Exchange
from sandbox.host.gateway.peer import Peer
from sandbox.host.gateway.refusal import Cut, Failed, GuestGone, NotSent, Refused, TimedOut
from sandbox.host.gateway.request import Announcement, Ending, Owner
from sandbox.host.gateway.route import Routes
from sandbox.host.gateway.sockets import Orders, Sockets
from sandbox.template.addresses import Address
from sandbox.template.authority import Authority
from sandbox.template.sockets import LOOKUP, TCP, SocketDecision, decide_answers, decide_dial, decide_name

_QUIET_SECONDS = 0.1
"""After `shutdown` the guest's last bytes are still on the way from its native stream, which says nothing of its end: so long
without a byte counts as one. Bytes that come later are not lost in silence: they reset the connection."""
_SHOWN = 300
_LAST_WORDS_SECONDS = 2.0
_LINGER_SECONDS = 2.0
_TOLD = "the policy does not permit it"


class NoSuchName(Failed):
    """A name has no address."""

    status = 404


class _Socket(Exchange):
    """What a tunnel and a lookup share: a worker's sockets, and refusals by `SocketDecision`."""

    operation = ""

    def __init__(
        self,
        owner: Owner,
        guest: Peer,
        routes: Routes,
        record: Callable[[Ending], None],
        sockets: Sockets,
    ) -> None:
        super().__init__(owner, guest, routes, record)
        self._sockets = sockets

    def _claim(self, request: h11.Request) -> Announcement:
        announced = self._owner.claim(request)
        ending = self.ending
        ending.call, ending.n, ending.scheme, ending.operation = announced.call, announced.n, TCP, self.operation
        return announced

    def _not_crowded(self) -> None:
        if self._owner.crowded:
            most = self._owner.caps.connections
            raise Cut(f"more than {most} connections at a time", "connections", most)

    def _hold(self, decided: SocketDecision) -> None:
        self.ending.host, self.ending.origin = decided.host[:_SHOWN], decided.decision.origin
        if not decided.allowed:
            address = None if decided.address is None else str(decided.address)
            raise Refused(decided.decision.reason, _TOLD, origin=decided.decision.origin, address=address)


class Lookup(_Socket):
    """One name's addresses, for its call to dial."""

    operation = "lookup"

    async def _carry(self, request: h11.Request) -> None:
        announced = self._claim(request)
        name = announced.authority
        self._not_crowded()
        self._hold(decide_name(self._owner.rules, name))
        addresses = await self._resolve(name)
        self._hold(decide_answers(self._owner.rules, name, addresses))
        self._sockets.led(announced.call, name, addresses)
        body = json.dumps([str(address) for address in addresses]).encode()
        self._end("allow", "", self.ending.origin)
        await self._to_guest(h11.Response(status_code=200, headers=[("content-length", str(len(body)))]))
        await self._to_guest(h11.Data(data=body))
        await self._to_guest(h11.EndOfMessage())

    def judge_again(self) -> None:
        """Nothing: the rules are asked again once the answers are here."""

    async def _resolve(self, name: str) -> tuple[Address, ...]:
        most = self._owner.caps.connect_ms
        try:
            async with asyncio.timeout(most / 1000):
                return await self._routes.resolver(self._owner.uses.lookups)(name)
        except TimeoutError as error:
            raise TimedOut(f"no answer to the lookup within {most} ms") from error
        except Failed as error:
            raise NoSuchName(error.reason, error.told) from error


class Tunnel(_Socket):
    """One socket's connection."""

    operation = "connect"
    _where: tuple[Address, int] | None = None
    _half_closed = False

    def judge_again(self) -> None:
        """Hold the connection to the rules as they are now: `Refused` where they no longer allow it."""
        if self._where is not None:
            address, port = self._where
            names = self._sockets.names(self.ending.call, address)
            self._hold(decide_dial(self._owner.rules, address, port, names or self._name(address)))

    async def _carry(self, request: h11.Request) -> None:
        announced = self._claim(request)
        orders = self._sockets.of(announced.n)
        if orders is None:
            raise Refused("the tunnel was not announced")
        try:
            # A socket that never says where to did nothing that a record could tell.
            self.ending.told = True
            self._where = await self._asked(orders)
            self.ending.told = False
            upstream = await self._dialled(*self._where)
            await self._to_guest(h11.Response(status_code=200, headers=[("transfer-encoding", "chunked")]))
            await self._pump_both(upstream, orders)
        finally:
            self._sockets.over(announced.n)

    async def _asked(self, orders: Orders) -> tuple[Address, int]:
        gone = asyncio.create_task(self._guest.gone())
        try:
            await asyncio.wait((orders.where, gone), return_when=asyncio.FIRST_COMPLETED)
            if not orders.where.done():
                raise GuestGone
            return orders.where.result()
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    async def _dialled(self, address: Address, port: int) -> Peer:
        self.ending.host, self.ending.port = str(address), port
        self._not_crowded()
        self.judge_again()
        target = Target(TCP, Authority(str(address), port, address), "", "")
        seconds = self._owner.caps.connect_ms / 1000
        route = self._routes.to(target, self._owner.uses.lookups)
        self._upstream, self._address = await route.connect(target, self._owner.rules, seconds)
        self.ending.address = str(address)
        # The rules may have changed while it was on the way.
        self.judge_again()
        return self._upstream

    async def _refuse(self, refusal: NotSent) -> None:
        if isinstance(refusal, Cut) or self._guest.http.our_state is not h11.SEND_RESPONSE:
            self.reset()
            return
        if self._upstream is not None:
            self._upstream.reset()
        try:
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._guest.send(h11.Response(status_code=refusal.status, headers=[("content-length", "0")]))
                await self._guest.send(h11.EndOfMessage())
                # No end of our own: the guest's native client would take it for an answer that broke off, its body being open.
                while isinstance(await self._from_guest(), h11.Data):
                    pass
        except (OSError, TimeoutError, GuestGone):
            self._guest.reset()

    def _name(self, address: Address) -> list[str]:
        """The name by which it was dialled, where its call has ended by now."""
        return [] if self.ending.host == str(address) else [self.ending.host]

    async def _pump_both(self, upstream: Peer, orders: Orders) -> None:
        back = asyncio.create_task(self._pump_back(upstream))
        out = asyncio.create_task(self._pump_out(upstream))
        ends = asyncio.create_task(self._heed(upstream, orders, back))
        linger = asyncio.create_task(self._linger(orders))
        try:
            waiting: set[asyncio.Task[None]] = {out, back}
            while out in waiting or (waiting and not orders.close.is_set()):
                done, _ = await asyncio.wait({*waiting, linger}, return_when=asyncio.FIRST_COMPLETED)
                waiting -= done
                for task in done:
                    if not task.cancelled():
                        task.result()
        finally:
            for task in (back, out, ends, linger):
                task.cancel()
            await asyncio.gather(back, out, ends, linger, return_exceptions=True)
        self._end("allow", "", self.ending.origin)
        if self._guest.http.our_state is h11.SEND_BODY:
            await self._to_guest(h11.EndOfMessage())

    async def _pump_out(self, upstream: Peer) -> None:
        """Guest to server, until the guest is done."""
        cap = self._owner.caps.request_bytes
        while isinstance(event := await self._from_guest(), h11.Data):
            if self._half_closed:
                raise Failed("bytes came after the connection was shut down for sending")
            self.ending.bytes_out += len(event.data)
            if self.ending.bytes_out > cap:
                raise Cut(f"more than {cap} bytes sent", "request_bytes", cap)
            await _moved(upstream.transmit(bytes(event.data)))
        # What the worker said before the end of its stream is here, if not heard yet.
        self._owner.drain()
        self._half_close(upstream)

    async def _pump_back(self, upstream: Peer) -> None:
        """Server to guest, until the server is done."""
        cap = self._owner.caps.response_bytes
        while data := await _moved(upstream.receive()):
            self.ending.bytes_in += len(data)
            if self.ending.bytes_in > cap:
                raise Cut(f"more than {cap} bytes received", "response_bytes", cap)
            await self._to_guest(h11.Data(data=data))
        await self._to_guest(h11.EndOfMessage())

    async def _heed(self, upstream: Peer, orders: Orders, back: asyncio.Task[None]) -> None:
        """What a guest shuts down while it keeps the socket."""

        async def receiving() -> None:
            await orders.receive.wait()
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)
            if self._guest.http.our_state is h11.SEND_BODY:
                await self._to_guest(h11.EndOfMessage())

        async def sending() -> None:
            await orders.send.wait()
            seen = -1
            while seen != self.ending.bytes_out:
                seen = self.ending.bytes_out
                await asyncio.sleep(_QUIET_SECONDS)
            self._half_close(upstream)

        await asyncio.gather(receiving(), sending())

    async def _linger(self, orders: Orders) -> None:
        """A guest that closed waits for its last bytes to be taken, and not for ever."""
        await orders.close.wait()
        await asyncio.sleep(_LINGER_SECONDS)
        raise TimedOut(f"the server took no more within {_LINGER_SECONDS:g} s after the guest had closed")

    def _half_close(self, upstream: Peer) -> None:
        if not self._half_closed:
            self._half_closed = True
            upstream.half_close()


_Moved = TypeVar("_Moved")


async def _moved(moving: Awaitable[_Moved]) -> _Moved:
    """A read or a write of the server's side; its failure is the connection's."""
    try:
        return await moving
    except OSError as error:
        raise Failed(f"the connection broke: {error}", "the connection broke") from error


def socket_of(scheme: str) -> type[_Socket] | None:
    """What carries the announcements of a scheme; None for requests."""
    return {TCP: Tunnel, LOOKUP: Lookup}.get(scheme)
