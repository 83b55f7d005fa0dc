"""Whom a request over HTTP stands for: what a verifier says, and the one place where everything else reads it.

Decides nothing. Leaves whether a token is good to the verifiers (`sandbox.server.http.tokens`), and to admission what whoever it
stands for may do.

Rule: what a caller says of itself (a header, an argument, `_meta`) never ends up here; only a verifier makes an `Identity`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken

from sandbox.admission.subject import Subject
from sandbox.server.http.request import Request


class Identity(AuthenticatedUser):
    """Whom a token stands for. After `expires_at` (seconds since 1970) it stands for nobody; `issuer` signed it, if anybody did.
    `noted`: whether the record says that it came.

    It is what the SDK calls a user: a session is used by the subject, tenant and issuer that opened it, and by nobody else.
    """

    def __init__(self, who: Subject, *, expires_at: float | None = None, issuer: str | None = None) -> None:
        claims = None if issuer is None else {"iss": issuer}
        super().__init__(AccessToken(token="", client_id=who.tenant or "", subject=who.id, scopes=[*who.scopes], claims=claims))
        self.who, self.expires_at, self.issuer, self.noted = who, expires_at, issuer, False


class Why(StrEnum):
    """Why a token stands for nobody."""

    UNKNOWN = "unknown_token"
    MALFORMED = "malformed"
    ALGORITHM = "algorithm_not_accepted"
    KEY = "unknown_key"
    SIGNATURE = "wrong_signature"
    ISSUER = "another_issuer"
    AUDIENCE = "another_audience"
    EXPIRED = "expired"
    NOT_YET = "not_yet_valid"
    CLAIMS = "claims_not_accepted"
    BOUND = "bound_to_a_key"
    UNAVAILABLE = "keys_unavailable"


@dataclass(frozen=True, slots=True)
class Refused:
    """A token that stands for nobody, here and now."""

    why: Why


class Verifier(Protocol):
    """Says whom a token stands for."""

    async def verify(self, token: str) -> Identity | Refused:
        """The identity behind a token, or why there is none. Raises nothing for whatever a client may send."""


def identity_in(scope: Mapping[str, Any]) -> Identity | None:
    """The identity of a request, by its ASGI scope; None where nobody is asked for a token.

    Raises TypeError for a user that no verifier made: who is not known here is not taken for who needs no token.
    """
    user = scope.get("user")
    if user is not None and not isinstance(user, Identity):
        raise TypeError(f"a {type(user).__name__} is no identity")
    return user


def who_in(scope: Mapping[str, Any]) -> Subject:
    """Whom a request stands for, by its ASGI scope; whoever reaches the port where nobody is asked for a token."""
    identity = identity_in(scope)
    return Subject.local() if identity is None else identity.who


def subject_of(request: Request) -> Subject:
    """The whole subject of a request: id, tenant, roles, scopes, claims."""
    return who_in(request.scope)


def is_verified(request: Request) -> bool:
    """Whether a token vouches for the subject; False where this server asks nobody for one."""
    return identity_in(request.scope) is not None
