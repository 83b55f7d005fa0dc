"""May this request be made, and may this address be dialled for it: the network rules of a template, indexed.

Pure; the gate asks before a request leaves the worker, the gateway asks again and for every address that a name resolves to.

Rules: deny wins over allow, absence is deny. A lookup costs the same for ten rules
and for a hundred thousand: hosts and suffixes are dictionary keys, address ranges are keys by prefix length, `paths` are
filed under their fixed beginning. A name that leads to an address that is not public needs a `cidr` rule that names that
range (one inside it: `0.0.0.0/0` names nothing in particular); metadata services are never reached. A path with two
readings matches every deny with `paths` and no allow with `paths`; a deny's `paths` hold whatever the case of the letters
and with or without the last slash, since servers differ there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from sandbox.policy.hosts import ANY_PORT
from sandbox.template.addresses import Address, Network, SpecialRange, forms, is_metadata, special_range
from sandbox.template.authority import AuthorityError, normalise_host
from sandbox.template.network_index import Attempt, Bucket, Index, Rule
from sandbox.template.template import Effect, HttpLimits, NetworkRule
from sandbox.template.url_path import is_request_target, normalise_path

__all__ = ["NetworkDecision", "NetworkRules"]

_WEB = ("http", "https")
_EXPLAINED = 64
_NEVER = "the address belongs to a metadata service, which no rule reaches"


@dataclass(frozen=True, slots=True)
class NetworkDecision:
    """Whether it may be, the policy line or grant that decided (None: no rule allows it), and why not."""

    allowed: bool
    origin: str | None
    reason: str = ""


class NetworkRules:
    """The rules of a template.

    Raises ValueError for a rule that cannot be compared: a host that is not in its one spelling, a glob that is not closed.
    """

    __slots__ = ("_allow", "_deny", "_limited", "_with_credential")

    def __init__(self, rules: tuple[NetworkRule, ...]) -> None:
        self._allow = Index(rules, Effect.ALLOW)
        self._deny = Index(rules, Effect.DENY)
        self._limited = any(rule.limits for rule in rules)
        self._with_credential = Index((rule for rule in rules if rule.credential is not None), Effect.ALLOW)

    @property
    def reachable(self) -> bool:
        """Whether anything at all might be allowed."""
        return self._allow.reachable

    def decide(self, scheme: str, host: str, port: int, method: str = "GET", path: str = "/") -> NetworkDecision:
        """May this request be made. `path` as the guest wrote it, query included; for tcp and udp it is left out."""
        try:
            name, address = normalise_host(host)
        except AuthorityError as refused:
            return NetworkDecision(False, None, str(refused))
        if scheme in _WEB and not is_request_target(path):
            return NetworkDecision(False, None, "the path is no request target")
        return self._decide(Attempt(scheme, name, port, method.upper(), normalise_path(path), address))

    def credentials(self, scheme: str, host: str, port: int, method: str, path: str) -> tuple[NetworkRule, ...]:
        """The rules that give a credential to a request that `decide` allowed: each that names all of it."""
        if not self._with_credential.reachable:
            return ()
        name, address = normalise_host(host)
        attempt = Attempt(scheme, name, port, method.upper(), normalise_path(path), address)
        found = self._with_credential.all(self._with_credential.by_host(attempt), attempt)
        return tuple(dict.fromkeys(rule.rule for rule in found))

    def limits(self, scheme: str, host: str, port: int, method: str, path: str) -> tuple[tuple[HttpLimits, ...], ...]:
        """The limits of each rule that allows a request, one of which has to have room; nothing where a rule has none."""
        if not self._limited:
            return ()
        name, address = normalise_host(host)
        attempt = Attempt(scheme, name, port, method.upper(), normalise_path(path), address)
        buckets = (*self._allow.by_host(attempt), *(() if address is None else self._allow.by_address(address)))
        found = tuple(dict.fromkeys(rule.rule.limits for rule in self._allow.all(buckets, attempt)))
        return () if () in found else found

    def decide_address(
        self, host: str, port: int, address: Address, *, scheme: str | None = None, method: str = "GET", path: str = "/"
    ) -> NetworkDecision:
        """May `address` be dialled for a request to `host` that `decide` allowed. Asked of every answer to a name lookup."""
        return self._decide_address(Attempt(scheme, host, port, method.upper(), normalise_path(path), address), address)

    def doors(self, scheme: str, host: str, addresses: Iterable[Address] = ()) -> tuple[int, ...]:
        """One port of each stretch of ports that the rules tell apart, for a host and the addresses that it leads to.

        What is refused at all of them is refused at every port.
        """
        attempt = Attempt(scheme, host, 0, "GET", "/", None)
        forms_ = [form for address in addresses for form in forms(address)]
        first: set[int] = set()
        for index in (self._allow, self._deny):
            buckets = (*index.by_host(attempt), *(bucket for form in forms_ for bucket in index.by_address(form)))
            for low, high in (bounds for bucket in buckets for rule in bucket for bounds in rule.rule.ports or ANY_PORT):
                first |= {low, high + 1}
        return tuple(sorted(port for port in first if port <= ANY_PORT[0][1]))

    def _decide(self, attempt: Attempt) -> NetworkDecision:
        if (denied := self._deny.first(self._deny.by_host(attempt), attempt)) is not None:
            return NetworkDecision(False, denied.rule.origin, f"a deny rule names `{attempt.host}`")
        if attempt.address is not None:
            return self._decide_literal(attempt, attempt.address)
        if (allowed := self._allow.first(self._allow.by_host(attempt), attempt)) is not None:
            return NetworkDecision(True, allowed.rule.origin)
        return NetworkDecision(False, None, self._explain(attempt, self._allow.by_host(attempt)))

    def _decide_literal(self, attempt: Attempt, address: Address) -> NetworkDecision:
        judged = self._decide_address(attempt, address)
        if not judged.allowed:
            return judged
        buckets = (*self._allow.by_host(attempt), *self._allow.by_address(address))
        if (allowed := self._allow.first(buckets, attempt)) is not None:
            return NetworkDecision(True, allowed.rule.origin)
        return NetworkDecision(False, None, self._explain(attempt, buckets))

    def _decide_address(self, attempt: Attempt, address: Address) -> NetworkDecision:
        if is_metadata(address):
            return NetworkDecision(False, None, _NEVER)
        origin: str | None = None
        for form in forms(address):
            if (denied := self._deny.first(self._deny.by_address(form), attempt)) is not None:
                return NetworkDecision(False, denied.rule.origin, "a deny rule names the address")
            special = special_range(form)
            if special is None:
                continue
            if (exempt := self._exemption(attempt, form, special)) is None:
                return NetworkDecision(False, None, f"the address is in {special.text} and no `cidr` rule names it")
            origin = exempt.rule.origin
        return NetworkDecision(True, origin)

    def _exemption(self, attempt: Attempt, address: Address, special: SpecialRange) -> Rule | None:
        for bucket in self._allow.by_address(address):
            for rule in bucket.candidates(attempt, Effect.ALLOW):
                if rule.network is not None and _inside(rule.network, special.network) and rule.covers(attempt):
                    return rule
        return None

    def _explain(self, attempt: Attempt, buckets: Iterable[Bucket]) -> str:
        rules = list(islice((rule for bucket in buckets for rule in bucket), _EXPLAINED))
        for fits, what in (
            (Rule.fits_scheme, f"`{attempt.scheme}`"),
            (Rule.fits_port, f"port {attempt.port}"),
            (Rule.fits_method, f"method {attempt.method}"),
        ):
            if rules and not (rules := [rule for rule in rules if fits(rule, attempt)]):
                return f"no rule for `{attempt.host}` allows {what}"
        if not rules:
            return f"no rule allows `{attempt.host}`"
        reading = "has two readings, and the rules name paths" if attempt.path is None else "is in no rule's `paths`"
        return f"the path {reading}, for `{attempt.host}`"


def _inside(inner: Network, outer: Network) -> bool:
    return inner.version == outer.version and inner.prefixlen >= outer.prefixlen and inner.network_address in outer
