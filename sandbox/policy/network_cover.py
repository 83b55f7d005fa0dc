"""Whether one network entry says at least what another one says: target, ports, protocols, methods, paths.

Never yes where it is not certain. An allow without ports means 443 for https and 80 for http; a deny without ports, every
port: `wide_denies` says that the first entry is a deny.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from functools import lru_cache

from sandbox.policy.entries import NetworkEntry
from sandbox.policy.globs import Segments, covers, expand
from sandbox.policy.hosts import ANY_PORT, PortRange

DEFAULT_PORTS = {"https": 443, "http": 80}


class Targets:
    """Network entries by number, filed by what they are about."""

    def __init__(self, entries: Sequence[NetworkEntry]) -> None:
        self._filed: dict[str, list[int]] = {}
        for number, entry in enumerate(entries):
            self._filed.setdefault(entry.host or "cidr", []).append(number)

    def of(self, entry: NetworkEntry) -> Iterator[int]:
        """The numbers of the entries whose target may hold this one's."""
        if entry.host is None:
            yield from self._filed.get("cidr", ())
            return
        labels = entry.host.removeprefix("*.").split(".")
        suffixes = ("*." + ".".join(labels[at:]) for at in range(len(labels)))
        for host in dict.fromkeys((entry.host, *suffixes, "*")):
            yield from self._filed.get(host, ())


def network_covers(wide: NetworkEntry, narrow: NetworkEntry, *, target: bool = True, wide_denies: bool = False) -> bool:
    """Whether everything that `narrow` names is named by `wide`; without `target`, whatever host they are about."""
    return (
        (not target or target_covers(wide, narrow))
        and all(_ports_cover(wide, narrow, protocol, wide_denies) for protocol in narrow.speaks)
        and _methods_cover(wide.methods, narrow.methods)
        and _paths_cover(wide.paths, narrow.paths)
    )


def target_covers(wide: NetworkEntry, narrow: NetworkEntry) -> bool:
    """Whether the host or range of one holds the other's."""
    if wide.host is not None:
        return narrow.host is not None and host_covers(wide.host, narrow.host)
    return narrow.cidr is not None and wide.cidr is not None and cidr_covers(wide.cidr, narrow.cidr)


def host_covers(wide: str, narrow: str) -> bool:
    """Whether a host rule holds another: `*` all, `*.a` the true subdomains of `a`."""
    return wide in {"*", narrow} or (wide.startswith("*.") and narrow.removeprefix("*").endswith(wide[1:]) and narrow != wide[2:])


def cidr_covers(wide: str, narrow: str) -> bool:
    """Whether an address range holds another."""
    outer, inner = _network(wide), _network(narrow)
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]  # the versions are equal


@lru_cache(maxsize=4096)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text)


def ports_of(entry: NetworkEntry, protocol: str, *, denies: bool = False) -> tuple[PortRange, ...]:
    """The ports that an entry means for a protocol."""
    ranges = entry.port_ranges
    if ranges is not None:
        return ranges
    return ANY_PORT if denies else ((DEFAULT_PORTS[protocol], DEFAULT_PORTS[protocol]),)


def path_patterns(paths: Sequence[str]) -> tuple[Segments, ...]:
    """Path globs as segments, braces expanded; the text before the first `/` is left out."""
    return tuple(tuple(pattern.split("/")[1:]) for path in paths for pattern in expand(path))


def _ports_cover(wide: NetworkEntry, narrow: NetworkEntry, protocol: str, wide_denies: bool) -> bool:
    if protocol not in wide.speaks:
        return False
    outer, inner = ports_of(wide, protocol, denies=wide_denies), ports_of(narrow, protocol)
    return all(any(low <= first and last <= high for low, high in outer) for first, last in inner)


def _methods_cover(wide: tuple[str, ...] | None, narrow: tuple[str, ...] | None) -> bool:
    return wide is None or (narrow is not None and set(narrow) <= set(wide))


def _paths_cover(wide: tuple[str, ...] | None, narrow: tuple[str, ...] | None) -> bool:
    if wide is None:
        return True
    outer = path_patterns(wide)
    return narrow is not None and all(any(covers(one, path) for one in outer) for path in path_patterns(narrow))
