"""The gateway: what a worker announces, what a guest writes on its connection, what a server answers. All three may be hostile.

A real gateway process, a real server, and a well-behaved worker beside the hostile ones: its request succeeds after each example.
The server sees a request that was announced and allowed, or none.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import h11
from hypothesis import strategies as st

from sandbox.host.gateway import headers
from sandbox.template.authority import AuthorityError, normalise_authority
from sandbox.template.network import NetworkRules
from sandbox.template.template import HttpLimits
from tests.fuzzing import Property
from tests.host.gateway import driver, upstream
from tests.host.gateway.driver import TOKEN, Answer, Guest, WorkerSide, rule

SIGNS = [
    "GET ",
    "POST ",
    "/v1",
    "/v1/../x",
    " HTTP/1.1",
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    ": ",
    " ",
    "\t",
    "\0",
    "0",
    "5",
    "a;b=c",
]
FIELDS = ["host: x", "a: b", "connection: close", "content-length: 5", "content-length: 6", "content-length: -1"]
CODINGS = ["transfer-encoding: chunked", "transfer-encoding: x", "5\r\nhello\r\n", "0\r\n\r\n", "hello"]
STATUS = ["HTTP/1.1 200 OK", "HTTP/1.0 200", "HTTP/1.1 204 No", "HTTP/1.1 101 S", "HTTP/1.1 100 C", "HTTP/2 200"]
PIECES = st.lists(st.sampled_from([*SIGNS, *FIELDS, *CODINGS, *STATUS]) | st.text(max_size=6), max_size=25).map(
    lambda pieces: "".join(pieces).encode("utf-8", "surrogatepass")
)
WORDS = st.sampled_from(["call", "n", "method", "scheme", "authority", "path", "listen", "token", "dial", "end", "ask"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)
MESSAGES = JSON.map(lambda found: json.dumps(found).encode()) | st.binary(max_size=60)
NAMES = st.text(max_size=30) | st.from_regex(r"[a-z0-9.\-\[\]:%@]{1,30}", fullmatch=True)
FIELD_NAMES = st.sampled_from([b"connection", b"te", b"x", b"content-length", b"transfer-encoding"])
FIELD_VALUES = st.sampled_from([b"x", b"host, x", b"5", b"chunked"])
ASKED = re.compile(rb"GET /v1/[0-9]+ HTTP/1\.1\r\nhost: ok\.test:[0-9]+\r\n")


class Ground:
    """The gateway, the server, and the worker whose requests go on being answered."""

    def __init__(self, gateway: driver.Gateway) -> None:
        self.gateway = gateway
        self.says: bytes | None = None
        self.heard: list[bytes] = []
        self.server = upstream.start(self._serve)
        self.rules = (rule("ok.test", paths=("/v1/**",), limits=(HttpLimits("p:1", timeout_ms=2000),)), rule(cidr="127.0.0.1/32"))
        self.good = gateway.attach(rule("ok.test"), rule(cidr="127.0.0.1/32"))

    def _serve(self, sock: socket.socket) -> None:
        self.heard.append(upstream.read_head(sock))
        sock.sendall(upstream.answer(b"hello") if self.says is None else self.says)

    @property
    def url(self) -> str:
        return f"http://ok.test:{self.server.port}/v1/1"

    def still_stands(self) -> None:
        """The other worker's request is answered; the server has heard nothing that was not allowed."""
        self.says = None
        got = self.good.ask("GET", self.url)
        assert got.body == b"hello", got
        assert self.gateway.process.poll() is None
        assert all(ASKED.match(head) for head in self.heard if head), self.heard
        self.heard.clear()
        self.gateway.events()

    def hostile(self) -> WorkerSide:
        """A worker of which anything may come. It is gone when the next one comes."""
        for worker in range(2, self.gateway.workers + 1):
            self.gateway.send({"detach": worker})
        self.gateway.events()
        return self.gateway.attach(*self.rules)

    def announces(self, messages: list[bytes]) -> None:
        """Whatever a worker says on its egress socket."""
        worker = self.hostile()
        with worker.egress:
            for message in messages:
                try:
                    worker.egress.send(message)
                except OSError:
                    break
        self.still_stands()

    def writes(self, head: bytes, rest: bytes) -> None:
        """Whatever a guest writes behind a request that was announced."""
        worker = self.hostile()
        announced = worker.announce("GET", "http", f"ok.test:{self.server.port}", "/v1/2")
        with worker.egress, Guest(worker.port).sock as sock:
            sock.settimeout(5)
            with suppress(OSError):
                sock.sendall(f"GET /{TOKEN}/{announced} HTTP/1.1\r\nhost: x\r\n".encode() + head + b"\r\n\r\n" + rest)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
        self.still_stands()

    def answers(self, says: bytes) -> None:
        """Whatever a server answers: a guest gets a whole answer only where it was one."""
        worker = self.hostile()
        self.says = says
        with worker.egress:
            got = worker.ask("GET", self.url)
        if got.complete and got.status not in (502, 504):
            assert is_whole(says, got), (says, got)
        self.still_stands()


def is_whole(says: bytes, got: Answer) -> bool:
    """Whether a strict reader of its own finds the same answer in what the server said."""
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    reader.send(h11.EndOfMessage())
    body = b""
    for part in (says, b""):
        reader.receive_data(part)
        while (event := reader.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return body == got.body
    return False


def any_authority(text: str, scheme: str) -> None:
    """Refused, or in one spelling that is read as itself."""
    try:
        found = normalise_authority(text, scheme)
    except AuthorityError:
        return
    assert normalise_authority(found.text, scheme) == found


def any_request_is_decided(path: str, method: str, port: int) -> None:
    rules = NetworkRules((rule("*.test", paths=("/v1/**",)), rule("*", methods=("GET",))))
    for host in ("ok.test", path, "127.0.0.1"):
        decided = rules.decide("http", host, port, method, path)
        assert decided.allowed or decided.reason


def any_fields_make_one_request(fields: list[tuple[bytes, bytes]]) -> None:
    """What is sent on has one Host, ours, and one framing at most."""
    try:
        event = h11.Request(method="POST", target="/", headers=[(b"host", b"g"), *fields])
    except h11.LocalProtocolError:
        return
    sent = headers.request_headers(list(event.headers), "ok.test", [])
    names = [name for name, _ in sent]
    assert [value for name, value in sent if name == b"host"] == [b"ok.test"]
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    assert not {b"te", b"keep-alive", b"upgrade"} & set(names)


@contextmanager
def properties() -> Iterator[tuple[Property, ...]]:
    """All of them, with a gateway that lives as long."""
    nameserver = upstream.Nameserver()
    nameserver.renew({"ok.test": [("127.0.0.1",)]})
    with driver.running(nameserver.address, {}) as gateway:
        ground = Ground(gateway)

        yield (
            Property(any_authority, (NAMES, st.sampled_from(("http", "https")))),
            Property(any_request_is_decided, (st.text(max_size=40), st.text(max_size=8), st.integers(-1, 70_000))),
            Property(any_fields_make_one_request, (st.lists(st.tuples(FIELD_NAMES, FIELD_VALUES), max_size=6),)),
            Property(ground.announces, (st.lists(MESSAGES, max_size=4),)),
            Property(ground.writes, (PIECES, PIECES)),
            Property(ground.answers, (PIECES | PIECES.map(lambda rest: b"HTTP/1.1 200 OK\r\n" + rest),)),
        )
        ground.server.close()
    nameserver.close()
