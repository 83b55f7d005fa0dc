"""Measure a guest's HTTP request through gate and gateway against the same request made directly, in one run.

    python -m benchmarks.gateway [--requests N] [--megabytes N]

The guest, its store and the server are the same on both sides; direct is Wasmtime's own `wasi:http` without any gate. A
request is a GET with a fresh store, a fresh connection and a small answer; a stream is one large answer that the guest reads
to its end. Both over plain HTTP to this machine: the network's own time would hide the difference.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from wasmtime import Store, WasiConfig
from wasmtime.component import Component, Linker

from sandbox.host.engine import make_engine
from sandbox.host.gates.gates import Gates
from sandbox.host.gates.native.passthrough import passthrough_text, tunnel_text
from sandbox.host.worker.egress import WorkerEgress
from sandbox.template.template import WasiTemplate
from tests.host.gateway.driver import Gateway, rule, running
from tests.host.gateway.upstream import read_head
from tests.support.guests import guest

SMALL = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
PIECE = b"x" * (256 << 10)


def server(listener: socket.socket, megabytes: int) -> None:
    """Answer `/large` with so many megabytes, everything else with five bytes; one connection after the other."""
    while True:
        sock, _ = listener.accept()
        with sock:
            if b" /large " in read_head(sock):
                sock.sendall(f"HTTP/1.1 200 OK\r\ncontent-length: {megabytes << 20}\r\n\r\n".encode())
                for _ in range(megabytes * 4):
                    sock.sendall(PIECE)
            else:
                sock.sendall(SMALL)


@contextmanager
def serving(megabytes: int) -> Iterator[int]:
    """A server in a process of its own; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = multiprocessing.get_context("fork").Process(target=server, args=(listener, megabytes), daemon=True)
        process.start()
        yield int(listener.getsockname()[1])
        process.kill()
        process.join()


class Direct:
    """The guest on Wasmtime's own linker."""

    def __init__(self, component: Component, linker: Linker, store: Callable[[], Store]) -> None:
        self._component, self._linker, self._store = component, linker, store

    def ask(self, authority: str, path: str) -> Any:
        """One request by a fresh instance of the guest; its answer."""
        store = self._store()
        store.set_wasi(WasiConfig())
        store.set_wasi_http()
        function = self._linker.instantiate(store, self._component).get_func(store, "request")
        assert function is not None
        answer = function(store, "GET", "http", authority, path, [], "")
        store.close()
        return answer


class Gated:
    """The guest behind gate and gateway."""

    def __init__(self, component: Component, gates: Gates, gateway: Gateway) -> None:
        self._component, self._gates = component, gates
        rules = (rule("localhost"), rule(cidr="127.0.0.1/32"), rule(cidr="::1/128"))
        egress = WorkerEgress(gateway.adopt(*rules, response_bytes=1 << 40))
        gates.bind(WasiTemplate(network=rules), (), egress, print)

    def ask(self, authority: str, path: str) -> Any:
        """One request by a fresh instance of the guest; its answer."""
        prepared = self._gates.instantiate(self._component, WasiConfig())
        function = prepared.instance.get_func(prepared.store, "request")
        assert function is not None
        answer = function(prepared.store, "GET", "http", authority, path, [], "")
        self._gates.close(prepared)
        return answer


def request_ms(side: Direct | Gated, authority: str, requests: int) -> list[float]:
    """Milliseconds of each request; the first ones are not counted."""
    times = []
    for i in range(requests + 10):
        start = time.perf_counter()
        answer = side.ask(authority, "/small")
        if i >= 10:
            times.append((time.perf_counter() - start) * 1e3)
        assert answer.body == "hello", answer
    return times


def stream_mb_s(side: Direct | Gated, authority: str, megabytes: int) -> float:
    """Megabytes a second of one large answer, the best of three."""
    best = 0.0
    for _ in range(3):
        start = time.perf_counter()
        answer = side.ask(authority, "/large")
        best = max(best, megabytes / (time.perf_counter() - start))
        assert (answer.size, answer.complete) == (megabytes << 20, True)
    return best


def main() -> None:
    """Print both sides and their ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--host", default="127.0.0.1", help="`localhost` measures the name lookup too")
    options = parser.parse_args()
    engine = make_engine()
    component = Component(engine, guest("escape_network").read_bytes())
    linker = Linker(engine)
    linker.add_wasip2()
    linker.add_wasi_http()
    gates = Gates(engine, Component(engine, passthrough_text()), Component(engine, tunnel_text()))
    with serving(options.megabytes) as port, running() as gateway:
        sides = (Direct(component, linker, lambda: Store(engine)), Gated(component, gates, gateway))
        authority = f"{options.host}:{port}"
        direct, gated = (request_ms(side, authority, options.requests) for side in sides)
        for name, times in (("direct", direct), ("gate and gateway", gated)):
            p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
            print(f"request, {name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms")
        print(f"request, ratio: {statistics.median(gated) / statistics.median(direct):.2f}")
        speeds = [stream_mb_s(side, authority, options.megabytes) for side in sides]
        print(f"stream, direct: {speeds[0]:.0f} MB/s; gate and gateway: {speeds[1]:.0f} MB/s; ratio {speeds[0] / speeds[1]:.2f}")


if __name__ == "__main__":
    main()
