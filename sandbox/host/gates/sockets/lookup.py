"""`wasi:sockets/ip-name-lookup`: the addresses of a name that a rule lets be dialled by tcp.

Decides by the template's network rules which name may be asked for; the gateway resolves it and judges every answer. What was
answered binds the addresses that a socket of the same call may dial for that name, here and in the gateway.

Rules: an address is its own answer, and nobody is asked; a spelling that some resolver would read as an address is none.
"""

from __future__ import annotations

import json

from sandbox.host.gates.native import ffi, values
from sandbox.host.gates.sockets.state import LOOKUP, Lookup, Method, Network, SocketError, Sockets, address_value, error_of
from sandbox.host.gates.sockets.tunnel import ACCEPTED, open_lookup
from sandbox.template.addresses import Address, parse_address
from sandbox.template.authority import AuthorityError
from sandbox.template.network import NetworkDecision
from sandbox.template.sockets import SocketDecision, decide_name, normal_name


def resolve_addresses(sockets: Sockets, arguments: int) -> object:
    """`resolve-addresses`."""
    sockets.handles.take(arguments, Network)
    written = values.text(arguments + ffi.SIZE)
    try:
        name, literal = normal_name(written)
    except AuthorityError as error:
        raise sockets.deny("lookup", SocketDecision(NetworkDecision(False, None, str(error)), written), None) from None
    if literal is not None:
        return sockets.handles.give(Lookup(name, answers=[literal]), LOOKUP)
    decided = decide_name(sockets.rules, name)
    if not decided.allowed:
        raise sockets.deny("lookup", decided, None)
    try:
        return sockets.handles.give(Lookup(name, open_lookup(sockets.call, sockets.egress, name)), LOOKUP)
    except OSError:
        raise SocketError("temporary-resolver-failure") from None


def resolve_next_address(sockets: Sockets, arguments: int) -> object:
    """`resolve-next-address`."""
    lookup = sockets.handles.take(arguments, Lookup)
    if lookup.answers is None:
        lookup.answers = list(reversed(_answers(sockets, lookup)))
    return values.some(address_value(lookup.answers.pop())) if lookup.answers else values.none


def subscribe(sockets: Sockets, arguments: int) -> object:
    """`subscribe`."""
    lookup = sockets.handles.take(arguments, Lookup)
    return sockets.ready() if lookup.tunnel is None else lookup.tunnel.pollable


def dropped(lookup: Lookup) -> None:
    """A guest dropped a lookup."""
    tunnel, lookup.tunnel = lookup.tunnel, None
    if tunnel is not None:
        tunnel.drop()


def _answers(sockets: Sockets, lookup: Lookup) -> list[Address]:
    assert lookup.tunnel is not None
    status = lookup.tunnel.status()
    if status is None:
        raise SocketError("would-block")
    if status != ACCEPTED:
        raise error_of(status)
    addresses = [parse_address(text) for text in json.loads(lookup.tunnel.read())]
    sockets.led(lookup.name, addresses)
    return addresses


METHODS: dict[str, Method] = {"resolve-next-address": resolve_next_address}
PLAIN: dict[str, Method] = {"subscribe": subscribe}
