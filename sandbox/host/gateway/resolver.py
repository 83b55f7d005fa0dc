"""A name to its addresses, once for each connection.

Leaves the judgement of the addresses to the rules. Without a nameserver the system resolves (its hosts file, its search
order); with one, nothing but that server is asked, and nothing is remembered.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable

import dns.asyncresolver
import dns.exception
import dns.resolver

from sandbox.host.gateway.refusal import Failed
from sandbox.template.addresses import Address, parse_address

Resolver = Callable[[str], Awaitable[tuple[Address, ...]]]
"""Gives every address of a name, at least one. Raises `Failed`."""

_ANSWERS = 64


def make_resolver(nameserver: tuple[str, int] | None) -> Resolver:
    """The resolver of the system, or of one nameserver (address and port)."""
    return _by_system if nameserver is None else _by_nameserver(*nameserver)


async def _by_system(host: str) -> tuple[Address, ...]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise Failed(f"the name does not resolve: {error}", "the name does not resolve") from error
    return _addresses(str(entry[4][0]) for entry in found)


def _by_nameserver(address: str, port: int) -> Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [address]
    resolver.port = port

    async def resolve(host: str) -> tuple[Address, ...]:
        name = f"{host}."
        answers = await asyncio.gather(*(_ask(resolver, name, kind) for kind in ("A", "AAAA")))
        return _addresses(text for answer in answers for text in answer)

    return resolve


async def _ask(resolver: dns.asyncresolver.Resolver, name: str, kind: str) -> list[str]:
    try:
        answer = await resolver.resolve(name, kind, search=False, raise_on_no_answer=False)
    except dns.resolver.NXDOMAIN:
        return []
    except dns.exception.DNSException as error:
        # Half an answer is none: the other half might be the refused one.
        raise Failed(f"the nameserver did not answer: {error}", "the name does not resolve") from error
    return [record.address for record in answer]


def _addresses(texts: Iterable[str]) -> tuple[Address, ...]:
    """The answers, each once. One that cannot be read refuses them all, and so do more than anyone needs."""
    try:
        found = tuple(dict.fromkeys(map(parse_address, texts)))
    except ValueError as error:
        raise Failed(f"the name resolves to no address: {error}", "the name does not resolve") from error
    if not 0 < len(found) <= _ANSWERS:
        raise Failed(f"the name has {len(found)} addresses", "the name does not resolve")
    return found
