"""The network rules of one effect, filed so that a lookup does not depend on how many there are.

Pure; `sandbox.template.network` decides with it. Hosts and suffixes are dictionary keys, address ranges are keys by prefix
length, `paths` are filed under the leading segments of each glob that hold no wildcard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network

from sandbox.template.addresses import Address, Network
from sandbox.template.authority import AuthorityError, normalise_host
from sandbox.template.template import Effect, NetworkRule
from sandbox.template.url_path import PathGlob, compile_glob, path_prefixes


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request in the form that rules compare; `scheme` None stands for any, in `decide_address`."""

    scheme: str | None
    host: str
    port: int
    method: str
    path: str | None
    address: Address | None


class Rule:
    """One rule with its sets and globs made ready."""

    __slots__ = ("globs", "network", "rule")

    def __init__(self, rule: NetworkRule) -> None:
        self.rule = rule
        self.network: Network | None = None if rule.cidr is None else ip_network(rule.cidr)
        deny = rule.effect is Effect.DENY
        self.globs: tuple[PathGlob, ...] | None = (
            None if rule.paths is None else tuple(compile_glob(_stem(glob, rule.effect), ignore_case=deny) for glob in rule.paths)
        )

    def covers(self, attempt: Attempt) -> bool:
        """Whether port, scheme, method and path are all among what the rule names."""
        return self.fits_port(attempt) and self.fits_scheme(attempt) and self.fits_method(attempt) and self.fits_path(attempt)

    def fits_port(self, attempt: Attempt) -> bool:
        """Whether the rule names the port."""
        return self.rule.ports is None or any(low <= attempt.port <= high for low, high in self.rule.ports)

    def fits_scheme(self, attempt: Attempt) -> bool:
        """Whether the rule names the scheme."""
        return attempt.scheme is None or attempt.scheme in self.rule.protocols

    def fits_method(self, attempt: Attempt) -> bool:
        """Whether the rule names the method."""
        return self.rule.methods is None or attempt.method in self.rule.methods

    def fits_path(self, attempt: Attempt) -> bool:
        """Whether the rule names the path; one with two readings is named by every deny and by no allow."""
        if self.globs is None:
            return True
        if attempt.path is None:
            return self.rule.effect is Effect.DENY
        spellings = {attempt.path, _stem(attempt.path, self.rule.effect)}
        return any(glob.matches(path) for glob in self.globs for path in spellings)


class Bucket:
    """The rules of one host, suffix or prefix; those with `paths` are filed under each glob's fixed beginning."""

    __slots__ = ("_by_prefix", "_plain", "_seen")

    def __init__(self) -> None:
        self._plain: list[Rule] = []
        self._by_prefix: dict[str, list[Rule]] = {}
        self._seen: set[object] = set()

    def add(self, rule: NetworkRule) -> None:
        """File a rule; one that repeats another adds nothing."""
        key = (rule.ports, rule.protocols, rule.methods, rule.paths, rule.credential, rule.limits)
        if key in self._seen:
            return
        self._seen.add(key)
        made = Rule(rule)
        if rule.paths is None:
            self._plain.append(made)
            return
        for prefix in {prefix for glob in made.globs or () for prefix in glob.prefixes}:
            self._by_prefix.setdefault(prefix, []).append(made)

    def candidates(self, attempt: Attempt, effect: Effect) -> Iterator[Rule]:
        """The rules that may cover the attempt: those without `paths`, and those filed under a beginning of its path."""
        yield from self._plain
        if not self._by_prefix:
            return
        if attempt.path is None:
            yield from (rule for rules in self._by_prefix.values() for rule in rules)
            return
        for prefix in path_prefixes(_fold(attempt.path, effect)):
            yield from self._by_prefix.get(prefix, ())

    def __iter__(self) -> Iterator[Rule]:
        yield from self._plain
        for rules in self._by_prefix.values():
            yield from rules


class Index:
    """The rules of one effect, by host, suffix and address range."""

    __slots__ = ("_any", "_effect", "_exact", "_prefixes", "_suffixes", "reachable")

    def __init__(self, rules: Iterable[NetworkRule], effect: Effect) -> None:
        self._effect = effect
        self._exact: dict[str, Bucket] = {}
        self._suffixes: dict[str, Bucket] = {}
        self._any = Bucket()
        self._prefixes: dict[tuple[int, int], dict[int, Bucket]] = {}
        self.reachable = False
        for rule in rules:
            if rule.effect is effect:
                self._add(rule)
                self.reachable = True

    def _add(self, rule: NetworkRule) -> None:
        if rule.cidr is not None:
            self._add_network(ip_network(rule.cidr), rule)
        elif rule.host == "*":
            self._any.add(rule)
        elif rule.host is not None and rule.host.startswith("*."):
            self._suffixes.setdefault(_rule_host(rule.host[2:]), Bucket()).add(rule)
        elif rule.host is not None:
            self._add_host(rule.host, rule)
        else:
            raise ValueError(f"{rule.origin}: a network rule names a host or a cidr")

    def _add_host(self, host: str, rule: NetworkRule) -> None:
        name, address = normalise_host(host)
        self._exact.setdefault(name, Bucket()).add(rule)
        # A denied address is denied to the names that lead to it as well.
        if address is not None and self._effect is Effect.DENY:
            self._add_network(ip_network(address), rule)

    def _add_network(self, network: Network, rule: NetworkRule) -> None:
        shift = network.max_prefixlen - network.prefixlen
        by_prefix = self._prefixes.setdefault((network.version, shift), {})
        by_prefix.setdefault(int(network.network_address) >> shift, Bucket()).add(rule)

    def by_host(self, attempt: Attempt) -> Iterator[Bucket]:
        """The buckets that name the host itself; `*` names every host for a deny, names alone for an allow."""
        if (exact := self._exact.get(attempt.host)) is not None:
            yield exact
        if attempt.address is None:
            yield from self._by_suffix(attempt.host)
        if attempt.address is None or self._effect is Effect.DENY:
            yield self._any

    def by_address(self, address: Address) -> Iterator[Bucket]:
        """The buckets of the address ranges that hold `address`."""
        value = int(address)
        for (version, shift), by_prefix in self._prefixes.items():
            if version == address.version and (bucket := by_prefix.get(value >> shift)) is not None:
                yield bucket

    def _by_suffix(self, host: str) -> Iterator[Bucket]:
        at = host.find(".")
        while self._suffixes and at != -1:
            if (bucket := self._suffixes.get(host[at + 1 :])) is not None:
                yield bucket
            at = host.find(".", at + 1)

    def first(self, buckets: Iterable[Bucket], attempt: Attempt) -> Rule | None:
        """The first rule in `buckets` that covers the attempt."""
        return next(self.all(buckets, attempt), None)

    def all(self, buckets: Iterable[Bucket], attempt: Attempt) -> Iterator[Rule]:
        """Every rule in `buckets` that covers the attempt."""
        for bucket in buckets:
            yield from (rule for rule in bucket.candidates(attempt, self._effect) if rule.covers(attempt))


def _fold(path: str, effect: Effect) -> str:
    return path.casefold() if effect is Effect.DENY else path


def _stem(path: str, effect: Effect) -> str:
    """Without the last slash, for a deny: servers answer `/admin` and `/admin/` alike."""
    return (path.rstrip("/") or "/") if effect is Effect.DENY else path


def _rule_host(host: str) -> str:
    name, address = normalise_host(host)
    if address is not None:
        raise AuthorityError(f"`*.{host}`: an address has no subdomains")
    return name
