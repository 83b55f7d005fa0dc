"""An authorization server of the tests' own: real keys, discovery, registration, code with PKCE, client credentials.

It holds a client to what it promised (the code's verifier, the resource that a token is for) and gives whoever asks what is
asked: there is nobody to log in. It runs in a thread of its own, since commands under test run in other processes.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

REALM = "/realms/main"


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True)
class Key:
    """A signing key, and its public half as it is published."""

    kid: str
    algorithm: str
    private: Any

    @cached_property
    def public(self) -> dict[str, Any]:
        kinds: dict[str, Any] = {"R": RSAAlgorithm, "P": RSAAlgorithm, "E": ECAlgorithm}
        kind = OKPAlgorithm if self.algorithm == "EdDSA" else kinds[self.algorithm[0]]
        jwk = kind.to_jwk(self.private.public_key(), as_dict=True)
        return {**jwk, "kid": self.kid, "alg": self.algorithm, "use": "sig"}


def key_of(algorithm: str, kid: str | None = None) -> Key:
    """A new key."""
    curves: dict[str, Any] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    if algorithm == "EdDSA":
        private: Any = ed25519.Ed25519PrivateKey.generate()
    elif algorithm in curves:
        private = ec.generate_private_key(curves[algorithm])
    else:
        private = rsa.generate_private_key(65537, 2048)
    return Key(kid or f"{algorithm}-{uuid4().hex[:8]}", algorithm, private)


@dataclass
class Issuer:
    """The server; `asked` are the paths that were asked for, `answers` what is answered instead of a path's own."""

    audience: str
    keys: list[Key] = field(default_factory=list)
    lifetime: float = 300.0
    asked: list[str] = field(default_factory=list)
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    port: int = 0

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Who it says it is."""
        return self.root + REALM

    def token(self, key: Key | None = None, *, headers: Mapping[str, Any] = {}, **claims: Any) -> str:
        """A signed token; a claim that is None is left out."""
        key = self.keys[0] if key is None else key
        now = time.time()
        ordinary = {
            "iss": self.url,
            "sub": "ann",
            "aud": self.audience,
            "iat": int(now),
            "exp": int(now + self.lifetime),
            "scope": "tools:read tools:invoke resources:read",
        }
        told = {name: value for name, value in {**ordinary, **self.claims, **claims}.items() if value is not None}
        head = {"kid": key.kid, "typ": "at+jwt", **headers}
        return jwt.PyJWS().encode(
            json.dumps(told).encode(),
            key.private,
            key.algorithm,
            headers={name: each for name, each in head.items() if each is not None},
        )

    def documents(self) -> dict[str, Any]:
        """What lies at which path."""
        described = {
            "issuer": self.url,
            "jwks_uri": f"{self.root}{REALM}/keys",
            "authorization_endpoint": f"{self.root}{REALM}/authorize",
            "token_endpoint": f"{self.root}{REALM}/token",
            "registration_endpoint": f"{self.root}{REALM}/register",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "client_credentials"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
        }
        return {
            f"/.well-known/oauth-authorization-server{REALM}": described,
            f"{REALM}/keys": {"keys": [key.public for key in self.keys]},
        }

    def register(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """A client that registers itself (RFC 7591)."""
        return {**asked, "client_id": f"client-{uuid4().hex[:8]}", "token_endpoint_auth_method": "none"}

    def authorize(self, asked: Mapping[str, str]) -> str:
        """Where the browser is sent: with a code, since nobody says no here."""
        assert asked["code_challenge_method"] == "S256"
        code = uuid4().hex
        self.codes[code] = dict(asked)
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def exchange(self, asked: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """A token for a code or for a client."""
        about = dict(asked)
        if asked["grant_type"] == "authorization_code":
            about = self.codes.pop(asked["code"], {})
            challenge = b64url(hashlib.sha256(asked["code_verifier"].encode()).digest())
            if about.get("code_challenge") != challenge or about.get("redirect_uri") != asked["redirect_uri"]:
                return 400, {"error": "invalid_grant"}
        if about.get("resource", self.audience) != self.audience:
            return 400, {"error": "invalid_target"}
        token = self.token(scope=about.get("scope", ""))
        return 200, {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": int(self.lifetime),
            "scope": about.get("scope", ""),
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    issuer: Issuer

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.issuer.asked.append(path)
        if path == f"{REALM}/authorize":
            return self._answer(302, b"", location=self.issuer.authorize(dict(parse_qsl(urlsplit(self.path).query))))
        return self._found(path, self.issuer.documents().get(path))

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        self.issuer.asked.append(path)
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        if path == f"{REALM}/register":
            return self._json(201, self.issuer.register(json.loads(body)))
        return self._json(*self.issuer.exchange(dict(parse_qsl(body))))

    def _found(self, path: str, document: Any) -> None:
        status, said = self.issuer.answers.get(path, (200 if document is not None else 404, document))
        if isinstance(said, bytes):
            return self._answer(status, said, location=f"{self.issuer.root}{REALM}/elsewhere" if status == 302 else None)
        return self._json(status, said)

    def _json(self, status: int, value: Any) -> None:
        self._answer(status, json.dumps(value).encode())

    def _answer(self, status: int, body: bytes, location: str | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if location is not None:
            self.send_header("location", location)
        self.end_headers()
        # Who asked may have had enough of a long answer.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def issuing(audience: str = "http://127.0.0.1:8787/mcp", *keys: Key, port: int = 0) -> Iterator[Issuer]:
    """An issuer of tokens for `audience`, which listens; with an EC key unless others are given."""
    issuer = Issuer(audience, list(keys) or [key_of("ES256")])
    handler = type("Handler", (_Handler,), {"issuer": issuer})
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        server.daemon_threads = True
        issuer.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join()
