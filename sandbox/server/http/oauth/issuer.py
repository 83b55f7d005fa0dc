"""Ask the issuer for its public keys.

Decides which URLs are asked, and what of an answer is taken. Leaves when it is asked to `sandbox.server.http.oauth.keys`.

Rules: https, or plain http on this machine, also where the issuer's own document names the place of its keys; no redirect is
followed and no variable of the environment is heeded; an answer is read to `MOST_BYTES` and within `SECONDS`. The document's
issuer is the configured one to the letter, or what it says is somebody else's.

Source: RFC 8414, 3 (the document, and the check of its issuer); OpenID Connect Discovery 1.0, 4; RFC 7517, 5.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import ssl
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from sandbox.config.oauth import OAuthSection, is_loopback

SECONDS = 5.0
MOST_BYTES = 512 << 10


class UnreachableError(Exception):
    """The issuer did not give what was asked for; the text is for whoever keeps this server."""


async def fetch_keys(section: OAuthSection) -> tuple[Mapping[str, Any], ...]:
    """The issuer's public keys, as it publishes them (JWK). Raises UnreachableError."""
    url = section.jwks_url or await _place_of_keys(section.issuer)
    keys = (await _document(url)).get("keys")
    if not isinstance(keys, list):
        raise UnreachableError(f"{url}: there is no list of keys in it")
    found = tuple(key for key in keys if isinstance(key, dict))
    if not found:
        raise UnreachableError(f"{url}: there are no keys in it")
    return found


async def _place_of_keys(issuer: str) -> str:
    problems = []
    for url in _documents_of(issuer):
        try:
            document = await _document(url)
        except UnreachableError as error:
            problems.append(str(error))
            continue
        if document.get("issuer") != issuer:
            raise UnreachableError(f"{url}: its issuer is {str(document.get('issuer'))[:200]!a}, and not the configured one")
        return _allowed(document.get("jwks_uri"), url)
    raise UnreachableError("; ".join(problems))


def _documents_of(issuer: str) -> Iterator[str]:
    """Where an issuer describes itself: OAuth's place, then OpenID's two."""
    parts = urlsplit(issuer)
    root, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    yield f"{root}/.well-known/oauth-authorization-server{path}"
    yield f"{root}{path}/.well-known/openid-configuration"
    if path:
        yield f"{root}/.well-known/openid-configuration{path}"


def _allowed(url: object, source: str) -> str:
    if not isinstance(url, str) or not url.isascii() or not url.isprintable():
        raise UnreachableError(f"{source}: it names no place of its keys (`jwks_uri`)")
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if host is None or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        raise UnreachableError(f"{source}: its keys are at {url[:200]!a}, which is not https")
    return url


async def _document(url: str) -> Mapping[str, Any]:
    """The JSON object at a URL."""
    # Not before somebody's token has to be checked: it takes a tenth of a second.
    httpx = importlib.import_module("httpx2")
    # On this machine nothing is encrypted; a context that trusts nobody takes no time to make.
    verify = True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        async with (
            asyncio.timeout(SECONDS),
            httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=SECONDS, verify=verify) as client,
            client.stream("GET", url, headers={"accept": "application/json", "accept-encoding": "identity"}) as response,
        ):
            if response.status_code != 200:
                raise UnreachableError(f"{url}: the answer is {response.status_code}")
            text = await _bounded(response, url)
    except TimeoutError:
        raise UnreachableError(f"{url}: no answer within {SECONDS:.0f} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise UnreachableError(f"{url}: {str(error) or type(error).__name__}") from error
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise UnreachableError(f"{url}: the answer is no JSON object")
    return document


async def _bounded(response: Any, url: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    # As it was sent: what is packed unpacks to any size.
    async for part in response.aiter_raw():
        size += len(part)
        if size > MOST_BYTES:
            raise UnreachableError(f"{url}: the answer is longer than {MOST_BYTES >> 10} KiB")
        parts.append(part)
    return b"".join(parts)
