"""The sockets gate: a real guest, its native streams, the gate in this process and the gateway in its own."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import h11
import pytest
from wasmtime import WasmtimeError
from wasmtime.component import Component

from sandbox.host.gates.gates import Gates
from sandbox.template.template import Effect, NetworkRule, WasiTemplate
from tests.host.gateway.driver import TOKEN, Gateway, Guest, WorkerSide, rule
from tests.host.gateway.test_gate import Sandboxed, gates  # noqa: F401 - a fixture
from tests.host.gateway.upstream import Nameserver, Upstream
from tests.support.guests import guest

Serve = Callable[..., Upstream]
HERE = [127, 0, 0, 1]
TCP = ("tcp",)
Zone = dict[str, list[tuple[str, ...]]]


@pytest.fixture(scope="module")
def component(gates: Gates) -> Component:  # noqa: F811 - the fixture
    return Component(gates.engine, guest("dials").read_bytes())


@pytest.fixture
def dials(gates: Gates, component: Component, gateway: Gateway) -> Iterator[Sandboxed]:  # noqa: F811 - the fixture
    yield Sandboxed(gates, component, gateway)
    gates.bind(WasiTemplate(), (), None, lambda _: None)


def echo(sock: socket.socket) -> None:
    """Send back what comes, and end where the other side ends."""
    while data := sock.recv(1 << 16):
        sock.sendall(data)


class Listening:
    """A server that keeps what it was sent, and how that ended."""

    def __init__(self, reply: bytes = b"") -> None:
        self.got = b""
        self.ended = threading.Event()
        self.how = ""
        self.reply = reply

    def __call__(self, sock: socket.socket) -> None:
        try:
            while data := sock.recv(1 << 16):
                self.got += data
            self.how = "closed"
            sock.sendall(self.reply)
        except ConnectionResetError:
            self.how = "reset"
        self.ended.set()


def here(port: int) -> NetworkRule:
    """The rule for one port of this machine."""
    return rule(cidr="127.0.0.1/32", port=port, protocols=TCP)


def test_without_a_tcp_rule_nothing_is_dialled(dials: Sandboxed, serve: Serve) -> None:
    """NET-01: whatever http may do."""
    server = serve(echo)
    dials.permit(rule("*"), rule(cidr="127.0.0.1/32"))
    assert dials.call("ask", HERE, server.port, "x", "", 1) == "connect: access-denied"
    assert dials.call("look-up", "ok.test") == "lookup: access-denied"
    assert (server.connections, dials.gateway.events()) == (0, [])
    assert [(denial.code, denial.target["host"], denial.target["port"]) for denial in dials.denials] == [
        ("network_access_denied", "127.0.0.1", server.port),
        ("network_access_denied", "ok.test", None),
    ]


@pytest.mark.parametrize(("address", "port"), [(HERE, 1), ([127, 0, 0, 2], 0), ([0, 0, 0, 0], 0), ([10, 0, 0, 1], 0)])
def test_port_and_address_must_both_be_named(dials: Sandboxed, serve: Serve, address: list[int], port: int) -> None:
    server = serve(echo)
    dials.permit(here(server.port))
    assert dials.call("ask", address, port or server.port, "x", "", 1) == "connect: access-denied"
    assert (server.connections, len(dials.denials)) == (0, 1)


MAPPED = [0, 0, 0, 0, 0, 0xFFFF, 0x7F00, 1]
SPELLINGS = ["2130706433", "0x7f.1", "017700000001", "127.1", "0", "[::1]", "fe80::1%lo", "loc alhost", "", "ö.test"]


def test_odd_spellings_are_no_names(dials: Sandboxed, serve: Serve) -> None:
    """NET-03: of this machine's address, under rules for every name and for the address itself."""
    server = serve(echo)
    dials.permit(rule("*", port=server.port, protocols=TCP), here(server.port))
    assert {dials.call("look-up", spelling) for spelling in SPELLINGS} == {"lookup: access-denied"}
    assert dials.call("ask", MAPPED, server.port, "x", "", 1) == "connect: access-denied"
    assert dials.call("ask", [0] * 7 + [1], server.port, "x", "", 1) == "connect: access-denied"
    assert (server.connections, dials.gateway.events()) == (0, [])


METADATA = [[169, 254, 169, 254], [0xFD00, 0xEC2, 0, 0, 0, 0, 0, 0x254], [100, 100, 100, 200]]


@pytest.mark.parametrize("address", METADATA)
def test_metadata_services_are_dialled_by_no_rule(dials: Sandboxed, address: list[int]) -> None:
    """NET-04: not even by a range around them."""
    wide = ("169.254.0.0/16", "fd00::/8", "100.64.0.0/10")
    dials.permit(rule("*", protocols=TCP), *(rule(cidr=cidr, protocols=TCP) for cidr in wide))
    assert dials.call("ask", address, 80, "x", "", 1) == "connect: access-denied"
    assert "metadata" in dials.denials[0].reason


def test_a_name_that_leads_inside_is_not_told(dials: Sandboxed, zone: Zone) -> None:
    """NET-02: the address is for the operator alone; one such answer beside a public one refuses both."""
    zone["mixed.test"] = [("192.88.98.1", "10.0.0.7")]
    dials.permit(rule("*", port=5432, protocols=TCP))
    for name, address in (("ok.test", "127.0.0.1"), ("mixed.test", "10.0.0.7")):
        assert dials.call("look-up", name) == "lookup: access-denied"
        (event,) = dials.gateway.events()
        assert (event["decision"], event["host"], event["address"], event["operation"]) == ("deny", name, address, "lookup")


def test_what_a_name_led_to_is_dialled_without_another_lookup(dials: Sandboxed, serve: Serve, nameserver: Nameserver) -> None:
    """NET-02: rebinding. The second answer would be a metadata service; nobody asks for it."""
    server = serve(echo)
    nameserver.zone["turns.test"] = [("127.0.0.1",), ("169.254.169.254",)]
    dials.permit(rule("turns.test", port=server.port, protocols=TCP), here(server.port))
    got = dials.call("ask-name", "turns.test", server.port, "hello", 5)
    assert (got.text, len(nameserver.asked)) == ("hello", 2)  # A and AAAA
    assert dials.call("look-up", "turns.test") == "lookup: access-denied"


PUBLIC_TEST = {"public.test": [("192.88.98.1",)]}


def test_a_refusal_names_what_was_looked_up(dials: Sandboxed, zone: Zone) -> None:
    """Gate and gateway each know which name led to an address, in this call and in no other."""
    zone.update(PUBLIC_TEST)
    nine, both = (rule("public.test", protocols=TCP, port=port) for port in (9, None))
    dials.permit(nine)
    assert dials.call("ask-name", "public.test", 10, "x", 1) == "connect: access-denied"
    assert [(denial.target["host"], denial.target["port"]) for denial in dials.denials] == [("public.test", 10)]
    dials.permit(both, told=(nine,))
    assert dials.call("ask-name", "public.test", 10, "x", 1) == "connect: access-denied"
    events = dials.gateway.events()
    assert [(event["operation"], event["decision"], event["host"]) for event in events[-2:]] == [
        ("lookup", "allow", "public.test"),
        ("connect", "deny", "public.test"),
    ]
    assert dials.call("ask", [192, 88, 98, 1], 0, "x", "", 1) == "connect: access-denied"
    assert dials.denials[-1].target["host"] == "192.88.98.1", "another call's gate has forgotten the name"


def test_a_lookup_is_forgotten_with_its_call(dials: Sandboxed, zone: Zone) -> None:
    """By the gateway too: the worker's word for a call is not enough."""
    zone.update(PUBLIC_TEST)
    nine = rule("public.test", protocols=TCP, port=9)
    dials.permit(rule(cidr="192.88.98.1/32", protocols=TCP), nine, told=(nine,))
    for ends, host in ((False, "public.test"), (True, "192.88.98.1")):
        assert dials.call("look-up", "public.test") == [[192, 88, 98, 1]]
        if ends:
            dials.gateway.send({"ended": dials.gateway.workers, "call": "call-7"})
        dials.gateway.events()
        assert dials.call("ask", [192, 88, 98, 1], 10, "x", "", 1) == "connect: access-denied"
        assert [event["host"] for event in dials.gateway.events()] == [host]


def test_a_name_that_is_not_there_is_no_denial(dials: Sandboxed) -> None:
    dials.permit(rule("*", port=5432, protocols=TCP))
    assert dials.call("look-up", "nowhere.test") == "lookup: name-unresolvable"
    assert dials.denials == []


def test_the_gateway_judges_for_itself(dials: Sandboxed, serve: Serve) -> None:
    """A worker whose gate allows more than the gateway knows reaches no more."""
    server = serve(echo)
    dials.permit(here(server.port), rule("*", protocols=TCP), told=(rule("other.test", port=1, protocols=TCP),))
    assert dials.call("ask", HERE, server.port, "x", "", 1) == "connect: access-denied"
    assert dials.call("look-up", "ok.test") == "lookup: access-denied"
    assert [event["decision"] for event in dials.gateway.events()] == ["deny", "deny"]
    assert server.connections == 0


def test_a_deny_beats_an_allow(dials: Sandboxed, serve: Serve) -> None:
    server = serve(echo)
    denied = rule(cidr="127.0.0.0/8", protocols=TCP, effect=Effect.DENY, origin="policy.yaml:9:9")
    dials.permit(here(server.port), denied)
    assert dials.call("ask", HERE, server.port, "x", "", 1) == "connect: access-denied"
    assert [denial.origin for denial in dials.denials] == ["policy.yaml:9:9"]


def test_a_port_where_nobody_listens_is_refused_by_the_system(dials: Sandboxed) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    dials.permit(here(port))
    assert dials.call("ask", HERE, port, "x", "", 1) == "connect: connection-refused"
    assert ([event["decision"] for event in dials.gateway.events()], dials.denials) == (["error"], [])


def test_bytes_go_both_ways(dials: Sandboxed, serve: Serve) -> None:
    server = serve(echo)
    dials.permit(here(server.port))
    got = dials.call("ask", HERE, server.port, "hello", "", 5)
    assert (got.text, got.ended) == ("hello", "enough")
    (event,) = dials.gateway.events()
    assert (event["decision"], event["scheme"], event["host"], event["port"]) == ("allow", "tcp", "127.0.0.1", server.port)
    assert (event["bytes_out"], event["bytes_in"], event["operation"]) == (5, 5, "connect")


def test_what_was_written_arrives_before_the_call_goes_on(dials: Sandboxed, serve: Serve) -> None:
    """A guest that writes and closes loses nothing, though its call ends at once."""
    dials.permit(here(0))
    for _ in range(20):
        listening = Listening()
        server = serve(listening)
        dials.permit(here(server.port))
        assert dials.call("carry", HERE, server.port, 300_000, 0) == 0
        dials.gateway.send({"ended": dials.gateway.workers, "call": "call-7"})
        assert listening.ended.wait(5)
        assert (len(listening.got), listening.how) == (300_000, "closed")


def test_a_server_that_reads_nothing_does_not_hold_a_guest_that_closes(dials: Sandboxed, serve: Serve) -> None:
    """What is left is given up after two seconds, by a reset; the guest's call goes on."""
    released = threading.Event()
    server = serve(lambda _: released.wait(20))
    server.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    dials.permit(here(server.port))
    began = time.monotonic()
    dials.call("carry", HERE, server.port, 5_000_000, 0)
    took = time.monotonic() - began
    released.set()
    assert 1.5 < took < 15
    (event,) = dials.gateway.events()
    assert (event["decision"], event["reason"].partition(" within")[0]) == ("error", "the server took no more")


def test_a_guest_may_shut_down_and_go_on_reading(dials: Sandboxed, serve: Serve) -> None:
    listening = Listening(reply=b"all of it")
    server = serve(listening)
    dials.permit(here(server.port))
    got = dials.call("ask", HERE, server.port, "a question", "send", 100)
    assert (got.text, got.ended, listening.got) == ("all of it", "closed", b"a question")
    began = time.monotonic()
    assert dials.call("ask", HERE, server.port, "a question", "receive", 100).ended == "closed"
    assert time.monotonic() - began < 5, "the server said nothing"


def test_the_servers_end_and_its_reset_are_told_apart(dials: Sandboxed, serve: Serve) -> None:
    def end(sock: socket.socket) -> None:
        sock.recv(5)
        sock.sendall(b"bye")

    def reset(sock: socket.socket) -> None:
        end(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    for handler, ended in ((end, "closed"), (reset, "failed")):
        server = serve(handler)
        dials.permit(here(server.port))
        assert dials.call("ask", HERE, server.port, "hello", "", 100).ended == ended


def test_a_revoke_cuts_the_connection(dials: Sandboxed, serve: Serve) -> None:
    """The guest's read fails, the server sees a reset, and the record says why; the call goes on."""
    heard, listening = threading.Event(), Listening()

    def hold(sock: socket.socket) -> None:
        listening.got = sock.recv(5)
        heard.set()
        listening(sock)

    server = serve(hold)
    dials.permit(here(server.port))

    def revoke() -> None:
        heard.wait(5)
        dials.gateway.set_rules()

    thread = threading.Thread(target=revoke)
    thread.start()
    began = time.monotonic()
    assert dials.call("ask", HERE, server.port, "hello", "", 100).ended == "failed"
    assert time.monotonic() - began < 10
    thread.join()
    assert listening.ended.wait(5)
    assert listening.how == "reset"
    (event,) = dials.gateway.events()
    assert (event["decision"], event["reason"].partition(":")[0]) == ("deny", "revoked while it ran")


@pytest.mark.parametrize(("up", "down", "cap"), [(100_000, 0, "request_bytes"), (1, 100_000, "response_bytes")])
def test_too_many_bytes_are_a_reset(dials: Sandboxed, serve: Serve, up: int, down: int, cap: str) -> None:
    def flood(sock: socket.socket) -> None:
        sock.recv(1)
        sock.sendall(b"x" * 200_000)
        echo(sock)

    server = serve(flood)
    dials.permit(here(server.port))
    dials.gateway.set_rules(here(server.port), component=None, **{cap: 50_000})
    got = dials.call("carry", HERE, server.port, up, down)
    assert got in ("write: failed", "write: closed") or int(got) <= 50_000
    (event,) = dials.gateway.events()
    assert (event["decision"], event["resource"], event["limit"]) == ("cap", cap, 50_000)


def test_connections_are_counted(dials: Sandboxed, serve: Serve) -> None:
    server = serve(echo)
    dials.permit(here(server.port))
    dials.gateway.set_rules(here(server.port), connections=4)
    told = dials.call("at-once", HERE, server.port, 8)
    assert told.count("ok") <= 4
    assert "cap" in {event["decision"] for event in dials.gateway.events()}
    assert dials.call("again-and-again", HERE, server.port, 20) == 20


def test_a_connection_left_open_ends_with_its_call(dials: Sandboxed, serve: Serve) -> None:
    """The guest's end of it is a trap here: it drops the socket before the streams, as no library does."""
    listening = Listening()
    server = serve(listening)
    dials.permit(here(server.port))
    with pytest.raises(WasmtimeError, match="has children"):
        dials.call("drop-first", HERE, server.port)
    dials.gateway.send({"ended": dials.gateway.workers, "call": "call-7"})
    assert listening.ended.wait(5)
    assert [event["operation"] for event in dials.gateway.events()] == ["connect"], "told once, whoever was first"


def asked(worker: WorkerSide, scheme: str, authority: str) -> tuple[int, Guest]:
    """A socket's request as a worker that was taken over may make it: the gate has judged nothing."""
    method = "GET" if scheme == "dns" else "POST"
    n = worker.announce(method, scheme, authority, "")
    request = Guest(worker.port)
    headers = [("host", "gateway")] + ([] if method == "GET" else [("transfer-encoding", "chunked")])
    request.send(h11.Request(method=method, target=f"/{TOKEN}/{n}", headers=headers))
    return n, request


@pytest.mark.parametrize("name", ["127.1", "0x7f000001", "[::1]", "ok.test%00", "", "a" * 90_000])
def test_the_gateway_reads_a_name_itself(gateway: Gateway, name: str) -> None:
    """NET-03, with the gate out of the way."""
    worker = gateway.attach(rule("*", protocols=TCP), rule(cidr="127.0.0.1/32", protocols=TCP))
    _, request = asked(worker, "dns", name)
    request.send(h11.EndOfMessage())
    assert request.read().status == 403
    event = gateway.event()
    assert (event["decision"], len(event["host"]) <= 300) == ("deny", True)


def test_a_tunnel_leads_where_it_was_first_said(gateway: Gateway, serve: Serve) -> None:
    """One word of where to; one for a tunnel that nobody announced is not heard."""
    server, other = serve(echo), serve(echo)
    worker = gateway.attach(here(server.port), here(other.port))
    n, request = asked(worker, "tcp", "")
    for number, port in ((n + 7, other.port), (n, server.port), (n, other.port)):
        worker.egress.send(json.dumps({"call": "call-1", "n": number, "dial": "127.0.0.1", "port": port}).encode())
    assert isinstance(request.event(), h11.Response)
    request.send(h11.Data(data=b"hello"))
    assert bytes(request.event().data) == b"hello"
    assert (server.connections, other.connections) == (1, 0)
    request.sock.close()


@pytest.mark.parametrize(
    "said",
    [
        {"dial": "localhost", "port": 80},
        {"dial": "127.0.0.1%lo", "port": 80},
        {"dial": "127.0.0.1", "port": 65536},
        {"dial": "127.0.0.1", "port": "80"},
        {"dial": 1, "port": 80},
        {"dial": "127.0.0.1"},
        {"end": "now"},
        {"end": ["send"]},
    ],
)
def test_a_worker_that_talks_nonsense_is_dropped(gateway: Gateway, said: dict[str, object]) -> None:
    worker = gateway.attach(here(1))
    n, request = asked(worker, "tcp", "")
    worker.egress.send(json.dumps({"call": "call-1", "n": n, **said}).encode())
    assert worker.is_dropped()
    assert request.read().reset


def test_a_socket_that_never_says_where_to_is_no_event(gateway: Gateway) -> None:
    """Neither where the guest drops it, nor where its call ends first."""
    worker = gateway.attach(here(1))
    for drops in (True, False):
        _, request = asked(worker, "tcp", "")
        _, later = asked(worker, "dns", "ok.test")
        later.send(h11.EndOfMessage())
        assert later.read().status == 403, "what came before it has been read"
        assert [event["operation"] for event in gateway.events()] == ["lookup"]
        if drops:
            request.sock.close()
        else:
            gateway.send({"ended": gateway.workers, "call": "call-1"})
            assert request.read().reset
        assert gateway.events() == []
