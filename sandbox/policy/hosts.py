"""Hosts, address ranges, ports, methods and URL paths as a network entry names them.

Everything is held to one spelling, so that the gates compare text: a host in lower case without a trailing dot, an address
range as its network address, a method in upper case. What has another spelling is refused with the right one.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from sandbox.policy import globs
from sandbox.policy.refusal import Refusal, quoted

PortRange = tuple[int, int]
ANY_PORT: tuple[PortRange, ...] = ((1, 65535),)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", re.ASCII)
METADATA_SERVICES = (
    "100.100.100.200",  # Alibaba
    "168.63.129.16",  # Azure's wire server
    "169.254.0.23",  # Tencent
    "169.254.42.42",  # Scaleway
    "169.254.169.254",  # AWS, Azure, Google, Oracle, DigitalOcean, OpenStack
    "169.254.170.2",  # ECS task credentials
    "169.254.170.23",  # EKS pod identity
    "192.0.0.192",  # Oracle, classic
    "fd00:42::42",  # Scaleway
    "fd00:ec2::23",  # EKS pod identity
    "fd00:ec2::254",  # AWS
    "fd20:ce::254",  # Google
)
"""Addresses that hand credentials to whoever asks: a rule that names one alone would promise what it never gives."""

_METADATA = tuple(ipaddress.ip_network(text) for text in METADATA_SERVICES)


def parse_host(text: str) -> str:
    """An exact host name, `*.suffix` or `*`; raises `Refusal`."""
    if text == "*":
        return text
    _refuse_whole_urls(text)
    _refuse_addresses(text)
    name = text.removeprefix("*.")
    if "*" in name or "?" in name or "[" in name:
        raise Refusal(f"{quoted(text)} has a wildcard inside", "a wildcard stands first and alone: `*.example.com`, or `*`")
    if not name.isascii():
        raise Refusal(f"{quoted(text)} is no host name as the network knows it", _ascii_help(text, name))
    if name != name.lower() or name.endswith("."):
        raise Refusal(f"{quoted(text)} is not in its one spelling", f"write {quoted(text.lower().rstrip('.'))}")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise Refusal(f"{quoted(text)} is no host name", "write a name like `api.example.com`")
    return text


def parse_cidr(text: str) -> str:
    """An address range in its one spelling; raises `Refusal`."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise Refusal(f"{quoted(text)} is no address range", "write addresses like `10.1.0.0/16` or `fd00:1::/64`") from None
    if str(network) != text:
        raise Refusal(f"{quoted(text)} is not in its one spelling", f"write {quoted(network)}")
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise Refusal(f"{quoted(text)} spells IPv4 addresses in IPv6", "write the IPv4 range itself")
    if any(network.version == never.version and network.subnet_of(never) for never in _METADATA):  # type: ignore[arg-type]  # the versions are equal
        raise Refusal(f"{quoted(text)} is a cloud's metadata service, which no rule reaches", "take the line out")
    return text


@lru_cache(maxsize=4096)
def parse_ports(written: tuple[int | str, ...]) -> tuple[PortRange, ...]:
    """Ports and ranges as sorted, merged inclusive ranges; `any` is all of them. Raises `Refusal`."""
    ranges = sorted(bounds for port in written for bounds in _port(port))
    merged: list[PortRange] = []
    for low, high in ranges:
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def check_port(written: int | str) -> int | str:
    """A port, a range or `any`, as it was written; raises `Refusal`."""
    _port(written)
    return written


def parse_method(text: str) -> str:
    """An HTTP method in upper case; raises `Refusal`."""
    if text.upper() == "CONNECT":
        raise Refusal("`CONNECT` opens a tunnel, and a tunnel is no request that can be judged", "take it out")
    if not _TOKEN.fullmatch(text):
        raise Refusal(f"{quoted(text)} is no HTTP method", "write one like `GET`")
    if text != text.upper():
        raise Refusal(f"{quoted(text)} is not in its one spelling", f"write `{text.upper()}`")
    return text


def parse_url_path(text: str) -> str:
    """A glob over decoded, dot-free URL paths; raises `Refusal`."""
    if not text.startswith("/"):
        raise Refusal(f"{quoted(text)} is no path", f"write {quoted('/' + text)}")
    if not text.isprintable() or "#" in text or "\\" in text:
        raise Refusal(f"{quoted(text)} has a character that no path has", "write a path without a fragment and without `\\`")
    if re.search(r"%[0-9A-Fa-f]{2}", text):
        raise Refusal(f"{quoted(text)} is percent-encoded, and paths are matched decoded", "write the character itself")
    for pattern in globs.expand(text):
        names = pattern.split("/")[1:]
        if any(globs.literal(name) in {".", ".."} for name in names if name != globs.DEEP) or "" in names[:-1]:
            raise Refusal(f"{quoted(text)} has `.`, `..` or an empty name in it", "write the path without them")
    return text


def _port(port: int | str) -> tuple[PortRange, ...]:
    if port == "any":
        return ANY_PORT
    low, high = _bounds(port)
    if not 1 <= low <= high <= 65535:
        raise Refusal(f"{quoted(port)} is no port or range of ports", "write ports from 1 to 65535, the lower one first")
    return ((low, high),)


def _bounds(port: int | str) -> PortRange:
    if isinstance(port, int):
        return port, port
    match = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", port, re.ASCII)
    if match is None:
        number = f"write the number: `{int(port)}`" if port.isascii() and port.isdigit() else None
        raise Refusal(
            f"{quoted(port)} is no port", f"write the number: `{int(port)}`" if number else 'write `443`, `"8000-8999"` or `any`'
        )
    return int(match[1]), int(match[2])


def _refuse_whole_urls(text: str) -> None:
    if "://" in text:
        host = text.partition("://")[2].partition("/")[0]
        raise Refusal(f"{quoted(text)} is a URL", f"write `host: {host}` and `protocols: [{text.partition('://')[0]}]`")
    if "/" in text:
        raise Refusal(
            f"{quoted(text)} has a path", f'write `host: {text.partition("/")[0]}` and `paths: ["/…"]`, or `cidr` for addresses'
        )
    if "@" in text:
        raise Refusal(f"{quoted(text)} has a user in it", f"write `host: {text.rpartition('@')[2]}`")
    host, colon, port = text.rpartition(":")
    if colon and port.isdigit() and ":" not in host:
        raise Refusal(f"{quoted(text)} has a port", f"write `host: {host}` and `ports: [{port}]`")


def _refuse_addresses(text: str) -> None:
    bare = text.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        # Every resolver has its own idea of `2130706433`, `0x7f.1` and `127.1`: a last label of digits is never a name.
        last = text.rstrip(".").rpartition(".")[2]
        if re.fullmatch(r"[0-9]+|0[xX][0-9a-fA-F]*", last):
            raise Refusal(f"{quoted(text)} is an odd spelling of an address", "write `cidr: 192.0.2.1/32`") from None
        return
    network = ipaddress.ip_network(address)
    raise Refusal(f"{quoted(text)} is an address, not a host name", f"write `cidr: {network}`")


def _ascii_help(text: str, name: str) -> str:
    try:
        ascii_name = name.encode("idna").decode("ascii")
    except UnicodeError:
        return "write the name in ASCII (`xn--…`)"
    return f"write `{'*.' if text.startswith('*.') else ''}{ascii_name}`"


def known_methods() -> tuple[str, ...]:
    """The methods that the JSON Schema suggests; others are allowed."""
    return _METHODS
