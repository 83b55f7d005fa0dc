"""How a request ends when it does not end well: never as a whole answer."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable
from pathlib import Path

import h11
import pytest

from sandbox.template.template import Effect
from tests.host.gateway.driver import TOKEN, Answer, Gateway, Guest, WorkerSide, rule, running
from tests.host.gateway.upstream import Upstream, answer, read_head

Serve = Callable[..., Upstream]
Context = Callable[..., ssl.SSLContext]
HERE = "127.0.0.1/32"
OK = (rule("ok.test"), rule(cidr=HERE))
RESET = struct.pack("ii", 1, 0)


def until_closed(sock: socket.socket) -> None:
    """Hold the connection until the gateway ends it."""
    while sock.recv(65536):
        pass


def saying(*parts: bytes, then: Callable[[socket.socket], None] | None = None) -> Callable[[socket.socket], None]:
    def handler(sock: socket.socket) -> None:
        read_head(sock)
        for part in parts:
            sock.sendall(part)
        if then is not None:
            then(sock)

    return handler


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def ask(worker: WorkerSide, server: Upstream, scheme: str = "http") -> Answer:
    return worker.ask("GET", f"{scheme}://ok.test:{server.port}/")


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    ],
    ids=["length", "chunked", "chunked, without its trailers", "chunked, nonsense"],
)
def test_an_answer_that_breaks_off_is_no_whole_answer(gateway: Gateway, serve: Serve, said: bytes) -> None:
    worker = gateway.attach(*OK)
    got = ask(worker, serve(saying(said)))
    assert (got.status, got.complete, got.reset) == (200, False, True)
    (event,) = gateway.events()
    assert event["decision"] == "error"


def test_an_answer_that_ends_with_its_connection_is_whole_when_that_ends_cleanly(gateway: Gateway, serve: Serve) -> None:
    worker = gateway.attach(*OK)
    got = ask(worker, serve(saying(b"HTTP/1.0 200 OK\r\n\r\nall of it")))
    assert (got.body, got.complete) == (b"all of it", True)


def test_a_reset_does_not_end_an_answer(gateway: Gateway, serve: Serve) -> None:
    worker = gateway.attach(*OK)
    got = ask(worker, serve(saying(b"HTTP/1.0 200 OK\r\n\r\nhalf", then=reset)))
    assert not got.complete


def truncate(sock: socket.socket) -> None:
    """End the TCP connection below TLS: no close_notify."""
    socket.socket(fileno=sock.detach()).close()


def test_tls_that_ends_without_notice_does_not_end_an_answer(gateway: Gateway, serve: Serve, server_context: Context) -> None:
    """RFC 8446 6.1: anyone on the way can send a FIN."""
    worker = gateway.attach(*OK)
    context = server_context("ok.test")
    got = ask(worker, serve(saying(b"HTTP/1.0 200 OK\r\n\r\nhalf", then=truncate), context), "https")
    assert not got.complete
    whole = ask(worker, serve(saying(b"HTTP/1.0 200 OK\r\n\r\nall of it", then=lambda sock: sock.unwrap()), context), "https")
    assert (whole.body, whole.complete) == (b"all of it", True)
    counted = ask(worker, serve(saying(answer(b"counted"), then=truncate), context), "https")
    assert (counted.body, counted.complete) == (b"counted", True)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nx: a\x00b\r\n\r\n",
    ],
    ids=["nothing", "nonsense", "switching", "endless 1xx", "a huge head", "two lengths", "a NUL"],
)
def test_what_is_no_answer_is_a_bad_gateway(gateway: Gateway, serve: Serve, said: bytes) -> None:
    got = ask(gateway.attach(*OK), serve(saying(said)))
    assert (got.status, got.json["error"]) == (502, "network_error")


def test_a_connection_that_is_refused_and_a_name_that_is_not_there(gateway: Gateway, serve: Serve) -> None:
    worker = gateway.attach(*OK, rule("nowhere.test"))
    closed = socket.create_server(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    assert worker.ask("GET", f"http://ok.test:{port}/").status == 502
    assert worker.ask("GET", "http://nowhere.test/").status == 502
    assert [event["decision"] for event in gateway.events()] == ["error", "error"]


def test_the_second_address_is_tried(gateway: Gateway, serve: Serve, zone: dict[str, list[tuple[str, ...]]]) -> None:
    zone["two.test"] = [("127.0.0.3", "127.0.0.1")]
    worker = gateway.attach(rule("two.test"), rule(cidr="127.0.0.0/24"))
    assert worker.ask("GET", f"http://two.test:{serve(saying(answer(b'here'))).port}/").body == b"here"


def test_an_address_that_swallows_connections_leaves_time_for_the_next(
    gateway: Gateway, serve: Serve, zone: dict[str, list[tuple[str, ...]]]
) -> None:
    """A full backlog drops what arrives, as a firewall does."""
    server = serve(saying(answer(b"here")))
    with socket.socket() as full, socket.socket() as filler:
        full.bind(("127.0.0.5", server.port))
        full.listen(0)
        filler.connect(("127.0.0.5", server.port))
        zone["two.test"] = [("127.0.0.5", "127.0.0.1")]
        zone["one.test"] = [("127.0.0.5",)]
        worker = gateway.attach(rule("*"), rule(cidr="127.0.0.0/24"), connect_ms=400)
        assert worker.ask("GET", f"http://two.test:{server.port}/").body == b"here"
        assert worker.ask("GET", f"http://one.test:{server.port}/").status == 504


def endless(start: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    def handler(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(start)
        while True:
            sock.sendall(piece)

    return handler


def test_an_answer_beyond_its_cap_is_reset(gateway: Gateway, serve: Serve) -> None:
    """NET-17."""
    worker = gateway.attach(*OK, response_bytes=1_000_000)
    server = serve(endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536))
    got = ask(worker, server)
    assert (got.status, got.complete, got.reset) == (200, False, True)
    assert len(got.body) <= 1_000_000
    (event,) = gateway.events()
    assert (event["decision"], event["resource"], event["limit"]) == ("cap", "response_bytes", 1_000_000)


def test_an_answer_of_exactly_its_cap_is_whole(gateway: Gateway, serve: Serve) -> None:
    worker = gateway.attach(*OK, response_bytes=5)
    assert ask(worker, serve(saying(answer(b"12345")))).complete
    assert not ask(worker, serve(saying(answer(b"123456")))).complete


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"x-trailer: y\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1;" + b"e" * 60_000 + b"\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"x-header: y\r\n"),
    ],
    ids=["trailers", "chunk extensions", "headers"],
)
def test_framing_without_end_ends(gateway: Gateway, serve: Serve, start: bytes, piece: bytes) -> None:
    """NET-17: what is not body is bounded too."""
    worker = gateway.attach(*OK, response_bytes=100_000)
    server = serve(endless(start, piece))
    got = ask(worker, server)
    assert not got.complete or got.status == 502
    assert gateway.events()[0]["decision"] in ("cap", "error")


def test_a_request_beyond_its_cap_is_reset_and_the_server_never_sees_its_end(gateway: Gateway, serve: Serve) -> None:
    seen: list[bytes] = []

    def handler(sock: socket.socket) -> None:
        try:
            while part := sock.recv(65536):
                seen.append(part)
        except ConnectionResetError:
            seen.append(b"RESET")

    worker = gateway.attach(*OK, request_bytes=100_000)
    guest = worker.begin("POST", f"http://ok.test:{serve(handler).port}/", (("transfer-encoding", "chunked"),))
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        send_for_ever(guest)
    assert gateway.event()["decision"] == "cap"
    wait_for(lambda: seen and seen[-1] == b"RESET")
    assert not b"".join(seen).endswith(b"0\r\n\r\n")


def send_for_ever(guest: Guest) -> None:
    while True:
        guest.send(h11.Data(data=b"x" * 50_000))


def wait_for(condition: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_guest_that_breaks_off_its_request_breaks_it_off_upstream(gateway: Gateway, serve: Serve) -> None:
    """Half a request must not look like a whole one either."""
    seen: list[bytes] = []

    def handler(sock: socket.socket) -> None:
        seen.append(read_head(sock))
        try:
            until_closed(sock)
            seen.append(b"CLOSED")
        except ConnectionResetError:
            seen.append(b"RESET")

    worker = gateway.attach(*OK)
    guest = worker.begin("POST", f"http://ok.test:{serve(handler).port}/", (("content-length", "100"),))
    guest.send(h11.Data(data=b"half"))
    wait_for(lambda: seen)
    guest.sock.close()
    wait_for(lambda: seen[-1] in (b"RESET", b"CLOSED"))
    assert seen[-1] == b"RESET"


def test_a_silent_server_times_out(gateway: Gateway, serve: Serve) -> None:
    worker = gateway.attach(*OK, idle_ms=200)
    assert ask(worker, serve(until_closed)).status == 504
    got = ask(worker, serve(saying(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", then=until_closed)))
    assert (got.complete, got.reset) == (False, True)
    assert [event["decision"] for event in gateway.events()] == ["error", "error"]


def test_a_server_that_drips_is_cut_at_the_end_of_its_time(gateway: Gateway, serve: Serve) -> None:
    def drip(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sock.sendall(b"x")
            time.sleep(0.05)

    worker = gateway.attach(*OK, total_ms=400)
    got = ask(worker, serve(drip))
    assert got.reset
    assert 3 <= len(got.body) <= 10


def test_a_nameserver_that_does_not_answer_times_out(gateway: Gateway, zone: dict[str, list[tuple[str, ...]]]) -> None:
    zone["silent.test"] = []
    worker = gateway.attach(rule("silent.test"), connect_ms=300)
    got = worker.ask("GET", "http://silent.test/")
    assert (got.status, got.json["error"]) == (504, "network_error")


def running_answer(gateway: Gateway, serve: Serve) -> tuple[WorkerSide, Guest, list[bytes]]:
    """A request whose answer has begun and does not end; the list tells how it ended for the server."""
    seen: list[bytes] = []

    def handler(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nbegun\r\n")
        try:
            until_closed(sock)
            seen.append(b"CLOSED")
        except ConnectionResetError:
            seen.append(b"RESET")

    worker = gateway.attach(*OK)
    guest = worker.begin("GET", f"http://ok.test:{serve(handler).port}/")
    guest.send(h11.EndOfMessage())
    assert guest.event().status_code == 200
    assert bytes(guest.event().data) == b"begun"
    return worker, guest, seen


def is_cut(guest: Guest, seen: list[bytes]) -> bool:
    got = guest.read()
    wait_for(lambda: seen)
    return got.reset and not got.complete and seen == [b"RESET"]


def test_a_reset_of_a_worker_reaches_both_sides(gateway: Gateway, serve: Serve) -> None:
    """A revoke: RST, and the worker can ask again."""
    worker, guest, seen = running_answer(gateway, serve)
    start = time.perf_counter()
    gateway.send({"reset": gateway.workers})
    assert is_cut(guest, seen)
    assert time.perf_counter() - start < 10
    (event,) = gateway.events()
    assert (event["decision"], event["reason"], event["address"]) == ("deny", "revoked while it ran", None)
    assert ask(worker, serve(saying(answer(b"again")))).body == b"again"


def test_new_rules_cut_what_they_no_longer_allow(gateway: Gateway, serve: Serve) -> None:
    _, guest, seen = running_answer(gateway, serve)
    gateway.set_rules(*OK, rule("other.test"))
    assert gateway.events() == []
    gateway.set_rules(*OK, rule("ok.test", effect=Effect.DENY, origin="grant g-1"))
    assert is_cut(guest, seen)
    (event,) = gateway.events()
    assert (event["decision"], event["origin"]) == ("deny", "grant g-1")


def test_new_rules_cut_an_address_that_is_no_longer_named(gateway: Gateway, serve: Serve) -> None:
    _, guest, seen = running_answer(gateway, serve)
    gateway.set_rules(rule("ok.test"))
    assert is_cut(guest, seen)
    assert gateway.events()[0]["address"] == "127.0.0.1"


def test_a_worker_that_is_gone_takes_its_connections_with_it(gateway: Gateway, serve: Serve) -> None:
    worker, guest, seen = running_answer(gateway, serve)
    worker.egress.close()
    assert is_cut(guest, seen)
    gateway.events()
    assert gateway.gone == [gateway.workers]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", worker.port))


def test_the_end_of_the_server_is_the_end_of_the_gateway(serve: Serve) -> None:
    with running() as gateway:
        worker = gateway.attach(rule("localhost"), rule(cidr=HERE), rule(cidr="::1/128"))
        server = serve(saying(b"HTTP/1.1 200 OK\r\n\r\nbegun", then=until_closed))
        guest = worker.begin("GET", f"http://localhost:{server.port}/")
        guest.send(h11.EndOfMessage())
        assert guest.event().status_code == 200
        gateway.control.close()
        assert not guest.read().complete
        assert gateway.process.wait(10) == 0


def test_more_connections_than_the_cap_are_reset(gateway: Gateway, serve: Serve) -> None:
    worker = gateway.attach(*OK, connections=2)
    server = serve(saying(b"HTTP/1.1 200 OK\r\n\r\nbegun", then=until_closed))
    held = [worker.begin("GET", f"http://ok.test:{server.port}/") for _ in range(2)]
    for guest in held:
        guest.send(h11.EndOfMessage())
        assert guest.event().status_code == 200
    assert ask(worker, server).reset
    assert server.connections == 2
    (event,) = gateway.events()
    assert (event["decision"], event["reason"]) == ("cap", "more than 2 connections at a time")


def test_the_token_of_one_worker_opens_nothing_at_another(gateway: Gateway, serve: Serve) -> None:
    """Announcements belong to the socket they came on: a neighbour under wider rules cannot be borrowed."""
    server = serve(saying(answer(b"secret")))
    wide = gateway.attach(*OK)
    narrow = gateway.attach()
    n = narrow.announce("GET", "http", f"ok.test:{server.port}", "/")
    guest = Guest(wide.port)
    guest.send(h11.Request(method="GET", target=f"/{TOKEN}/{n}", headers=[("host", "x")]), h11.EndOfMessage())
    assert guest.read().status == 403
    assert server.connections == 0


def descriptors(gateway: Gateway) -> int:
    return len(list(Path(f"/proc/{gateway.process.pid}/fd").iterdir()))


def test_requests_however_they_end_leave_nothing_open(gateway: Gateway, serve: Serve) -> None:
    """Whole, refused, broken off, beyond a cap, left by the guest: every descriptor is given back."""
    whole = serve(saying(answer(b"whole")))
    broken = serve(saying(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"))
    large = serve(saying(answer(b"x" * 1000)))
    gateway.events()  # it has started
    before = descriptors(gateway)
    worker = gateway.attach(*OK, response_bytes=100)
    for _ in range(40):
        assert ask(worker, whole).complete
        assert ask(worker, broken).reset
        assert ask(worker, large).reset
        assert worker.ask("GET", "http://other.test/").status == 403
        worker.begin("POST", f"http://ok.test:{whole.port}/", (("content-length", "9"),)).sock.close()
    worker.egress.close()
    wait_for(lambda: descriptors(gateway) <= before)
