"""How the gates announce a request, or what a socket wants, to the egress gateway.

Decides nothing: the gateway resolves, judges again and connects.
"""

from __future__ import annotations

import itertools
from typing import Literal, Protocol

NUMBERS = itertools.count(1)
"""Of every request of this process: a late connection of an earlier call must not meet the announcement of a later one."""

End = Literal["receive", "send", "both", "close"]
"""What a guest is done with: one direction, both, or the socket."""


class Egress(Protocol):
    """The worker's end of the way out: its own listener's port, its token, and a message to the gateway."""

    @property
    def port(self) -> int:
        """The loopback port on which the gateway listens for this worker alone."""

    @property
    def token(self) -> str:
        """What a request's path must begin with."""

    def announce(self, number: int, method: str, scheme: str, authority: str, path: str) -> None:
        """Tell the gateway what request `number` really asks for, before it arrives."""

    def dial(self, number: int, address: str, port: int) -> None:
        """Tell the gateway where the tunnel `number` is to lead; once."""

    def end(self, number: int, what: End) -> None:
        """Tell the gateway what the guest is done with, of the tunnel `number`."""
