"""What looks like a credential, and a copy without it."""

from sandbox.redaction.redact import Redacted, Redactor

__all__ = ["Redacted", "Redactor"]
