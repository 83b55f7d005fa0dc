"""What was decided about a request, why, and what comes with it.

Decides nothing. Rule: every value is frozen and holds nothing that a later step could change.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Ruling(StrEnum):
    """What is decided about a call."""

    ALLOW = "allow"
    DENY = "deny"
    REQUIRE_APPROVAL = "require_approval"


@dataclass(frozen=True, slots=True)
class Constraints:
    """What the deciding rules attach to their answer, merged to the stricter; None and empty are no constraint.

    `approver_roles`: one approver of each; `four_eyes`: two different people; `retention_s`: the record is kept at least so
    long; `duties`: words that only the caller understands.
    """

    approver_roles: tuple[str, ...] = ()
    approval_timeout_s: float | None = None
    retention_s: float | None = None
    log_level: str | None = None
    duties: tuple[str, ...] = ()
    four_eyes: bool = False


NO_CONSTRAINTS = Constraints()


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one request, with the names of the rules that decided and one line that says why.

    `warnings` are told to the caller beside the result. `retry_after_s` is when asking again may help, None where it does not.
    `obligations` are what the caller has to do if it goes on. `would_be` is what a document in audit mode would have decided.
    `signal` is what the deciding rule wants done beside a refusal: `SIGKILL`, `SIGSTOP`.
    """

    effect: Ruling
    rules: tuple[str, ...]
    reason: str
    constraints: Constraints = NO_CONSTRAINTS
    warnings: tuple[str, ...] = ()
    retry_after_s: float | None = None
    obligations: tuple[str, ...] = ()
    would_be: Ruling | None = None
    signal: str | None = None

    @property
    def allowed(self) -> bool:
        """Whether the call may run."""
        return self.effect is Ruling.ALLOW
