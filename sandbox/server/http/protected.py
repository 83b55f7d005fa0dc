"""What clients are told of getting a token: the protected resource's metadata, and the challenges that point there.

Pure. Decides the words of RFC 9728 and of `WWW-Authenticate`; leaves when they are said to `sandbox.server.http.front`.

Rule: what is told is the operator's configuration and nothing of the request, so nobody can have a client sent elsewhere.

Source: RFC 9728, 2, 3.1, 5.1; RFC 6750, 3; MCP 2025-11-25, "Authorization" (scope challenge, step-up).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from sandbox.server.http.answers import Header

WELL_KNOWN = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True, slots=True)
class ProtectedResource:
    """This server, as clients know it: its URL, who gives tokens for it, the scopes to ask for first."""

    url: str
    issuer: str
    scopes: tuple[str, ...] = ()

    def paths(self, mcp: str) -> frozenset[str]:
        """Where the metadata are: at the root, and for the path of MCP, here and as clients know it."""
        return frozenset({WELL_KNOWN, WELL_KNOWN + mcp.rstrip("/"), WELL_KNOWN + urlsplit(self.url).path.rstrip("/")})

    @property
    def metadata_url(self) -> str:
        """Where clients find the metadata (RFC 9728, 3.1)."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{parts.path.rstrip('/')}"

    def metadata(self) -> dict[str, object]:
        """The document (RFC 9728, 2)."""
        return {
            "resource": self.url,
            "authorization_servers": [self.issuer],
            "scopes_supported": list(self.scopes),
            "bearer_methods_supported": ["header"],
            "resource_name": "sandbox",
        }


def challenge(
    resource: ProtectedResource | None, error: str = "", told: str = "", scopes: Iterable[str] = ()
) -> tuple[Header, ...]:
    """The header that says what token is needed; `error` and `told` why the one that came is not enough (RFC 6750, 3)."""
    fields = {"realm": "sandbox", "error": error, "error_description": told}
    if resource is not None:
        fields |= {"resource_metadata": resource.metadata_url, "scope": " ".join(scopes or resource.scopes)}
    return ((b"www-authenticate", b"Bearer " + ", ".join(f'{key}="{value}"' for key, value in fields.items() if value).encode()),)
