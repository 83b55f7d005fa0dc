"""How the HTTP gate announces a request to the egress gateway.

Decides nothing: the gateway resolves, judges again and connects.
"""

from __future__ import annotations

from typing import Protocol


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
