"""What host and port an authority means, or that it is refused.

Pure. One spelling for one host, so that rules compare with string equality: lower case, no trailing dot, ASCII (a name
beyond ASCII travels as punycode), no user information. Whatever some resolver could read as an address is refused unless
it is a canonical dotted quad or a bracketed IPv6 address (`2130706433`, `0x7f.1`, `127.1`, `0177.0.0.1` are none).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from sandbox.template.addresses import Address

DEFAULT_PORTS = {"http": 80, "https": 443}
"""The port of a scheme when the authority names none."""

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_QUAD = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}", re.ASCII)
# WHATWG URL, "ends in a number": such a name is an address for inet_aton, so for some resolvers.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_NAME_LENGTH = 253


class AuthorityError(ValueError):
    """An authority or a host that has no one plain meaning; the message says why, without help."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A host and a port in their one spelling; `address` is set where the host is an IP literal."""

    host: str
    port: int
    address: Address | None = None

    @property
    def text(self) -> str:
        """The authority with its port: `api.example.com:443`, `[2001:db8::1]:80`."""
        return f"{self._bracketed}:{self.port}"

    def header(self, scheme: str) -> str:
        """The value of the `Host` header: no port where it is the scheme's own."""
        return self._bracketed if DEFAULT_PORTS.get(scheme) == self.port else self.text

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host


def normalise_authority(text: str, scheme: str) -> Authority:
    """`host`, `host:port` or `[ipv6]:port` in its one spelling. Raises `AuthorityError`."""
    if "@" in text:
        raise AuthorityError("the authority carries user information")
    host, port = _split(text)
    if port is None and scheme not in DEFAULT_PORTS:
        raise AuthorityError(f"`{scheme}` has no default port")
    number = DEFAULT_PORTS[scheme] if port is None else _port(port)
    name, address = normalise_host(host)
    return Authority(name, number, address)


def normalise_host(text: str) -> tuple[str, Address | None]:
    """A host in its one spelling, and its address if it is an IP literal (IPv6 in brackets or bare). Raises `AuthorityError`."""
    if text.startswith("[") or ":" in text:
        address = _ipv6(text)
        return str(address), address
    if not text.isascii():
        raise AuthorityError("the host is not ASCII: a name beyond it is written in punycode, `xn--…`")
    lowered = text.lower()
    if _QUAD.fullmatch(lowered):
        quad = _ipv4(lowered)
        return str(quad), quad
    return _name(lowered.removesuffix(".")), None


def _split(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        host, bracket, rest = text.partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise AuthorityError("the brackets around an IPv6 address are not closed")
        return host + bracket, rest[1:] if rest else None
    host, colon, port = text.partition(":")
    if ":" in port:
        raise AuthorityError("an IPv6 address stands in brackets")
    return host, port if colon else None


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or int(text) > 0xFFFF:
        raise AuthorityError(f"`{text}` is not a port from 1 to 65535")
    return int(text)


def _ipv6(text: str) -> IPv6Address:
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if "%" in inner:
        raise AuthorityError("an IPv6 address with a zone")
    try:
        return IPv6Address(inner)
    except ValueError:
        raise AuthorityError("not an IPv6 address") from None


def _ipv4(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise AuthorityError("not a canonical IPv4 address") from None


def _name(text: str) -> str:
    if not text:
        raise AuthorityError("the host is empty")
    labels = text.split(".")
    if len(text) > _NAME_LENGTH or not all(_LABEL.fullmatch(label) for label in labels):
        raise AuthorityError("not a host name")
    if _NUMBER.fullmatch(labels[-1]):
        raise AuthorityError("a host that ends in a number is an address in a spelling of its own")
    return text
