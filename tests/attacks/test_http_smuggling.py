"""One request that is judged, and what a guest or a server does so that somebody sees another one, or more of them."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.attacks.stage import CANARY, Stage, policy, value
from tests.attacks.test_network import greet, loopback, request
from tests.host.gateway import upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

Serve = Callable[[upstream.Handler], upstream.Upstream]
ASK = "escape_network__request"
BOMB = gzip.compress(bytes(256 << 20), 6)
"""A quarter of a gibibyte of zeros, in 260 KB."""


@pytest.fixture
def serve() -> Iterator[Serve]:
    started: list[upstream.Upstream] = []

    def start(handler: upstream.Handler) -> upstream.Upstream:
        started.append(upstream.start(handler))
        return started[-1]

    yield start
    for each in started:
        each.close()


class Heard:
    """A server that keeps all that its connections bring, each to its end."""

    def __init__(self) -> None:
        self.said: list[bytearray] = []
        self._ended = threading.Semaphore(0)

    def __call__(self, sock: socket.socket) -> None:
        data = bytearray(upstream.read_head(sock))
        self.said.append(data)
        try:
            sock.sendall(upstream.answer(b"hello", headers=("connection: close",)))
            sock.shutdown(socket.SHUT_WR)
            while part := sock.recv(65536):
                data += part
        finally:
            self._ended.release()

    def whole(self) -> list[bytes]:
        """What was said, once every connection that came has ended."""
        for _ in self.said:
            assert self._ended.acquire(timeout=20)
        return [bytes(data) for data in self.said]


@pytest.mark.parametrize(
    "field",
    [
        ("connection", "x-secret"),
        ("keep-alive", "timeout=99"),
        ("proxy-authorization", "Basic Zm9v"),
        ("proxy-connection", "keep-alive"),
        ("te", "trailers"),
        ("trailer", "x-late"),
        ("transfer-encoding", "identity"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA"),
        ("expect", "100-continue"),
    ],
    ids=lambda field: field[0],
)
async def test_a_field_of_one_connection_reaches_no_server(stage: Stage, serve: Serve, field: tuple[str, str]) -> None:
    """RFC 9110 7.6.1: the guest's engine forbids it, the gateway drops it, or the request is refused; it never arrives."""
    heard = Heard()
    server = serve(heard)
    await stage.load("escape_network", loopback(server.port))
    result = await stage.call(ASK, **request(server.port, headers=[list(field), ["x-secret", "kept"]]))
    said = heard.whole()
    lines = said[0].lower().split(b"\r\n\r\n")[0].split(b"\r\n") if said else []
    assert f"{field[0]}: {field[1]}".lower().encode() not in lines
    assert result.outcome.ok == bool(lines), "what was refused has not arrived"
    assert [line for line in lines if line.startswith(b"connection:")] in ([], [b"connection: close"])


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([["content-length", "3"]], "GET /admin HTTP/1.1\r\nhost: x\r\n\r\n"),
        ([["content-length", "400"]], "short"),
        ([["content-length", "3"], ["content-length", "4"]], "abc"),
        ([["transfer-encoding", "chunked"], ["content-length", "3"]], "0\r\n\r\nGET /admin HTTP/1.1\r\nhost: x\r\n\r\n"),
        ([["transfer-encoding", "xchunked"]], "0\r\n\r\nGET /admin HTTP/1.1\r\nhost: x\r\n\r\n"),
        ([["x-a", "b\r\nGET /admin HTTP/1.1"]], ""),
        ([["x-a\r\nx-b", "c"]], ""),
        ([["content-length", "+3"]], "abc"),
        ([["content-length ", "3"]], "abc"),
    ],
    ids=["longer", "shorter", "two-lengths", "both", "odd-encoding", "line-in-value", "line-in-name", "signed", "blank"],
)
async def test_a_guest_sends_one_request_or_none(stage: Stage, serve: Serve, headers: list[list[str]], body: str) -> None:
    """Framing that two servers read differently: what arrives is one request for `/v1`, whole, or nothing."""
    heard = Heard()
    server = serve(heard)
    await stage.load("escape_network", loopback(server.port, ', paths: ["/v1"]'))
    await stage.call(ASK, **request(server.port, method="POST", path="/v1", headers=headers, body=body))
    for said in heard.whole():
        head, _, rest = said.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /v1 HTTP/1.1\r\n")
        assert head.lower().count(b"content-length:") + head.lower().count(b"transfer-encoding:") <= 1
        assert b"/admin" not in rest or b"content-length: %d" % len(body) in head.lower() or b"chunked" in head.lower()
        assert b"/admin" not in head
    await stage.neighbour_is_well()


@pytest.mark.parametrize(
    "path",
    [
        "http://admin.internal/v1",
        "//admin.internal/v1",
        "admin.internal:80",
        "*",
        "/v1 HTTP/1.1\r\nhost: admin.internal\r\n\r\nGET /admin",
        "/v1 /admin",
        "/v1#/../admin",
        "/v1\t",
        "/v1/../admin",
        "/v1/%2e%2e/admin",
        "/v1;/../admin",
        "/v1\\..\\admin",
    ],
)
async def test_a_target_in_another_form_is_refused(stage: Stage, serve: Serve, path: str) -> None:
    """RFC 9112 3.2: absolute form, authority form and what else is no path below `/v1`; nothing is dialled."""
    server = serve(greet)
    await stage.load("escape_network", loopback(server.port, ', paths: ["/v1", "/v1/**"]'))
    result = await stage.call(ASK, **request(server.port, path=path))
    assert not result.outcome.ok
    assert server.connections == 0
    assert value(await stage.call(ASK, **request(server.port, path="/v1/x")))["body"] == "hello"


@pytest.mark.parametrize(
    "path", ["http://admin.internal/", "admin.internal:80", "*", "/v1 /admin", "/v1#x", "/v1\t", "/\r\nx: y"]
)
async def test_what_is_no_path_is_refused_although_any_path_is_allowed(stage: Stage, serve: Serve, path: str) -> None:
    """Nobody has to read it as another request."""
    server = serve(greet)
    await stage.load("escape_network", loopback(server.port))
    result = await stage.call(ASK, **request(server.port, path=path))
    assert not result.outcome.ok
    assert server.connections == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5, 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;" + b"x" * 200_000,
        b"HTTP/1.1 200 OK\r\nx: a\x00b\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
    ],
    ids=["two-lengths", "list-of-lengths", "two-codings", "negative-chunk", "long-extension", "nul", "version", "switch"],
)
async def test_an_answer_that_can_be_read_twice_is_none(stage: Stage, serve: Serve, answer: bytes) -> None:
    """What is framed in two ways is no answer: the guest gets the gateway's error, or a broken connection, never a whole one."""

    def say(sock: socket.socket) -> None:
        upstream.read_head(sock)
        sock.sendall(answer)

    server = serve(say)
    await stage.load("escape_network", loopback(server.port))
    result = await stage.call(ASK, **request(server.port))
    got: Any = result.outcome.value
    assert not result.outcome.ok or got["status"] == 502 or not got["complete"]
    await stage.neighbour_is_well()


async def test_what_follows_an_answer_is_nobodys(stage: Stage, serve: Serve) -> None:
    """A second answer on one connection is not the next request's: each has a connection of its own."""
    second = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"

    def say(sock: socket.socket) -> None:
        upstream.read_head(sock)
        sock.sendall(upstream.answer(b"hello") + second)

    server = serve(say)
    await stage.load("escape_network", loopback(server.port))
    bodies = [value(await stage.call(ASK, **request(server.port)))["body"] for _ in range(3)]
    assert bodies == ["hello"] * 3
    assert server.connections == 3


async def test_a_compression_bomb_is_not_unpacked(stage: Stage, serve: Serve) -> None:
    """NET-17: the host counts and caps the bytes on the wire, and unpacks none; what a guest makes of them, its memory bounds."""

    def bomb(sock: socket.socket) -> None:
        upstream.read_head(sock)
        sock.sendall(upstream.answer(BOMB, headers=("content-encoding: gzip",)))

    server = serve(bomb)
    await stage.load("escape_network", loopback(server.port))
    before = stage.traces()
    got = value(await stage.call(ASK, **request(server.port)))
    assert (int(got["size"]), got["complete"]) == (len(BOMB), True)
    assert stage.traces().memory < before.memory + (32 << 20)


async def test_a_bomb_beyond_the_lines_limit_is_cut(stage: Stage, serve: Serve) -> None:
    """NET-17, with `limits`: the result names the limit and its line, although the guest sees a broken connection alone."""

    def bomb(sock: socket.socket) -> None:
        upstream.read_head(sock)
        sock.sendall(upstream.answer(BOMB, headers=("content-encoding: gzip",)))

    server = serve(bomb)
    rules = f"cidr: 127.0.0.1/32, ports: [{server.port}], protocols: [http], limits: {{response_bytes: 64Ki}}"
    await stage.load("escape_network", policy(network=rules))

    def cut(result: Any) -> None:
        (denial,) = result.outcome.denials
        assert (denial.code, denial.target) == ("resource_limit_exceeded", {"resource": "response_bytes", "limit": 65536})
        assert str(denial.origin).startswith("policy")
        assert not result.outcome.ok or not value(result)["complete"]

    await stage.contained(ASK, cut, secrets=(CANARY,), repeats=4, **request(server.port))
