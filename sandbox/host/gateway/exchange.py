"""One request of a guest, carried to its target and back.

1. claim what the worker announced for it; the request on the wire only carries a token, a number, fields and a body
2. judge it by the worker's rules, once more; find the credentials that go along; count it under its line's limits
3. resolve, judge every address, dial one of them
4. carry the request and the answer, both at once, within the caps, the credentials masked where the answer repeats them
5. tell the record how it ended, before the guest can know

Rules: until an answer has begun a refusal is an HTTP status; afterwards, and for a cap or a revoke, both connections are
reset. Redirects are the guest's to follow: it asks again, and is judged again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import ceil
from typing import Any

import h11

from sandbox.host.gateway import headers
from sandbox.host.gateway.caps import FRAMING_BYTES, INFORMATIONAL
from sandbox.host.gateway.credentials import credentials_of, fields_of
from sandbox.host.gateway.dial import Target, judge_address
from sandbox.host.gateway.echo import PLAIN, Echo
from sandbox.host.gateway.peer import Peer
from sandbox.host.gateway.refusal import Cut, Failed, GuestGone, Limited, NotSent, Refused, TimedOut
from sandbox.host.gateway.request import Announcement, Ending, Owner
from sandbox.host.gateway.route import Route, Routes
from sandbox.host.gateway.uses import Taken
from sandbox.policy.units import show_time
from sandbox.template.addresses import Address
from sandbox.template.authority import AuthorityError, normalise_authority
from sandbox.template.template import Credential, HttpLimits

_LAST_WORDS_SECONDS = 2.0
_SHOWN = 300
_UPSTREAM_ERRORS = (OSError, h11.ProtocolError)


class Exchange:
    """One request and its answer. `record` is called once, with how it ended."""

    def __init__(self, owner: Owner, guest: Peer, routes: Routes, record: Callable[[Ending], None]) -> None:
        self._owner = owner
        self._guest = guest
        self._routes = routes
        self._route: Route | None = None
        self._record = record
        # A worker may be held to other rules while this is on the way: it ends where it was counted.
        self._uses = owner.uses
        self._upstream: Peer | None = None
        self._target: Target | None = None
        self._address: Address | None = None
        self._clock: asyncio.Timeout | None = None
        self._deadline = 0.0
        self._readings: tuple[Target, ...] = ()
        self._credentials: tuple[Credential, ...] = ()
        self._echo: Echo | None = None
        self._taken = Taken(())
        self._caps = owner.caps
        self.ending = Ending()

    async def run(self, request: h11.Request) -> bool:
        """Carry the request; True where the guest's connection can be used for another one."""
        try:
            await self._carry(request)
        except GuestGone:
            self._end("allow", "the guest closed the connection before the answer was complete")
            self.reset()
        except NotSent as refusal:
            if isinstance(refusal, Limited):
                self.ending.resource, self.ending.limit = refusal.resource, refusal.limit
            self.ending.secret = refusal.secret
            self._end(refusal.decision, refusal.reason, refusal.origin, refusal.address)
            await self._refuse(refusal)
        finally:
            if self._upstream is not None:
                self._upstream.close()
            self._uses.release(self._taken)
        return self._guest.http.our_state is h11.DONE and self._guest.http.their_state is h11.DONE

    def cut(self, reason: str, refusal: Refused | None = None, *, decision: str = "deny") -> None:
        """End it from outside, at once: a revoke; with another decision, the end of its call or its worker."""
        origin, address = (None, None) if refusal is None else (refusal.origin, refusal.address)
        self._end(decision, reason, origin, address)
        self.reset()

    def reset(self) -> None:
        """RST to both sides."""
        self._guest.reset()
        if self._upstream is not None:
            self._upstream.reset()

    def judge_again(self) -> None:
        """Hold the request to the rules as they are now: `Refused` where they no longer allow it."""
        if self._target is not None:
            self._judge_target(self._target)
            if self._readings and self._credentials != credentials_of(self._owner.rules, self._readings):
                raise Refused("its credential is another one by now")
            if self._address is not None:
                judge_address(self._target, self._owner.rules, self._address)

    async def _carry(self, request: h11.Request) -> None:
        announced = self._owner.claim(request)
        self._target = self._read_target(announced)
        self._readings = self._judge_request(self._target, request)
        self._credentials = credentials_of(self._owner.rules, self._readings)
        self._go_under_limits(request)
        added = await self._add_credentials(announced) if self._credentials else []
        most = self._taken.timeout_ms
        try:
            async with asyncio.timeout(None if most is None else most / 1000) as whole:
                await self._exchange(self._target, request, added)
        except (TimeoutError, TimedOut) as error:
            # What gives up at the same moment does so because of it.
            if most is None or not whole.expired():
                raise
            reason = f"`timeout` is reached: {show_time(most)}"
            raise Limited(reason, "timeout", most, self._taken.origin("timeout_ms", most), status=504) from error

    async def _add_credentials(self, announced: Announcement) -> headers.Headers:
        values = await self._owner.secrets_of(announced.call)
        added = fields_of(self._credentials, values)
        self._echo = Echo(values[one.secret] for one in self._credentials)
        return [*added, *PLAIN]

    async def _exchange(self, target: Target, request: h11.Request, added: headers.Headers) -> None:
        caps = self._caps
        try:
            async with asyncio.timeout(caps.connect_ms / 1000):
                upstream = await self._connect(target)
        except TimeoutError as error:
            raise TimedOut(f"no connection within {caps.connect_ms} ms") from error
        self._deadline = asyncio.get_running_loop().time() + caps.total_ms / 1000
        try:
            async with asyncio.timeout(caps.idle_ms / 1000) as self._clock:
                await self._send_head(upstream, target, request, added)
                await self._pump(upstream)
        except TimeoutError as error:
            raise TimedOut(f"no end within {caps.total_ms} ms, or no byte for {caps.idle_ms} ms") from error

    def _read_target(self, announced: Announcement) -> Target:
        ending = self.ending
        ending.call, ending.n, ending.scheme, ending.method = announced.call, announced.n, announced.scheme, announced.method
        ending.path = announced.path.partition("?")[0]
        try:
            authority = normalise_authority(announced.authority, announced.scheme)
        except AuthorityError as error:
            ending.host = announced.authority[:_SHOWN]
            raise Refused(str(error)) from error
        ending.host, ending.port = authority.host, authority.port
        return Target(announced.scheme, authority, announced.method, announced.path)

    def _judge_request(self, target: Target, request: h11.Request) -> tuple[Target, ...]:
        """Raise `Refused` unless all that the request may ask for is allowed: itself, and what its fields make of it."""
        if self._owner.crowded:
            most = self._owner.caps.connections
            raise Cut(f"more than {most} connections at a time", "connections", most)
        if target.scheme not in ("http", "https") or target.method.upper() == "CONNECT":
            raise Refused(f"`{target.method}` over `{target.scheme}` is no request that can be judged")
        if headers.asks_for_upgrade(request.headers):
            raise Refused("an upgrade leaves HTTP, where no rule is judged")
        readings = [target]
        for name, value in request.headers:
            text = value.decode("latin-1")
            if name in headers.METHOD_OVERRIDES:
                readings.append(Target(target.scheme, target.authority, text, target.path))
            elif name in headers.PATH_OVERRIDES:
                readings.append(Target(target.scheme, target.authority, target.method, text))
        for reading in readings:
            self._judge_target(reading)
        return tuple(readings)

    def _go_under_limits(self, request: h11.Request) -> None:
        """Count the request under the limits of a line that allows it. Raises `Limited`, and `Refused`."""
        first, *others = map(self._limits, self._readings)
        if any(set(other) != set(first) for other in others):
            raise Refused("the request can be read in two ways, and other limits hold for one of them")
        self._taken = self._uses.take(first, asyncio.get_running_loop().time())
        self._caps = self._taken.caps(self._owner.caps)
        most = self._caps.request_bytes
        if not headers.is_chunked(request.headers) and headers.length_of(request.headers) > most:
            origin = self._taken.origin("request_bytes", most)
            raise Limited(f"a request body beyond {most} bytes", "request_bytes", most, origin, status=413)

    def _limits(self, target: Target) -> tuple[tuple[HttpLimits, ...], ...]:
        at = target.authority
        return self._owner.rules.limits(target.scheme, at.host, at.port, target.method, target.path)

    def _judge_target(self, target: Target) -> None:
        authority = target.authority
        decided = self._owner.rules.decide(target.scheme, authority.host, authority.port, target.method, target.path)
        if not decided.allowed:
            raise Refused(decided.reason, origin=decided.origin)
        self.ending.origin = decided.origin

    async def _connect(self, target: Target) -> Peer:
        self._route = self._routes.to(target, self._owner.uses.lookups)
        seconds = self._owner.caps.connect_ms / 1000
        self._upstream, self._address = await self._route.connect(target, self._owner.rules, seconds)
        self.ending.address = None if self._address is None else str(self._address)
        # The rules may have changed while it was on the way.
        self.judge_again()
        return self._upstream

    async def _send_head(self, upstream: Peer, target: Target, request: h11.Request, added: headers.Headers) -> None:
        assert self._route is not None
        line, of_the_way = self._route.head(target)
        fields = headers.request_headers(request.headers, target.authority.header(target.scheme), [*added, *of_the_way])
        added = [*added, *of_the_way]
        try:
            await upstream.send(h11.Request(method=target.method, target=line, headers=fields))
        except _UPSTREAM_ERRORS as error:
            # With a credential in it the cause is not told: it may quote the head.
            cause = type(error).__name__ if added else error
            raise Failed(f"the request could not be sent: {cause}", "the connection failed") from error

    async def _pump(self, upstream: Peer) -> None:
        request = asyncio.create_task(self._pump_request(upstream))
        response = asyncio.create_task(self._pump_response(upstream))
        try:
            done, _ = await asyncio.wait((request, response), return_when=asyncio.FIRST_COMPLETED)
            if response not in done:
                request.result()
            await response
        finally:
            request.cancel()
            response.cancel()
            await asyncio.gather(request, response, return_exceptions=True)

    async def _pump_request(self, upstream: Peer) -> None:
        """Guest to server, then watch whether the guest stays; ends early where the server reads no more: it answers or fails."""
        while True:
            event = await self._from_guest()
            if isinstance(event, h11.Data):
                self.ending.bytes_out += len(event.data)
                cap = self._caps.request_bytes
                if self.ending.bytes_out > cap:
                    origin = self._taken.origin("request_bytes", cap)
                    raise Cut(f"a request body beyond {cap} bytes", "request_bytes", cap, origin)
                event = h11.Data(data=event.data)
            try:
                await upstream.send(event)
            except _UPSTREAM_ERRORS:
                return
            self._progress()
            if isinstance(event, h11.EndOfMessage):
                break
        if await self._guest.gone():
            raise GuestGone

    async def _from_guest(self) -> h11.Data | h11.EndOfMessage:
        try:
            event = await self._guest.next_event()
        except (OSError, h11.RemoteProtocolError) as error:
            raise GuestGone from error
        if isinstance(event, h11.EndOfMessage):
            return h11.EndOfMessage(headers=headers.without_hop_by_hop(event.headers))
        if not isinstance(event, h11.Data):
            raise GuestGone
        return event

    async def _pump_response(self, upstream: Peer) -> None:
        response = await self._response_head(upstream)
        assert self._route is not None
        self._route.judge_answer(response.status_code)
        echo, fields, reason = self._echo, headers.response_headers(response.headers), bytes(response.reason)
        if echo is not None:
            fields, reason = echo.fields(fields), echo.whole(reason)
        await self._to_guest(h11.Response(status_code=response.status_code, headers=fields, reason=reason))
        while True:
            event = await self._from_server(upstream)
            if isinstance(event, h11.Data):
                self._count_answer(upstream, len(event.data))
                await self._to_guest(h11.Data(data=event.data if echo is None else echo.more(event.data)))
            elif isinstance(event, h11.EndOfMessage):
                trailers = headers.without_hop_by_hop(event.headers)
                if echo is not None:
                    await self._to_guest(h11.Data(data=echo.end()))
                    trailers = echo.fields(trailers)
                self._end("allow", "", self.ending.origin)
                await self._to_guest(h11.EndOfMessage(headers=trailers))
                return
            else:
                raise Failed("the answer ended too soon")

    async def _response_head(self, upstream: Peer) -> h11.Response:
        for _ in range(INFORMATIONAL):
            event = await self._from_server(upstream)
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                break
        raise Failed("the server gave no answer")

    async def _from_server(self, upstream: Peer) -> Any:
        try:
            event = await upstream.next_event()
        except _UPSTREAM_ERRORS as error:
            raise Failed(f"the answer broke off: {error}", "the server's answer was not complete") from error
        self._progress()
        return event

    async def _to_guest(self, event: h11.Event) -> None:
        try:
            await self._guest.send(event)
        except h11.LocalProtocolError as error:
            raise Failed(f"the answer cannot be passed on: {error}", "the server's answer was not valid") from error
        except OSError as error:
            raise GuestGone from error
        self._progress()

    def _count_answer(self, upstream: Peer, size: int) -> None:
        cap = self._caps.response_bytes
        origin = self._taken.origin("response_bytes", cap)
        self.ending.bytes_in += size
        if self.ending.bytes_in > cap:
            raise Cut(f"an answer beyond {cap} bytes", "response_bytes", cap, origin)
        if upstream.received > 2 * cap + FRAMING_BYTES:
            reason = f"an answer of {upstream.received} bytes for a body of {self.ending.bytes_in}"
            raise Cut(reason, "response_bytes", cap, origin)

    def _progress(self) -> None:
        if self._clock is not None:
            idle = asyncio.get_running_loop().time() + self._owner.caps.idle_ms / 1000
            self._clock.reschedule(min(idle, self._deadline))

    def _end(self, decision: str, reason: str, origin: str | None = None, address: str | None = None) -> None:
        if not self.ending.told:
            if decision == "deny":
                # Of a denial, the address that was refused: none where it was not the address.
                self.ending.address = address
            self.ending.told = True
            self.ending.decision, self.ending.reason, self.ending.origin = decision, reason, origin
            self._record(self.ending)

    async def _refuse(self, refusal: NotSent) -> None:
        if isinstance(refusal, Cut) or self._guest.http.our_state is not h11.SEND_RESPONSE:
            self.reset()
            return
        if self._upstream is not None:
            self._upstream.reset()
        body = refusal.body()
        fields = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        if isinstance(refusal, Limited) and refusal.retry_after_s is not None:
            fields.append(("retry-after", str(ceil(refusal.retry_after_s))))
        try:
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._guest.send(h11.Response(status_code=refusal.status, headers=fields))
                await self._guest.send(h11.Data(data=body))
                await self._guest.send(h11.EndOfMessage())
                await self._guest.discard()
        except (OSError, TimeoutError):
            self._guest.reset()
