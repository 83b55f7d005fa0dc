"""What happened: events become redacted, chained records."""

from sandbox.audit.keys import Keys
from sandbox.audit.log import AuditLog
from sandbox.audit.query import AuditPage, AuditQuery, ask, every
from sandbox.audit.record import Event, EventType, Link, Severity, rfc3339
from sandbox.audit.terms import Terms
from sandbox.audit.verify import Damage, Fault, Verified, records, verify
from sandbox.redaction.redact import Redacted, Redactor

__all__ = [
    "AuditLog",
    "AuditPage",
    "AuditQuery",
    "Damage",
    "Event",
    "EventType",
    "Fault",
    "Keys",
    "Link",
    "Redacted",
    "Redactor",
    "Severity",
    "Terms",
    "Verified",
    "ask",
    "every",
    "records",
    "rfc3339",
    "verify",
]
