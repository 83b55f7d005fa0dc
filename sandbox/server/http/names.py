"""Which names a server answers to, its own paths, and which web pages may speak to it.

Pure. Decides by the `Host` and `Origin` of a request alone.

Rules: a browser sends both truly, so a page whose name was pointed at this machine (DNS rebinding) shows its own name in `Host`,
and a page of somebody else's shows itself in `Origin`. `Host` must be a name of this server, with or without a port; `Origin`, if
any, must be that very host or one that the operator named. Nothing is guessed: no trailing dot, no user information, no `null`.

Source: MCP 2025-11-25, "Transports", security warning; RFC 9110, 7.2; RFC 6454, 7.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
HEALTH, READY, METRICS = OWN_PATHS = ("/health", "/ready", "/metrics")
"""Where the server tells of itself."""
API = "/api/v1"
"""Where the HTTP API is."""

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Names:
    """`hosts` are lower case, without a port for any port; `origins` are whole: `https://app.example.com`."""

    hosts: frozenset[str] = LOOPBACK
    origins: frozenset[str] = frozenset()

    def answers_to(self, host: str) -> bool:
        """Whether a `Host` is a name of this server."""
        match = _HOST.fullmatch(host.lower())
        if match is None or int(match["port"] or 0) > 0xFFFF:
            return False
        return match["name"] in self.hosts or host.lower() in self.hosts

    def speaks_with(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` may speak to this server, which it calls `host`: its own, or one that was named."""
        return origin in self.origins or (origin.lower() == f"http://{host.lower()}" and self.answers_to(host))


def is_api(path: str) -> bool:
    """Whether a path as it was sent is of the API."""
    return path == API or path.startswith(f"{API}/")


def named(host: str) -> str | None:
    """A host as a person writes it, in its one spelling; None where it is none."""
    lowered = host.lower()
    bracketed = f"[{lowered}]" if lowered.count(":") > 1 and not lowered.startswith("[") else lowered
    return bracketed if _HOST.fullmatch(bracketed) else None
