"""What became of a call: the value that leaves the host, whatever the guest did.

A guest's trap, exit, limit, crash or denial is never an exception. Everything textual in here was written by a guest or
about one: it is untrusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sandbox.errors import Code


class Ending(StrEnum):
    """How a call ended."""

    RETURNED = "returned"
    GUEST_ERROR = "guest_error"
    INVALID_ARGUMENTS = "invalid_arguments"
    TRAPPED = "trapped"
    EXITED = "exited"
    LIMIT = "limit"
    CRASHED = "crashed"
    CANCELLED = "cancelled"
    REVOKED = "revoked"
    KILLED = "killed"
    WITHHELD = "withheld"
    UNAVAILABLE = "unavailable"


BUDGET = "budget"
"""The limit that ended a call which used more than somebody's budget has."""


KINDS = ("storage", "network", "environment", "state", "resources")
"""What a permission may be about, as a policy's sections are named."""

_KIND_OF = {
    Code.FILESYSTEM_ACCESS_DENIED: "storage",
    Code.NETWORK_ACCESS_DENIED: "network",
    Code.ENVIRONMENT_ACCESS_DENIED: "environment",
}


def kind_of_denial(code: Code, resource: object) -> str:
    """Which of `KINDS` a refusal is about; `resource` is what its target names."""
    return _KIND_OF.get(code, "state" if resource == "keyvalue" else "resources")


@dataclass(frozen=True, slots=True)
class Denial:
    """One effect that was refused: a closed code and what was tried.

    `target` holds, by code: filesystem {path, operation} (the guest's path), network {host, port, method, path, scheme},
    environment {variable}, resource {resource, limit}. `private` is what only the operator's terminal may see
    (`host_path`); it never leaves for a client. `origin` is the deny rule's line, or None where no rule allows it.
    """

    code: Code
    target: dict[str, Any]
    reason: str
    origin: str | None = None
    private: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call used, host calls included."""

    wall_ms: float = 0.0
    cpu_ms: float = 0.0
    peak_memory_bytes: int = 0
    output_bytes: int = 0
    requests: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    fuel: int | None = None
    denials: int = 0
    """Every refusal, repeated ones too; of a call that its worker did not survive, those that were told."""
    checks: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Of each of `KINDS` that was asked for: how often it was allowed, how often refused. What its worker did not survive to tell
    is missing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one call. `value` is the JSON result, or the guest's `err`; None where there is none.

    `message` is one line for a person (no host path, no process id, no backtrace); `limit` names the limit that ended the
    call (`wall_time`) with its value and policy line in `message`.
    """

    ending: Ending
    value: Any = None
    message: str = ""
    limit: str | None = None
    denials: tuple[Denial, ...] = ()
    stdout: str = ""
    stderr: str = ""
    usage: Usage = Usage()

    @property
    def ok(self) -> bool:
        """Whether the guest returned a value that is no `err`."""
        return self.ending is Ending.RETURNED
