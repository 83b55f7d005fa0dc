"""Network lines → network rules, inside the ceiling.

As for storage the ceiling is applied exactly and at once: each allow becomes what it has in common with each allow of the
ceiling (target, protocols, ports, methods, paths), the ceiling's denies are added, and the gates judge one set of rules.
`sandbox.template.network` says what the rules mean for a request.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sandbox.policy.entries import NetworkAllow, NetworkEntry
from sandbox.policy.globs import NotExpressibleError, intersect
from sandbox.policy.hosts import ANY_PORT
from sandbox.policy.models import Network
from sandbox.policy.network_cover import DEFAULT_PORTS, cidr_covers, host_covers, path_patterns
from sandbox.policy.refusal import Refusal, quoted
from sandbox.template.report import Report
from sandbox.template.template import Credential, Effect, NetworkRule

Ports = tuple[tuple[int, int], ...]


def compile_network(document: Network, ceilings: Sequence[Network], report: Report) -> tuple[NetworkRule, ...]:
    """Compile one document's network inside every ceiling; what is wrong goes into `report`."""
    denies = [rule for entry in document.deny for rule in _rules(entry, Effect.DENY)]
    denies += [rule for ceiling in ceilings for entry in ceiling.deny for rule in _rules(entry, Effect.DENY)]
    most = [[rule for entry in ceiling.allow for rule in _rules(entry, Effect.ALLOW)] for ceiling in ceilings]
    allows = [rule for entry in document.allow for rule in _inside_ceilings(entry, most, report)]
    return (*allows, *denies)


def _rules(entry: NetworkEntry, effect: Effect) -> Iterator[NetworkRule]:
    """The rules of a line: an allow without ports is one rule for each protocol and its own port."""
    protocols, ranges = entry.speaks, entry.port_ranges
    ports = None if ranges in (None, ANY_PORT) else ranges
    added = _credential(entry)
    target = (entry.host, entry.cidr, ports, protocols, entry.methods, entry.paths)
    rule = NetworkRule(effect, *target, entry.origin, added, entry.bounds if isinstance(entry, NetworkAllow) else ())
    if effect is Effect.DENY or ranges is not None:
        yield rule
        return
    for protocol in protocols:
        yield replace(rule, protocols=(protocol,), ports=((DEFAULT_PORTS[protocol], DEFAULT_PORTS[protocol]),))


def _credential(entry: NetworkEntry) -> Credential | None:
    added = entry.credential if isinstance(entry, NetworkAllow) else None
    return None if added is None else Credential(added.secret, added.header, added.format)


def _inside_ceilings(entry: NetworkEntry, ceilings: list[list[NetworkRule]], report: Report) -> list[NetworkRule]:
    rules = list(_rules(entry, Effect.ALLOW))
    for most in ceilings:
        rules = list(_inside_ceiling(entry, rules, most, report))
    return rules


def _inside_ceiling(
    entry: NetworkEntry, rules: list[NetworkRule], most: list[NetworkRule], report: Report
) -> Iterator[NetworkRule]:
    try:
        common = [found for rule in rules for limit in most if (found := _common(rule, limit)) is not None]
    except NotExpressibleError as error:
        message = f"{quoted(entry.target)} overlaps the ceiling's `paths` in a way that no rule can say: {error}"
        report.refuse(entry.origin, "permissions.network", Refusal(message, "write narrower `paths`"))
        return
    if rules and not common:
        names = ", ".join(dict.fromkeys(quoted(rule.host or rule.cidr) for rule in most[:5]))
        offers = f"the ceiling allows {names}" if names else "the ceiling allows no network at all"
        report.refuse(entry.origin, "permissions.network", Refusal(f"{quoted(entry.target)} is outside the ceiling", offers))
    elif not all(rule in common for rule in rules):
        report.warn(entry.origin, f"the ceiling narrows {quoted(entry.target)}")
    yield from dict.fromkeys(common)


def _common(rule: NetworkRule, limit: NetworkRule) -> NetworkRule | None:
    """What both rules allow, as a rule of the document's line; None where that is nothing."""
    host, cidr = _narrower_host(rule.host, limit.host), _narrower_range(rule.cidr, limit.cidr)
    protocols = tuple(protocol for protocol in rule.protocols if protocol in limit.protocols)
    ports, methods = _common_ports(rule.ports, limit.ports), _common_methods(rule.methods, limit.methods)
    paths = _common_paths(rule.paths, limit.paths) if host or cidr else None
    if (host is None and cidr is None) or not protocols or () in (ports, methods, paths):
        return None
    # A ceiling that names a credential allows that one and none; one that names none leaves it to the document.
    if rule.credential is not None and limit.credential not in (None, rule.credential):
        return None
    # Not one stricter limit out of two: a ceiling's line counts for all lines that it allows together.
    limits = tuple(dict.fromkeys((*rule.limits, *limit.limits)))
    return NetworkRule(rule.effect, host, cidr, ports, protocols, methods, paths, rule.origin, rule.credential, limits)


def _narrower_host(one: str | None, other: str | None) -> str | None:
    if one is None or other is None:
        return None
    if host_covers(one, other):
        return other
    return one if host_covers(other, one) else None


def _narrower_range(one: str | None, other: str | None) -> str | None:
    if one is None or other is None:
        return None
    if cidr_covers(one, other):
        return other
    return one if cidr_covers(other, one) else None


def _common_ports(one: Ports | None, other: Ports | None) -> Ports | None:
    if one is None or other is None:
        return one if other is None else other
    overlaps = ((max(a, c), min(b, d)) for a, b in one for c, d in other)
    return tuple((low, high) for low, high in overlaps if low <= high)


def _common_methods(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if one is None or other is None:
        return one if other is None else other
    return tuple(method for method in one if method in other)


def _common_paths(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if one is None or other is None or one == other:
        return one if other is None else other
    pairs = ((a, b) for a in path_patterns(one) for b in path_patterns(other))
    return tuple(dict.fromkeys("/" + "/".join(found) for a, b in pairs for found in intersect(a, b)))
