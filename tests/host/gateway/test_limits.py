"""`limits` of a network line: how many requests, how many at a time, how large, how long; counted for the whole component."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import h11
import pytest

from sandbox.host.gateway.caps import Caps
from sandbox.host.gateway.refusal import Limited
from sandbox.host.gateway.uses import Uses
from sandbox.template.template import HttpLimits, NetworkRule
from tests.host.gateway.driver import Answer, Gateway, WorkerSide, rule
from tests.host.gateway.upstream import Upstream, answer, read_head

Serve = Callable[..., Upstream]
HERE = rule(cidr="127.0.0.1/32", origin="policy.yaml:9:1")
LINE = "policy.yaml:4:7"
CEILING = "ceiling.yaml:2:3"


def hello(sock: socket.socket) -> None:
    read_head(sock)
    sock.sendall(answer(b"hello"))


def ok(**limits: int) -> NetworkRule:
    """A line for `ok.test` under limits."""
    return rule("ok.test", origin=LINE, limits=(HttpLimits(LINE, **limits),))


def refusal(gateway: Gateway, got: Answer, status: int) -> tuple[object, ...]:
    """A refusal that the guest sees as a status and the record with its line: what was reached."""
    assert (got.status, got.json["error"]) == (status, "resource_limit_exceeded")
    event = gateway.events()[-1]
    assert (event["decision"], event["origin"]) == ("cap", LINE)
    return event["resource"], event["limit"], event["reason"]


def test_requests_are_refused_once_the_rate_is_used_up(gateway: Gateway, serve: Serve) -> None:
    """The third request of a line with two an hour gets 429 and when to come back; the server never sees it."""
    server = serve(hello)
    worker = gateway.attach(ok(requests=2, seconds=3600), HERE)
    url = f"http://ok.test:{server.port}/"
    assert [worker.ask("GET", url).status for _ in range(2)] == [200, 200]
    got = worker.ask("GET", url)
    assert refusal(gateway, got, 429) == ("requests", 2, "`requests` is reached: 2/h")
    assert 3500 < int(got.headers["retry-after"]) <= 3600
    assert server.connections == 2


def test_another_worker_of_the_component_has_the_same_count(gateway: Gateway, serve: Serve) -> None:
    """A new worker, and new rules, begin no new count; another component's worker does."""
    url = f"http://ok.test:{serve(hello).port}/"
    rules = (ok(requests=1, seconds=3600), HERE)
    assert gateway.attach(*rules, component="a").ask("GET", url).status == 200
    second = gateway.attach(*rules, component="a")
    assert second.ask("GET", url).status == 429
    gateway.set_rules(*rules, component="a")
    assert second.ask("GET", url).status == 429
    assert gateway.attach(*rules, component="b").ask("GET", url).status == 200


def test_connections_at_a_time_are_counted_over_all_workers(gateway: Gateway, serve: Serve) -> None:
    """One request is on the way, so a second one of the component is refused; when it has ended there is room again."""
    arrived, go_on = threading.Event(), threading.Event()

    def slow(sock: socket.socket) -> None:
        read_head(sock)
        arrived.set()
        go_on.wait(20)
        sock.sendall(answer(b"hello"))

    rules = (ok(connections=1), HERE)
    first, second = (gateway.attach(*rules, component="at-a-time") for _ in range(2))
    url = f"http://ok.test:{serve(slow).port}/"
    guest = first.begin("GET", url)
    guest.send(h11.EndOfMessage())
    assert arrived.wait(20)
    assert refusal(gateway, second.ask("GET", url), 429) == ("connections", 1, "`connections` is reached: 1 at a time")
    go_on.set()
    with guest.sock:
        assert guest.read().body == b"hello"
    assert second.ask("GET", url).status == 200


def test_a_request_that_says_it_is_too_large_is_refused_before_it_is_sent(gateway: Gateway, serve: Serve) -> None:
    server = serve(hello)
    worker = gateway.attach(ok(request_bytes=10), HERE)
    got = worker.ask("POST", f"http://ok.test:{server.port}/", body=b"x" * 11)
    assert refusal(gateway, got, 413) == ("request_bytes", 10, "a request body beyond 10 bytes")
    assert server.connections == 0


def test_a_request_in_chunks_is_cut_where_it_grows_too_large(gateway: Gateway, serve: Serve) -> None:
    """With the name of its line, where the host's own cap has none."""
    server = serve(lambda sock: read_head(sock) and sock.recv(1) and None)
    worker = gateway.attach(ok(request_bytes=10), HERE)
    guest = worker.begin("POST", f"http://ok.test:{server.port}/", (("transfer-encoding", "chunked"),))
    with guest.sock:
        guest.send(h11.Data(data=b"x" * 6), h11.Data(data=b"x" * 6))
        assert guest.read().reset
    event = gateway.events()[-1]
    assert (event["resource"], event["limit"], event["origin"]) == ("request_bytes", 10, LINE)


def test_an_answer_is_cut_at_the_lines_size(gateway: Gateway, serve: Serve) -> None:
    def long(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(answer(b"x" * 5000))

    worker = gateway.attach(ok(response_bytes=4096), HERE)
    got = worker.ask("GET", f"http://ok.test:{serve(long).port}/")
    assert (got.complete, got.reset) == (False, True)
    event = gateway.events()[-1]
    assert (event["decision"], event["resource"], event["limit"], event["origin"]) == ("cap", "response_bytes", 4096, LINE)


@pytest.mark.parametrize("begun", [False, True])
def test_the_time_of_a_request_ends_it(gateway: Gateway, serve: Serve, begun: bool) -> None:
    """A server that answers a byte at a time gets no more time than one that says nothing: a status, or a reset."""

    def drip(sock: socket.socket) -> None:
        read_head(sock)
        if begun:
            sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while begun:
            sock.sendall(b"x")
            time.sleep(0.02)
        sock.recv(1)

    worker = gateway.attach(ok(timeout_ms=300), HERE)
    began = time.monotonic()
    got = worker.ask("GET", f"http://ok.test:{serve(drip).port}/")
    assert 0.25 < time.monotonic() - began < 12
    assert got.reset if begun else (got.status, got.json["error"]) == (504, "resource_limit_exceeded")
    event = gateway.events()[-1]
    assert (event["decision"], event["resource"], event["limit"], event["origin"]) == ("cap", "timeout", 300, LINE)
    assert event["reason"] == "`timeout` is reached: 300ms"


def test_lines_add_up(gateway: Gateway, serve: Serve) -> None:
    """A request that two lines allow goes under the one that has room; without limits on one of them there is no limit."""
    url = f"http://ok.test:{serve(hello).port}/"
    wider = rule("*.test", limits=(HttpLimits(CEILING, requests=1, seconds=3600),))
    worker = gateway.attach(ok(requests=1, seconds=3600), wider, HERE)
    assert [worker.ask("GET", url).status for _ in range(3)] == [200, 200, 429]
    free = gateway.attach(ok(requests=1, seconds=3600), rule("*.test"), HERE)
    assert [free.ask("GET", url).status for _ in range(3)] == [200, 200, 200]


def test_a_ceilings_line_counts_for_all_lines_below_it(gateway: Gateway, serve: Serve) -> None:
    port = serve(hello).port
    most = HttpLimits(CEILING, requests=2, seconds=3600)
    lines = [rule(f"{name}.test", limits=(HttpLimits(f"p:{name}", requests=2, seconds=3600), most)) for name in ("ok", "other")]
    worker = gateway.attach(*lines, HERE)
    assert [worker.ask("GET", f"http://{name}.test:{port}/").status for name in ("ok", "other", "ok")] == [200, 200, 429]
    assert gateway.events()[-1]["origin"] == CEILING


def test_a_request_with_two_readings_goes_under_no_looser_line(gateway: Gateway, serve: Serve) -> None:
    """A GET that some servers take for a POST is not counted as a GET alone."""
    server = serve(hello)
    post = rule("ok.test", methods=("POST",), limits=(HttpLimits(LINE, requests=1, seconds=3600),))
    worker = gateway.attach(rule("ok.test", methods=("GET",)), post, HERE)
    got = worker.ask("GET", f"http://ok.test:{server.port}/", (("x-http-method-override", "POST"),))
    assert (got.status, server.connections) == (403, 0)
    assert "other limits hold for one of them" in gateway.events()[-1]["reason"]


def test_what_the_guest_gives_up_leaves_room(gateway: Gateway, serve: Serve) -> None:
    """A connection that the guest drops is not counted for ever."""
    reset = threading.Event()

    def silent(sock: socket.socket) -> None:
        read_head(sock)
        try:
            sock.recv(1)
        finally:
            reset.set()

    worker = gateway.attach(ok(connections=1), HERE, component="gives-up")
    guest = worker.begin("GET", f"http://ok.test:{serve(silent).port}/")
    guest.send(h11.EndOfMessage())
    guest.sock.close()
    assert reset.wait(20)
    assert worker.ask("GET", f"http://ok.test:{serve(hello).port}/").status == 200


def test_no_window_holds_more_than_the_rate() -> None:
    """Not from one full minute to the next: 60 at the end of one and 60 at the start of the next are 120 in a minute."""
    uses, choices = Uses(), ((HttpLimits(LINE, requests=2, seconds=60),),)
    for now in (59.0, 59.5):
        uses.release(uses.take(choices, now))
    with pytest.raises(Limited) as found:
        uses.take(choices, 61.0)
    assert found.value.retry_after_s == pytest.approx(58.0)
    assert not uses.idle(118.9)
    uses.release(uses.take(choices, 119.1))
    assert uses.idle(180.0)


def test_a_line_lowers_the_hosts_caps_and_never_raises_them() -> None:
    taken = Uses().take(((HttpLimits(LINE, response_bytes=10, request_bytes=1 << 40),),), 0.0)
    assert taken.caps(Caps(request_bytes=7)) == Caps(request_bytes=7, response_bytes=10)
    assert (taken.origin("response_bytes", 10), taken.origin("request_bytes", 7)) == (LINE, None)


def test_requests_of_other_lines_are_not_counted(gateway: Gateway, serve: Serve) -> None:
    port = serve(hello).port
    worker: WorkerSide = gateway.attach(ok(requests=1, seconds=3600), rule("other.test"), HERE)
    assert worker.ask("GET", f"http://ok.test:{port}/").status == 200
    assert worker.ask("GET", f"http://other.test:{port}/").status == 200
    assert worker.ask("GET", f"http://ok.test:{port}/").status == 429
