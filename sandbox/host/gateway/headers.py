"""Which header fields pass the gateway, and which of them ask for something else than the request that was judged.

Pure. Rules: what belongs to one connection stays on it (RFC 9110 7.6.1); `Host` is always the announced authority, whatever
the guest wrote (NET-11); a field by which some servers take another method or path is judged as that method or path.
"""

from __future__ import annotations

from collections.abc import Iterable

Headers = list[tuple[bytes, bytes]]

_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"expect",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
_FRAMING = frozenset((b"content-length", b"host", b"transfer-encoding"))
METHOD_OVERRIDES = frozenset((b"x-http-method", b"x-http-method-override", b"x-method-override"))
PATH_OVERRIDES = frozenset((b"x-original-url", b"x-rewrite-url"))


def without_hop_by_hop(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The fields that are meant for the other end."""
    kept = list(headers)
    named = {name.strip().lower() for field, value in kept if field == b"connection" for name in value.split(b",")}
    # A `Connection: host` must not make the request lose its framing or its target.
    dropped = _HOP_BY_HOP | (named - _FRAMING)
    return [(name, value) for name, value in kept if name not in dropped]


def asks_for_upgrade(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the request wants to leave HTTP, as a WebSocket does: nobody could judge what follows."""
    return any(
        name in (b"upgrade", b"sec-websocket-key")
        or (name == b"connection" and b"upgrade" in {token.strip().lower() for token in value.split(b",")})
        for name, value in headers
    )


def is_chunked(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the body comes in chunks; where it does, a `Content-Length` beside it is void (RFC 9112 6.3)."""
    return any(name == b"transfer-encoding" for name, _ in headers)


def length_of(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """The length that a body is said to have; 0 where nothing says so. h11 has refused two that differ, and what is no number."""
    return next((int(value) for name, value in headers if name == b"content-length"), 0)


def request_headers(given: Iterable[tuple[bytes, bytes]], host: str, added: Headers) -> Headers:
    """What is sent upstream for a guest's request to `host` (`name` or `name:port`).

    `added` are the gateway's own fields: the guest's of the same name are left out, and those that a server may take for it.
    """
    fields = list(given)
    chunked = is_chunked(fields)
    kept = [(name, value) for name, value in without_hop_by_hop(fields) if name != b"host"]
    if chunked:
        kept = [(name, value) for name, value in kept if name != b"content-length"] + [(b"transfer-encoding", b"chunked")]
    ours = {_as_variable(name) for name, _ in added}
    kept = [(name, value) for name, value in kept if _as_variable(name) not in ours]
    return [(b"host", host.encode("ascii")), *kept, *added, (b"connection", b"close")]


def _as_variable(name: bytes) -> bytes:
    """CGI and its heirs see `X-Key` and `X_Key` as one (RFC 3875 4.1.18)."""
    return name.lower().replace(b"_", b"-")


def response_headers(given: Iterable[tuple[bytes, bytes]]) -> Headers:
    """What the guest gets of an answer's head; h11 adds the framing where there is no length."""
    fields = list(given)
    chunked = is_chunked(fields)
    return [(name, value) for name, value in without_hop_by_hop(fields) if not (chunked and name == b"content-length")]
