"""`wasi:sockets`, gated: what a guest gets of it, and what all of its functions share.

Decides nothing: `tcp` and `lookup` do, by the template's network rules. Defined whole, at the version that Wasmtime itself
defines, with resources of our own: nothing native is left but the streams and pollables, which are the egress gateway's tunnels.

Rules: no socket is bound, listens or accepts; udp is not carried, since what goes through a tunnel is a stream, so a udp socket
cannot be made; each refusal is told, and answered by an error code of WASI's.
"""

from __future__ import annotations

from wasmtime.component import ResourceType

from sandbox.errors import Code
from sandbox.host.gates.call import Call
from sandbox.host.gates.native import values
from sandbox.host.gates.native.interface import Destructor, Handler, Interface
from sandbox.host.gates.native.passthrough import Passthrough
from sandbox.host.gates.sockets import lookup, tcp
from sandbox.host.gates.sockets.state import LOOKUP, NETWORK, TCP, Lookup, Method, Network, Socket, SocketError, Sockets, answer
from sandbox.host.outcome import Denial

VERSION = "0.2.12"
_UDP, _INCOMING, _OUTGOING = 6, 7, 8
_UDP_METHODS = (
    *("start-bind", "finish-bind", "stream", "local-address", "remote-address", "address-family", "unicast-hop-limit"),
    *("set-unicast-hop-limit", "receive-buffer-size", "set-receive-buffer-size", "send-buffer-size"),
    *("set-send-buffer-size", "subscribe"),
)
NO_UDP = "udp is not carried: what leaves goes through the gateway as a stream"


def interfaces(passthrough: Passthrough) -> tuple[Interface, ...]:
    """All of `wasi:sockets`; the passthrough is that of the tunnels."""
    native = {name: (name, passthrough.resources[name], None) for name in ("input-stream", "output-stream", "pollable")}
    network = ("network", ResourceType.host(NETWORK), _dropped)
    socket, names = (
        ("tcp-socket", ResourceType.host(TCP), _dropped),
        ("resolve-address-stream", ResourceType.host(LOOKUP), _dropped),
    )
    streams = (native["input-stream"], native["output-stream"], native["pollable"])
    return (
        Interface(f"wasi:sockets/network@{VERSION}", (), (network,)),
        Interface(f"wasi:sockets/instance-network@{VERSION}", (("instance-network", _plain(_network)),), (network,)),
        Interface(f"wasi:sockets/tcp-create-socket@{VERSION}", (("create-tcp-socket", _method(tcp.create)),), (network, socket)),
        Interface(f"wasi:sockets/tcp@{VERSION}", _named("tcp-socket", tcp.METHODS, tcp.PLAIN), (network, socket, *streams)),
        Interface(
            f"wasi:sockets/ip-name-lookup@{VERSION}",
            (
                ("resolve-addresses", _method(lookup.resolve_addresses)),
                *_named("resolve-address-stream", lookup.METHODS, lookup.PLAIN),
            ),
            (network, names, native["pollable"]),
        ),
        *_udp(network, native["pollable"]),
    )


_Resource = tuple[str, ResourceType, Destructor | None]


def _udp(network: _Resource, pollable: _Resource) -> tuple[Interface, ...]:
    socket: _Resource = ("udp-socket", ResourceType.host(_UDP), _dropped)
    streams: tuple[_Resource, ...] = (
        ("incoming-datagram-stream", ResourceType.host(_INCOMING), _dropped),
        ("outgoing-datagram-stream", ResourceType.host(_OUTGOING), _dropped),
    )
    names = [f"udp-socket.{name}" for name in _UDP_METHODS]
    names += ["incoming-datagram-stream.receive", "incoming-datagram-stream.subscribe"]
    names += [f"outgoing-datagram-stream.{name}" for name in ("check-send", "send", "subscribe")]
    nothing = tuple((f"[method]{name}", _no_such_handle) for name in names)
    return (
        Interface(f"wasi:sockets/udp-create-socket@{VERSION}", (("create-udp-socket", _method(_create_udp)),), (network, socket)),
        Interface(f"wasi:sockets/udp@{VERSION}", nothing, (network, socket, *streams, pollable)),
    )


def close(call: Call) -> None:
    """Free what the gate kept for a call."""
    if call.sockets is not None:
        call.sockets.close()
        call.sockets = None


def _sockets(call: Call) -> Sockets:
    if call.sockets is None:
        call.sockets = Sockets(call)
    found: Sockets = call.sockets
    return found


def _network(sockets: Sockets, _arguments: int) -> object:
    return sockets.handles.give(Network(), NETWORK)


def _create_udp(sockets: Sockets, _arguments: int) -> object:
    target = {"scheme": "udp", "host": None, "port": None, "operation": "create"}
    sockets.call.report(Denial(Code.NETWORK_ACCESS_DENIED, target, NO_UDP))
    raise SocketError("access-denied")


def _no_such_handle(_call: Call, _arguments: int, _results: int) -> None:
    raise RuntimeError("a guest has a udp socket, and none was made")


def _named(resource: str, methods: dict[str, Method], plain: dict[str, Method]) -> tuple[tuple[str, Handler], ...]:
    found = [(f"[method]{resource}.{name}", _method(method)) for name, method in methods.items()]
    return (*found, *((f"[method]{resource}.{name}", _plain(method)) for name, method in plain.items()))


def _method(method: Method) -> Handler:
    """A function that answers with a `result`: a refusal becomes its error."""

    def handler(call: Call, arguments: int, results: int) -> None:
        try:
            answer(results, values.Ok(method(_sockets(call), arguments)))
        except SocketError as error:
            values.build(results, values.Err(values.Name(error.code)))

    return handler


def _plain(method: Method) -> Handler:
    """A function whose answer has no error."""

    def handler(call: Call, arguments: int, results: int) -> None:
        answer(results, method(_sockets(call), arguments))

    return handler


def _dropped(call: Call, rep: int) -> None:
    record = _sockets(call).handles.dropped(rep)
    if isinstance(record, Socket):
        tcp.dropped(record)
    elif isinstance(record, Lookup):
        lookup.dropped(record)
