"""`wasi:sockets/tcp`: a socket that connects where a rule, the port and the address agree, and does nothing else.

Decides by the template's network rules before anything leaves; the gateway judges again, dials, and answers. The streams are
native: their bytes never pass through here.

Rules: a refusal by policy is reported with host and port; binding, listening and accepting are refused whatever the policy
says; what a socket tells of itself (its own address, its options) is not the host's: the gateway's socket is not shown.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from sandbox.host.gates.native import ffi, values
from sandbox.host.gates.sockets.state import (
    TCP,
    Method,
    Network,
    Socket,
    SocketError,
    Sockets,
    State,
    error_of,
    read_address,
    socket_address_value,
)
from sandbox.host.gates.sockets.tunnel import ACCEPTED, open_tunnel
from sandbox.template.addresses import Address
from sandbox.template.network import NetworkDecision
from sandbox.template.sockets import SocketDecision, decide_dial

_ANY: dict[str, Address] = {"ipv4": IPv4Address(0), "ipv6": IPv6Address(0)}
_NO_LISTENING = "a tool connects to others, nobody connects to a tool"
_SECOND = 10**9


def create(sockets: Sockets, arguments: int) -> object:
    """`create-tcp-socket`: it reaches nothing by itself."""
    return sockets.handles.give(Socket(values.text(arguments)), TCP)


def start_connect(sockets: Sockets, arguments: int) -> object:
    """`start-connect`."""
    socket = sockets.handles.take(arguments, Socket)
    sockets.handles.take(arguments + ffi.SIZE, Network)
    address, port, scope = read_address(arguments + 2 * ffi.SIZE)
    if socket.state is not State.FRESH:
        raise SocketError("concurrency-conflict" if socket.state is State.CONNECTING else "invalid-state")
    decided = decide_dial(sockets.rules, address, port, sockets.names.get(address, ()))
    if not decided.allowed:
        raise sockets.deny("connect", decided, port)
    if scope or f"ipv{address.version}" != socket.family:
        raise SocketError("invalid-argument")
    try:
        if socket.tunnel is None:
            socket.tunnel = open_tunnel(sockets.call, sockets.egress)
        sockets.egress.dial(socket.tunnel.number, str(address), port)
    except OSError:
        raise SocketError("remote-unreachable") from None
    socket.remote, socket.state = (address, port), State.CONNECTING
    return None


def finish_connect(sockets: Sockets, arguments: int) -> object:
    """`finish-connect`: the native streams of the tunnel."""
    socket = sockets.handles.take(arguments, Socket)
    if socket.state is not State.CONNECTING or socket.tunnel is None:
        raise SocketError("not-in-progress")
    status = socket.tunnel.status()
    if status is None:
        raise SocketError("would-block")
    if status != ACCEPTED:
        socket.state = State.CLOSED
        raise error_of(status)
    socket.state = State.CONNECTED
    return socket.tunnel.streams()


def start_bind(sockets: Sockets, arguments: int) -> object:
    """`start-bind`: refused."""
    sockets.handles.take(arguments, Socket)
    sockets.handles.take(arguments + ffi.SIZE, Network)
    address, port, _ = read_address(arguments + 2 * ffi.SIZE)
    raise sockets.deny("bind", SocketDecision(NetworkDecision(False, None, _NO_LISTENING), str(address)), port)


def start_listen(sockets: Sockets, arguments: int) -> object:
    """`start-listen`: refused."""
    socket = sockets.handles.take(arguments, Socket)
    decision = NetworkDecision(False, None, _NO_LISTENING)
    raise sockets.deny("listen", SocketDecision(decision, str(_ANY[socket.family])), 0)


def local_address(sockets: Sockets, arguments: int) -> object:
    """`local-address`: none that says anything of the host."""
    socket = _connected(sockets, arguments)
    return socket_address_value(_ANY[socket.family], 0)


def remote_address(sockets: Sockets, arguments: int) -> object:
    """`remote-address`: what the guest asked for."""
    socket = _connected(sockets, arguments)
    assert socket.remote is not None
    return socket_address_value(*socket.remote)


def shutdown(sockets: Sockets, arguments: int) -> object:
    """`shutdown`: the gateway half-closes once all that was written has arrived there."""
    socket = _connected(sockets, arguments)
    assert socket.tunnel is not None
    try:
        socket.tunnel.egress.end(socket.tunnel.number, values.text(arguments + ffi.SIZE))  # type: ignore[arg-type]  # WIT's enum
    except OSError:
        raise SocketError("connection-aborted") from None
    return None


def subscribe(sockets: Sockets, arguments: int) -> object:
    """`subscribe`: ready when connecting has come to an end; guests subscribe before they connect, and keep it."""
    socket = sockets.handles.take(arguments, Socket)
    if socket.tunnel is None and sockets.call.bound.egress is not None and socket.state is State.FRESH:
        try:
            socket.tunnel = open_tunnel(sockets.call, sockets.egress)
        except OSError:
            return sockets.ready()
    return sockets.ready() if socket.tunnel is None else socket.tunnel.pollable


def dropped(socket: Socket) -> None:
    """A guest dropped a socket."""
    tunnel, socket.tunnel = socket.tunnel, None
    if tunnel is None:
        return
    if socket.state is State.CONNECTED:
        tunnel.close()
    else:
        tunnel.drop()


def _connected(sockets: Sockets, arguments: int) -> Socket:
    socket = sockets.handles.take(arguments, Socket)
    if socket.state is not State.CONNECTED:
        raise SocketError("invalid-state")
    return socket


def _refused(code: str) -> Method:
    def method(sockets: Sockets, arguments: int) -> object:
        sockets.handles.take(arguments, Socket)
        raise SocketError(code)

    return method


def _family(sockets: Sockets, arguments: int) -> object:
    return values.Name(sockets.handles.take(arguments, Socket).family)


def _is_listening(sockets: Sockets, arguments: int) -> object:
    sockets.handles.take(arguments, Socket)
    return False


def _reading(name: str, kind: int, default: int) -> Method:
    """An option as it was set; the gateway's socket has its own."""

    def method(sockets: Sockets, arguments: int) -> object:
        return values.number(sockets.handles.take(arguments, Socket).options.get(name, default), kind)

    return method


def _setting(name: str, kind: int) -> Method:
    def method(sockets: Sockets, arguments: int) -> object:
        socket = sockets.handles.take(arguments, Socket)
        value = values.read(arguments + ffi.SIZE)
        if not value and kind != ffi.BOOL:
            raise SocketError("invalid-argument")
        socket.options[name] = value
        return None

    return method


_OPTIONS = {
    "keep-alive-enabled": (ffi.BOOL, 0),
    "keep-alive-idle-time": (ffi.U64, 7200 * _SECOND),
    "keep-alive-interval": (ffi.U64, 75 * _SECOND),
    "keep-alive-count": (ffi.U32, 9),
    "hop-limit": (ffi.U8, 64),
    "receive-buffer-size": (ffi.U64, 1 << 16),
    "send-buffer-size": (ffi.U64, 1 << 16),
}
METHODS: dict[str, Method] = {
    "start-bind": start_bind,
    "finish-bind": _refused("not-in-progress"),
    "start-connect": start_connect,
    "finish-connect": finish_connect,
    "start-listen": start_listen,
    "finish-listen": _refused("not-in-progress"),
    "accept": _refused("access-denied"),
    "local-address": local_address,
    "remote-address": remote_address,
    "set-listen-backlog-size": _refused("access-denied"),
    "shutdown": shutdown,
    **{name: _reading(name, kind, default) for name, (kind, default) in _OPTIONS.items()},
    **{f"set-{name}": _setting(name, kind) for name, (kind, _) in _OPTIONS.items()},
}
"""The methods of `tcp-socket` that answer with a `result`."""
PLAIN: dict[str, Method] = {"is-listening": _is_listening, "address-family": _family, "subscribe": subscribe}
"""Those that do not."""
