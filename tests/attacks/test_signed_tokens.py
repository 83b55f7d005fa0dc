"""A server that takes signed tokens: what does not stand for anybody stands for nobody, on every path, method and stream."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization

from sandbox.config.oauth import OAuthSection
from sandbox.server.http.oauth.signed import signed_tokens
from sandbox.server.http.protected import WELL_KNOWN, ProtectedResource
from tests.attacks.stage import CANARY, Stage
from tests.support.http import Served, served
from tests.support.issuer import REALM, Issuer, b64url, issuing, key_of
from tests.support.serving import HANDSHAKE

pytestmark = pytest.mark.asyncio(loop_scope="module")

RSA = key_of("RS256")
AUDIENCE = "https://box.example.com/mcp"
HELLO = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HANDSHAKE}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(stage: Stage) -> AsyncIterator[tuple[Served, Issuer]]:
    """A server with an issuer, and the issuer."""
    with issuing(AUDIENCE, RSA) as issuer:
        section = OAuthSection(issuer=issuer.url, audience=AUDIENCE)
        resource = ProtectedResource(AUDIENCE, issuer.url, section.scopes)
        async with served(stage.sandbox, verifier=signed_tokens(section), resource=resource) as front:
            yield front, issuer


def unsigned(issuer: Issuer, algorithm: str, sign: Callable[[bytes], bytes]) -> str:
    _, body, _ = issuer.token(sub=CANARY).split(".")
    head = b64url(json.dumps({"alg": algorithm, "kid": RSA.kid, "typ": "JWT"}).encode())
    return f"{head}.{body}.{b64url(sign(f'{head}.{body}'.encode()))}"


def confused(message: bytes) -> bytes:
    """The public key, which everybody has, as the secret of another algorithm."""
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    secret = RSA.private.public_key().public_bytes(serialization.Encoding.PEM, kind)
    # PyJWT itself makes no such signature: it takes no key for a secret that looks like one.
    return hmac.new(secret, message, hashlib.sha256).digest()


ATTEMPTS: dict[str, Callable[[Issuer], str]] = {
    "alg none": lambda issuer: unsigned(issuer, "none", lambda _: b"x"),
    "key confusion": lambda issuer: unsigned(issuer, "HS256", confused),
    "another audience": lambda issuer: issuer.token(aud="https://other.example.com/mcp", sub=CANARY),
    "another issuer": lambda issuer: issuer.token(iss="https://evil.example", sub=CANARY),
    "ended": lambda issuer: issuer.token(exp=time.time() - 31, sub=CANARY),
    "not yet": lambda issuer: issuer.token(nbf=time.time() + 60, sub=CANARY),
    "a stranger's key": lambda issuer: issuer.token(key_of("RS256", RSA.kid), sub=CANARY),
    "a key id that is a path": lambda issuer: issuer.token(headers={"kid": "../../dev/null"}, sub=CANARY),
    "an identity token": lambda issuer: issuer.token(aud="the-client", sub=CANARY),
    "too long": lambda issuer: issuer.token(sub=CANARY, filling="x" * 20_000),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_a_token_that_is_none_opens_no_path(guarded: tuple[Served, Issuer], stage: Stage, attempt: str) -> None:
    """HTTP-01"""
    front, issuer = guarded
    token = ATTEMPTS[attempt](issuer)
    for path in ("/mcp", "/health", "/ready", "/metrics", "/api/v1/safety/check", "//mcp", "/mcp/", "/MCP", "/sse", "/nowhere"):
        for method in ("POST", "GET", "DELETE", "PUT"):
            answer = await front.ask(method, path, HELLO, Authorization=f"Bearer {token}")
            assert answer.status == 401, (method, path)
            assert "mcp-session-id" not in answer.headers
            assert CANARY not in answer.body.decode()
    assert [
        each for each in issuer.asked if each not in (f"{REALM}/keys", f"/.well-known/oauth-authorization-server{REALM}")
    ] == []
    told = "".join(path.read_text() for path in (stage.home / "audit").glob("*.jsonl"))
    assert CANARY not in told
    assert token[:40] not in told


async def test_a_good_token_is_one_only_where_a_token_belongs(guarded: tuple[Served, Issuer]) -> None:
    """HTTP-01: once, in the header, with the scheme; not in the URL, not in a cookie, not twice."""
    front, issuer = guarded
    token = issuer.token()
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert (await front.ask("GET", "/health", Authorization=f"Bearer {token}")).status == 200
    for path, headers in (
        (f"/health?access_token={token}", {}),
        ("/health", {"Cookie": f"access_token={token}"}),
        ("/health", {"X_Authorization": f"Bearer {token}"}),
        ("/health", {"Authorization": token}),
        ("/health", {"Authorization": f"Basic {token}"}),
        ("/health", {"Authorization": f"DPoP {token}"}),
        ("/health", {"Authorization": f"Bearer {token}, Bearer {token}"}),
    ):
        assert (await front.ask("GET", path, **headers)).status == 401, (path, headers)
    authorization = f"Authorization: Bearer {token}\r\n"
    twice = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}{authorization}\r\n"
    assert (await front.raw(twice.encode())).status == 401
    assert (await front.ask("POST", f"/mcp?access_token={token}", ping)).status == 401


async def test_what_is_told_to_everybody_is_the_metadata_alone(guarded: tuple[Served, Issuer]) -> None:
    """HTTP-01: its neighbours are as closed as everything, and it says nothing that the request had."""
    front, _ = guarded
    for path in (WELL_KNOWN, f"{WELL_KNOWN}/mcp"):
        told = await front.ask("GET", path, Host="127.0.0.1", X_Forwarded_Host="evil.example")
        assert (told.status, told.json()["resource"]) == (200, AUDIENCE)
        assert "access-control-allow-origin" not in told.headers
        assert (await front.ask("GET", path, Host="evil.example")).status == 421
    for path in (f"{WELL_KNOWN}/", f"{WELL_KNOWN}/../health", f"{WELL_KNOWN}/mcp/x", "/.well-known/", f"{WELL_KNOWN}?x"):
        status = (await front.ask("GET", path)).status
        assert status == (200 if path.endswith("?x") else 401), path


async def test_a_session_of_a_signed_token_is_its_subjects_alone(guarded: tuple[Served, Issuer]) -> None:
    """HTTP-05, ADM-02: another subject of the same issuer has no such session, in whatever way it asks."""
    front, issuer = guarded
    ann = await Served(front.url, front.stop, issuer.token(sub="ann")).handshake()
    eve = f"Bearer {issuer.token(sub='eve')}"
    ping: dict[str, Any] = {"jsonrpc": "2.0", "id": 7, "method": "ping"}
    for method, body in (("POST", ping), ("GET", b""), ("DELETE", b"")):
        stolen = await front.ask(method, "/mcp", body, Mcp_Session_Id=ann.id, Authorization=eve)
        assert stolen.status == 404, method
    assert (await ann.ask("ping")).status == 200
