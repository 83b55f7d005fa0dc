"""A proxy between the gateway and the world: the operator's words for it, and which hosts it is not for.

Values and their reading. Only the operator's configuration names one: no variable that other programs look at (`HTTP_PROXY`), no
policy and no project does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from sandbox.policy.hosts import parse_cidr, parse_host
from sandbox.policy.network_cover import host_covers
from sandbox.policy.refusal import Refusal, one_of, quoted

NAMES = ("judged", "proxy")
_HELP = "write `url: http://proxy.example.com:3128`"


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where the proxy is, the secret with its `user:password`, the hosts and ranges that are reached without it.

    `names` says who looks a host's name up: with `judged` the gateway does so too, and refuses what leads to an address that the
    policy does not permit; with `proxy` the proxy alone, where names of the outside are not known here.
    """

    host: str
    port: int
    secret: str | None = None
    direct: tuple[str, ...] = ()
    names: str = "judged"

    def to_json(self) -> dict[str, Any]:
        """For the gateway."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Proxy:
        """What `to_json` wrote."""
        return cls(**{**data, "direct": tuple(data["direct"])})

    def is_for(self, host: str, address: IPv4Address | IPv6Address | None) -> bool:
        """Whether a request to this host, or to this literal address, goes through the proxy."""
        if address is None:
            return not any(host_covers(one, host) for one in self.direct if "/" not in one)
        ranges = (ip_network(one) for one in self.direct if "/" in one)
        return not any(address.version == one.version and address in one for one in ranges)


def parse_proxy_url(text: str) -> tuple[str, int]:
    """Host and port of `http://proxy.example.com:3128`; raises `Refusal`."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Refusal(f"{quoted(text)} is no URL: {error}", _HELP) from None
    if parts.scheme != "http":
        raise Refusal(f"{quoted(text)} is no proxy that this host speaks to", f"a proxy is spoken to by plain http: {_HELP}")
    if parts.username is not None or parts.password is not None:
        raise Refusal(
            "the URL holds a name or a password", "write `secret: NAME`, and `sandbox secret set NAME` with `user:password`"
        )
    if host is None or port is None or port == 0 or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise Refusal(f"{quoted(text)} is no host and port", _HELP)
    try:
        return str(ip_address(host)), port
    except ValueError:
        return parse_host(host), port


def parse_direct(text: str) -> str:
    """A host, `*.suffix`, address or range in its one spelling; raises `Refusal`."""
    try:
        return parse_cidr(text)
    except Refusal:
        if text == "*":
            raise Refusal("`*` leaves nothing to the proxy", "take `proxy` out, or name hosts: `*.corp.example`") from None
        return parse_host(text)


def parse_names(word: str) -> str:
    """Who looks names up; raises `Refusal`."""
    if word not in NAMES:
        raise Refusal(f"{quoted(word)} is nobody who looks names up", one_of(word, NAMES))
    return word
