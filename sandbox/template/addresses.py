"""Which IP addresses a name must never lead to, and which ranges have to be named before they are dialled.

Pure: knows ranges, not rules; `sandbox.template.network` asks here and then looks for a `cidr` rule. The table is written
out rather than taken from `ipaddress`'s properties, whose answers differ between Python versions.

Rules: an address of another that embeds it (mapped, NAT64, 6to4, Teredo, ISATAP) is judged as both; IPv6 outside global
unicast is refused whole; a metadata service is out of reach whatever a policy says.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from sandbox.policy.hosts import METADATA_SERVICES

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class SpecialRange:
    """A range that is not the public internet, and what it is."""

    network: Network
    name: str

    @property
    def text(self) -> str:
        """The range as a message shows it: `loopback (127.0.0.0/8)`."""
        return f"{self.name} ({self.network})"


# IANA's special-purpose registries (RFC 6890 and successors); a narrower range stands before the wider one around it.
_RANGES: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.0.2.0/24", "documentation"),
    ("192.31.196.0/24", "AS112"),
    ("192.52.193.0/24", "AMT"),
    ("192.88.99.0/24", "6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("192.175.48.0/24", "AS112"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::ffff:0:0/96", "IPv4-mapped"),
    ("::/96", "IPv4-compatible"),
    ("64:ff9b::/96", "NAT64"),
    ("64:ff9b:1::/48", "local NAT64"),
    ("100::/64", "discard-only"),
    ("2001::/32", "Teredo"),
    ("2001:db8::/32", "documentation"),
    ("2001::/23", "protocol assignments"),
    ("2002::/16", "6to4"),
    ("2620:4f:8000::/48", "AS112"),
    ("3fff::/20", "documentation"),
    ("fc00::/7", "unique local"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
    # What is left beside 2000::/3, global unicast.
    ("::/3", "reserved"),
    ("4000::/2", "reserved"),
    ("8000::/1", "reserved"),
)
SPECIAL_RANGES: tuple[SpecialRange, ...] = tuple(SpecialRange(ip_network(text), name) for text, name in _RANGES)

METADATA: frozenset[Address] = frozenset(ip_address(text) for text in METADATA_SERVICES)
"""Addresses of instance metadata services: they hand credentials to whoever asks. No rule reaches them."""

_MAPPED = IPv6Network("::ffff:0:0/96")
_COMPATIBLE = IPv6Network("::/96")
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_ISATAP = (0x00005EFE, 0x02005EFE)


def forms(address: Address) -> tuple[Address, ...]:
    """`address` and every IPv4 address it can stand for on the way: each of them must be permitted."""
    if isinstance(address, IPv4Address):
        return (address,)
    return (address, *_embedded(address))


def _embedded(address: IPv6Address) -> tuple[IPv4Address, ...]:
    value = int(address)
    last = IPv4Address(value & 0xFFFFFFFF)
    found: list[IPv4Address] = []
    if address in _MAPPED or address in _COMPATIBLE or any(address in network for network in _NAT64):
        found.append(last)
    if address.sixtofour is not None:
        found.append(address.sixtofour)
    if address.teredo is not None:
        found.extend(address.teredo)
    if (value >> 32) & 0xFFFFFFFF in _ISATAP:
        found.append(last)
    # `::` and `::1` are their own ranges, not addresses 0.0.0.0 and 0.0.0.1.
    return () if value in (0, 1) else tuple(found)


def special_range(address: Address) -> SpecialRange | None:
    """The range of `address` that is not public, or None for a public address; embedded addresses are not looked at."""
    for special in SPECIAL_RANGES:
        if special.network.version == address.version and address in special.network:
            return special
    return None


def is_metadata(address: Address) -> bool:
    """Whether `address`, or one that it embeds, belongs to a metadata service."""
    return any(form in METADATA for form in forms(address))


def parse_address(text: str) -> Address:
    """The address that a resolver answered with; `%zone` is refused. Raises ValueError."""
    if "%" in text:
        raise ValueError(f"`{text}` has a zone")
    return ip_address(text)
