"""Fetch one file over https: for components that a person names by URL.

Decides what is fetched and how much of it: https alone, also after a redirect, the server's certificate verified against the
system's authorities, so many bytes, so many seconds from the first to the last. What the bytes are is the caller's to check:
he knows their digest.

Rules: nothing of this host is sent but the request: no cookie, no credential, no user information of the URL; a body comes as it
is, never unpacked. Proxies of the environment are not used.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

import h11

from sandbox.errors import Code, ComponentError

SECONDS = 120.0
REDIRECTS = 5
_CHUNK = 1 << 16
_REDIRECTED = {301, 302, 303, 307, 308}
_HEAD_BYTES = 64 << 10


async def fetch(url: str, *, limit: int, seconds: float = SECONDS) -> bytes:
    """The bytes at `url`, at most `limit`. Raises ComponentError (`network_error` where the network is at fault)."""
    try:
        async with asyncio.timeout(seconds):
            return await _follow(url, limit)
    except TimeoutError:
        raise _failed(url, f"it took longer than {seconds:g}s") from None
    except ssl.SSLCertVerificationError as error:
        raise _failed(url, f"its certificate is not valid: {error.verify_message}") from None
    except (OSError, ValueError, h11.ProtocolError) as error:
        # ValueError: what a redirect names need not be a URL, nor a name that can be looked up.
        raise _failed(url, str(error) or type(error).__name__) from None


def shown(url: str) -> str:
    """The URL without what may be secret in it: user information, query, fragment."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    port = f":{parts.port}" if parts.port is not None else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


async def _follow(url: str, limit: int) -> bytes:
    for _ in range(REDIRECTS + 1):
        target = _target(url)
        async with _connected(target) as peer:
            response = await peer.ask(target)
            if response.status_code in _REDIRECTED:
                url = urljoin(url, _header(response, b"location"))
                continue
            if response.status_code != 200:
                raise _failed(url, f"the server answered {response.status_code}")
            return await peer.body(url, limit)
    raise _failed(url, f"it was redirected more than {REDIRECTS} times")


def parsed(url: str) -> SplitResult:
    """The parts of a URL, of whatever scheme. Raises ComponentError."""
    try:
        parts = urlsplit(url)
        _ = parts.hostname, parts.port
    except ValueError:
        raise ComponentError("this is no URL", help="write `https://HOST/PATH.wasm#sha256=DIGEST`") from None
    return parts


def _target(url: str) -> SplitResult:
    parts = parsed(url)
    if parts.scheme != "https" or not parts.hostname or parts.port == 0:
        raise ComponentError(f"`{shown(url)}` is not fetched: only https is", help="write `https://HOST/PATH.wasm#sha256=DIGEST`")
    if parts.username is not None or parts.password is not None:
        raise ComponentError("a URL with user information is not fetched", help="fetch the file yourself, and load that")
    return parts


@dataclass(slots=True)
class _Peer:
    """One connection, and what was read from it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    http: h11.Connection

    async def ask(self, target: SplitResult) -> h11.Response:
        path = (target.path or "/") + (f"?{target.query}" if target.query else "")
        headers = [("Host", target.netloc), ("User-Agent", "sandbox"), ("Accept-Encoding", "identity"), ("Connection", "close")]
        request = h11.Request(method="GET", target=path, headers=headers)
        self.writer.write((self.http.send(request) or b"") + (self.http.send(h11.EndOfMessage()) or b""))
        await self.writer.drain()
        while not isinstance(event := await self._event(), h11.Response):
            if isinstance(event, h11.ConnectionClosed):
                raise h11.RemoteProtocolError("the server said nothing")
        return event

    async def body(self, url: str, limit: int) -> bytes:
        body = bytearray()
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
            if len(body) > limit:
                raise ComponentError(f"`{shown(url)}` has more than {limit} bytes")
        return bytes(body)

    async def _event(self) -> object:
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self.http.receive_data(await self.reader.read(_CHUNK))
        return event


@asynccontextmanager
async def _connected(target: SplitResult) -> AsyncIterator[_Peer]:
    # `create_default_context` verifies the chain and the name; `SSL_CERT_FILE` is where a site keeps an authority of its own.
    context = ssl.create_default_context()
    reader, writer = await asyncio.open_connection(target.hostname, target.port or 443, ssl=context)
    try:
        yield _Peer(reader, writer, h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES))
    finally:
        # Not `close`, which would wait for the other side's end: nothing more is wanted from it.
        writer.transport.abort()


def _header(response: h11.Response, name: bytes) -> str:
    found = [value for key, value in response.headers if key == name]
    if not found:
        raise h11.RemoteProtocolError("a redirect that leads nowhere")
    return found[0].decode("ascii", "replace")


def _failed(url: str, why: str) -> ComponentError:
    return ComponentError(f"`{shown(url)}` cannot be fetched: {why}", code=Code.NETWORK_ERROR)
