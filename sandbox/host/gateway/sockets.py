"""What a worker's sockets say beside their requests, and which names led to which addresses in the call that runs.

Decides nothing: `tunnel` acts on it. A tunnel's request is under way before it leads anywhere; where to, and what the guest is
done with, comes on the worker's egress socket.

Rules: a name binds an address only by this gateway's own lookup, and for one call; what is said of a tunnel that nobody
announced is not heard; both are bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sandbox.host.gateway.caps import PENDING
from sandbox.template.addresses import Address, parse_address

_ENDS = {"receive": ("receive",), "send": ("send",), "both": ("receive", "send"), "close": ("close",)}
_NAMES = 1_000
"""Of one call; the oldest one is forgotten."""


@dataclass(eq=False)
class Orders:
    """What the worker has said of one tunnel."""

    where: asyncio.Future[tuple[Address, int]]
    receive: asyncio.Event = field(default_factory=asyncio.Event)
    send: asyncio.Event = field(default_factory=asyncio.Event)
    close: asyncio.Event = field(default_factory=asyncio.Event)


class Sockets:
    """Of one worker."""

    def __init__(self) -> None:
        self._orders: dict[int, Orders] = {}
        self._call = ""
        self._names: dict[str, tuple[Address, ...]] = {}

    def announced(self, number: int) -> None:
        """A tunnel was announced."""
        self._orders[number] = Orders(asyncio.get_running_loop().create_future())
        while len(self._orders) > PENDING:
            del self._orders[next(iter(self._orders))]

    def of(self, number: int) -> Orders | None:
        """What is said of a tunnel, if it was announced."""
        return self._orders.get(number)

    def over(self, number: int) -> None:
        """A tunnel has come to its end."""
        self._orders.pop(number, None)

    def heard(self, message: dict[str, Any]) -> None:
        """A word of the worker about one of its tunnels. Raises ValueError, TypeError, KeyError for nonsense."""
        orders = self._orders.get(message["n"])
        if "end" in message:
            for end in _ENDS[message["end"]]:
                if orders is not None:
                    getattr(orders, end).set()
            return
        address, port = parse_address(message["dial"]), message["port"]
        if type(port) is not int or not 0 <= port <= 0xFFFF:
            raise ValueError("no port")
        if orders is not None and not orders.where.done():
            orders.where.set_result((address, port))

    def led(self, call: str, name: str, addresses: Iterable[Address]) -> None:
        """A lookup of a call was answered."""
        if call != self._call:
            self._call, self._names = call, {}
        self._names.pop(name, None)
        self._names[name] = tuple(addresses)
        while len(self._names) > _NAMES:
            del self._names[next(iter(self._names))]

    def names(self, call: str, address: Address) -> list[str]:
        """The names that led to an address in a call, the newest last."""
        return [name for name, found in self._names.items() if address in found] if call == self._call else []

    def forget(self, call: str) -> None:
        """A call has ended."""
        if call == self._call:
            self._call, self._names = "", {}
