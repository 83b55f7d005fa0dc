"""Measure a guest's tcp connection through gate and gateway against the same bytes by a socket of this process, in one run.

    python -m benchmarks.sockets [--megabytes N] [--trips N] [--connections N]

Bare is a blocking Python socket to the same server: Wasmtime's own sockets are denied in these bindings, so there is no bare
guest. Both to this machine: the network's own time would hide the difference. What a guest's own code takes is in its side.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from wasmtime import WasiConfig
from wasmtime.component import Component

from sandbox.host.engine import make_engine
from sandbox.host.gates import Gates, passthrough_text, tunnel_text
from sandbox.host.worker.egress import WorkerEgress
from sandbox.template.template import WasiTemplate
from tests.host.gateway.driver import Gateway, rule, running
from tests.support.guests import guest

PIECE = b"\0" * (64 << 10)
HERE = [127, 0, 0, 1]


def sink(sock: socket.socket, size: int) -> None:
    """Take so many bytes, then answer with one."""
    taken(sock, size)
    sock.sendall(b"x")


def source(sock: socket.socket, size: int) -> None:
    """Give so many bytes for one."""
    sock.recv(1)
    given(sock, size)


def echo(sock: socket.socket, _size: int) -> None:
    """Send back what comes."""
    while data := sock.recv(1 << 16):
        sock.sendall(data)


def given(sock: socket.socket, size: int) -> None:
    """Send so many bytes."""
    for at in range(0, size, len(PIECE)):
        sock.sendall(PIECE[: size - at])


def taken(sock: socket.socket, size: int) -> None:
    """Receive so many bytes."""
    room = bytearray(1 << 18)
    while size > 0 and (got := sock.recv_into(room)):
        size -= got


def serve(listener: socket.socket, handler: Callable[[socket.socket, int], None], size: int) -> None:
    """One connection after the other."""
    while True:
        sock, _ = listener.accept()
        with sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            handler(sock, size)


@contextmanager
def serving(handler: Callable[[socket.socket, int], None], size: int = 0) -> Iterator[int]:
    """A server in a process of its own; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = multiprocessing.get_context("fork").Process(target=serve, args=(listener, handler, size), daemon=True)
        process.start()
        yield int(listener.getsockname()[1])
        process.kill()
        process.join()


class Bare:
    """A socket of this process."""

    @staticmethod
    def _connected(port: int) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def carry(self, port: int, up: int, down: int) -> None:
        """Send, then receive, so many bytes."""
        with self._connected(port) as sock:
            given(sock, up)
            taken(sock, down)

    def trips(self, port: int, times: int) -> None:
        """Sixteen bytes there and back, so many times."""
        with self._connected(port) as sock:
            for _ in range(times):
                sock.sendall(PIECE[:16])
                taken(sock, 16)

    def connections(self, port: int, times: int) -> None:
        """So many connections with a word each, one after the other."""
        for _ in range(times):
            with self._connected(port) as sock:
                sock.sendall(b"hello\n")
                taken(sock, 6)


class Gated:
    """The guest `dials` behind gate and gateway."""

    def __init__(self, gateway: Gateway) -> None:
        engine = make_engine()
        self._component = Component(engine, guest("dials").read_bytes())
        self._gates = Gates(engine, Component(engine, passthrough_text()), Component(engine, tunnel_text()))
        here = rule(cidr="127.0.0.1/32", protocols=("tcp",))
        egress = WorkerEgress(gateway.adopt(here, request_bytes=1 << 40, response_bytes=1 << 40))
        self._gates.bind(WasiTemplate(network=(here,)), (), egress, print)

    def _call(self, name: str, *arguments: Any) -> Any:
        prepared = self._gates.instantiate(self._component, WasiConfig())
        function = prepared.instance.get_func(prepared.store, name)
        assert function is not None
        answer = function(prepared.store, *arguments)
        self._gates.close(prepared)
        return answer

    def carry(self, port: int, up: int, down: int) -> None:
        """Send, then receive, so many bytes."""
        got = self._call("carry", HERE, port, up, down)
        assert got == down, got

    def trips(self, port: int, times: int) -> None:
        """Sixteen bytes there and back, so many times."""
        assert self._call("back-and-forth", HERE, port, times) == times

    def connections(self, port: int, times: int) -> None:
        """So many connections with a word each, one after the other."""
        assert self._call("again-and-again", HERE, port, times) == times


def seconds(work: Callable[..., None], *arguments: int) -> float:
    """The best of three."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        work(*arguments)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print both sides and their ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--trips", type=int, default=2000)
    parser.add_argument("--connections", type=int, default=200)
    options = parser.parse_args()
    size = options.megabytes << 20
    with running() as gateway, serving(sink, size) as up, serving(source, size) as down, serving(echo) as back:
        sides = (Bare(), Gated(gateway))
        for name, port, sent, received in (("up", up, size, 1), ("down", down, 1, size)):
            bare, gated = (seconds(side.carry, port, sent, received) for side in sides)
            mb_s = [options.megabytes / took for took in (bare, gated)]
            print(f"{name}: bare {mb_s[0]:.0f} MB/s, gate and gateway {mb_s[1]:.0f} MB/s, ratio {gated / bare:.1f}")
        bare, gated = (seconds(side.trips, back, options.trips) / options.trips * 1e6 for side in sides)
        print(f"round trip: bare {bare:.0f} µs, gate and gateway {gated:.0f} µs, ratio {gated / bare:.1f}")
        bare, gated = (seconds(side.connections, back, options.connections) / options.connections * 1e3 for side in sides)
        print(f"connection: bare {bare:.2f} ms, gate and gateway {gated:.2f} ms, ratio {gated / bare:.1f}")


if __name__ == "__main__":
    main()
