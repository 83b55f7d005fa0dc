"""What the gateway does not let through, whatever a worker announces: its rules, its addresses, its framing."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Callable
from ipaddress import ip_address

import h11
import pytest

from sandbox.template.template import Effect
from tests.host.gateway.driver import TOKEN, Gateway, Guest, WorkerSide, rule, running
from tests.host.gateway.upstream import Nameserver, Upstream, answer, read_head

Serve = Callable[..., Upstream]
HERE = "127.0.0.1/32"
SURROGATE = b'{"call":"c","n":1,"method":"\\ud800","scheme":"http","authority":"ok.test","path":"/"}'


def hello(sock: socket.socket) -> None:
    read_head(sock)
    sock.sendall(answer(b"hello"))


def denied(gateway: Gateway, worker: WorkerSide, url: str, headers: tuple[tuple[str, str], ...] = (), method: str = "GET") -> str:
    """Ask, see a 403 in the guest and a denial in the record, give the recorded reason."""
    got = worker.ask(method, url, headers)
    assert (got.status, got.json["error"]) == (403, "network_access_denied")
    (event,) = gateway.events()
    assert (event["decision"], event["worker"]) == ("deny", gateway.workers)
    return str(event["reason"])


def test_a_worker_without_rules_reaches_nothing(gateway: Gateway, serve: Serve, nameserver: Nameserver) -> None:
    """NET-01: absence is deny, and nothing is even looked up."""
    worker = gateway.attach()
    assert denied(gateway, worker, f"http://ok.test:{serve(hello).port}/") == "no rule allows `ok.test`"
    assert nameserver.asked == []


def test_the_gateway_judges_again_what_a_worker_announces(gateway: Gateway, serve: Serve) -> None:
    """A worker that skips its own gate gains nothing: scheme, host, port, method and path are judged here too."""
    server = serve(hello)
    worker = gateway.attach(
        rule("ok.test", port=server.port, protocols=("http",), methods=("GET",), paths=("/v1/**",)), rule(cidr=HERE)
    )
    assert "`https`" in denied(gateway, worker, f"https://ok.test:{server.port}/v1")
    assert "no rule allows `other.test`" in denied(gateway, worker, f"http://other.test:{server.port}/v1")
    assert "port 1" in denied(gateway, worker, "http://ok.test:1/v1")
    assert "method DELETE" in denied(gateway, worker, f"http://ok.test:{server.port}/v1", method="DELETE")
    assert "`paths`" in denied(gateway, worker, f"http://ok.test:{server.port}/v2")
    assert "two readings" in denied(gateway, worker, f"http://ok.test:{server.port}/v1/%2e%2e/admin")
    assert server.connections == 0
    assert worker.ask("GET", f"http://ok.test:{server.port}/v1/x").body == b"hello"


@pytest.mark.parametrize(
    "second",
    [("127.0.0.2",), ("10.1.2.3",), ("169.254.169.254",), ("127.0.0.1", "10.1.2.3"), ("127.0.0.1", "::ffff:10.1.2.3")],
    ids=lambda addresses: "+".join(addresses),
)
def test_a_name_that_changes_its_mind_is_refused(
    gateway: Gateway, serve: Serve, zone: dict[str, list[tuple[str, ...]]], second: tuple[str, ...]
) -> None:
    """NET-02: each connection resolves once and judges every answer; what the first answer was does not matter."""
    zone["rebind.test"] = [("127.0.0.1",), second]
    server = serve(hello)
    worker = gateway.attach(rule("rebind.test"), rule(cidr=HERE))
    url = f"http://rebind.test:{server.port}/"
    assert worker.ask("GET", url).body == b"hello"
    (first,) = gateway.events()
    assert (first["decision"], first["address"]) == ("allow", "127.0.0.1")
    got = worker.ask("GET", url)
    assert got.status == 403
    assert not any(part in got.body.decode() for part in ("10.1.2.3", "169.254", "127.0.0", "private", "metadata"))
    (event,) = gateway.events()
    assert event["decision"] == "deny"
    assert ip_address(event["address"]) == ip_address(second[-1])
    assert event["address"] not in event["reason"]
    assert server.connections == 1


def test_a_request_asks_the_nameserver_once_for_each_kind(gateway: Gateway, serve: Serve, nameserver: Nameserver) -> None:
    """NET-02: the address that was judged is the one that is dialled; there is no second lookup that could differ."""
    worker = gateway.attach(rule("ok.test"), rule(cidr=HERE))
    assert worker.ask("GET", f"http://ok.test:{serve(hello).port}/").status == 200
    assert sorted(nameserver.asked) == [("ok.test", "A"), ("ok.test", "AAAA")]


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "017700000001",
        "127.1",
        "0",
        "0.0.0.0",
        "127.0.0.1",
        "127.0.0.1.",
        "127.0.0.01",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1%lo]",
        "[fe80::1%25lo]",
        "localhost",
    ],
)
def test_no_spelling_of_this_machine_is_reached(gateway: Gateway, serve: Serve, host: str) -> None:
    """NET-03, under a rule for every host: nothing connects to the server that listens here."""
    server = serve(hello)
    worker = gateway.attach(rule("*"))
    got = worker.ask("GET", f"http://{host}:{server.port}/")
    assert got.status in (403, 502)
    assert (got.status == 502) == (host == "localhost")  # the test's nameserver does not know it
    assert server.connections == 0


def test_the_systems_resolver_is_judged_as_well(serve: Serve) -> None:
    """Without a nameserver the system answers `localhost` with loopback, and that is refused."""
    server = serve(hello)
    with running() as gateway:
        worker = gateway.attach(rule("localhost"))
        assert "loopback" in denied(gateway, worker, f"http://localhost:{server.port}/")
        gateway.set_rules(rule("localhost"), rule(cidr=HERE), rule(cidr="::1/128"))
        assert worker.ask("GET", f"http://localhost:{server.port}/").body == b"hello"


@pytest.mark.parametrize("address", ["169.254.169.254", "100.100.100.200", "169.254.170.2", "fd00:ec2::254"])
def test_a_metadata_address_is_refused_although_a_cidr_names_it(
    gateway: Gateway, zone: dict[str, list[tuple[str, ...]]], address: str
) -> None:
    """NET-04: never, by name or as a literal."""
    zone["cloud.test"] = [(address,)]
    literal = f"[{address}]" if ":" in address else address
    prefix = "128" if ":" in address else "32"
    worker = gateway.attach(rule("*"), rule(cidr=f"{address}/{prefix}"), rule(cidr="fd00::/8"), rule(cidr="169.254.0.0/16"))
    assert "metadata" in denied(gateway, worker, "http://cloud.test/latest/meta-data/")
    assert "metadata" in denied(gateway, worker, f"http://{literal}/latest/meta-data/")


@pytest.mark.parametrize("address", ["100.64.0.1", "192.0.0.1", "224.0.0.1", "240.0.0.1", "192.0.2.1", "fd12::1", "ff02::1"])
def test_no_range_inside_is_reached_through_a_name(
    gateway: Gateway, zone: dict[str, list[tuple[str, ...]]], address: str
) -> None:
    """NET-04, under `*`."""
    zone["inside.test"] = [(address,)]
    worker = gateway.attach(rule("*"))
    assert "no `cidr` rule names it" in denied(gateway, worker, "http://inside.test/")


@pytest.mark.parametrize(
    "authority", ["ok.test:0", "ok.test:65536", "ok.test:443 ", "ok.test:", "ok.test:0443", "u:p@ok.test", ""]
)
def test_an_authority_without_one_meaning_is_refused(gateway: Gateway, authority: str) -> None:
    """NET-07, NET-13: a port is 1 to 65535 in its one spelling, a host is there, and nobody logs in."""
    worker = gateway.attach(rule("ok.test"), rule(cidr=HERE))
    denied(gateway, worker, f"https://{authority}/")


@pytest.mark.parametrize("headers", [(("upgrade", "websocket"), ("connection", "upgrade")), (("sec-websocket-key", "x"),)])
def test_an_upgrade_is_refused(gateway: Gateway, serve: Serve, headers: tuple[tuple[str, str], ...]) -> None:
    """What follows an upgrade could not be judged."""
    server = serve(hello)
    worker = gateway.attach(rule("ok.test"), rule(cidr=HERE))
    assert "upgrade" in denied(gateway, worker, f"http://ok.test:{server.port}/", headers)
    assert server.connections == 0


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-http-method-override", "DELETE"),
        ("x-http-method", "delete"),
        ("x-original-url", "/admin"),
        ("x-rewrite-url", "/admin"),
    ],
)
def test_a_field_that_asks_for_another_request_is_judged_as_that_request(
    gateway: Gateway, serve: Serve, header: str, value: str
) -> None:
    """Some servers take the method or the path from such a field: the rules hold for it."""
    server = serve(hello)
    worker = gateway.attach(rule("ok.test", methods=("GET",), paths=("/v1/**",)), rule(cidr=HERE))
    denied(gateway, worker, f"http://ok.test:{server.port}/v1/x", ((header, value),))
    assert server.connections == 0


def test_a_deny_wins_and_names_its_line(gateway: Gateway, serve: Serve) -> None:
    server = serve(hello)
    worker = gateway.attach(
        rule("*"), rule(cidr=HERE), rule("ok.test", paths=("/admin/**",), effect=Effect.DENY, origin="policy.yaml:9:9")
    )
    assert worker.ask("GET", f"http://ok.test:{server.port}/").status == 200
    assert gateway.events()[0]["decision"] == "allow"
    worker.ask("GET", f"http://ok.test:{server.port}/admin/users")
    assert gateway.events()[0]["origin"] == "policy.yaml:9:9"


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/another-token-of-sixteen/1",
        f"/{TOKEN}/99",
        f"/{TOKEN}/1/x",
        f"/{TOKEN}",
        f"http://ok.test/{TOKEN}/1",
        f"/{TOKEN}/1?x",
    ],
)
def test_a_request_that_was_not_announced_is_refused(gateway: Gateway, serve: Serve, target: str) -> None:
    """The token, the number and the origin form must all be right."""
    server = serve(hello)
    worker = gateway.attach(rule("ok.test"), rule(cidr=HERE))
    worker.announce("GET", "http", f"ok.test:{server.port}", "/")
    guest = Guest(worker.port)
    guest.send(h11.Request(method="GET", target=target, headers=[("host", "ok.test")]), h11.EndOfMessage())
    assert guest.read().status == 403
    assert server.connections == 0


def test_connect_is_refused(gateway: Gateway, serve: Serve) -> None:
    server = serve(hello)
    worker = gateway.attach(rule("ok.test"), rule(cidr=HERE))
    guest = Guest(worker.port)
    guest.send(h11.Request(method="CONNECT", target=f"ok.test:{server.port}", headers=[("host", "ok.test")]))
    assert guest.read().status == 403
    n = worker.announce("CONNECT", "http", f"ok.test:{server.port}", "/")
    guest = Guest(worker.port)
    guest.send(h11.Request(method="CONNECT", target=f"/{TOKEN}/{n}", headers=[("host", "ok.test")]))
    assert guest.read().status == 403
    assert server.connections == 0


def test_an_announcement_is_good_for_one_request_with_its_method(gateway: Gateway, serve: Serve) -> None:
    server = serve(hello)
    worker = gateway.attach(rule("ok.test"), rule(cidr=HERE))

    def ask(method: str, n: int) -> int:
        guest = Guest(worker.port)
        guest.send(h11.Request(method=method, target=f"/{TOKEN}/{n}", headers=[("host", "x")]), h11.EndOfMessage())
        return guest.read().status

    assert ask("POST", worker.announce("GET", "http", f"ok.test:{server.port}", "/")) == 403
    n = worker.announce("GET", "http", f"ok.test:{server.port}", "/")
    assert [ask("GET", n), ask("GET", n)] == [200, 403]
    assert server.connections == 1


@pytest.mark.parametrize(
    "message",
    [b"{}", b"[]", b"nonsense", b'{"call":1}', b'{"listen":1,"token":"x"}', b"\xff", b"x" * 200_000, b"[" * 100_000, SURROGATE],
    ids=range(9),
)
def test_a_worker_that_sends_nonsense_is_dropped(gateway: Gateway, message: bytes) -> None:
    """A worker that sends what no worker sends is not one; others go on."""
    worker = gateway.attach(rule("ok.test"))
    worker.egress.send(message)
    assert worker.is_dropped()
    assert gateway.events() == []
    assert gateway.gone == [gateway.workers]
    assert denied(gateway, gateway.attach(), "http://ok.test/")


def test_a_descriptor_that_is_no_listener_drops_its_worker(gateway: Gateway) -> None:
    """A file, a socket that does not listen, two at once: none of them is kept."""
    with tempfile.TemporaryFile() as file, socket.socket() as idle:
        for descriptors in ([file.fileno()], [idle.fileno()], [idle.fileno(), file.fileno()]):
            ours = gateway.adopt(rule("ok.test"))
            socket.send_fds(ours, [b'{"listen":1,"token":"a-token-of-sixteen-or-more"}'], descriptors)
            assert ours.recv(1) == b""
    assert denied(gateway, gateway.attach(), "http://ok.test/")


def test_rules_that_cannot_be_read_allow_nothing(gateway: Gateway, serve: Serve) -> None:
    worker = gateway.attach(rule("ok.test"), rule(cidr=HERE))
    gateway.send({"rules": gateway.workers, "network": [{"effect": "allow", "host": "ok.test"}]})
    assert worker.is_dropped()


def test_a_guest_learns_a_code_and_a_sentence(gateway: Gateway) -> None:
    got = gateway.attach().ask("GET", "https://ok.test/")
    assert json.loads(got.body) == {"error": "network_access_denied", "reason": "no rule allows `ok.test`"}
