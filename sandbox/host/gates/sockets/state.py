"""The sockets of one call: what a guest's handles stand for, which names led where, and how an address is read and written.

Decides nothing. `tcp` and `lookup` act on it, `sockets` defines their functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from sandbox.errors import Code
from sandbox.host.gates.call import Call
from sandbox.host.gates.egress import Egress
from sandbox.host.gates.native import ffi, values
from sandbox.host.gates.native.handles import Handles
from sandbox.host.gates.sockets.tunnel import Tunnel
from sandbox.host.outcome import Denial
from sandbox.template.addresses import Address
from sandbox.template.sockets import TCP as SCHEME
from sandbox.template.sockets import SocketDecision

NETWORK, TCP, LOOKUP = 3, 4, 5
"""The numbers of our resource types; the filesystem's are 1 and 2, udp's come after."""
Method = Callable[["Sockets", int], Any]
_HOST, _REASON = 253, 512
_BY_STATUS = {
    403: "access-denied",
    404: "name-unresolvable",
    429: "new-socket-limit",
    502: "connection-refused",
    503: "remote-unreachable",
    504: "timeout",
}


class SocketError(Exception):
    """The answer to a guest is an error code, by its name in `wasi:sockets/network`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def error_of(status: int) -> SocketError:
    """What the gateway's status means for a socket or a lookup."""
    return SocketError(_BY_STATUS.get(status, "connection-aborted"))


class State(Enum):
    """How far a socket has come."""

    FRESH = 1
    CONNECTING = 2
    CONNECTED = 3
    CLOSED = 4


class Network:
    """The one network there is: it gives nothing by itself."""


@dataclass(slots=True, eq=False)
class Socket:
    """A tcp socket of a guest."""

    family: str
    state: State = State.FRESH
    tunnel: Tunnel | None = None
    remote: tuple[Address, int] | None = None
    options: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Lookup:
    """A question for a name: the tunnel that it went out by, or its answers, last first."""

    name: str
    tunnel: Tunnel | None = None
    answers: list[Address] | None = None


class Sockets:
    """The sockets gate's state in one store."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.rules = call.bound.network
        self.handles = Handles(call.context)
        self.names: dict[Address, list[str]] = {}
        """The names that led to an address in this call; the gateway keeps its own."""

    @property
    def egress(self) -> Egress:
        """The way out; `SocketError` where there is none."""
        if self.call.bound.egress is None:
            raise SocketError("remote-unreachable")
        return self.call.bound.egress

    def led(self, name: str, addresses: list[Address]) -> None:
        """A lookup was answered: its name may be dialled at these addresses."""
        for address in addresses:
            names = self.names.setdefault(address, [])
            if name in names:
                names.remove(name)
            names.append(name)

    def ready(self) -> values.Handle:
        """A native pollable that is ready at once."""
        found: values.Handle = self.call.tunnel.invoke("subscribe-duration", 0)
        return found

    def deny(self, operation: str, decided: SocketDecision, port: int | None) -> SocketError:
        """Report a refusal by policy; the answer to raise."""
        target = {"scheme": SCHEME, "host": decided.host[:_HOST], "port": port, "operation": operation}
        private = {} if decided.address is None else {"address": str(decided.address)}
        said = decided.decision
        self.call.report(Denial(Code.NETWORK_ACCESS_DENIED, target, said.reason[:_REASON], said.origin, private))
        return SocketError("access-denied")

    def close(self) -> None:
        """Free the boxes that are left; the store closes what they name."""
        for record in self.handles.records.values():
            tunnel = record.tunnel if isinstance(record, Socket | Lookup) else None
            if tunnel is not None:
                tunnel.forget()
        self.handles.records.clear()


def answer(results: int, value: Any) -> None:
    """Write a function's answer, and free the boxes of its handles: what is written has its own."""
    values.build(results, value)
    _free(value)


def _free(value: Any) -> None:
    if isinstance(value, values.Handle):
        ffi.any_delete(value.pointer)
    elif isinstance(value, values.Ok):
        _free(value.value)
    elif type(value) is tuple:
        for item in value:
            _free(item)


def read_address(value: int) -> tuple[Address, int, int]:
    """The `ip-socket-address` at `value`: address, port, and its scope (0 for none)."""
    case = values.read(value)
    parts = case.payload
    if case.name == "ipv4":
        return IPv4Address(bytes(parts["address"])), parts["port"], 0
    raw = b"".join(part.to_bytes(2, "big") for part in parts["address"])
    return IPv6Address(raw), parts["port"], parts["scope-id"]


def address_value(address: Address) -> values.Case:
    """An `ip-address` to be built."""
    if isinstance(address, IPv4Address):
        return values.Case("ipv4", tuple(values.number(part, ffi.U8) for part in address.packed))
    raw = address.packed
    parts = (int.from_bytes(raw[at : at + 2], "big") for at in range(0, 16, 2))
    return values.Case("ipv6", tuple(values.number(part, ffi.U16) for part in parts))


def socket_address_value(address: Address, port: int) -> values.Case:
    """An `ip-socket-address` to be built."""
    number, inner = values.number(port, ffi.U16), address_value(address)
    if isinstance(address, IPv4Address):
        return values.Case("ipv4", {"port": number, "address": inner.payload})
    none = values.number(0, ffi.U32)
    return values.Case("ipv6", {"port": number, "flow-info": none, "address": inner.payload, "scope-id": none})
