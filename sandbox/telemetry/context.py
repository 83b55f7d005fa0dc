"""Which trace a request belongs to, as its client tells it: W3C trace context.

Decides what is a `traceparent` and what is none: one that does not spell as the standard says is as if it were not there. Leaves
what is done with it to `sandbox.telemetry.tracing`; it gives no right, whoever sends it.

Source: W3C Trace Context, level 1, sections 3.2 and 3.3; MCP's SEP-414 for its place in a request's `_meta`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"

_SPELLED = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[^\s]*)?", re.ASCII)
_STATE = re.compile(r"[\x20-\x7e]{1,512}", re.ASCII)
"""The standard asks that as many characters be passed on; of more, none is."""
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The trace that a request belongs to and the span of it that asks; both in lower-case hexadecimal digits."""

    trace_id: str
    span_id: str
    sampled: bool = True
    state: str = ""
    """What others added to it, passed on as it came."""

    @property
    def traceparent(self) -> str:
        """As it is sent."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


def read_context(traceparent: object, tracestate: object = None) -> TraceContext | None:
    """The context that a client told; None where it told none, or nothing that is one."""
    found = _SPELLED.fullmatch(traceparent) if isinstance(traceparent, str) else None
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
        return None
    if not int(found[2], 16) or not int(found[3], 16):
        return None
    state = tracestate if isinstance(tracestate, str) and _STATE.fullmatch(tracestate) else ""
    return TraceContext(found[2], found[3], bool(int(found[4], 16) & _SAMPLED), state)


def trace_id_of(traceparent: object) -> str | None:
    """The trace's id alone, for the record."""
    found = read_context(traceparent)
    return None if found is None else found.trace_id
