"""What a record says of who asked, and for what: the same words for a component's call, a guarded function and a web request.

Decides which fields of a request are recorded. Rule: address, user agent and trace are what a caller says of itself; they are
bounded and redacted as everything is (`sandbox.audit.record`), and of the trace only an id that has its form is kept.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sandbox.config.spending import Metric

if TYPE_CHECKING:
    from sandbox.admission.request import CallRequest
    from sandbox.admission.spending.reserving import Reservation

_COUNTED = (Metric.COST, Metric.TOKENS)

# W3C Trace Context, 3.2: version, trace id, parent id, flags. An id of zeros is none.
_TRACE = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?", re.ASCII)


def asked(request: CallRequest) -> dict[str, Any]:
    """The fields of an `Event` that a request fills in."""
    told: dict[str, Any] = {
        "audit_id": request.request_id,
        "subject": request.subject.id or None,
        "tenant": request.subject.tenant or None,
        "session": request.session or None,
        "component": request.component or None,
        "digest": request.digest or None,
        "tool": request.tool or None,
        "arguments_digest": request.arguments_digest or None,
        "generation": request.generation or None,
    }
    if request.metadata:
        told |= said_of_itself(request.metadata)
    return told


def spent(reservation: Reservation | None) -> dict[str, int]:
    """What a call cost, where anybody counts."""
    return {} if reservation is None else {metric.value: reservation.used.get(metric, 0) for metric in _COUNTED}


def said_of_itself(metadata: Any) -> dict[str, Any]:
    """What of a caller's own words is recorded: where it comes from, by which program, in which trace."""
    told = {name: text for name in ("address", "user_agent") if isinstance(text := metadata.get(name), str) and text}
    trace = trace_id(metadata.get("trace"))
    return told if trace is None else {**told, "trace_id": trace}


def trace_id(traceparent: Any) -> str | None:
    """The trace that a `traceparent` belongs to, or None for what is none."""
    found = _TRACE.fullmatch(traceparent) if isinstance(traceparent, str) and len(traceparent) < 256 else None
    return None if found is None else found[1]
