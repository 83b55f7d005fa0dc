"""May a name be looked up for tcp, and may this address be dialled: the network rules of a template, as sockets ask them.

Pure; the gate asks before anything leaves the worker, the gateway asks again. A socket names an address, a rule mostly a host:
what joins them is a name lookup of the same call, whose answers bind the addresses that may be dialled for the name.

Rules: a `cidr` rule reaches its addresses by themselves; a `host` rule reaches an address that its name led to, in this call; a
deny of a name that led there wins over both; both are held to the address rules of every request (loopback, private and
link-local only by a `cidr` rule, metadata never). A name may be looked up where some port of it may be dialled; one refused
answer refuses them all, for that port.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sandbox.template.addresses import Address
from sandbox.template.authority import AuthorityError, normalise_host
from sandbox.template.network import NetworkDecision, NetworkRules

TCP, LOOKUP = "tcp", "dns"
"""The schemes of what a socket asks the gateway for: a way for its bytes, and the addresses of a name."""
_NO_NETWORK = NetworkDecision(False, None, "the policy grants no network")


@dataclass(frozen=True, slots=True)
class SocketDecision:
    """Whether it may be, for which host (a name where one decided), and the address that was refused where it was that."""

    decision: NetworkDecision
    host: str
    address: Address | None = None

    @property
    def allowed(self) -> bool:
        """Whether it may be."""
        return self.decision.allowed

    @property
    def denied(self) -> bool:
        """Whether a deny decided, and not that no rule allows it."""
        return not self.decision.allowed and self.decision.origin is not None


def decide_dial(rules: NetworkRules, address: Address, port: int, names: Collection[str]) -> SocketDecision:
    """May `address` be dialled at `port`; `names` led to it in this call, the newest last."""
    if not rules.reachable:
        return SocketDecision(_NO_NETWORK, _shown(address, names))
    asked = [_by_name(rules, name, address, port) for name in names]
    denied = next((found for found in asked if found.denied), None)
    if denied is not None:
        return denied
    itself = SocketDecision(rules.decide(TCP, str(address), port), str(address))
    if itself.allowed:
        return itself
    return next((found for found in asked if found.allowed), asked[-1] if asked else itself)


def _by_name(rules: NetworkRules, name: str, address: Address, port: int) -> SocketDecision:
    decided = rules.decide(TCP, name, port)
    if not decided.allowed:
        return SocketDecision(decided, name)
    led = rules.decide_address(name, port, address, scheme=TCP)
    return SocketDecision(decided, name) if led.allowed else SocketDecision(led, name, address)


def decide_name(rules: NetworkRules, name: str) -> SocketDecision:
    """May `name`, in its one spelling, be asked for at all."""
    if not rules.reachable:
        return SocketDecision(_NO_NETWORK, name)
    for port in rules.doors(TCP, name):
        decided = rules.decide(TCP, name, port)
        if decided.allowed:
            return SocketDecision(decided, name)
    # Any port says why, since none is allowed.
    return SocketDecision(rules.decide(TCP, name, 1), name)


def decide_answers(rules: NetworkRules, name: str, addresses: Collection[Address]) -> SocketDecision:
    """May these answers be told: some port must be allowed for the name with all of them."""
    refused: SocketDecision | None = None
    for port in rules.doors(TCP, name, addresses):
        judged = [_by_name(rules, name, address, port) for address in addresses]
        bad = next((one for one in judged if not one.allowed), None)
        if bad is None:
            return SocketDecision(judged[0].decision, name)
        if refused is None or refused.address is None:
            refused = bad
    return refused or decide_name(rules, name)


def normal_name(text: str) -> tuple[str, Address | None]:
    """A name in its one spelling, or the address that it is. Raises `AuthorityError` for what is read in several ways."""
    name, address = normalise_host(text)
    if address is not None and text.startswith("["):
        raise AuthorityError("brackets are for URLs")
    return name, address


def _shown(address: Address, names: Collection[str]) -> str:
    return list(names)[-1] if names else str(address)
