"""What happened: events become redacted, chained records."""

from sandbox.audit.log import AuditLog
from sandbox.audit.record import Event, EventType, Link, Severity, rfc3339
from sandbox.audit.verify import Damage, Fault, Verified, records, verify
from sandbox.redaction.redact import Redacted, Redactor

__all__ = [
    "AuditLog",
    "Damage",
    "Event",
    "EventType",
    "Fault",
    "Link",
    "Redacted",
    "Redactor",
    "Severity",
    "Verified",
    "records",
    "rfc3339",
    "verify",
]
