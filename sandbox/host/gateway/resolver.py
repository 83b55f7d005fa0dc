"""A name to its addresses, once for each connection.

Leaves the judgement of the addresses to the rules. Without a nameserver the system resolves (its hosts file, its search
order); with one, nothing but that server is asked, and nothing is remembered.

Rules: the system keeps a thread for as long as it likes, also when nobody waits for the answer any more: until then it counts
among the few that its component may have, so that names which are never answered stop no other component's.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.resolver

from sandbox.host.gateway.refusal import Failed
from sandbox.template.addresses import Address, parse_address

Resolver = Callable[[str], Awaitable[tuple[Address, ...]]]
"""Gives every address of a name, at least one. Raises `Failed`."""

LOOKUPS = 3
"""Names of one component that the system resolves at a time."""

_THREADS = 16
_ANSWERS = 64


class Lookups:
    """The threads that one component has the system resolve its names in; `running` of them have not come back."""

    def __init__(self) -> None:
        self.running = 0
        self._free = asyncio.Semaphore(LOOKUPS)

    async def run(self, threads: ThreadPoolExecutor, work: Callable[[], Any]) -> Any:
        """What `work` comes to in a thread, once there is one for this component."""
        await self._free.acquire()
        self.running += 1
        loop, task = asyncio.get_running_loop(), threads.submit(work)

        def over(_: Future[Any]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._over)

        task.add_done_callback(over)
        return await asyncio.wrap_future(task)

    def _over(self) -> None:
        self.running -= 1
        self._free.release()


ResolverOf = Callable[[Lookups], Resolver]
"""Gives what resolves the names of one component."""


def make_resolver(nameserver: tuple[str, int] | None) -> ResolverOf:
    """The resolver of the system, or of one nameserver (address and port)."""
    if nameserver is not None:
        resolve = _by_nameserver(*nameserver)
        return lambda _: resolve
    threads = ThreadPoolExecutor(_THREADS, "lookup")
    return lambda lookups: lambda host: _by_system(threads, lookups, host)


async def _by_system(threads: ThreadPoolExecutor, lookups: Lookups, host: str) -> tuple[Address, ...]:
    def ask() -> list[Any]:
        return list(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP))

    try:
        found = await lookups.run(threads, ask)
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
