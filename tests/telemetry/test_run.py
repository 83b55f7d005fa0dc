"""What a trace is told of a call's run: no host that a guest could have made up, no path, no method of its own."""

from __future__ import annotations

import time
from typing import Any

from sandbox.host.outcome import Ending, Outcome
from sandbox.host.traced import tell_run
from sandbox.telemetry.spans import Kind, Span, Trace, traced
from sandbox.template.template import Effect, NetworkRule, WasiTemplate
from sandbox.wit.types import Digest

CANARY = "canary-6f1c0d"


def rule(host: str) -> NetworkRule:
    return NetworkRule(Effect.ALLOW, host, None, None, ("https",), None, None, "policy.yaml:1:1")


TEMPLATE = WasiTemplate(component=Digest("0" * 64), network=(rule("api.example"), rule("*.wild.example")))


def told(event: dict[str, Any], ending: Ending = Ending.RETURNED) -> tuple[Span, ...]:
    """The spans of a run that had this event of the gateway's."""
    trace, now = Trace(None), time.monotonic()
    with traced(trace):
        tell_run(now - 0.5, Outcome(ending), [{"began": now - 0.25, "seconds": 0.125, "port": 443, **event}], TEMPLATE)
    return tuple(trace.spans)


def test_a_request_is_told_with_its_host_where_the_policy_names_it() -> None:
    run, request = told({"host": "api.example", "method": "GET", "path": f"/{CANARY}", "decision": "allow"})
    assert (run.name, run.error) == ("worker", None)
    assert (request.name, request.kind, request.parent_id, request.error) == ("GET", Kind.CLIENT, run.span_id, None)
    assert request.attributes == {"server.address": "api.example", "server.port": 443, "http.request.method": "GET"}
    assert request.ended_ns - request.began_ns == 125_000_000
    assert run.began_ns < request.began_ns < request.ended_ns < run.ended_ns


def test_a_host_that_a_pattern_lets_a_guest_choose_is_not_told_and_neither_is_a_method_of_its_own() -> None:
    for host in (f"{CANARY}.wild.example", "*.wild.example", None):
        _, request = told({"host": host, "method": CANARY, "reason": CANARY, "decision": "deny"})
        assert (request.name, request.error) == ("HTTP", "denied")
        assert request.attributes == {"server.port": 443, "http.request.method": "_OTHER"}


def test_a_socket_and_a_cap_are_told_by_what_they_are() -> None:
    run, socket = told({"host": "api.example", "operation": "connect", "decision": "cap"}, Ending.TRAPPED)
    assert (socket.name, socket.error, run.error) == ("connect", "limit", "trapped")
    assert told({"host": "api.example", "operation": CANARY, "method": "", "seconds": "0"})[1:] == ()
