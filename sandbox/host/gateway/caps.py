"""How much, how long and how many: the bounds of what one worker may do through the gateway.

Values only. `Caps.from_json` reads what the server sends with a worker's rules; what it leaves out is the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Caps:
    """Bounds of one request (bytes of its body, of the answer's body, milliseconds) and of a worker's connections."""

    request_bytes: int = 64 << 20
    response_bytes: int = 64 << 20
    connect_ms: int = 10_000
    """Name lookup, connection and TLS handshake together."""
    idle_ms: int = 60_000
    """Without a byte in either direction."""
    total_ms: int = 300_000
    connections: int = 32

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Caps:
        """The caps in a `rules` frame. Raises ValueError for a name that is none, or a value that is no positive number."""
        names = {field.name for field in fields(cls)}
        for name, value in given.items():
            if name not in names or not isinstance(value, int) or isinstance(value, bool) or value <= 0:
                raise ValueError(f"`{name}: {value}` is no cap")
        return cls(**given)


HEAD_BYTES = 64 << 10
"""The longest head, or trailer section, that is read from either side."""
INFORMATIONAL = 16
"""How many 1xx answers may come before the real one."""
FRAMING_BYTES = 1 << 20
"""What an answer may bring beside its body before it counts as none: head, chunk framing, on top of the body cap."""
PENDING = 256
"""Announced requests that have not arrived yet; the oldest one is forgotten."""
