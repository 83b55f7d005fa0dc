"""What a record says of who asked, and for what: the same words for a component's call, a guarded function and a web request.

Decides which fields of a request are recorded. Rule: address, user agent and trace are what a caller says of itself; they are
bounded and redacted as everything is (`sandbox.audit.record`), and of the trace only an id that has its form is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.config.spending import Metric
from sandbox.telemetry.context import trace_id_of

if TYPE_CHECKING:
    from sandbox.admission.request import CallRequest
    from sandbox.admission.spending.reserving import Reservation

_COUNTED = (Metric.COST, Metric.TOKENS)


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
    trace = trace_id_of(metadata.get("trace"))
    return told if trace is None else {**told, "trace_id": trace}
