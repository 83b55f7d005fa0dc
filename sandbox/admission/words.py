"""The closed lists of words that an admission document is written in."""

from __future__ import annotations

from enum import StrEnum


class Template(StrEnum):
    """What holds of a call that no section speaks of: `audit` decides as `strict` would and blocks nothing."""

    STRICT = "strict"
    PERMISSIVE = "permissive"
    AUDIT = "audit"


class Where(StrEnum):
    """Where content is looked for: in what goes into a call, or in what comes out of it."""

    ARGUMENTS = "arguments"
    RESULT = "result"


class Treatment(StrEnum):
    """What is done about content that was found."""

    BLOCK = "block"
    REDACT = "redact"
    REQUIRE_APPROVAL = "require_approval"
    WARN = "warn"


class LogLevel(StrEnum):
    """How much the record says of a call; what is later in the list says more."""

    MINIMAL = "minimal"
    STANDARD = "standard"
    DETAILED = "detailed"


class Method(StrEnum):
    """What of MCP needs a scope; `grants` is every change of what a component may do."""

    LIST = "tools/list"
    CALL = "tools/call"
    READ = "resources/read"
    GRANTS = "grants"
