"""`auth.oauth`: the one authorization server whose signed tokens are taken, and what of a token becomes a subject.

Frozen and strict, as a policy is. Nothing here is a secret: a resource server knows public keys alone.

Rules: the algorithms are the operator's, of a closed list that has neither `none` nor one with a shared secret; a URL is https,
or plain http on this machine; a subject's name begins with the issuer's prefix, whose `:` no name of a static token has.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from sandbox.policy import units
from sandbox.policy.entries import Strict
from sandbox.policy.fields import Distinct, Time
from sandbox.policy.refusal import Refusal, one_of, quoted

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
ORDINARY_SCOPES = ("tools:read", "tools:invoke", "resources:read")
"""What a client is told to ask its issuer for, where the operator does not say."""
MOST_LEEWAY = "5m"
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/@-]{0,99}:", re.ASCII)
_NAME = re.compile(r"[!-~]{1,256}", re.ASCII)
_KEPT = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)
_SCOPE = re.compile(r"[!#-\[\]-~]{1,256}", re.ASCII)


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or not text.isascii() or not text.isprintable() or " " in text or len(text) > 512:
        raise Refusal(f"{quoted(text)} is no URL", "write it whole: `https://login.example.com/realms/main`")
    if parts.username is not None or parts.password is not None or "#" in text:
        raise Refusal(f"{quoted(text)} holds more than scheme, host and path", "take the name, the password, the fragment out")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise Refusal(f"{quoted(text)} can be read and changed on its way", "write `https://…`; plain http is for this machine")
    return text


def _issuer(text: str) -> str:
    if "?" in _url(text):
        raise Refusal(f"{quoted(text)} has a query, which no issuer has", "write what its tokens have as `iss`")
    return text


def _audience(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise Refusal(f"{quoted(text)} can be no audience", "write what tokens for this server have as `aud`")
    return text


def _algorithm(word: str) -> str:
    if word == "none" or word.startswith("HS"):
        raise Refusal(f"{quoted(word)} proves nothing here: whoever knows the public keys could sign", one_of(word, ALGORITHMS))
    if word not in ALGORITHMS:
        raise Refusal(f"{quoted(word)} is no algorithm", one_of(word, ALGORITHMS))
    return word


def _leeway(text: str) -> str:
    if units.parse_time(text) > units.parse_time(MOST_LEEWAY):
        raise Refusal(f"{quoted(text)} keeps tokens good long after their end", f"write at most `{MOST_LEEWAY}`")
    return text


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise Refusal(
            f"{quoted(text)} can begin no subject's name", "write letters, digits and `._/@-`, and `:` at the end: `corp:`"
        )
    return text


def _claim(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise Refusal(f"{quoted(text)} is no claim", "write its name, with `.` into an object: `realm_access.roles`")
    return text


def _scope(text: str) -> str:
    if not _SCOPE.fullmatch(text):
        raise Refusal(f"{quoted(text)} is no scope", "write one word: `tools:invoke`")
    return text


def _kept(text: str) -> str:
    if not _KEPT.fullmatch(text):
        raise Refusal(f"{quoted(text)} is no name that a condition can have", "write a word: `department: realm.department`")
    return text


Claim = Annotated[str, AfterValidator(_claim)]


class ClaimNames(Strict):
    """Which claims say what of a subject. `kept` are further ones, by the name that conditions have: `subject.claims.NAME`."""

    subject: Claim = "sub"
    roles: Claim = "roles"
    scopes: Claim | None = None
    tenant: Claim | None = None
    kept: Annotated[dict[Annotated[str, AfterValidator(_kept)], Claim], Field(max_length=32)] | None = None


class OAuthSection(Strict):
    """An issuer, what its tokens must say, and whom they stand for.

    `audience` is what tokens for this server have as `aud`; `resource` the URL that clients know it by, where `audience` is none.
    """

    issuer: Annotated[str, AfterValidator(_issuer)]
    audience: Annotated[str, AfterValidator(_audience)]
    resource: Annotated[str, AfterValidator(_url)] | None = None
    jwks_url: Annotated[str, AfterValidator(_url)] | None = None
    algorithms: Annotated[tuple[Annotated[str, AfterValidator(_algorithm)], ...], Field(strict=False), Distinct] = (
        "RS256",
        "ES256",
    )
    leeway: Annotated[Time, AfterValidator(_leeway)] = "30s"
    subject_prefix: Annotated[str, AfterValidator(_prefix)] | None = None
    scopes: Annotated[tuple[Annotated[str, AfterValidator(_scope)], ...], Field(strict=False, max_length=32), Distinct] = (
        ORDINARY_SCOPES
    )
    claims: ClaimNames = ClaimNames()

    @model_validator(mode="after")
    def _has_a_url(self) -> OAuthSection:
        if self.resource is None:
            try:
                _url(self.audience)
            except Refusal:
                told = f"{quoted(self.audience)} is no URL, so no client is told where this server is"
                raise Refusal(told, "write `resource: https://tools.example.com/mcp`") from None
        return self

    @property
    def resource_url(self) -> str:
        """The URL that clients know this server by (RFC 8707, RFC 9728)."""
        return self.audience if self.resource is None else self.resource

    @property
    def prefix(self) -> str:
        """What the names of its subjects begin with: the issuer's own, where nobody wrote another."""
        return f"{self.issuer.partition('://')[2].rstrip('/')}:" if self.subject_prefix is None else self.subject_prefix

    @property
    def leeway_seconds(self) -> float:
        """How far the issuer's clock and this one may differ."""
        return units.parse_time(self.leeway) / 1000


def is_loopback(host: str) -> bool:
    """Whether a URL's host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
