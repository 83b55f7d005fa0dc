"""Ways to an address that no rule names. The gateway's own tests (`tests/host/gateway`) try the same from below."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.config.proxy import Proxy
from sandbox.result import CallResult
from sandbox.state import Home
from sandbox.state.secrets import SecretStore
from tests.attacks.stage import CANARY, Stage, attempts, policy, staged, value
from tests.host.gateway import upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

Serve = Callable[[upstream.Handler], upstream.Upstream]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server on loopback; it counts its connections."""
    started: list[upstream.Upstream] = []

    def start(handler: upstream.Handler) -> upstream.Upstream:
        started.append(upstream.start(handler))
        return started[-1]

    yield start
    for each in started:
        each.close()


def greet(sock: socket.socket) -> None:
    """Answer one request."""
    upstream.read_head(sock)
    sock.sendall(upstream.answer(b"hello"))


def request(url_port: int | None = None, **changes: Any) -> dict[str, Any]:
    """A GET of `/`, over http, with the parts of `changes` in its place."""
    authority = None if url_port is None else f"127.0.0.1:{url_port}"
    return {"method": "GET", "scheme": "http", "authority": authority, "path": "/", "headers": [], "body": "", **changes}


def refused(result: CallResult) -> None:
    """The guest saw an error, and the caller a typed one."""
    assert result.outcome.ending.value == "guest_error", result.outcome
    assert result.outcome.denials
    assert result.body is not None
    assert result.body["code"] == "network_access_denied"


def loopback(port: int, rest: str = "") -> str:
    """A rule that names one port of this machine."""
    return policy(network=f"cidr: 127.0.0.1/32, ports: [{port}], protocols: [http]{rest}")


async def test_without_a_rule_no_request_leaves(stage: Stage, serve: Serve) -> None:
    """NET-01."""
    server = serve(greet)
    await stage.load("escape_network")
    result = await stage.contained("escape_network__request", refused, **request(server.port))
    assert "HTTP-request-denied" in str(result.outcome.value)
    assert server.connections == 0


@pytest.mark.parametrize("network", ["", 'host: "*"', "cidr: 127.0.0.1/32, ports: [80], protocols: [http]"])
async def test_sockets_and_names_are_refused_whatever_the_http_rules(stage: Stage, network: str) -> None:
    """NET-01, NET-10: tcp, udp, bind, listen, name lookup."""

    def check(result: CallResult) -> None:
        got = attempts(result)
        assert set(got) == {"lookup", "tcp create", "tcp connect", "tcp bind", "udp create"}
        assert {outcome for what, outcome in got.items() if what != "tcp create"} == {"access-denied"}
        assert {denial.code for denial in result.outcome.denials} == {"network_access_denied"}

    await stage.load("escape_network", policy(network=network))
    await stage.contained("escape_network__sockets", check, port=80, name="example.com")


async def test_an_answer_of_the_nameserver_that_leads_inside_is_refused(online: Stage, serve: Serve, nameserver: Any) -> None:
    """NET-02: a name that is granted, and resolves to this machine."""
    server = serve(greet)
    nameserver.zone["ok.test"] = [("127.0.0.1",)]
    await online.load("escape_network", policy(network=f"host: ok.test, ports: [{server.port}], protocols: [http]"))
    result = await online.call("escape_network__request", **request(authority=f"ok.test:{server.port}"))
    assert server.connections == 0
    assert result.outcome.denials
    await online.neighbour_is_well()


async def test_a_name_that_a_range_exempts_is_reached(online: Stage, serve: Serve, nameserver: Any) -> None:
    """NET-02, the other side: name and address named, the request arrives."""
    server = serve(greet)
    nameserver.zone["ok.test"] = [("127.0.0.1",)]
    rules = f"""host: ok.test, ports: [{server.port}], protocols: [http]
                cidr: 127.0.0.1/32, ports: [{server.port}], protocols: [http]"""
    await online.load("escape_network", policy(network=rules))
    got = value(await online.call("escape_network__request", **request(authority=f"ok.test:{server.port}")))
    assert (got["status"], got["body"], got["complete"]) == (200, "hello", True)


SPELLINGS = (
    *("2130706433", "0x7f.1", "017700000001", "127.1", "0", "localhost", "127.0.0.1."),
    *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[fe80::1%25lo]", "[::]"),
)


async def test_no_spelling_of_this_machine_is_reached(stage: Stage, serve: Serve) -> None:
    """NET-03: not even where every public address is granted."""
    server = serve(greet)
    await stage.load("escape_network", policy(network=f'host: "*", ports: [{server.port}], protocols: [http]'))
    for spelling in SPELLINGS:
        result = await stage.call("escape_network__request", **request(authority=f"{spelling}:{server.port}"))
        assert not (result.outcome.ok and value(result)["status"] == 200), spelling
    assert server.connections == 0
    await stage.neighbour_is_well()


INSIDE = ("169.254.169.254", "[fd00:ec2::254]", "100.64.0.1", "192.0.0.8", "224.0.0.1", "240.0.0.1", "[ff02::1]", "10.0.0.1")


async def test_metadata_and_ranges_inside_are_refused_under_a_star(stage: Stage) -> None:
    """NET-04."""
    await stage.load("escape_network", policy(network='host: "*", ports: any, protocols: [http]'))
    for address in INSIDE:
        result = await stage.call("escape_network__request", **request(authority=address))
        assert result.outcome.denials, address
        assert not (result.outcome.ok and value(result)["status"] < 400), address


@pytest.mark.parametrize(
    "host", ["example.com", "evil-example.com", "example.com.evil.com", ".example.com", "*.example.com", "xexample.com"]
)
async def test_a_wildcard_means_true_subdomains(online: Stage, host: str) -> None:
    """NET-05."""
    await online.load("escape_network", policy(network='host: "*.example.com", protocols: [http]'))
    result = await online.call("escape_network__request", **request(authority=host))
    assert not result.outcome.ok


@pytest.mark.parametrize(
    ("scheme", "suffix"),
    [("http", ""), ("http", ":443"), ("https", ":8443"), ("https", ":0"), ("https", ":65536"), ("https", ":443 ")],
)
async def test_a_port_and_a_scheme_are_exact(online: Stage, scheme: str, suffix: str) -> None:
    """NET-07."""
    await online.load("escape_network", policy(network="host: h.test, ports: [443], protocols: [https]"))
    result = await online.call("escape_network__request", **request(scheme=scheme, authority=f"h.test{suffix}"))
    assert not result.outcome.ok


async def test_a_redirect_is_handed_to_the_guest_and_judged_again(stage: Stage, serve: Serve) -> None:
    """NET-09: the host follows nothing, and the guest's own next request needs its own rule."""
    inner = serve(greet)

    def redirect(sock: socket.socket) -> None:
        upstream.read_head(sock)
        sock.sendall(upstream.answer(b"", status="302 Found", headers=(f"location: http://127.0.0.1:{inner.port}/",)))

    outer = serve(redirect)
    await stage.load("escape_network", loopback(outer.port))
    assert value(await stage.call("escape_network__request", **request(outer.port)))["status"] == 302
    refused(await stage.call("escape_network__request", **request(inner.port)))
    assert inner.connections == 0


async def test_a_host_field_cannot_name_another_server(stage: Stage, serve: Serve) -> None:
    """NET-11."""
    heads: list[bytes] = []

    def keep(sock: socket.socket) -> None:
        heads.append(upstream.read_head(sock))
        sock.sendall(upstream.answer(b""))

    server = serve(keep)
    await stage.load("escape_network", loopback(server.port))
    arguments = request(server.port, headers=[["host", "admin.internal"], ["host", "second.internal"]])
    result = await stage.call("escape_network__request", **arguments)
    assert "header: forbidden" in str(result.outcome.value)
    assert not [head for head in heads if b"internal" in head]


async def test_a_request_without_an_authority_is_an_error(stage: Stage) -> None:
    """NET-13."""
    await stage.load("escape_network", policy(network='host: "*"'))
    result = await stage.call("escape_network__request", **request())
    assert not result.outcome.ok
    await stage.neighbour_is_well()


async def test_proxies_of_the_environment_are_not_asked(tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """NET-15: neither the server's nor those that a policy puts into the guest's environment."""
    evil, server = serve(greet), serve(greet)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{evil.port}")
    rules = policy(
        network=f"cidr: 127.0.0.1/32, ports: [{server.port}], protocols: [http]",
        environment=f'key: HTTP_PROXY, value: "http://127.0.0.1:{evil.port}"',
    )
    async with staged(tmp_path) as stage:
        await stage.load("escape_network", rules)
        assert value(await stage.call("escape_network__request", **request(server.port)))["body"] == "hello"
    assert evil.connections == 0


async def test_the_operators_proxy_is_asked_with_its_login_and_no_other(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NET-15: its login is a secret of the store, goes to it alone, is in no record; a login of the guest's is not sent."""
    heads: list[bytes] = []

    def carry(sock: socket.socket) -> None:
        heads.append(upstream.read_head(sock))
        sock.sendall(upstream.answer(b"by the proxy"))

    evil, proxy = serve(greet), serve(carry)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{evil.port}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    login = f"me:{CANARY}"
    SecretStore.of(Home.open(tmp_path / "home", os.environ), os.environ).set("corp/proxy", login, 1.0)
    async with staged(tmp_path, proxy=Proxy("127.0.0.1", proxy.port, "corp/proxy")) as stage:
        await stage.load("escape_network", loopback(9))
        asked = request(9, headers=[["proxy-authorization", "Basic b3duOm93bg=="]])
        got = await stage.call("escape_network__request", **asked)
        again = value(await stage.call("escape_network__request", **request(9)))
        stage.is_recorded(got, (CANARY, base64.b64encode(login.encode()).decode()))
    assert again["body"] == "by the proxy"
    assert heads
    for head in heads:
        assert head.startswith(b"GET http://127.0.0.1:9/ HTTP/1.1\r\nhost: 127.0.0.1:9\r\n")
        assert head.count(b"proxy-authorization") == 1
        assert b"proxy-authorization: Basic " + base64.b64encode(login.encode()) in head
    assert evil.connections == 0


async def test_a_huge_answer_is_counted_and_not_kept(stage: Stage, serve: Serve) -> None:
    """NET-17: the gateway streams; neither it nor the worker grows with the body."""
    size = 64 << 20

    def flood(sock: socket.socket) -> None:
        upstream.read_head(sock)
        sock.sendall(f"HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n".encode())
        piece = b"x" * (1 << 20)
        for _ in range(size >> 20):
            sock.sendall(piece)

    server = serve(flood)
    await stage.load("escape_network", loopback(server.port))
    await stage.call("escape_network__request", **request(server.port))
    before = stage.traces()
    got = value(await stage.call("escape_network__request", **request(server.port)))
    assert int(got["size"]) <= size
    assert stage.traces().memory < before.memory + (32 << 20)
    await stage.neighbour_is_well()


async def test_a_secret_in_a_url_is_in_no_record(stage: Stage, serve: Serve) -> None:
    """A token in a query is hidden before it is written."""
    server = serve(greet)
    await stage.load("escape_network", loopback(server.port))
    path = f"/?api_key={CANARY}&password={CANARY}"
    result = await stage.call("escape_network__request", **request(server.port, path=path))
    assert result.outcome.ok
    assert CANARY not in "".join(file.read_text() for file in (stage.home / "audit").glob("*.jsonl"))
