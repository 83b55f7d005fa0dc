"""What one record holds, and how it is spelled.

Decides the fields, their bounds, and that nothing is in a record which was not redacted: `Event` is what a caller tells,
`spell` is the only way to a line. Where the line goes is `sandbox.audit.log`.

Rules: one record is one line of canonical JSON in ASCII, so nothing that a guest wrote can end a line, colour a terminal or
turn the reading direction; a field is always there, None where it says nothing; what is too long is cut and says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from itertools import islice
from math import isfinite
from typing import Any

import orjson

from sandbox.redaction.redact import MAX_DEPTH, SMALL_TEXT, Redactor

GENESIS = "0" * 64
"""What the first record of a chain names as the digest of the one before."""

# How many characters of a field are kept. POLICY: `stdio` is kept for the record, 64Ki where nobody wrote another limit.
NAMED, TOLD, PRINTED = 1 << 10, 16 << 10, 64 << 10

MAX_ITEMS = 256
MARGIN = 1024
CUT = "[CUT]"


class EventType(StrEnum):
    """Everything that is recorded; each is provoked by a test."""

    COMPONENT_LOADED = "component_loaded"
    COMPONENT_UNLOADED = "component_unloaded"
    COMPONENT_CHANGED = "component_changed"
    POLICY_LOADED = "policy_loaded"
    POLICY_UPDATED = "policy_updated"
    POLICY_REFUSED = "policy_refused"
    PERMISSION_REQUESTED = "permission_requested"
    PERMISSION_ANSWERED = "permission_answered"
    PERMISSION_GRANTED = "permission_granted"
    PERMISSION_REVOKED = "permission_revoked"
    ROLE_ASSIGNED = "role_assigned"
    ROLE_REMOVED = "role_removed"
    SECRET_SET = "secret_set"  # noqa: S105 - an event
    SECRET_REMOVED = "secret_removed"  # noqa: S105 - an event
    REQUEST_START = "request_start"
    REQUEST_END = "request_end"
    REQUEST_ERROR = "request_error"
    TOOL_INVOKE = "tool_invoke"
    TOOL_SUCCESS = "tool_success"
    TOOL_FAILURE = "tool_failure"
    ACCESS_DENIED = "access_denied"
    ACCESS_GRANTED = "access_granted"
    SIGNAL_KILL = "signal_kill"
    SIGNAL_STOP = "signal_stop"
    SIGNAL_CONT = "signal_cont"
    CALLS_STOPPED = "calls_stopped"
    CALLS_RESUMED = "calls_resumed"
    WORKER_KILLED = "worker_killed"
    WORKER_CRASHED = "worker_crashed"
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
    BUDGET_EXCEEDED = "budget_exceeded"
    BUDGET_WARNING = "budget_warning"
    BUDGET_SET = "budget_set"
    BUDGET_DROPPED = "budget_dropped"
    BUDGET_REOPENED = "budget_reopened"
    AUTH_SUCCESS = "auth_success"
    AUTH_FAILURE = "auth_failure"
    SECURITY_ALERT = "security_alert"
    PROMPT_INJECTION = "prompt_injection"
    APPROVAL_REQUESTED = "approval_requested"
    APPROVAL_APPROVED = "approval_approved"
    APPROVAL_DENIED = "approval_denied"
    APPROVAL_EXPIRED = "approval_expired"
    APPROVAL_WITHDRAWN = "approval_withdrawn"
    APPROVAL_USED = "approval_used"


class Severity(StrEnum):
    """How much a record matters to who reads it."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


_SEVERITY = {
    EventType.COMPONENT_CHANGED: Severity.WARNING,
    EventType.POLICY_REFUSED: Severity.WARNING,
    EventType.REQUEST_ERROR: Severity.WARNING,
    EventType.TOOL_FAILURE: Severity.WARNING,
    EventType.ACCESS_DENIED: Severity.WARNING,
    EventType.SIGNAL_KILL: Severity.WARNING,
    EventType.SIGNAL_STOP: Severity.WARNING,
    EventType.CALLS_STOPPED: Severity.CRITICAL,
    EventType.CALLS_RESUMED: Severity.WARNING,
    EventType.WORKER_KILLED: Severity.WARNING,
    EventType.WORKER_CRASHED: Severity.WARNING,
    EventType.RATE_LIMIT_EXCEEDED: Severity.WARNING,
    EventType.BUDGET_EXCEEDED: Severity.WARNING,
    EventType.BUDGET_WARNING: Severity.WARNING,
    EventType.AUTH_FAILURE: Severity.WARNING,
    EventType.SECURITY_ALERT: Severity.CRITICAL,
    EventType.PROMPT_INJECTION: Severity.WARNING,
}


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. `audit_id` joins the records of one call; `arguments_digest` is of the arguments as they ran.

    Everything in it may hold what a guest or a client wrote; none of it is written as it is.
    """

    type: EventType
    audit_id: str
    subject: str | None = None
    tenant: str | None = None
    session: str | None = None
    trace_id: str | None = None
    address: str | None = None
    user_agent: str | None = None
    component: str | None = None
    digest: str | None = None
    tool: str | None = None
    rules: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    arguments: Any = None
    arguments_digest: str | None = None
    decision: str | None = None
    reason: str | None = None
    ending: str | None = None
    code: str | None = None
    denials: tuple[Mapping[str, Any], ...] = ()
    stdout: str = ""
    stderr: str = ""
    usage: Mapping[str, Any] = field(default_factory=dict)
    duration_ms: float | None = None
    generation: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    keep_s: float | None = None
    """How long a rule wants it kept, in seconds."""
    level: str | None = None
    """How much a rule wants recorded of it: a `LogLevel`."""


@dataclass(frozen=True, slots=True)
class Link:
    """Where a record stands in the chain: its number from 1, and the SHA-256 of the line before it."""

    seq: int
    prev: str


def body(event: Event, *, now: float, source: str, redactor: Redactor) -> dict[str, Any]:
    """The record of `event` without its place in the chain: cut to its bounds, then redacted, with a list of what was hidden."""
    hidden: set[str] = set()
    return {
        "subject": _named(event.subject, redactor, hidden),
        "tenant": _named(event.tenant, redactor, hidden),
        "session": _named(event.session, redactor, hidden),
        "address": _named(event.address, redactor, hidden),
        "user_agent": _named(event.user_agent, redactor, hidden),
        "component": _named(event.component, redactor, hidden),
        "tool": _named(event.tool, redactor, hidden),
        "reason": _named(event.reason, redactor, hidden),
        "arguments": _told(event.arguments, TOLD, redactor, hidden),
        "denials": _told(event.denials, TOLD, redactor, hidden),
        "detail": _told(event.detail, TOLD, redactor, hidden),
        "stdout": _told(event.stdout, PRINTED, redactor, hidden),
        "stderr": _told(event.stderr, PRINTED, redactor, hidden),
        # What follows is digests, random ids, numbers and words of our own.
        "event": event.type.value,
        "severity": _SEVERITY.get(event.type, Severity.INFO).value,
        "time": rfc3339(now),
        "audit_id": event.audit_id,
        "arguments_digest": event.arguments_digest,
        "code": event.code,
        "decision": event.decision,
        "digest": event.digest,
        "duration_ms": None if event.duration_ms is None else round(event.duration_ms, 3),
        "ending": event.ending,
        "generation": event.generation,
        "grants": event.grants,
        "kept_until": None if event.keep_s is None else rfc3339(now + event.keep_s),
        "redactions": sorted(hidden),
        "rules": event.rules,
        "source": source,
        "trace_id": event.trace_id,
        "usage": event.usage,
    }


def rfc3339(now: float) -> str:
    """Seconds since 1970 as a time for machines: RFC 3339, in UTC, to the microsecond."""
    second, micros = divmod(round(now * 1_000_000), 1_000_000)
    return f"{_second(second)}.{micros:06}Z"


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _named(text: str | None, redactor: Redactor, hidden: set[str]) -> Any:
    """A text that mostly comes again with the next call."""
    if not text:
        return text
    if len(text) > SMALL_TEXT:
        return _told(text, NAMED, redactor, hidden)
    redacted = redactor.name(text)
    hidden.update(redacted.hidden)
    return redacted.value


def _told(value: Any, bound: int, redactor: Redactor, hidden: set[str]) -> Any:
    if not value or redactor.harmless(value):
        return value
    bounded, whole = cut(value, bound)
    redacted = redactor.redact(bounded)
    hidden.update(redacted.hidden)
    return redacted.value if whole else trim(redacted.value, max(MARGIN, redactor.longest))


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
_FAST = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
_DELETE = b"\x7f"


def spell(body_of: Mapping[str, Any], link: Link) -> bytes:
    """The record's line, newline included."""
    record = {**body_of, "seq": link.seq, "prev": link.prev}
    try:
        line = orjson.dumps(record, option=_FAST)
    except TypeError:  # a lone surrogate, an integer of more than 64 bits
        line = b"\xff"
    if line.isascii() and _DELETE not in line:
        return line
    # What is not plain ASCII is escaped, which the fast encoder cannot.
    return _ENCODER.encode(record).encode("ascii") + b"\n"


def digest_of_line(line: bytes) -> str:
    """What the next record names as `prev`: SHA-256 of the whole line, newline included."""
    return hashlib.sha256(line).hexdigest()


def cut(value: Any, bound: int) -> tuple[Any, bool]:
    """A copy of a JSON value in at most about `bound` characters, `[CUT]` where something is missing; whether it is whole.

    Comes before the redaction, which a megabyte of arguments would make slow; `trim` follows it where it is not whole.
    """
    cutting = _Cutting(bound)
    return cutting.copy(value, 0), cutting.whole


class _Cutting:
    """How much of a value may still be kept."""

    __slots__ = ("left", "whole")

    def __init__(self, bound: int) -> None:
        self.left, self.whole = bound, True

    def copy(self, value: Any, depth: int) -> Any:
        if self.left <= 0 or depth > MAX_DEPTH:
            self.whole = False
            return CUT
        self.left -= 8
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            self.whole &= len(value) <= MAX_ITEMS
            return {self.copy(str(key), depth + 1): self.copy(item, depth + 1) for key, item in islice(value.items(), MAX_ITEMS)}
        if isinstance(value, list | tuple):
            kept = [self.copy(item, depth + 1) for item in value[:MAX_ITEMS]]
            return kept if len(kept) == len(value) else [*kept, CUT]
        return value if not isinstance(value, float) or isfinite(value) else str(value)

    def _text(self, text: str) -> str:
        kept = text
        if len(text) > self.left + MARGIN:
            kept, self.whole = text[: self.left + MARGIN] + CUT, False
        self.left -= len(kept)
        return kept


def trim(value: Any, margin: int) -> Any:
    """`value` without the last `margin` characters of every text that was cut: half a secret may stand there."""
    if isinstance(value, str):
        return value[: max(0, len(value) - len(CUT) - margin)] + CUT if value.endswith(CUT) and value != CUT else value
    if isinstance(value, dict):
        return {trim(key, margin): trim(item, margin) for key, item in value.items()}
    return [trim(item, margin) for item in value] if isinstance(value, list) else value
