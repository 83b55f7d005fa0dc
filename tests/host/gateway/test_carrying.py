"""What arrives, and as what: fields, bodies in both directions at once, framing, TLS to the real host."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import h11
import pytest
import trustme

from sandbox.template.authority import normalise_authority
from tests.host.gateway.driver import TOKEN, Gateway, Guest, WorkerSide, rule
from tests.host.gateway.upstream import Upstream, answer, read_head

Serve = Callable[..., Upstream]
Context = Callable[..., ssl.SSLContext]
HERE = "127.0.0.1/32"


@pytest.fixture
def worker(gateway: Gateway) -> WorkerSide:
    """A worker that may ask `ok.test` for anything."""
    return gateway.attach(rule("ok.test"), rule(cidr=HERE))


def mirror(sock: socket.socket) -> None:
    """Answers with the head of the request."""
    sock.sendall(answer(read_head(sock)))


def saying(data: bytes) -> Callable[[socket.socket], None]:
    """A server that says these bytes and closes."""

    def handler(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(data)

    return handler


def test_the_host_field_is_the_announced_authority(worker: WorkerSide, serve: Serve) -> None:
    """NET-11: whatever the guest wrote as `Host`, and however often."""
    server = serve(mirror)
    n = worker.announce("GET", "http", f"OK.test.:{server.port}", "/x")
    guest = Guest(worker.port)
    guest.send(h11.Request(method="GET", target=f"/{TOKEN}/{n}", headers=[("host", "evil.test")]), h11.EndOfMessage())
    assert guest.read().body.lower().count(b"host:") == 1
    n = worker.announce("GET", "http", f"OK.test.:{server.port}", "/x?y")
    guest = Guest(worker.port)
    guest.sock.sendall(f"GET /{TOKEN}/{n} HTTP/1.1\r\nhost: a\r\nx-host: b\r\nconnection: host\r\n\r\n".encode())
    guest.http.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
    seen = guest.read().body.decode()
    assert seen.startswith(f"GET /x?y HTTP/1.1\r\nhost: ok.test:{server.port}\r\n")
    assert "x-host: b" in seen


def test_two_hosts_in_one_request_are_refused(worker: WorkerSide, serve: Serve) -> None:
    server = serve(mirror)
    n = worker.announce("GET", "http", f"ok.test:{server.port}", "/")
    guest = Guest(worker.port)
    guest.sock.sendall(f"GET /{TOKEN}/{n} HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".encode())
    with pytest.raises(ConnectionResetError):
        guest.sock.recv(100)
    assert server.connections == 0


def test_a_default_port_is_left_out_of_the_host_field() -> None:
    assert normalise_authority("OK.test:443", "https").header("https") == "ok.test"
    assert normalise_authority("ok.test:443", "http").header("http") == "ok.test:443"
    assert normalise_authority("[2001:DB8::1]", "http").header("http") == "[2001:db8::1]"


def test_what_belongs_to_one_connection_stays_on_it(worker: WorkerSide, serve: Serve) -> None:
    """RFC 9110 7.6.1, in both directions."""
    dropped = (("te", "trailers"), ("keep-alive", "1"), ("proxy-authorization", "x"), ("x-mine", "1"), ("connection", "x-mine"))
    seen = worker.ask("GET", f"http://ok.test:{serve(mirror).port}/", (*dropped, ("x-kept", "2"))).body.decode()
    assert "x-kept: 2" in seen
    assert not any(f"{name}: {value}" in seen for name, value in dropped)
    assert seen.lower().count("connection:") == 1
    server = serve(saying(answer(b"", headers=("keep-alive: 1", "x-kept: 2", "proxy-authenticate: x", "upgrade: h2c"))))
    headers = worker.ask("GET", f"http://ok.test:{server.port}/").headers
    assert headers.get("x-kept") == "2"
    assert not {"keep-alive", "proxy-authenticate", "upgrade"} & set(headers)


def test_a_redirect_is_the_guests_to_follow(gateway: Gateway, worker: WorkerSide, serve: Serve) -> None:
    """NET-09: the answer is passed on as it is, nothing is asked of the other server, and asking it is judged anew."""
    other = serve(mirror)
    location = f"http://other.test:{other.port}/"
    server = serve(saying(answer(b"", status="302 Found", headers=(f"location: {location}",))))
    got = worker.ask("GET", f"http://ok.test:{server.port}/")
    assert (got.status, got.headers["location"]) == (302, location)
    assert worker.ask("GET", location).status == 403
    assert other.connections == 0
    assert [event["decision"] for event in gateway.events()] == ["allow", "deny"]


def test_bodies_stream_in_both_directions_at_once(worker: WorkerSide, serve: Serve) -> None:
    """The answer's first byte arrives before the request has ended, and each chunk comes back as it was sent."""

    def echo(sock: socket.socket) -> None:
        server = h11.Connection(h11.SERVER)
        while True:
            event = server.next_event()
            if event is h11.NEED_DATA:
                server.receive_data(sock.recv(65536))
            elif isinstance(event, h11.Request):
                sock.sendall(server.send(h11.Response(status_code=200, headers=[("transfer-encoding", "chunked")])))
            elif isinstance(event, h11.Data):
                sock.sendall(server.send(h11.Data(data=bytes(event.data))))
            else:
                sock.sendall(server.send(h11.EndOfMessage(headers=[("x-sum", "3")])))
                return

    guest = worker.begin("POST", f"http://ok.test:{serve(echo).port}/", (("transfer-encoding", "chunked"),))
    assert guest.event().status_code == 200
    for part in (b"one", b"two", b"three"):
        guest.send(h11.Data(data=part))
        assert bytes(guest.event().data) == part
    guest.send(h11.EndOfMessage())
    got = guest.read()
    assert (got.complete, got.trailers) == (True, {"x-sum": "3"})


def test_a_slow_guest_stops_the_server(gateway: Gateway, worker: WorkerSide, serve: Serve) -> None:
    """NET-17: nothing is hoarded in between; the gateway's memory does not grow with the answer."""
    sent = threading.Event()
    counted = [0]

    def flood(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 60000000\r\n\r\n")
        sock.settimeout(0.5)
        try:
            while counted[0] < 60_000_000:
                counted[0] += sock.send(b"x" * 65536)
        except TimeoutError:
            sent.set()

    guest = worker.begin("GET", f"http://ok.test:{serve(flood).port}/")
    guest.send(h11.EndOfMessage())
    assert guest.event().status_code == 200
    assert sent.wait(20)
    assert counted[0] < 30_000_000  # what socket buffers hold
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    assert int(status.partition("VmHWM:")[2].split()[0]) < 120_000


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body_end_at_their_head(worker: WorkerSide, serve: Serve, method: str, status: str) -> None:
    server = serve(saying(f"HTTP/1.1 {status}\r\netag: x\r\n\r\n".encode()))
    got = worker.ask(method, f"http://ok.test:{server.port}/")
    assert (got.status, got.body, got.complete) == (int(status[:3]), b"", True)


def test_the_answer_to_head_keeps_its_length(worker: WorkerSide, serve: Serve) -> None:
    server = serve(saying(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"))
    got = worker.ask("HEAD", f"http://ok.test:{server.port}/")
    assert (got.status, got.headers["content-length"], got.complete) == (200, "1000", True)


def test_informational_answers_are_left_out(worker: WorkerSide, serve: Serve) -> None:
    server = serve(saying(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + answer(b"done")))
    assert worker.ask("GET", f"http://ok.test:{server.port}/").body == b"done"


def test_a_guest_that_waits_for_100_continue_gets_it(worker: WorkerSide, serve: Serve) -> None:
    def count(sock: socket.socket) -> None:
        data = read_head(sock)
        while not data.endswith(b"body"):
            data += sock.recv(100)
        sock.sendall(answer(data))

    fields = (("expect", "100-continue"), ("content-length", "4"))
    guest = worker.begin("POST", f"http://ok.test:{serve(count).port}/", fields)
    assert guest.event().status_code == 100
    guest.send(h11.Data(data=b"body"), h11.EndOfMessage())
    got = guest.read()
    assert got.complete
    assert b"expect" not in got.body


def test_an_early_answer_reaches_the_guest_whole(worker: WorkerSide, serve: Serve) -> None:
    """A server may answer before it has the whole request, and stop reading."""
    server = serve(saying(answer(b"too large", status="413 Content Too Large")))
    guest = worker.begin("POST", f"http://ok.test:{server.port}/", (("content-length", "1000000"),))
    guest.send(h11.Data(data=b"x" * 1000))
    got = guest.read()
    assert (got.status, got.body, got.complete) == (413, b"too large", True)


def test_a_guests_connection_serves_several_requests(gateway: Gateway, worker: WorkerSide, serve: Serve) -> None:
    """Each of them with a connection upstream of its own."""
    server = serve(mirror)
    guest = Guest(worker.port)
    for _ in range(3):
        n = worker.announce("GET", "http", f"ok.test:{server.port}", "/")
        guest.send(h11.Request(method="GET", target=f"/{TOKEN}/{n}", headers=[("host", "x")]), h11.EndOfMessage())
        assert guest.read().status == 200
        guest.http.start_next_cycle()
    assert server.connections == 3
    assert len(gateway.events()) == 3


def test_the_record_has_the_bytes_of_both_bodies(gateway: Gateway, worker: WorkerSide, serve: Serve) -> None:
    def handler(sock: socket.socket) -> None:
        data = read_head(sock)
        while not data.endswith(b"12345"):
            data += sock.recv(100)
        sock.sendall(answer(b"1234567"))

    port = serve(handler).port
    worker.ask("PUT", f"http://ok.test:{port}/a?secret=1", body=b"12345")
    (event,) = gateway.events()
    began, seconds = event.pop("began"), event.pop("seconds")
    assert 0 < seconds < time.monotonic() - began + 1
    assert event == {
        "worker": gateway.workers,
        "call": "call-1",
        "n": 1,
        "decision": "allow",
        "reason": "",
        "origin": "policy.yaml:1:1",
        "scheme": "http",
        "host": "ok.test",
        "port": port,
        "address": "127.0.0.1",
        "method": "PUT",
        "path": "/a",
        "bytes_in": 7,
        "bytes_out": 5,
        "resource": None,
        "limit": None,
        "secret": None,
        "operation": None,
    }


def test_tls_is_verified_against_the_granted_name(worker: WorkerSide, serve: Serve, server_context: Context) -> None:
    """NET-11: SNI and certificate are those of the granted name, by the trust store that the environment names."""
    server = serve(mirror, server_context("ok.test"))
    got = worker.ask("GET", f"https://OK.TEST:{server.port}/")
    assert f"host: ok.test:{server.port}".encode() in got.body
    assert server.server_names == ["ok.test"]


def test_a_certificate_for_another_name_is_refused(
    gateway: Gateway, worker: WorkerSide, serve: Serve, server_context: Context
) -> None:
    server = serve(mirror, server_context("evil.test"))
    got = worker.ask("GET", f"https://ok.test:{server.port}/")
    assert (got.status, got.json["error"]) == (502, "network_error")
    (event,) = gateway.events()
    assert event["decision"] == "error"
    assert "CERTIFICATE_VERIFY_FAILED" in event["reason"]


def test_a_certificate_of_another_authority_is_refused(worker: WorkerSide, serve: Serve) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("ok.test").configure_cert(context)
    assert worker.ask("GET", f"https://ok.test:{serve(mirror, context).port}/").status == 502


def test_a_server_without_tls_is_no_https_server(worker: WorkerSide, serve: Serve) -> None:
    server = serve(lambda sock: sock.sendall(answer(b"")))
    assert worker.ask("GET", f"https://ok.test:{server.port}/").status == 502


def test_proxies_of_the_environment_are_not_asked(environment: dict[str, str], worker: WorkerSide, serve: Serve) -> None:
    """NET-15: the gateway was started with proxies that lead nowhere, in every spelling."""
    assert environment["HTTP_PROXY"] == environment["https_proxy"] == "http://127.0.0.1:1"
    assert worker.ask("GET", f"http://ok.test:{serve(mirror).port}/").status == 200


def test_compressed_bodies_pass_as_they_are(worker: WorkerSide, serve: Serve) -> None:
    """NET-17: nothing in the gateway unpacks anything."""
    server = serve(saying(answer(b"\x1f\x8b not really", headers=("content-encoding: gzip",))))
    got = worker.ask("GET", f"http://ok.test:{server.port}/")
    assert (got.headers["content-encoding"], got.body) == ("gzip", b"\x1f\x8b not really")
