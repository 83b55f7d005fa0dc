"""Requests that one of two templates lets through and the other does not.

As `sandbox.template.examples`: candidates are made from the rules that only one of the two has and from what those have in common
with the others, and both templates are asked. A candidate is a request to a name, to an address, or to a name that leads to an
address: denies of addresses and exemptions show there alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address, ip_network
from itertools import product
from typing import Any

from sandbox.policy.fields import TCP
from sandbox.policy.globs import NotExpressibleError, Segments, intersect
from sandbox.policy.hosts import ANY_PORT
from sandbox.policy.network_cover import DEFAULT_PORTS, host_covers, path_patterns
from sandbox.template import samples
from sandbox.template.addresses import Address
from sandbox.template.examples import Budget, Difference, Verdict, only_in_one
from sandbox.template.network import NetworkDecision, NetworkRules
from sandbox.template.template import NetworkRule, WasiTemplate

METHODS = ("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "PROPFIND")
_PUBLIC = tuple(ip_address(text) for text in ("93.184.215.14", "2606:2800:21f:cb07::1"))
_OTHER_PORT = 8443
_FEW = 2
"""Hosts, addresses and paths of one kind that are tried for a pair of rules."""


@dataclass(frozen=True)
class Request:
    """A candidate: where to, and the address that the name leads to, if that is part of the question."""

    scheme: str
    host: str
    port: int
    method: str
    path: str
    leads_to: Address | None = None

    @cached_property
    def text(self) -> str:
        """The request as a person writes it: `GET https://api.example.com/v1`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if DEFAULT_PORTS.get(self.scheme) == self.port else f":{self.port}"
        where = f" where the name leads to {self.leads_to}" if self.leads_to is not None else ""
        if self.scheme == TCP:
            return f"{self.scheme}://{host}{port}{where}"
        return f"{self.method} {self.scheme}://{host}{port}{self.path}{where}"

    def asked_of(self, rules: NetworkRules) -> NetworkDecision:
        """What the rules say of it."""
        said = rules.decide(self.scheme, self.host, self.port, self.method, self.path)
        if not said.allowed or self.leads_to is None:
            return said
        led = rules.decide_address(self.host, self.port, self.leads_to, scheme=self.scheme, method=self.method, path=self.path)
        return said if led.allowed else led


def network_differences(left: WasiTemplate, right: WasiTemplate, budget: Budget) -> Iterator[Difference]:
    """Requests that are answered differently, one for each pair of lines and reasons."""
    ours, theirs = NetworkRules(left.network), NetworkRules(right.network)
    seen: set[tuple[object, ...]] = set()
    for request in _candidates(left.network, right.network, budget):
        here, there = request.asked_of(ours), request.asked_of(theirs)
        key = (here.allowed, here.origin, there.origin, _reason(here), _reason(there))
        if here.allowed != there.allowed and key not in seen:
            seen.add(key)
            yield Difference("network", request.text, _verdict(here), _verdict(there))
        added = (_added(request, ours), _added(request, theirs)) if here.allowed and there.allowed else ("", "")
        if added[0] != added[1] and (here.origin, there.origin, *added) not in seen:
            seen.add((here.origin, there.origin, *added))
            verdicts = (Verdict(True, said.origin, f"allowed, {with_}") for said, with_ in zip((here, there), added, strict=True))
            yield Difference("network", request.text, *verdicts)


def _added(request: Request, rules: NetworkRules) -> str:
    """What goes with the request: a policy that adds another credential to it, or holds it to other limits, is another policy."""
    found = rules.credentials(request.scheme, request.host, request.port, request.method, request.path)
    secrets = [f"the secret {one.secret} in {one.header} as `{one.format}`" for rule in found if (one := rule.credential)]
    limits = rules.limits(request.scheme, request.host, request.port, request.method, request.path)
    held = " or ".join(", ".join(word for one in line for word in one.words) for line in limits)
    with_ = f"with {', '.join(secrets)}" if secrets else "without a credential"
    return f"{with_}, under {held}" if held else with_


def _verdict(decision: NetworkDecision) -> Verdict:
    return Verdict(decision.allowed, decision.origin, "allowed" if decision.allowed else decision.reason)


def _reason(decision: NetworkDecision) -> str:
    """The reason without what is only this example's: a port, a method, a name."""
    return re.sub(r"`[^`]*`|port \d+|method \S+", "", decision.reason) + ("port" if "port" in decision.reason else "")


def _candidates(left: tuple[NetworkRule, ...], right: tuple[NetworkRule, ...], budget: Budget) -> Iterator[Request]:
    """For each rule of one side alone, and each that may meet it: requests in both, and in the first without the second."""
    rules = (*left, *right)
    for rule in only_in_one(left, right):
        near = [other for other in rules if _may_meet(rule, other)]
        for other in (rule, *near):
            doors = [(scheme, port) for scheme in rule.protocols for port in _ports(rule, other, near, scheme)]
            asked = product(_targets(rule, other), doors, _methods(rule, other, near), _paths(rule, other))
            for (host, leads_to), (scheme, port), method, path in asked:
                if not budget.spend():
                    return
                yield Request(scheme, host, port, method, path, leads_to)


def _may_meet(one: NetworkRule, other: NetworkRule) -> bool:
    if one.host is None or other.host is None:
        return True
    return host_covers(one.host, other.host) or host_covers(other.host, one.host)


def _targets(rule: NetworkRule, other: NetworkRule) -> tuple[tuple[str, Address | None], ...]:
    """Names, addresses, and names that lead to addresses: what both rules are about, and the first one alone."""
    if rule.host is not None and other.host is not None:
        return tuple((host, None) for host in dict.fromkeys((*_hosts(rule.host), *_inside(rule.host, other.host))))
    if rule.cidr is not None and other.cidr is not None:
        return tuple((str(address), None) for address in _addresses(rule.cidr, other.cidr))
    host, cidr = (rule.host or other.host or ""), (rule.cidr or other.cidr or "")
    return tuple(product(_hosts(host)[:1], _addresses(cidr, cidr)[:_FEW]))


def _inside(host: str, other: str) -> tuple[str, ...]:
    return _hosts(other) if host_covers(host, other) else ()


def _hosts(host: str) -> tuple[str, ...]:
    if host == "*":
        return "host.example", "example.com"
    return (f"www{host[1:]}", f"a.b{host[1:]}") if host.startswith("*.") else (host,)


def _addresses(cidr: str, other: str) -> tuple[Address, ...]:
    """Addresses of the first range: public ones if it has any, in the other range and outside of it."""
    network, beside = ip_network(cidr), ip_network(other)
    ends = [network.network_address, network.broadcast_address, beside.network_address, beside.broadcast_address]
    middle = [network[1]] if network.num_addresses > _FEW else []
    found = [one for one in dict.fromkeys((*_PUBLIC, *middle, *ends)) if one.version == network.version and one in network]
    return (*[one for one in found if one in beside][:_FEW], *[one for one in found if one not in beside][:_FEW])


def _ports(rule: NetworkRule, other: NetworkRule, near: list[NetworkRule], scheme: str) -> tuple[int, ...]:
    """A port of the first rule that the second has, one that it has not, one that none has."""
    edges = [edge for one in near for low, high in one.ports or () for edge in (low, high, low - 1, high + 1)]
    bounds = [bound for ranges in rule.ports or () for bound in ranges]
    own = [
        port
        for port in (DEFAULT_PORTS.get(scheme, 0), *bounds, _OTHER_PORT, *edges)
        if 0 < port <= ANY_PORT[0][1] and _has(rule, port)
    ]
    return _first_of_each(
        [port for port in own if _has(other, port)],
        [port for port in own if not _has(other, port)],
        [port for port in own if not any(one.ports is not None and _has(one, port) for one in near)],
    )


def _has(rule: NetworkRule, port: int) -> bool:
    return any(low <= port <= high for low, high in rule.ports or ANY_PORT)


def _methods(rule: NetworkRule, other: NetworkRule, near: list[NetworkRule]) -> tuple[str, ...]:
    """A method of the first rule that the second has, one that it has not, one that none names."""
    own = rule.methods or METHODS
    named = {method for one in near for method in one.methods or ()}
    return _first_of_each(
        [method for method in own if other.methods is None or method in other.methods],
        [method for method in own if other.methods is not None and method not in other.methods],
        [method for method in own if method not in named] if named else [],
    )


def _paths(rule: NetworkRule, other: NetworkRule) -> tuple[str, ...]:
    own: tuple[Segments, ...] = path_patterns(rule.paths) if rule.paths is not None else (("**",),)
    others = path_patterns(other.paths or ())
    if rule.paths is None and not others:
        return ("/",)
    common = [found for one in own for two in others for found in _common(one, two)]
    return tuple(dict.fromkeys(path for pattern in (*own, *common) for path in samples.paths(pattern)[:_FEW]))


def _first_of_each(*kinds: list[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(kind[0] for kind in kinds if kind))


def _common(one: Segments, other: Segments) -> tuple[Segments, ...]:
    try:
        return intersect(one, other)
    except NotExpressibleError:
        return ()
