"""Bearer tokens that the operator made: each has a name, and the name is the subject of its calls.

Decides whether a token is one of them. Where a token is asked for at all is `sandbox.server.http.front`.

Rules: a token comes from a file or the environment, never from a command line, where every user of the machine reads it; a file
that others may read is refused; only digests are kept; every token is compared in the same time, whether or not one fits.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.admission.subject import TOKEN_SCOPES, Subject
from sandbox.errors import SandboxError
from sandbox.policy.refusal import one_of, quoted
from sandbox.server.http.identity import Identity, Refused, Why

SHORTEST = 20
"""Characters of a token. One that we make has 43, of 256 random bits."""

UNNAMED = "token"
"""The name of a token that stands alone."""

MAX_FILE = 64 << 10
_LINE = re.compile(
    r"(?:(?P<name>[A-Za-z0-9][A-Za-z0-9._@-]{0,63})[ \t]+)?(?P<token>[A-Za-z0-9._~+/-]+=*)(?P<further>(?:[ \t]+[a-z]+=\S+)*)",
    re.ASCII,
)
_FURTHER = ("roles", "scopes", "tenant")
_ATTRIBUTE = re.compile(r"[A-Za-z0-9_.:@/*+-]{1,64}(?:,[A-Za-z0-9_.:@/*+-]{1,64}){0,63}", re.ASCII)
_HELP = f"write `NAME TOKEN` or `TOKEN` on a line of its own; a token has {SHORTEST} or more of `A-Za-z0-9._~+/-`"


@dataclass(frozen=True, slots=True)
class StaticTokens:
    """The tokens that are taken, as digests by name; `claims` are what the line of a name says behind it."""

    digests: tuple[tuple[str, bytes], ...] = field(repr=False)
    claims: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    _identities: dict[str, Identity] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, _ in self.digests:
            self._identities[name] = Identity(_subject(name, self.claims.get(name, {})))

    async def verify(self, token: str) -> Identity | Refused:
        """Whom a token stands for: its name, with what its line says behind it."""
        asked = _digest(token)
        found = [name for name, digest in self.digests if hmac.compare_digest(digest, asked)]
        return self._identities[found[0]] if found else Refused(Why.UNKNOWN)


def _subject(name: str, said: Mapping[str, Any]) -> Subject:
    scopes = said.get("scopes", TOKEN_SCOPES)
    claims = {key: value for key, value in said.items() if key != "scopes"}
    return Subject(name, roles=said.get("roles", ()), tenant=said.get("tenant"), scopes=scopes, claims=claims)


def tokens_of(text: str, source: str) -> StaticTokens:
    """The tokens of a file's text: `NAME TOKEN roles=a,b scopes=c tenant=d` a line, `#` begins a comment. Raises SandboxError."""
    found: dict[str, bytes] = {}
    claims: dict[str, Mapping[str, Any]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None or len(match["token"]) < SHORTEST:
            # Not quoted: it is or was meant to be a secret.
            raise SandboxError(f"{source}:{number}: this is no token", help=_HELP)
        name = match["name"] or UNNAMED
        if name in found:
            raise SandboxError(f"{source}:{number}: a second token named `{name}`", help="give each its own name")
        found[name] = _digest(match["token"])
        claims[name] = _claims(match["further"], f"{source}:{number}")
    if not found:
        raise SandboxError(f"{source}: no token in it", help=_HELP)
    return StaticTokens(tuple(found.items()), claims)


def tokens_in_file(path: Path) -> tuple[StaticTokens, bool]:
    """The tokens in a file, and whether it was made just now: a file that is not there gets a new token. Raises SandboxError."""
    made = _made(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_uid not in (os.geteuid(), 0):
            raise SandboxError(f"{path}: no file of this user's", help="name a file that you own")
        if about.st_mode & 0o077:
            raise SandboxError(f"{path}: others may read or change it", help=f"`chmod 600 {path}`")
        text = file.read(MAX_FILE + 1)
    if len(text) > MAX_FILE:
        raise SandboxError(f"{path}: longer than {MAX_FILE >> 10} KiB", help=_HELP)
    return tokens_of(text.decode("ascii", "replace"), str(path)), made


def _claims(text: str, where: str) -> dict[str, Any]:
    claims: dict[str, Any] = {}
    for part in text.split():
        name, _, value = part.partition("=")
        if name not in _FURTHER or name in claims:
            raise SandboxError(f"{where}: {quoted(name)} says nothing here", help=one_of(name, _FURTHER) + ", each once")
        if not _ATTRIBUTE.fullmatch(value) or (name == "tenant" and "," in value):
            raise SandboxError(f"{where}: `{name}` is {quoted(value)}, which is none", help=f"write `{name}=a`, or `roles=a,b`")
        claims[name] = value if name == "tenant" else tuple(value.split(","))
    return claims


def _made(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
    return True


def _digest(token: str) -> bytes:
    # Of one length: what is compared says nothing of a token's own.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
