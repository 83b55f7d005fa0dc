"""What can go wrong with a document, a component or a request, and under which code.

Decides nothing. Bad input raises a child of `SandboxError`; our own misuse raises `TypeError` or `RuntimeError`. A
guest's trap, exit, limit or denial is no exception: it is an `Outcome` (`sandbox.host.outcome`).

Rules: the codes are closed (POLICY: errors and denials), a message says where and quotes the text, the help says what to
write instead.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_NAMED = 20
"""Names that an error lists."""


class Code(StrEnum):
    """The closed list of error and denial codes, the same in Python, MCP, `--json` and the record."""

    POLICY_NOT_FOUND = "policy_not_found"
    INVALID_FORMAT = "invalid_format"
    VALIDATION_FAILED = "validation_failed"
    COMPILATION_FAILED = "compilation_failed"
    NETWORK_ERROR = "network_error"
    FILESYSTEM_ACCESS_DENIED = "filesystem_access_denied"
    NETWORK_ACCESS_DENIED = "network_access_denied"
    ENVIRONMENT_ACCESS_DENIED = "environment_access_denied"
    RESOURCE_LIMIT_EXCEEDED = "resource_limit_exceeded"
    # Codes of a call and a component that have no policy behind them.
    COMPONENT_REFUSED = "component_refused"
    COMPONENT_NOT_FOUND = "component_not_found"
    TOOL_NOT_FOUND = "tool_not_found"
    GRANT_REFUSED = "grant_refused"
    GRANT_NOT_FOUND = "grant_not_found"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    INVALID_ARGUMENTS = "invalid_arguments"
    GUEST_ERROR = "guest_error"
    TRAPPED = "trapped"
    CRASHED = "crashed"
    REVOKED = "revoked"
    KILLED = "killed"
    CANCELLED = "cancelled"
    UNAVAILABLE = "unavailable"
    # Codes of a call that would go on under another admission, or later.
    ACCESS_DENIED = "access_denied"
    APPROVAL_REQUIRED = "approval_required"
    APPROVAL_NOT_FOUND = "approval_not_found"
    NOT_YOURS_TO_ANSWER = "not_yours_to_answer"
    NO_LONGER_PENDING = "no_longer_pending"
    STOPPED = "stopped"
    CONTENT_WITHHELD = "content_withheld"
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
    BUDGET_EXCEEDED = "budget_exceeded"


class SandboxError(Exception):
    """A document, a component or a request that is refused.

    `message` is lower case without a full stop and quotes the offending text in backticks; `help` says what to write
    instead, or is None.
    """

    code: Code = Code.INVALID_FORMAT

    def __init__(self, message: str, *, help: str | None = None, code: Code | None = None) -> None:  # noqa: A002 - the word of the error style
        super().__init__(message)
        self.message = message
        self.help = help
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return self.message if self.help is None else f"{self.message}\n  help: {self.help}"

    def to_json(self) -> dict[str, Any]:
        """The error as `{"code", "message", "help"?}`, for `--json` and MCP."""
        body: dict[str, Any] = {"code": self.code.value, "message": self.message}
        if self.help is not None:
            body["help"] = self.help
        return body


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a document: where (`file:line:column`), the path in it, what, and what to write instead."""

    where: str
    path: str
    message: str
    help: str | None = None

    def __str__(self) -> str:
        at = f"{self.where}: {self.path}: " if self.path else f"{self.where}: "
        return f"{at}{self.message}" if self.help is None else f"{at}{self.message}\n  help: {self.help}"

    def to_json(self) -> dict[str, Any]:
        """The problem as a JSON object with the keys `where`, `path`, `message`, `help`."""
        return {"where": self.where, "path": self.path, "message": self.message, "help": self.help}


class PolicyError(SandboxError):
    """A policy document is refused; `problems` lists everything that is wrong with it, in the order of the text."""

    code = Code.VALIDATION_FAILED

    def __init__(self, problems: tuple[Problem, ...], *, code: Code | None = None) -> None:
        super().__init__("\n".join(str(problem) for problem in problems), code=code)
        self.problems = problems

    def to_json(self) -> dict[str, Any]:
        """The error with its `problems`, each as `Problem.to_json` gives it."""
        return {**super().to_json(), "problems": [problem.to_json() for problem in self.problems]}


def told_one_by_one(error: SandboxError) -> tuple[str, ...]:
    """What is wrong, each problem with its help: a list of problems is not a list of lines."""
    return tuple(map(str, error.problems)) if isinstance(error, PolicyError) else (str(error),)


class ComponentError(SandboxError):
    """A component is refused before it runs: its size, its format, its imports or its exports."""

    code = Code.COMPONENT_REFUSED


class GrantError(SandboxError):
    """A grant or a revoke is refused: malformed, above the ceiling, or not there."""

    code = Code.GRANT_REFUSED


class NotFound(SandboxError):  # noqa: N818 - it reads as the sentence it is
    """A component, tool or grant of that name is not there."""

    code = Code.COMPONENT_NOT_FOUND


def unknown_component(name: str, known: Iterable[str]) -> NotFound:
    """No component has that name; the help names the one that was meant, or those that there are."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    listed = ", ".join(f"`{each}`" for each in names[:MAX_NAMED]) + (", …" if len(names) > MAX_NAMED else "")
    others = f"there are {listed}" if names else "`sandbox component load FILE.wasm` installs one"
    return NotFound(f"there is no component `{name}`", help=f"did you mean `{near[0]}`?" if near else others)


class NotAdmitted(SandboxError):  # noqa: N818 - it reads as the sentence it is
    """A call is refused before it begins; the code says by what. `retry_after_s` is when asking again may help."""

    code = Code.ACCESS_DENIED

    def __init__(
        self,
        message: str,
        *,
        help: str | None = None,  # noqa: A002 - the word of the error style
        code: Code | None = None,
        retry_after_s: float | None = None,
        rules: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, help=help, code=code)
        self.retry_after_s, self.rules = retry_after_s, rules

    def to_json(self) -> dict[str, Any]:
        """The error with the `rules` that decided and `retry_after_s`, where there are any."""
        wait = {} if self.retry_after_s is None else {"retry_after_s": self.retry_after_s}
        return {**super().to_json(), **({"rules": list(self.rules)} if self.rules else {}), **wait}


class ApprovalPending(NotAdmitted):
    """A call waits for a person's approval; made again after a yes, it runs. `approval` is the id, `command` what answers it."""

    code = Code.APPROVAL_REQUIRED

    def __init__(self, message: str, approval: str, *, rules: tuple[str, ...] = ()) -> None:
        self.approval, self.command = approval, f"sandbox approvals approve {approval}"
        help_ = f"show the person at the terminal this `command`, and make the call again after it: {self.command}"
        super().__init__(message, help=help_, rules=rules)

    def to_json(self) -> dict[str, Any]:
        """The error with the `approval` that is pending, and the `command`."""
        return {**super().to_json(), "approval": self.approval, "command": self.command}


class HostUnavailable(SandboxError):  # noqa: N818 - it reads as the sentence it is
    """The host cannot serve: a layer that `strict` needs is missing, the record cannot be written, or it is closed."""

    code = Code.UNAVAILABLE
