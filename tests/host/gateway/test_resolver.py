"""The system's resolver keeps threads for as long as it likes: of one component only a few, and never another's."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.host.gateway.refusal import Failed
from sandbox.host.gateway.resolver import LOOKUPS, ResolverOf, make_resolver
from sandbox.host.gateway.uses import Uses

FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))]


class System:
    """A resolver that answers no name of `slow.test` before it is told to; `asked` are those that have a thread."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer = threading.Event()

    def getaddrinfo(self, host: str, *_: Any, **__: Any) -> Any:
        self.asked.append(host)
        if not host.endswith("slow.test"):
            return FOUND
        self.answer.wait(20)
        raise socket.gaierror("nobody knows it")


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    found = System()
    monkeypatch.setattr(socket, "getaddrinfo", found.getaddrinfo)
    yield found
    found.answer.set()


async def given_up(resolver_of: ResolverOf, uses: Uses, names: int) -> None:
    """Look so many names up, and do not wait for the answers."""
    resolve = resolver_of(uses.lookups)
    for turn in range(3):
        tasks = [asyncio.ensure_future(resolve(f"{turn}-{name}.slow.test")) for name in range(names)]
        await asyncio.wait(tasks, timeout=0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.asyncio
async def test_slow_names_of_one_component_stop_no_other(system: System) -> None:
    """A thread counts until it is back, although nobody waits for it any more."""
    resolver_of, slow, other = make_resolver(None), Uses(), Uses()
    await given_up(resolver_of, slow, 40)
    assert len(system.asked) == LOOKUPS
    assert str((await asyncio.wait_for(resolver_of(other.lookups)("victim.test"), 5))[0]) == "192.0.2.1"
    assert not slow.idle(0.0), "its threads are not forgotten"
    system.answer.set()
    assert await asyncio.wait_for(resolver_of(slow.lookups)("later.test"), 5), "they are its own again"
    with pytest.raises(Failed, match="nobody knows it"):
        await resolver_of(slow.lookups)("gone.slow.test")
    async with asyncio.timeout(5):
        while not (slow.idle(0.0) and other.idle(0.0)):
            await asyncio.sleep(0)
