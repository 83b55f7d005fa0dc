"""Verify a signed token (JWT) of the configured issuer.

Decides, in this order, and stops at the first thing that is wrong:

    1. the shape      three parts of base64url, at most MOST_BYTES
    2. the header     an algorithm of the operator's, a type of access tokens, nothing critical
    3. the issuer     to the letter, before any key is looked for
    4. the key        the one that the header's id names, of that very algorithm
    5. the signature  by PyJWT, with exp, nbf, iat, aud and iss
    6. the claims     whom it stands for

Leaves keys to `sandbox.server.http.oauth.keys`, claims to `sandbox.server.http.oauth.claims`.

Rules: what the header says of keys (`jku`, `x5u`, `jwk`, `x5c`) is never read. A token that is bound to a key of its client's
(`cnf`: RFC 9449, RFC 8705) is no bearer token. A verified token is known by its digest until it ends or the keys change; one that
is refused is not remembered, so that nobody can push another's out. No exception leaves here: an error in a check is a refusal.

Source: RFC 8725 (best practice), RFC 9068 (access tokens), RFC 7515, 4.1.11 (`crit`).
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from sandbox.config.oauth import OAuthSection
from sandbox.server.http.identity import Identity, Refused, Why
from sandbox.server.http.oauth.claims import ClaimsError, subject_from
from sandbox.server.http.oauth.issuer import UnreachableError, fetch_keys
from sandbox.server.http.oauth.keys import Keys

if TYPE_CHECKING:
    from jwt import PyJWK

MOST_BYTES = 16 << 10
MOST_KNOWN = 4096
LAST_SECOND = 10.0**11
"""An end that is later is no end."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt", "application/jwt"})
_TIMES = ("exp", "iat", "nbf")
_REQUIRED = ["exp", "iat", "iss", "aud"]
_log = logging.getLogger(__name__)


class _WrongError(Exception):
    """What is wrong with a token."""

    def __init__(self, why: Why) -> None:
        super().__init__(why.value)
        self.why = why


class SignedTokens:
    """The signed tokens of one issuer. `clock` tells the time, in seconds since 1970."""

    def __init__(self, section: OAuthSection, keys: Keys, clock: Callable[[], float] = time.time) -> None:
        self._section, self._keys, self._clock = section, keys, clock
        self._leeway = section.leeway_seconds
        self._jwt = importlib.import_module("jwt")
        self._reasons = _reasons(self._jwt)
        self._verified: LRUCache[bytes, tuple[int, Identity]] = LRUCache(MOST_KNOWN)

    async def verify(self, token: str) -> Identity | Refused:
        """Whom a token stands for."""
        if len(token) > MOST_BYTES or not _TOKEN.fullmatch(token):
            return Refused(Why.MALFORMED)
        digest = hashlib.sha256(token.encode("ascii")).digest()
        generation, identity = self._verified.get(digest, (-1, None))
        if identity is None or generation != self._keys.generation():
            try:
                identity = await self._identity(token)
            except _WrongError as wrong:
                return Refused(wrong.why)
            except Exception:  # noqa: BLE001 - an error in a check is a refusal, whatever it is
                _log.exception("a token could not be checked")
                return Refused(Why.MALFORMED)
            self._verified[digest] = (self._keys.generation(), identity)
        if identity.expires_at is not None and self._clock() >= identity.expires_at:
            self._verified.pop(digest, None)
            return Refused(Why.EXPIRED)
        return identity

    async def _identity(self, token: str) -> Identity:
        try:
            algorithm, kid = self._header(self._jwt.get_unverified_header(token))
            if self._jwt.decode(token, options={"verify_signature": False}).get("iss") != self._section.issuer:
                raise _WrongError(Why.ISSUER)
            key = await self._keys.find(kid, algorithm)
            if key is None:
                raise _WrongError(Why.KEY)
            claims = self._checked(token, key, algorithm)
            who = subject_from(claims, self._section)
        except UnreachableError:
            raise _WrongError(Why.UNAVAILABLE) from None
        except ClaimsError as error:
            _log.warning("a verified token was refused for its claim `%s`", error)
            raise _WrongError(Why.CLAIMS) from None
        except self._jwt.PyJWTError as error:
            raise _WrongError(next((why for kind, why in self._reasons if isinstance(error, kind)), Why.MALFORMED)) from None
        ends = min(float(claims["exp"]), LAST_SECOND) + self._leeway
        return Identity(who, expires_at=ends, issuer=self._section.issuer)

    def _header(self, header: Mapping[str, Any]) -> tuple[str, str | None]:
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._section.algorithms:
            raise _WrongError(Why.ALGORITHM)
        kind = header.get("typ", "JWT")
        if not isinstance(kind, str) or kind.lower() not in _TYPES or {"crit", "b64", "zip", "enc"} & header.keys():
            raise _WrongError(Why.MALFORMED)
        return algorithm, header.get("kid")

    def _checked(self, token: str, key: PyJWK, algorithm: str) -> dict[str, Any]:
        claims: dict[str, Any] = self._jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=self._section.audience,
            issuer=self._section.issuer,
            leeway=self._leeway,
            options={"require": _REQUIRED, "enforce_minimum_key_length": True},
        )
        if not all(_is_time(claims[name]) for name in _TIMES if name in claims):
            raise _WrongError(Why.CLAIMS)
        if "cnf" in claims:
            raise _WrongError(Why.BOUND)
        return claims


def signed_tokens(section: OAuthSection) -> SignedTokens:
    """The signed tokens of the configured issuer, whose keys are asked for when the first one comes."""
    return SignedTokens(section, Keys(partial(fetch_keys, section)))


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reasons(jwt: Any) -> tuple[tuple[type[Exception], Why], ...]:
    """What PyJWT finds wrong, the narrower first."""
    return (
        (jwt.ExpiredSignatureError, Why.EXPIRED),
        (jwt.ImmatureSignatureError, Why.NOT_YET),
        (jwt.InvalidAudienceError, Why.AUDIENCE),
        (jwt.InvalidIssuerError, Why.ISSUER),
        (jwt.InvalidSignatureError, Why.SIGNATURE),
        (jwt.InvalidAlgorithmError, Why.ALGORITHM),
        (jwt.InvalidKeyError, Why.KEY),
        (jwt.MissingRequiredClaimError, Why.CLAIMS),
    )
