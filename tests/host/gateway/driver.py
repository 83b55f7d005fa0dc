"""The real gateway process, spoken to as the server and as workers speak to it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import h11

from sandbox.host import wire
from sandbox.template.template import Credential, Effect, HttpLimits, NetworkRule
from sandbox.template.wire import network_to_wire

TOKEN = "a-token-of-sixteen-or-more"


def rule(
    host: str | None = None,
    *,
    cidr: str | None = None,
    port: int | None = None,
    protocols: tuple[str, ...] = ("https", "http"),
    methods: tuple[str, ...] | None = None,
    paths: tuple[str, ...] | None = None,
    effect: Effect = Effect.ALLOW,
    origin: str = "policy.yaml:1:1",
    credential: Credential | None = None,
    limits: tuple[HttpLimits, ...] = (),
) -> NetworkRule:
    ports = None if port is None else ((port, port),)
    return NetworkRule(effect, host, cidr, ports, protocols, methods, paths, origin, credential, limits)


@dataclass
class Answer:
    """What a guest got: `complete` only where the protocol said so; `reset` where RST ended it."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    complete: bool = False
    reset: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Guest:
    """One connection to the worker's listener, as the guest's native HTTP client would make it."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.http = h11.Connection(h11.CLIENT)

    def send(self, *events: h11.Event) -> None:
        for event in events:
            self.sock.sendall(self.http.send(event) or b"")

    def event(self) -> Any:
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self.http.receive_data(self.sock.recv(65536))
        return event

    def read(self) -> Answer:
        got = Answer()
        try:
            while not got.complete:
                event = self.event()
                if isinstance(event, h11.Response):
                    got.status, got.headers = event.status_code, _plain(event.headers)
                elif isinstance(event, h11.Data):
                    got.body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    got.complete, got.trailers = True, _plain(event.headers)
                elif not isinstance(event, h11.InformationalResponse):
                    break
        except ConnectionResetError:
            got.reset = True
        except h11.RemoteProtocolError:
            got.complete = False
        return got


def _plain(headers: Any) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}


class WorkerSide:
    """A worker's egress socket and listener."""

    def __init__(self, egress: socket.socket) -> None:
        self.egress = egress
        self.n = 0
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        hello = json.dumps({"listen": self.port, "token": TOKEN}).encode()
        socket.send_fds(egress, [hello], [listener.fileno()])
        listener.close()

    def announce(self, method: str, scheme: str, authority: str, path: str) -> int:
        self.n += 1
        message = {"call": "call-1", "n": self.n, "method": method, "scheme": scheme, "authority": authority, "path": path}
        self.egress.send(json.dumps(message).encode())
        return self.n

    def is_dropped(self) -> bool:
        """Wait until the gateway has closed its end; an end with something unread in it is a reset."""
        try:
            return self.egress.recv(1) == b""
        except ConnectionResetError:
            return True

    def begin(self, method: str, url: str, headers: tuple[tuple[str, str], ...] = ()) -> Guest:
        """Announce and send the head of a request to `scheme://authority/path`."""
        scheme, _, rest = url.partition("://")
        authority, slash, path = rest.partition("/")
        n = self.announce(method, scheme, authority, slash + path)
        guest = Guest(self.port)
        fields = [("host", f"127.0.0.1:{self.port}"), *headers]
        guest.send(h11.Request(method=method, target=f"/{TOKEN}/{n}", headers=fields))
        return guest

    def ask(self, method: str, url: str, headers: tuple[tuple[str, str], ...] = (), body: bytes = b"") -> Answer:
        """A whole request and its answer."""
        length = (("content-length", str(len(body))),) if body else ()
        guest = self.begin(method, url, headers + length)
        with guest.sock:
            events = [h11.Data(data=body), h11.EndOfMessage()] if body else [h11.EndOfMessage()]
            try:
                guest.send(*events)
            except (BrokenPipeError, ConnectionResetError):
                return Answer(reset=True)
            return guest.read()


class Gateway:
    """The process and the server's end of its control socket."""

    def __init__(self, control: socket.socket, process: subprocess.Popen[bytes]) -> None:
        self.control = control
        self.process = process
        self.workers = 0
        self.flushes = 0
        self.gone: list[int] = []
        control.settimeout(20)

    def send(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        wire.send(self.control, wire.encode({**message, "fds": len(descriptors)}), descriptors)

    def attach(self, *rules: NetworkRule, component: str | None = None, **caps: int) -> WorkerSide:
        return WorkerSide(self.adopt(*rules, component=component, **caps))

    def adopt(self, *rules: NetworkRule, component: str | None = None, **caps: int) -> socket.socket:
        """A new worker's egress socket, its other end attached under these rules."""
        self.workers += 1
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.send({"attach": self.workers}, (theirs.fileno(),))
        theirs.close()
        self.set_rules(*rules, component=component, **caps)
        return ours

    def set_rules(self, *rules: NetworkRule, component: str | None = None, **caps: int) -> None:
        self.send({"rules": self.workers, "network": network_to_wire(rules), "component": component, "caps": caps})

    def give(self, values: dict[str, str], call: str = "call-1") -> None:
        """Hand over what may be added to the requests of a call of the newest worker."""
        self.send({"secrets": self.workers, "call": call, "values": values})

    def detach_all(self) -> None:
        """Forget every worker, and what was not read of their events."""
        for worker in range(1, self.workers + 1):
            self.send({"detach": worker})
        self.events()
        self.gone.clear()

    def frame(self) -> dict[str, Any]:
        received = wire.receive(self.control)
        assert received is not None, "the gateway closed its control socket"
        return received[0]

    def events(self) -> list[dict[str, Any]]:
        """The events so far: everything before the answer to a flush."""
        self.flushes += 1
        self.send({"flush": self.flushes})
        found = []
        while (frame := self.frame()) != {"flushed": self.flushes}:
            if "gone" in frame:
                self.gone.append(frame["gone"])
            else:
                found.append(frame["event"])
        return found

    def event(self) -> dict[str, Any]:
        """The next event, waited for."""
        return dict(self.frame()["event"])


@contextmanager
def running(nameserver: str | None = None, environment: dict[str, str] | None = None) -> Iterator[Gateway]:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-I", "-m", "sandbox.host.gateway", str(theirs.fileno())]
    process = subprocess.Popen(
        command + ([] if nameserver is None else [nameserver]), pass_fds=[theirs.fileno()], env=environment or {}
    )
    theirs.close()
    try:
        with ours:
            yield Gateway(ours, process)
        assert process.wait(20) == 0
    finally:
        if process.poll() is None:
            os.kill(process.pid, 9)
            process.wait()
