"""The HTTP gate: a real guest, its native `wasi:http`, the gate in this process and the gateway in its own."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import h11
import pytest
from wasmtime import WasiConfig
from wasmtime.component import Component

from sandbox.host.engine import make_engine
from sandbox.host.gates.gates import Gates
from sandbox.host.gates.native.passthrough import passthrough_text, tunnel_text
from sandbox.host.outcome import Denial
from sandbox.host.worker.egress import WorkerEgress
from sandbox.template.template import NetworkRule, WasiTemplate
from tests.host.gateway.driver import Gateway, rule
from tests.host.gateway.upstream import Upstream, answer, read_head
from tests.support.guests import guest

Serve = Callable[..., Upstream]
HERE = "127.0.0.1/32"


def echo_chunks(sock: socket.socket) -> None:
    """Answers at once, then sends back every chunk as it comes."""
    http = h11.Connection(h11.SERVER)
    while not isinstance(event := http.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            http.receive_data(sock.recv(65536))
        elif isinstance(event, h11.Request):
            sock.sendall(http.send(h11.Response(status_code=200, headers=[("transfer-encoding", "chunked")])) or b"")
        elif isinstance(event, h11.Data):
            sock.sendall(http.send(h11.Data(data=bytes(event.data))) or b"")
    sock.sendall(http.send(h11.EndOfMessage()) or b"")


class Sandboxed:
    """A guest under a template, one fresh store for each call."""

    def __init__(self, gates: Gates, component: Component, gateway: Gateway) -> None:
        self.gates = gates
        self.component = component
        self.gateway = gateway
        self.denials: list[Denial] = []
        self.requests = 0

    def permit(self, *rules: NetworkRule, told: tuple[NetworkRule, ...] | None = None) -> None:
        """Bind the gate to `rules`; the gateway is told the same, or `told`."""
        egress = WorkerEgress(self.gateway.adopt(*(rules if told is None else told)))
        egress.call = "call-7"
        self.gates.bind(WasiTemplate(network=rules), (), egress, self.denials.append)

    def call(self, name: str, *arguments: Any) -> Any:
        prepared = self.gates.instantiate(self.component, WasiConfig())
        try:
            function = prepared.instance.get_func(prepared.store, name)
            assert function is not None
            returned = function(prepared.store, *arguments)
            assert prepared.fault is None
            self.requests = prepared.requests
            return returned
        finally:
            self.gates.close(prepared)

    def ask(
        self,
        method: str,
        url: str,
        *,
        body: str = "",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Any:
        """The answer (status, body, complete) or the error of one request to `scheme://authority/path`."""
        scheme, _, rest = url.partition("://")
        authority, slash, path = rest.partition("/")
        return self.call("request", method, scheme, authority, slash + path, list(headers), body)


@pytest.fixture(scope="module")
def gates() -> Gates:
    engine = make_engine()
    return Gates(engine, Component(engine, passthrough_text()), Component(engine, tunnel_text()))


@pytest.fixture(scope="module")
def component(gates: Gates) -> Component:
    return Component(gates.engine, guest("escape_network").read_bytes())


@pytest.fixture
def sandboxed(gates: Gates, component: Component, gateway: Gateway) -> Iterator[Sandboxed]:
    yield Sandboxed(gates, component, gateway)
    gates.bind(WasiTemplate(), (), None, lambda _: None)


def echo(sock: socket.socket) -> None:
    head = read_head(sock)
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    body = head.partition(b"\r\n\r\n")[2]
    while len(body) < length:
        body += sock.recv(65536)
    sock.sendall(answer(head.partition(b"\r\n\r\n")[0] + b"\n" + body))


def outcomes(attempts: Any) -> dict[str, str]:
    return {attempt.what: attempt.outcome for attempt in attempts}


def test_without_a_rule_nothing_leaves(sandboxed: Sandboxed, serve: Serve) -> None:
    """NET-01: a plain refusal that names what was tried; nothing is announced."""
    server = serve(echo)
    sandboxed.permit()
    assert sandboxed.ask("GET", f"http://ok.test:{server.port}/a?token=1") == "handle: HTTP-request-denied"
    (denial,) = sandboxed.denials
    assert denial.target == {"scheme": "http", "host": "ok.test", "port": server.port, "method": "GET", "path": "/a"}
    assert (denial.code, denial.reason, denial.origin) == ("network_access_denied", "the policy grants no network", None)
    assert (sandboxed.requests, sandboxed.gateway.events(), server.connections) == (0, [], 0)


SOCKETS_REFUSED = {
    "lookup": "access-denied",
    "tcp create": "ok",
    "tcp connect": "access-denied",
    "tcp bind": "access-denied",
    "udp create": "access-denied",
}
"""A tcp socket reaches nothing by itself: it is refused where it says where to."""


def test_sockets_and_name_lookup_are_denied_under_rules_for_http(sandboxed: Sandboxed, serve: Serve) -> None:
    """NET-01, NET-10: the widest http grant gives no socket; each refusal says what was tried."""
    server = serve(echo)
    sandboxed.permit(rule("*"), rule(cidr=HERE))
    assert outcomes(sandboxed.call("sockets", server.port, "localhost")) == SOCKETS_REFUSED
    assert [denial.target for denial in sandboxed.denials] == [
        {"scheme": "tcp", "host": "localhost", "port": None, "operation": "lookup"},
        {"scheme": "tcp", "host": "127.0.0.1", "port": server.port, "operation": "connect"},
        {"scheme": "tcp", "host": "0.0.0.0", "port": 0, "operation": "bind"},
        {"scheme": "udp", "host": None, "port": None, "operation": "create"},
    ]
    assert (server.connections, sandboxed.gateway.events()) == (0, [])


@pytest.mark.parametrize("scheme", ["tcp", "dns", "ftp", "ws"])
def test_a_request_over_another_scheme_is_refused(sandboxed: Sandboxed, serve: Serve, scheme: str) -> None:
    """A rule for connections gives no request that calls itself one."""
    server = serve(echo)
    sandboxed.permit(rule(cidr=HERE, protocols=("tcp", "http")), rule("ok.test", protocols=("tcp",)))
    assert sandboxed.ask("GET", f"{scheme}://127.0.0.1:{server.port}/") == "handle: HTTP-request-denied"
    assert sandboxed.denials[0].reason == f"`{scheme}` is no scheme of a request"
    assert (server.connections, sandboxed.gateway.events()) == (0, [])


def test_a_request_that_a_rule_allows_arrives_whole(sandboxed: Sandboxed, serve: Serve) -> None:
    server = serve(echo)
    sandboxed.permit(rule("ok.test"), rule(cidr=HERE))
    url = f"http://ok.test:{server.port}/a/b?c=d"
    got = sandboxed.ask("GET", url, headers=(("x-mine", "1"),))
    assert (got.status, got.complete) == (200, True)
    assert got.body.splitlines()[:3] == ["GET /a/b?c=d HTTP/1.1", f"host: ok.test:{server.port}", "x-mine: 1"]
    assert sandboxed.requests == 1
    assert sandboxed.denials == []
    (event,) = sandboxed.gateway.events()
    assert (event["decision"], event["call"], event["host"], event["path"]) == ("allow", "call-7", "ok.test", "/a/b")


def test_a_body_arrives_whole(sandboxed: Sandboxed, serve: Serve) -> None:
    def body(sock: socket.socket) -> None:
        data = read_head(sock)
        while not data.endswith(b"0\r\n\r\n"):
            data += sock.recv(65536)
        sock.sendall(answer(data.partition(b"\r\n\r\n")[2]))

    sandboxed.permit(rule("ok.test"), rule(cidr=HERE))
    got = sandboxed.ask("POST", f"http://ok.test:{serve(body).port}/", body="hello")
    assert got.body == "5\r\nhello\r\n0\r\n\r\n"


def test_https_reaches_the_granted_host(sandboxed: Sandboxed, serve: Serve, server_context: Any) -> None:
    """The guest's request is plain on this machine and TLS outside it."""
    server = serve(echo, server_context("ok.test"))
    sandboxed.permit(rule("ok.test", protocols=("https",)), rule(cidr=HERE))
    assert sandboxed.ask("GET", f"https://ok.test:{server.port}/").status == 200
    assert server.server_names == ["ok.test"]
    assert sandboxed.ask("GET", f"http://ok.test:{server.port}/") == "handle: HTTP-request-denied"


@pytest.mark.parametrize(
    ("method", "url", "reason"),
    [
        ("GET", "http://other.test:{port}/v1/x", "no rule allows"),
        ("GET", "http://ok.test:1/v1/x", "port 1"),
        ("GET", "https://ok.test:{port}/v1/x", "`https`"),
        ("DELETE", "http://ok.test:{port}/v1/x", "method DELETE"),
        ("GET", "http://ok.test:{port}/v2", "`paths`"),
        ("GET", "http://ok.test:{port}/v1/%2e%2e/x", "two readings"),
        ("GET", "http://127.0.0.1:{port}/v1/x", "loopback"),
        ("GET", "http://2130706433:{port}/v1/x", "a spelling of its own"),
        ("GET", "http://[::ffff:127.0.0.1]:{port}/v1/x", "IPv4-mapped"),
        ("GET", "http://169.254.169.254/v1/x", "metadata"),
        ("GET", "http://user:pass@ok.test:{port}/v1/x", "user information"),
        ("CONNECT", "http://ok.test:{port}/v1/x", "no method that can be judged"),
        ("GET", "ftp://ok.test:{port}/v1/x", "`ftp`"),
    ],
)
def test_every_part_of_a_request_is_judged(sandboxed: Sandboxed, serve: Serve, method: str, url: str, reason: str) -> None:
    """NET-03, 04, 05, 07, at the gate: the guest gets an error code, the host the reason."""
    server = serve(echo)
    sandboxed.permit(rule("ok.test", port=server.port, protocols=("http",), methods=("GET",), paths=("/v1/**",)))
    assert sandboxed.ask(method, url.format(port=server.port)) == "handle: HTTP-request-denied"
    (denial,) = sandboxed.denials
    assert reason in denial.reason
    assert (sandboxed.requests, sandboxed.gateway.events(), server.connections) == (0, [], 0)


def test_a_request_without_an_authority_is_an_error(sandboxed: Sandboxed) -> None:
    """NET-13: not derived from a `Host` field, and nothing to grant."""
    sandboxed.permit(rule("*"))
    assert sandboxed.call("request", "GET", "http", None, "/", [], "") == "handle: HTTP-request-URI-invalid"
    assert sandboxed.denials == []


def test_a_host_field_of_the_guests_is_forbidden(sandboxed: Sandboxed) -> None:
    """NET-11: native `fields` refuse it; the gateway would replace it."""
    sandboxed.permit(rule("*"))
    got = sandboxed.ask("GET", "http://ok.test/", headers=(("host", "evil.test"),))
    assert got == "header: forbidden"


def test_what_only_the_gateway_sees_is_a_status_and_an_event(sandboxed: Sandboxed, serve: Serve) -> None:
    """NET-02: the gate knows names, the gateway their addresses."""
    sandboxed.permit(rule("ok.test"))
    got = sandboxed.ask("GET", f"http://ok.test:{serve(echo).port}/")
    assert (got.status, json.loads(got.body)["error"]) == (403, "network_access_denied")
    (event,) = sandboxed.gateway.events()
    assert (event["decision"], event["call"]) == ("deny", "call-7")
    assert (event["address"], "the address is in loopback" in event["reason"]) == ("127.0.0.1", True)


def test_the_gateway_holds_what_the_gate_would_let_go(sandboxed: Sandboxed, serve: Serve) -> None:
    """Two walls: with a gate that is told too much, the gateway still refuses."""
    server = serve(echo)
    sandboxed.permit(rule("*"), rule(cidr=HERE), told=(rule("other.test"), rule(cidr=HERE)))
    assert sandboxed.ask("GET", f"http://ok.test:{server.port}/").status == 403
    assert server.connections == 0


def test_an_answer_that_breaks_off_is_no_whole_answer_for_the_guest(sandboxed: Sandboxed, serve: Serve) -> None:
    def half(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n")

    sandboxed.permit(rule("ok.test"), rule(cidr=HERE))
    got = sandboxed.ask("GET", f"http://ok.test:{serve(half).port}/")
    assert not got.complete


def test_a_gateway_that_is_gone_is_an_error_and_no_way_out(sandboxed: Sandboxed, serve: Serve) -> None:
    server = serve(echo)
    sandboxed.permit(rule("ok.test"), rule(cidr=HERE))
    sandboxed.gateway.send({"detach": sandboxed.gateway.workers})
    sandboxed.gateway.events()
    assert sandboxed.ask("GET", f"http://ok.test:{server.port}/") == "handle: internal-error"
    assert server.connections == 0


def test_refusals_leave_nothing_behind(sandboxed: Sandboxed) -> None:
    """A refused request and its options are dropped: a thousand of them do not fill the store's table."""
    sandboxed.permit(rule("other.test"))
    prepared = sandboxed.gates.instantiate(sandboxed.component, WasiConfig())
    try:
        function = prepared.instance.get_func(prepared.store, "request")
        assert function is not None
        for _ in range(1000):
            got = function(prepared.store, "GET", "http", "ok.test", "/", [], "")
            assert got == "handle: HTTP-request-denied"
            function.post_return(prepared.store)
        assert (prepared.denials, prepared.requests, prepared.fault) == (1000, 0, None)
        assert len(sandboxed.denials) == 1
    finally:
        sandboxed.gates.close(prepared)


@pytest.fixture
def duplex(gates: Gates, gateway: Gateway) -> Iterator[Sandboxed]:
    yield Sandboxed(gates, Component(gates.engine, guest("http_duplex").read_bytes()), gateway)
    gates.bind(WasiTemplate(), (), None, lambda _: None)


def test_bodies_stream_in_both_directions_through_the_guests_own_streams(duplex: Sandboxed, serve: Serve) -> None:
    """The guest reads back each chunk before it writes the next one: nothing waits for the end of a body."""
    duplex.permit(rule("ok.test", methods=("POST",)), rule(cidr=HERE))
    assert duplex.call("duplex", f"ok.test:{serve(echo_chunks).port}", 50, 4096) == 50 * 4096
    assert duplex.requests == 1
    assert duplex.denials == []


def test_options_go_with_a_request_and_are_dropped_with_a_refused_one(duplex: Sandboxed) -> None:
    """Ten thousand refusals with options leave nothing behind: native handles are bounded by their table."""
    duplex.permit(rule("other.test"))
    assert duplex.call("refused", "ok.test", 10_000) == 10_000
    assert len(duplex.denials) == 1


def test_a_revoke_ends_a_guest_that_waits(duplex: Sandboxed, serve: Serve) -> None:
    """RST reaches the guest's streams: it fails, and does not take the cut for the end."""

    def silent(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        threading.Timer(0.2, duplex.gateway.send, [{"reset": duplex.gateway.workers}]).start()
        while sock.recv(65536):
            pass

    duplex.permit(rule("ok.test"), rule(cidr=HERE))
    assert duplex.call("duplex", f"ok.test:{serve(silent).port}", 1, 10) == "read"
