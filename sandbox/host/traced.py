"""What of a call's run its trace is told: how long it waited, its run, each request that left for the gateway.

Decides what may be told: numbers, closed words, and a host that a line of the policy names letter for letter; any other host may
be made of what a guest wants to say, and so may a path.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import Any

from sandbox.host.outcome import Outcome
from sandbox.telemetry.spans import Kind, Trace, trace_here
from sandbox.template.template import WasiTemplate

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
_SOCKETS = frozenset({"connect", "lookup"})


def tell_wait(seconds: float) -> None:
    """A call has waited so long until now for its turn and a worker."""
    if (trace := trace_here()) is not None:
        trace.passed("queue", seconds)


def tell_run(began: float, outcome: Outcome, events: Iterable[dict[str, Any]], template: WasiTemplate) -> None:
    """A call has run since `began`, of `time.monotonic`, and this is what became of it."""
    if (trace := trace_here()) is None:
        return
    usage, ending = outcome.usage, outcome.ending.value
    told: dict[str, str | float] = {"sandbox.ending": ending, "sandbox.cpu_ms": usage.cpu_ms}
    told["sandbox.peak_memory_bytes"] = usage.peak_memory_bytes
    run = trace.passed("worker", monotonic() - began, told, error=None if outcome.ok else ending)
    named = {rule.host for rule in template.network if rule.host is not None and "*" not in rule.host}
    for event in events:
        _tell_request(trace, run, event, named)


def _tell_request(trace: Trace, run: str, event: dict[str, Any], named: set[str]) -> None:
    """A request, or a socket, as the semantic conventions for HTTP clients have it."""
    began, seconds, port = event.get("began"), event.get("seconds"), event.get("port")
    if not isinstance(began, float) or not isinstance(seconds, float):
        return
    operation, method = event.get("operation"), event.get("method")
    told: dict[str, str | int] = {} if event.get("host") not in named else {"server.address": str(event["host"])}
    told |= {"server.port": port} if isinstance(port, int) and port else {}
    if operation in _SOCKETS:
        name = str(operation)
    else:
        name = str(method) if method in _METHODS else "HTTP"
        told["http.request.method"] = name if name != "HTTP" else "_OTHER"
    refused = {"deny": "denied", "cap": "limit"}.get(str(event.get("decision")))
    trace.passed(name, seconds, told, until=began + seconds, within=run, kind=Kind.CLIENT, error=refused)
