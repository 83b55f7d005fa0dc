"""A credential goes with the requests of its line, over TLS, and nowhere else: not to another host, the guest or the record."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import h11
import pytest

from sandbox.template.template import Credential, NetworkRule
from tests.host.gateway.driver import Answer, Gateway, WorkerSide, rule
from tests.host.gateway.upstream import Upstream, answer, read_head

Serve = Callable[..., Upstream]
Context = Callable[..., ssl.SSLContext]
CANARY = "CANARY-9c2f81d5e0"
TOKEN = Credential("api/token", "Authorization", "Bearer {secret}")
LOOPBACK = rule(cidr="127.0.0.1/32")


class Seen:
    """A TLS server for any name; `heads` are the requests that reached it, as they came."""

    def __init__(self, serve: Serve, context: ssl.SSLContext) -> None:
        self.heads: list[str] = []
        self.server = serve(self._answer, context)

    def _answer(self, sock: socket.socket) -> None:
        self.heads.append(read_head(sock).decode("latin-1"))
        sock.sendall(answer(b"hello"))

    def url(self, host: str = "ok.test", path: str = "/") -> str:
        return f"https://{host}:{self.server.port}{path}"

    def fields(self, name: str) -> list[str]:
        """The values of a field, over all requests, in the order they came; a name that looks the same to CGI counts."""
        lines = (line for head in self.heads for line in head.split("\r\n")[1:])
        pairs = (line.partition(": ")[::2] for line in lines)
        return [value for field, value in pairs if field.lower().replace("_", "-") == name]


@pytest.fixture
def seen(serve: Serve, server_context: Context) -> Seen:
    return Seen(serve, server_context("ok.test", "other.test"))


@pytest.fixture(autouse=True)
def _untold(gateway: Gateway) -> Iterator[None]:
    """Whatever a test does, no frame of the gateway to the server has the secret in it."""
    frames: list[str] = []
    receive = gateway.frame

    def frame() -> dict[str, object]:
        got = receive()
        frames.append(json.dumps(got))
        return got

    gateway.frame = frame  # type: ignore[method-assign]
    yield
    gateway.events()
    assert frames
    assert not [text for text in frames if CANARY in text or CANARY.encode().hex() in text]
    del gateway.frame


def attached(gateway: Gateway, *rules: NetworkRule, **values: str) -> WorkerSide:
    """A worker under these rules, whose call has these secrets (`/` in a name is written `__`)."""
    worker = gateway.attach(*rules, LOOPBACK)
    gateway.give({name.replace("__", "/"): value for name, value in values.items()})
    return worker


def with_token(**rest: object) -> NetworkRule:
    return rule("ok.test", protocols=("https",), credential=TOKEN, **rest)  # type: ignore[arg-type]


def refused(gateway: Gateway, got: Answer) -> str:
    """The guest saw a 403 without a word of the secret; the recorded reason."""
    assert (got.status, got.json["error"]) == (403, "network_access_denied")
    assert CANARY not in got.body.decode()
    (event,) = gateway.events()
    assert event["decision"] == "deny"
    return str(event["reason"])


def test_another_host_never_gets_it(gateway: Gateway, seen: Seen) -> None:
    """Not the host behind a wider line, not one that the guest writes into its fields, not by another spelling."""
    worker = attached(gateway, with_token(), rule("*.test", protocols=("https",)), rule("other.test"), api__token=CANARY)
    assert worker.ask("GET", seen.url("other.test")).body == b"hello"
    assert worker.ask("GET", seen.url("other.test"), (("x-host", "ok.test"), ("forwarded", "host=ok.test"))).body == b"hello"
    assert worker.ask("GET", seen.url("other.test"), (("x-forwarded-host", "ok.test"),)).body == b"hello"
    assert seen.fields("authorization") == []
    for spelling in ("OK.test", "ok.test."):
        assert worker.ask("GET", seen.url(spelling)).body == b"hello"
    assert seen.fields("authorization") == [f"Bearer {CANARY}"] * 2
    assert seen.fields("host")[-1] == f"ok.test:{seen.server.port}"


@pytest.mark.parametrize("user", ["ok.test@other.test", "other.test#ok.test", "other.test\\@ok.test", "ok.test%2eother.test"])
def test_an_authority_that_could_be_two_hosts_gets_nothing(gateway: Gateway, seen: Seen, user: str) -> None:
    worker = attached(gateway, with_token(), rule("other.test"), api__token=CANARY)
    refused(gateway, worker.ask("GET", seen.url(user)))
    assert seen.heads == []


def test_a_redirect_to_another_host_is_the_guests_to_follow_without_it(
    gateway: Gateway, seen: Seen, serve: Serve, server_context: Context
) -> None:
    """NET-09: the gateway follows none; what the guest then asks is judged anew."""

    def moved(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(answer(b"", status="302 Found", headers=(f"location: {seen.url('other.test')}",)))

    first = serve(moved, server_context("ok.test"))
    worker = attached(gateway, with_token(), rule("other.test"), api__token=CANARY)
    got = worker.ask("GET", f"https://ok.test:{first.port}/")
    assert (got.status, seen.heads) == (302, [])
    assert worker.ask("GET", got.headers["location"]).body == b"hello"
    assert seen.fields("authorization") == []


def test_plain_http_never_gets_it(gateway: Gateway, serve: Serve) -> None:
    """Even where a rule that no document can write says so: a credential's line names https, and http is another line's."""
    heads: list[bytes] = []

    def plain(sock: socket.socket) -> None:
        heads.append(read_head(sock))
        sock.sendall(answer(b"hello"))

    server = serve(plain)
    worker = attached(gateway, with_token(), rule("ok.test", protocols=("http",)), api__token=CANARY)
    assert worker.ask("GET", f"http://ok.test:{server.port}/").body == b"hello"
    assert CANARY.encode() not in heads[0]


def test_a_server_that_is_not_the_host_gets_nothing(gateway: Gateway, serve: Serve, server_context: Context) -> None:
    """The name is proven by TLS before the head is sent."""
    other = Seen(serve, server_context("other.test"))
    worker = attached(gateway, with_token(), api__token=CANARY)
    got = worker.ask("GET", other.url())
    assert (got.status, other.heads) == (502, [])


def test_it_goes_with_its_own_port_method_and_path_alone(gateway: Gateway, seen: Seen) -> None:
    """A request that another line of the same host allows is carried as it is."""
    line = with_token(port=seen.server.port, methods=("POST",), paths=("/v1/**",))
    worker = attached(gateway, line, rule("ok.test"), api__token=CANARY)
    for method, path in (
        ("GET", "/v1/x"),
        ("POST", "/v2/x"),
        ("POST", "/v1/../v2"),
        ("POST", "/v1/%2e%2e/v2"),
        ("POST", "//v1/x"),
    ):
        assert worker.ask(method, seen.url(path=path)).body == b"hello"
    assert seen.fields("authorization") == []
    assert worker.ask("POST", seen.url(path="/v1/x")).body == b"hello"
    assert seen.fields("authorization") == [f"Bearer {CANARY}"]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ((("x-original-url", "/admin"),), "/v1/x"),
        ((("x-rewrite-url", "/v1/x"),), "/admin"),
        ((("x-http-method-override", "DELETE"),), "/v1/x"),
    ],
)
def test_a_request_with_two_readings_gets_it_in_both_or_is_refused(
    gateway: Gateway, seen: Seen, fields: tuple[tuple[str, str], ...], path: str
) -> None:
    """A wider line allows both; the credential is one path's and one method's."""
    worker = attached(gateway, with_token(methods=("GET",), paths=("/v1/**",)), rule("ok.test"), api__token=CANARY)
    assert "two ways" in refused(gateway, worker.ask("GET", seen.url(path=path), fields))
    assert seen.heads == []
    assert worker.ask("GET", seen.url(path="/v1/x"), (("x-original-url", "/v1/y"),)).body == b"hello"


def test_trace_never_carries_one(gateway: Gateway, seen: Seen) -> None:
    """RFC 9110 9.3.8: its answer is the request, so the guest would read the secret."""
    worker = attached(gateway, with_token(), rule("ok.test", paths=("/open",)), api__token=CANARY)
    assert "TRACE" in refused(gateway, worker.ask("TRACE", seen.url()))
    assert "TRACE" in refused(gateway, worker.ask("GET", seen.url(), (("x-http-method-override", "trace"),)))
    assert seen.heads == []


def test_what_the_guest_writes_under_its_name_is_replaced(gateway: Gateway, seen: Seen) -> None:
    """One field, ours: whatever the spelling, however often, and where the guest calls it a field of its connection."""
    key = Credential("api/token", "X-Api-Key", "{secret}")
    worker = attached(gateway, rule("ok.test", protocols=("https",), credential=key), api__token=CANARY)
    mine = (("x-api-key", "mine"), ("X-API-KEY", "mine too"), ("x_api_key", "and mine"), ("connection", "x-api-key"))
    assert worker.ask("GET", seen.url(), mine).body == b"hello"
    assert seen.fields("x-api-key") == [CANARY]
    assert "mine" not in seen.heads[0]


def test_without_its_secret_the_request_is_not_made(gateway: Gateway, seen: Seen) -> None:
    """Neither without the field nor with an empty one; the event names the secret, so that a person can be told what to set."""
    worker = attached(gateway, with_token(), other="a secret of another name")
    got = worker.ask("GET", seen.url())
    assert (got.status, got.json["reason"]) == (403, "the credential of this request is not there")
    (event,) = gateway.events()
    assert (event["secret"], event["reason"]) == ("api/token", "the secret `api/token` is not set")
    assert seen.heads == []


def test_a_call_has_only_what_was_given_for_it(gateway: Gateway, seen: Seen) -> None:
    """The secrets of a call that has ended are forgotten, and a call that was given none waits for none but its own."""
    worker = attached(gateway, with_token(), api__token=CANARY)
    assert worker.ask("GET", seen.url()).body == b"hello"
    gateway.send({"ended": gateway.workers, "call": "call-1"})
    gateway.events()
    assert worker.ask("GET", seen.url()).status == 403
    gateway.give({"api/token": CANARY}, call="call-2")
    assert worker.ask("GET", seen.url()).status == 403
    assert len(seen.fields("authorization")) == 1


def test_one_that_comes_a_moment_after_the_request_is_waited_for(gateway: Gateway, seen: Seen) -> None:
    """The request and the secret travel on two sockets."""
    worker = gateway.attach(with_token(), LOOPBACK)
    later = threading.Timer(0.2, gateway.give, ({"api/token": CANARY},))
    later.start()
    assert worker.ask("GET", seen.url()).body == b"hello"
    later.join()
    assert seen.fields("authorization") == [f"Bearer {CANARY}"]


@pytest.mark.parametrize("value", [f"{CANARY}\r\nx: y", f"{CANARY}\n", f"{CANARY}ä", f"{CANARY}\x7f", f" {CANARY}\x00"])
def test_a_secret_that_is_no_header_is_refused_and_not_told(gateway: Gateway, seen: Seen, value: str) -> None:
    """No second field can be smuggled in; h11's own complaint, which quotes the value, is never reached."""
    worker = attached(gateway, with_token(), api__token=value)
    assert "`api/token` cannot stand in a header" in refused(gateway, worker.ask("GET", seen.url()))
    assert seen.heads == []


def test_two_lines_with_one_header_and_two_secrets_are_refused(gateway: Gateway, seen: Seen) -> None:
    """Which one was meant, nobody knows; two headers are two credentials, and both go."""
    other = Credential("other/token", "authorization", "Bearer {secret}")
    lines = (with_token(), replace(with_token(paths=("/v1/**",)), credential=other, origin="policy.yaml:9:9"))
    worker = attached(gateway, *lines, api__token=CANARY, other__token=CANARY)
    assert "policy.yaml:1:1 and policy.yaml:9:9" in refused(gateway, worker.ask("GET", seen.url(path="/v1/x")))
    assert seen.heads == []
    assert worker.ask("GET", seen.url(path="/v2")).body == b"hello"
    key = Credential("other/token", "X-Api-Key", "{secret}")
    for second in (replace(lines[1], credential=key), replace(lines[0], credential=key)):
        worker = attached(gateway, lines[0], second, api__token=CANARY, other__token="the other")
        assert worker.ask("GET", seen.url(path="/v1/x")).body == b"hello"
        assert f"authorization: Bearer {CANARY}\r\nx-api-key: the other\r\n" in seen.heads[-1]


def test_a_line_that_loses_its_credential_cuts_what_is_on_the_way(
    gateway: Gateway, serve: Serve, server_context: Context
) -> None:
    """A revoke is judged by what goes along, too."""
    reached = threading.Event()

    def slow(sock: socket.socket) -> None:
        read_head(sock)
        reached.set()
        sock.recv(1)

    server = serve(slow, server_context("ok.test"))
    worker = attached(gateway, with_token(), api__token=CANARY)
    guest = worker.begin("GET", f"https://ok.test:{server.port}/")
    with guest.sock:
        guest.send(h11.EndOfMessage())
        assert reached.wait(20)
        gateway.set_rules(rule("ok.test"), LOOPBACK)
        assert guest.read().reset
    assert "its credential is another one by now" in gateway.event()["reason"]


def test_the_process_holds_it_in_no_argument_and_no_variable(gateway: Gateway) -> None:
    """What others of the machine may read of a process."""
    attached(gateway, with_token(), api__token=CANARY)
    gateway.events()
    for part in ("cmdline", "environ"):
        assert CANARY.encode() not in Path(f"/proc/{gateway.process.pid}/{part}").read_bytes()
