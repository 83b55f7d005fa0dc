"""A connection to an address that was checked, and to no other.

Rules: the name is resolved once and every answer is judged, one refused answer refuses all (a name that also points inside is
not to be trusted); what is dialled is the address that was judged; TLS is verified against the granted name by the system's
trust store; no proxy of the environment is looked at. The operator's own: `route`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass

import h11

from sandbox.host.gateway.peer import READ_BYTES, Peer, Stream
from sandbox.host.gateway.refusal import Failed, Refused, TimedOut
from sandbox.host.gateway.resolver import Resolver
from sandbox.template.addresses import Address
from sandbox.template.authority import Authority
from sandbox.template.network import NetworkRules

_TRIED = 4
_REFUSED_ADDRESS = "the host's address is not one that the policy permits"


@dataclass(frozen=True, slots=True)
class Target:
    """A judged request: where to, and as what."""

    scheme: str
    authority: Authority
    method: str
    path: str


def trust_store() -> ssl.SSLContext:
    """The system's trust store (or SSL_CERT_FILE, SSL_CERT_DIR), HTTP/1.1 alone."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def checked_addresses(target: Target, rules: NetworkRules, resolve: Resolver) -> tuple[Address, ...]:
    """Every address of the target, each of them permitted. Raises `Refused` and `Failed`."""
    literal = target.authority.address
    addresses = await resolve(target.authority.host) if literal is None else (literal,)
    for address in addresses:
        judge_address(target, rules, address)
    return addresses


def judge_address(target: Target, rules: NetworkRules, address: Address) -> None:
    """Raise `Refused` where the rules do not permit the address. The guest is not told what its name resolves to."""
    host, port = target.authority.host, target.authority.port
    decided = rules.decide_address(host, port, address, scheme=target.scheme, method=target.method, path=target.path)
    if not decided.allowed:
        raise Refused(decided.reason, _REFUSED_ADDRESS, origin=decided.origin, address=str(address))


async def dial(target: Target, addresses: tuple[Address, ...], context: ssl.SSLContext, seconds: float) -> tuple[Peer, Address]:
    """A connection to the first of the addresses that answers, each of them given its share. Raises `Failed`, `TimedOut`."""
    tried = addresses[:_TRIED]
    failure: Exception | None = None
    for address in tried:
        try:
            async with asyncio.timeout(seconds / len(tried)):
                return await connected(target, context, address=address), address
        except ssl.SSLError as error:
            raise Failed(f"{address}: TLS: {error.reason or error}", "the server's TLS was not accepted") from error
        except (OSError, ValueError) as error:
            failure = error
    if isinstance(failure, TimeoutError):
        raise TimedOut(f"no connection within {seconds:g} s")
    raise Failed(f"the connection failed: {failure}", "the connection failed")


async def connected(
    target: Target, context: ssl.SSLContext, *, address: Address | None = None, sock: socket.socket | None = None
) -> Peer:
    """Speak to the target: at `address`, or over `sock`, which leads there already."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(READ_BYTES, loop=loop)
    secure = target.scheme == "https"
    where = {"sock": sock} if address is None else {"host": str(address), "port": target.authority.port}
    transport, protocol = await loop.create_connection(
        lambda: Stream(reader),
        **where,
        ssl=context if secure else None,
        server_hostname=target.authority.host if secure else None,
    )
    return Peer(h11.CLIENT, protocol, reader, asyncio.StreamWriter(transport, protocol, reader, loop))
