"""What a request brings with it, who it belongs to, and what the record is told of it.

Values and one protocol: `exchange` acts on them, `attached` owns them.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import h11

from sandbox.host.gateway.caps import Caps
from sandbox.host.gateway.resolver import ResolverOf
from sandbox.host.gateway.uses import Uses
from sandbox.template.network import NetworkRules


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a worker said on its egress socket that the request `n` of `call` is."""

    call: str
    n: int
    method: str
    scheme: str
    authority: str
    path: str


@dataclass(frozen=True, slots=True)
class Outside:
    """What the gateway reaches the network with."""

    resolver_of: ResolverOf
    context: ssl.SSLContext


class Owner(Protocol):
    """The worker behind a connection, as an exchange sees it."""

    rules: NetworkRules
    caps: Caps

    uses: Uses

    @property
    def crowded(self) -> bool:
        """Whether it has more connections than its cap."""

    async def secrets_of(self, call: str) -> Mapping[str, str]:
        """The values that may be added to a call's requests, by name; none where they do not come."""

    def claim(self, request: h11.Request) -> Announcement:
        """The announcement that belongs to the request, once. Raises `Refused`."""

    def drain(self) -> None:
        """Hear what the worker has said so far."""


@dataclass(slots=True)
class Ending:
    """What the record is told of one request."""

    decision: str = "allow"
    reason: str = ""
    origin: str | None = None
    scheme: str = ""
    host: str = ""
    port: int = 0
    address: str | None = None
    method: str = ""
    path: str = ""
    call: str = ""
    n: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    resource: str | None = None
    """Of a cap that was reached: its name, and `limit` its value."""
    limit: int | None = None
    secret: str | None = None
    """The name of one that was needed and is not set."""
    operation: str | None = None
    """Of a socket: `connect`, `lookup`."""
    began: float = field(default_factory=time.monotonic)
    told: bool = field(default=False)

    def to_json(self) -> dict[str, Any]:
        """The fields of an event; `bytes_in` came to the guest, `bytes_out` left it; `seconds` are from `began` until now."""
        names = (name for name in self.__slots__ if name != "told")
        return {**{name: getattr(self, name) for name in names}, "seconds": time.monotonic() - self.began}
