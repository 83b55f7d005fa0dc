"""Who asks: a name, and what the edge that knows it vouches for.

Decides nothing. The edge (standard input, a token, an application's session) makes the subject; nothing that a caller merely says
of itself belongs in it: that is `CallRequest.metadata`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any

NOTHING: Mapping[str, Any] = MappingProxyType({})
"""No claims, no arguments, no metadata."""


def nothing() -> Mapping[str, Any]:
    """`NOTHING`, as the default of a field."""
    return NOTHING


SHIPPED_SCOPES = (
    "tools:read",
    "tools:invoke",
    "resources:read",
    "resources:write",
    "prompts:read",
    "prompts:execute",
    "admin",
)
"""The scopes there are without a document's saying so."""
TOKEN_SCOPES = tuple(scope for scope in SHIPPED_SCOPES if scope != "admin")
"""What a token has for which nobody names its scopes."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A person, agent or program: its id, roles, tenant, scopes, and further claims that the edge has verified."""

    id: str
    roles: tuple[str, ...] = ()
    tenant: str | None = None
    scopes: tuple[str, ...] = ()
    claims: Mapping[str, Any] = field(default_factory=nothing, hash=False)

    @staticmethod
    @lru_cache(maxsize=1024)
    def local(name: str = "local") -> Subject:
        """Whoever sits at this machine: standard input and the command line, with every shipped scope."""
        return Subject(name, scopes=SHIPPED_SCOPES)
