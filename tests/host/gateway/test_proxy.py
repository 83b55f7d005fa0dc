"""The operator's proxy: CONNECT for https, absolute form for http, and what is judged of an address that another one dials."""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import h11
import pytest

from sandbox.config.proxy import Proxy
from tests.host.gateway import driver
from tests.host.gateway.driver import Answer, Gateway, rule
from tests.host.gateway.upstream import Nameserver, Upstream, answer, read_head, start

Serve = Callable[..., Upstream]
LOGIN = "user:a-long-password"
CREDENTIAL = b"proxy-authorization: Basic " + base64.b64encode(LOGIN.encode())
RULES = (rule("*.test", origin="policy.yaml:4:7"), rule(cidr="127.0.0.1/32"))
LOOPBACK = [("127.0.0.1",)]


@dataclass
class Corporate:
    """A real proxy on loopback, which looks names up in its own way: whatever it is asked for is on this machine."""

    login: bytes | None = None
    says: bytes | None = None
    heads: list[bytes] = field(default_factory=list)

    def handle(self, sock: socket.socket) -> None:
        head = read_head(sock)
        self.heads.append(head)
        if self.says is not None:
            sock.sendall(self.says)
        elif self.login is not None and self.login not in head:
            sock.sendall(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=corp\r\ncontent-length: 0\r\n\r\n"
            )
        elif head.startswith(b"CONNECT "):
            self.tunnel(sock, int(head.split()[1].rpartition(b":")[2]))
        else:
            url = head.split()[1]
            port = int(re.match(rb"http://[^/:]+:(\d+)/", url)[1])  # type: ignore[index]  # no match fails the test
            with socket.create_connection(("127.0.0.1", port)) as server:
                server.sendall(head.replace(url, b"/" + url.split(b"/", 3)[3], 1))
                sock.sendall(server.recv(65536))

    def tunnel(self, sock: socket.socket, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as server:
            sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            there = threading.Thread(target=carry, args=(sock, server))
            there.start()
            carry(server, sock)
            there.join(20)


def carry(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        sink.close()


@pytest.fixture
def corporate() -> Corporate:
    return Corporate()


@pytest.fixture
def proxied(nameserver: Nameserver, environment: dict[str, str], corporate: Corporate) -> Iterator[Callable[..., Gateway]]:
    """A gateway of its own behind the proxy: `proxied(names=…, direct=…, secret=…, login=…)`."""
    proxy = start(corporate.handle)
    running = []

    def begin(login: str | None = None, **options: object) -> Gateway:
        context = driver.running(nameserver.address, environment)
        gateway = context.__enter__()
        running.append(context)
        told = Proxy("127.0.0.1", proxy.port, **options)  # type: ignore[arg-type]  # the test's own words
        gateway.send({"proxy": {**told.to_json(), "direct": list(told.direct)}, "login": login})
        return gateway

    yield begin
    for context in running:
        context.__exit__(None, None, None)
    proxy.close()


def echo(sock: socket.socket) -> None:
    sock.sendall(answer(read_head(sock)))


def asked(gateway: Gateway, url: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    return gateway.attach(*RULES).ask("GET", url, headers)


def test_https_is_tunnelled_to_the_address_that_was_judged(
    proxied: Callable[..., Gateway], corporate: Corporate, serve: Serve, server_context: Callable[..., ssl.SSLContext]
) -> None:
    """The proxy is asked for the address and sees no more; TLS is with the server, under its name."""
    server = serve(echo, server_context("ok.test"))
    gateway = proxied()
    got = asked(gateway, f"https://ok.test:{server.port}/secret-path")
    assert got.body.startswith(b"GET /secret-path HTTP/1.1\r\nhost: ok.test:")
    assert corporate.heads == [f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\n\r\n".encode()]
    assert server.server_names == ["ok.test"]
    assert gateway.events()[-1]["address"] == "127.0.0.1"


def test_http_is_asked_for_in_absolute_form(proxied: Callable[..., Gateway], corporate: Corporate, serve: Serve) -> None:
    """RFC 9112 3.2.2, with the Host of the same authority; a guest's own login for the proxy does not go along."""
    server = serve(echo)
    got = asked(proxied(), f"http://ok.test:{server.port}/x?y", (("proxy-authorization", "Basic Zm9v"),))
    assert got.status == 200
    (head,) = corporate.heads
    assert head.startswith(f"GET http://ok.test:{server.port}/x?y HTTP/1.1\r\nhost: ok.test:{server.port}\r\n".encode())
    assert b"proxy-authorization" not in head


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_login_goes_to_the_proxy_alone(
    proxied: Callable[..., Gateway],
    corporate: Corporate,
    serve: Serve,
    server_context: Callable[..., ssl.SSLContext],
    scheme: str,
) -> None:
    corporate.login = CREDENTIAL
    server = serve(echo, server_context("ok.test") if scheme == "https" else None)
    got = asked(proxied(LOGIN, secret="corp/proxy"), f"{scheme}://ok.test:{server.port}/", (("proxy-authorization", "mine"),))
    assert got.status == 200
    assert CREDENTIAL in corporate.heads[0]
    assert scheme == "http" or b"proxy-authorization" not in got.body


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_without_its_login_nothing_leaves(
    proxied: Callable[..., Gateway], corporate: Corporate, serve: Serve, scheme: str
) -> None:
    gateway = proxied(secret="corp/proxy")
    got = asked(gateway, f"{scheme}://ok.test:{serve(echo).port}/")
    assert (got.status, got.json["reason"]) == (502, "the connection failed")
    assert gateway.events()[-1]["reason"] == "the proxy's secret `corp/proxy` is not set"
    assert corporate.heads == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_refused_login_is_not_the_guests_to_know(
    proxied: Callable[..., Gateway], corporate: Corporate, serve: Serve, scheme: str
) -> None:
    """The guest gets neither 407 nor the realm; the record says what the proxy wants, and no login."""
    corporate.login = b"proxy-authorization: Basic another"
    gateway = proxied(LOGIN, secret="corp/proxy")
    got = asked(gateway, f"{scheme}://ok.test:{serve(echo).port}/")
    assert (got.status, got.json["reason"], "proxy-authenticate" in got.headers) == (502, "the connection failed", False)
    assert gateway.events()[-1]["reason"] == "the proxy wants another login (407)"


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", "the proxy answered 403"),
        (b"HTTP/1.1 302 Found\r\nlocation: http://evil.test/\r\n\r\n", "the proxy answered 302"),
        (b"HTTP/1.1 200 OK\r\n\r\n\x16\x03\x03", "the proxy said more than its answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "the proxy's answer broke off"),
        (b"nonsense\r\n\r\n", "the proxy's answer broke off"),
        (b"", "the proxy"),
    ],
)
def test_a_proxy_that_does_not_connect_is_a_failed_connection(
    proxied: Callable[..., Gateway], corporate: Corporate, says: bytes, reason: str
) -> None:
    corporate.says = says
    gateway = proxied()
    got = asked(gateway, "https://ok.test/")
    assert (got.status, got.json["error"]) == (502, "network_error")
    assert reason in gateway.events()[-1]["reason"]


def test_what_the_policy_refuses_does_not_reach_the_proxy(
    proxied: Callable[..., Gateway], corporate: Corporate, zone: dict[str, list[tuple[str, ...]]]
) -> None:
    """A name that leads inside, a metadata address, an address that no rule names: judged as without a proxy."""
    zone["inside.test"] = [("10.0.0.1",)]
    zone["mixed.test"] = [("93.184.215.14", "169.254.169.254")]
    gateway = proxied()
    for host in ("inside.test", "mixed.test", "127.0.0.2", "[::1]", "2130706434"):
        assert asked(gateway, f"http://{host}:80/").status == 403
        assert asked(gateway, f"https://{host}:443/").status == 403
    assert corporate.heads == []


def test_names_can_be_left_to_the_proxy(
    proxied: Callable[..., Gateway],
    corporate: Corporate,
    serve: Serve,
    server_context: Callable[..., ssl.SSLContext],
    nameserver: Nameserver,
) -> None:
    """Where this host knows no names of the outside: the proxy gets the name, nothing is looked up here."""
    server = serve(echo, server_context("unknown-here.test"))
    gateway = proxied(names="proxy")
    assert asked(gateway, f"https://unknown-here.test:{server.port}/").status == 200
    assert corporate.heads[0].startswith(f"CONNECT unknown-here.test:{server.port} ".encode())
    assert nameserver.asked == []
    assert gateway.events()[-1]["address"] is None
    assert asked(gateway, "http://127.0.0.2/").status == 403, "a literal address is judged all the same"


@pytest.mark.parametrize("host", ["localhost", "router", "metadata.google.internal", "printer.local", "a.localhost"])
def test_a_name_of_a_private_network_is_not_left_to_the_proxy(
    proxied: Callable[..., Gateway], corporate: Corporate, host: str
) -> None:
    worker = proxied(names="proxy").attach(rule("*"), rule(host))
    assert worker.ask("GET", f"http://{host}/").status == 403
    assert corporate.heads == []


def test_what_is_direct_is_dialled_from_here(proxied: Callable[..., Gateway], corporate: Corporate, serve: Serve) -> None:
    port = serve(echo).port
    gateway = proxied(direct=("ok.test", "127.0.0.0/8"))
    assert asked(gateway, f"http://ok.test:{port}/").status == 200
    assert asked(gateway, f"http://127.0.0.1:{port}/").status == 200
    assert corporate.heads == []
    assert asked(gateway, f"http://other.test:{port}/").status == 200
    assert len(corporate.heads) == 1


def test_a_server_that_is_another_one_is_refused_behind_the_proxy_too(
    proxied: Callable[..., Gateway], serve: Serve, server_context: Callable[..., ssl.SSLContext]
) -> None:
    """A proxy that answers itself has no certificate for the name."""
    gateway = proxied()
    got = asked(gateway, f"https://ok.test:{serve(echo, server_context('other.test')).port}/")
    assert (got.status, got.json["reason"]) == (502, "the server's TLS was not accepted")
    assert "CERTIFICATE_VERIFY_FAILED" in gateway.events()[-1]["reason"]


def test_a_proxy_that_is_gone_is_a_failed_connection(nameserver: Nameserver, environment: dict[str, str]) -> None:
    with driver.running(nameserver.address, environment) as gateway:
        gateway.send({"proxy": {**Proxy("127.0.0.1", 1).to_json(), "direct": []}, "login": None})
        got = asked(gateway, "https://ok.test/")
        assert (got.status, got.json["reason"]) == (502, "the connection failed")
        assert "no connection to the proxy" in gateway.events()[-1]["reason"]


def test_a_socket_leaves_through_the_proxy_too(proxied: Callable[..., Gateway], corporate: Corporate, serve: Serve) -> None:
    """By CONNECT, to the address that was judged; one that no rule names is not asked for."""
    server = serve(lambda sock: sock.sendall(sock.recv(100)))
    gateway = proxied()
    worker = gateway.attach(rule(cidr="127.0.0.1/32", port=server.port, protocols=("tcp",)))
    for address, status in (("127.0.0.2", 403), ("127.0.0.1", 200)):
        n = worker.announce("POST", "tcp", "", "")
        worker.egress.send(json.dumps({"call": "call-1", "n": n, "dial": address, "port": server.port}).encode())
        guest = driver.Guest(worker.port)
        headers = [("host", "gateway"), ("transfer-encoding", "chunked")]
        guest.send(h11.Request(method="POST", target=f"/{driver.TOKEN}/{n}", headers=headers))
        assert guest.event().status_code == status
    guest.send(h11.Data(data=b"hello"))
    assert bytes(guest.event().data) == b"hello"
    (head,) = corporate.heads
    assert head.startswith(f"CONNECT 127.0.0.1:{server.port} ".encode())
    guest.sock.close()
