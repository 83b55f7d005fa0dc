"""The way to a target that was judged: straight to one of its addresses, or through the operator's proxy.

Decides, with a proxy, what can still be judged of the address: a literal one always; a name's by this host's own lookup, unless
the operator left names to the proxy. The rest of the way is the proxy's.

Rules: TLS is between the gateway and the server, verified as ever: the proxy sees a name or an address, and bytes; an https
target is asked for by CONNECT with the very address that was judged; an http one in absolute form, whose name the proxy looks up
again; what the proxy itself refuses is a failure of the connection, and what it says of that reaches no guest.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import h11

from sandbox.config.proxy import Proxy
from sandbox.host.gateway.caps import HEAD_BYTES
from sandbox.host.gateway.dial import Target, checked_addresses, connected, dial
from sandbox.host.gateway.headers import Headers
from sandbox.host.gateway.peer import READ_BYTES, Peer
from sandbox.host.gateway.refusal import Failed, Refused, TimedOut
from sandbox.host.gateway.request import Outside
from sandbox.host.gateway.resolver import Lookups, Resolver
from sandbox.template.addresses import Address
from sandbox.template.network import NetworkRules

_NEEDS_LOGIN = 407
_INSIDE = ("localhost", "local", "internal", "home.arpa", "lan", "corp", "home", "intranet", "private")
_TOLD = "the connection failed"


@dataclass(frozen=True, slots=True)
class Straight:
    """To one of the target's own addresses, each of them judged."""

    outside: Outside
    resolve: Resolver

    async def connect(self, target: Target, rules: NetworkRules, seconds: float) -> tuple[Peer, Address | None]:
        """A connection that speaks with the target, and the address that was dialled."""
        addresses = await checked_addresses(target, rules, self.resolve)
        return await dial(target, addresses, self.outside.context, seconds)

    def head(self, target: Target) -> tuple[str, Headers]:
        """The request target on the wire, and what the way adds to the fields."""
        return target.path, []

    def judge_answer(self, status: int) -> None:
        """Raise `Failed` where an answer is not the target's."""


@dataclass(frozen=True, slots=True)
class Through:
    """Through the proxy; `login` is the secret's value, None where it is not set."""

    outside: Outside
    resolve: Resolver
    proxy: Proxy
    login: str | None

    async def connect(self, target: Target, rules: NetworkRules, seconds: float) -> tuple[Peer, Address | None]:
        """A connection that speaks with the target, or for http with the proxy; and the address that was judged, if one was."""
        address = await self._judged(target, rules)
        self._fields()
        sock = await self._dial(seconds)
        try:
            if target.scheme != "http":
                host = target.authority.host if address is None else _bracketed(address)
                await self._tunnel(sock, f"{host}:{target.authority.port}")
            return await connected(target, self.outside.context, sock=sock), address
        except (ssl.SSLError, ValueError, ConnectionError) as error:
            sock.close()
            raise Failed(f"through the proxy: {error}", "the server's TLS was not accepted") from error
        except BaseException:
            sock.close()
            raise

    def head(self, target: Target) -> tuple[str, Headers]:
        """For http the proxy needs the whole URL, and its login; inside of a tunnel nobody is there but the target."""
        if target.scheme == "https":
            return target.path, []
        return f"http://{target.authority.header(target.scheme)}{target.path}", self._fields()

    def judge_answer(self, status: int) -> None:
        """The proxy's question for a login is not the guest's to answer."""
        if status == _NEEDS_LOGIN:
            raise Failed("the proxy wants another login (407)", _TOLD)

    async def _judged(self, target: Target, rules: NetworkRules) -> Address | None:
        if target.authority.address is None and self.proxy.names == "proxy":
            host = target.authority.host
            if "." not in host or host.endswith(tuple(f".{name}" for name in _INSIDE)):
                raise Refused(f"`{host}` is a name of a private network, which the proxy would look up there")
            return None
        return (await checked_addresses(target, rules, self.resolve))[0]

    async def _dial(self, seconds: float) -> socket.socket:
        try:
            addresses = (self.proxy.host,) if _is_address(self.proxy.host) else await self.resolve(self.proxy.host)
            async with asyncio.timeout(seconds):
                return await _open(str(addresses[0]), self.proxy.port)
        except Failed as error:
            raise Failed(f"the proxy's {error.reason}", _TOLD) from error
        except TimeoutError as error:
            raise TimedOut(f"no connection to the proxy within {seconds:g} s", _TOLD) from error
        except OSError as error:
            raise Failed(f"no connection to the proxy: {error}", _TOLD) from error

    async def _tunnel(self, sock: socket.socket, authority: str) -> None:
        """Have the proxy connect us to `authority`. Raises `Failed` for whatever is no plain yes."""
        loop = asyncio.get_running_loop()
        http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
        request = h11.Request(method="CONNECT", target=authority, headers=[(b"host", authority.encode()), *self._fields()])
        try:
            await loop.sock_sendall(sock, http.send(request) or b"")
            while not isinstance(event := http.next_event(), h11.Response):
                if event is h11.NEED_DATA:
                    http.receive_data(await loop.sock_recv(sock, READ_BYTES))
                elif not isinstance(event, h11.InformationalResponse):
                    raise Failed("the proxy gave no answer", _TOLD)
        except (OSError, h11.ProtocolError) as error:
            raise Failed(f"the proxy's answer broke off: {error}", _TOLD) from error
        self.judge_answer(event.status_code)
        if not 200 <= event.status_code < 300:
            raise Failed(f"the proxy answered {event.status_code}", _TOLD)
        if http.trailing_data[0]:
            # TLS begins with the client: these bytes are nobody's.
            raise Failed("the proxy said more than its answer", _TOLD)

    def _fields(self) -> Headers:
        if self.proxy.secret is None:
            return []
        if self.login is None:
            raise Failed(f"the proxy's secret `{self.proxy.secret}` is not set", _TOLD)
        return [(b"proxy-authorization", b"Basic " + base64.b64encode(self.login.encode()))]


Route = Straight | Through


class Routes:
    """Which way a target is reached: one proxy or none, as the server says."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._proxy: Proxy | None = None
        self._login: str | None = None

    def set(self, told: Mapping[str, object], login: str | None) -> None:
        """Go through this proxy from now on; `login` is its secret's value."""
        self._proxy, self._login = Proxy.from_json(told), login

    def resolver(self, lookups: Lookups) -> Resolver:
        """A component's name to its addresses, whatever the way there."""
        return self._outside.resolver_of(lookups)

    def to(self, target: Target, lookups: Lookups) -> Route:
        """The way to a target of a component."""
        proxy, at = self._proxy, target.authority
        if proxy is None or not proxy.is_for(at.host, at.address):
            return Straight(self._outside, self.resolver(lookups))
        return Through(self._outside, self.resolver(lookups), proxy, self._login)


async def _open(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _bracketed(address: Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)
