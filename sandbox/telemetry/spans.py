"""The spans of one call, as they are kept until it has ended.

Decides how spans are told apart and what one may carry: names and numbers of ours, the names of tool and component,
never what a guest or a client wrote. Leaves how they are sent to `sandbox.telemetry.otlp`.

Rules: a stage tells a span when it is over, with what it measured anyhow; where no call
is traced, telling costs one look. At most `MAX_SPANS` a call.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum

from sandbox.telemetry.context import TraceContext

MAX_SPANS = 128
"""Of one call, its requests among them."""

Attributes = Mapping[str, str | int | float | bool]
_NONE: Attributes = {}


class Kind(Enum):
    """What a span is about, by its number in OpenTelemetry's protocol."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a call; its times are nanoseconds since 1970. `error` is a closed word."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    began_ns: int
    ended_ns: int
    kind: Kind = Kind.INTERNAL
    attributes: Attributes = field(default_factory=dict)
    error: str | None = None
    state: str = ""


class Trace:
    """What one call tells of itself while it runs. Its times are of `time.monotonic`, which every process here shares."""

    __slots__ = ("_began", "_offset_ns", "_parent", "context", "spans")

    def __init__(self, parent: TraceContext | None) -> None:
        self._parent = parent
        self._began = time.monotonic()
        self._offset_ns = time.time_ns() - int(self._began * 1e9)
        trace_id = secrets.token_hex(16) if parent is None else parent.trace_id
        self.context = TraceContext(trace_id, secrets.token_hex(8), state="" if parent is None else parent.state)
        """Of the call itself: what is told of it is below that span."""
        self.spans: list[Span] = []

    def passed(
        self,
        name: str,
        seconds: float,
        attributes: Attributes = _NONE,
        *,
        until: float | None = None,
        within: str | None = None,
        kind: Kind = Kind.INTERNAL,
        error: str | None = None,
    ) -> str:
        """A stretch that took so long until now, or `until` then; its id, for those that lie `within` it."""
        span_id = secrets.token_hex(8)
        if len(self.spans) < MAX_SPANS:
            ended = time.monotonic() if until is None else until
            times = (self._ns(ended - seconds), self._ns(ended))
            parent = within or self.context.span_id
            self.spans.append(Span(name, self.context.trace_id, span_id, parent, *times, kind, attributes, error))
        return span_id

    def ended(self, name: str, attributes: Attributes, error: str | None) -> tuple[Span, ...]:
        """The call is over: every span of it, its own first."""
        parent = "" if self._parent is None else self._parent.span_id
        ids = (self.context.trace_id, self.context.span_id, parent)
        times = (self._ns(self._began), self._ns(time.monotonic()))
        return (Span(name, *ids, *times, Kind.SERVER, attributes, error, self.context.state), *self.spans)

    def _ns(self, monotonic: float) -> int:
        return self._offset_ns + int(monotonic * 1e9)


_HERE: ContextVar[Trace | None] = ContextVar("trace", default=None)


def trace_here() -> Trace | None:
    """The trace of the call that runs here; None where it is not traced."""
    return _HERE.get()


class traced:  # noqa: N801 - it reads as the block that it opens
    """A block in which the call is traced."""

    __slots__ = ("_token", "_trace")

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def __enter__(self) -> Trace:
        self._token = _HERE.set(self._trace)
        return self._trace

    def __exit__(self, *error: object) -> None:
        _HERE.reset(self._token)
