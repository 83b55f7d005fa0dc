"""What somebody does with the host's own tools, on record: the attempt, the question put to a person, the answer, the end.

Decides nothing. One attempt has one id in all its records, which `sandbox audit list --call ID` shows together.

Rule: no record, nothing is done: `begin` and `answered` raise HostUnavailable before anything has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.admission import RequestId, canonical_json, digest_of, new_request_id
from sandbox.audit import AuditLog, Event, EventType, Redactor
from sandbox.errors import Code, SandboxError


@dataclass(frozen=True, slots=True)
class Attempt:
    """One use of one of the host's own tools, by whom and in which session."""

    log: AuditLog
    id: RequestId
    tool: str
    subject: str
    session: str | None
    arguments_digest: str
    component: str | None
    redactor: Redactor

    def asked(self, question: str) -> None:
        """Record what a person is shown, word for word."""
        self._write(EventType.PERMISSION_REQUESTED, sync=True, detail={"question": question})

    def answered(self, answer: str, *, allowed: bool) -> None:
        """Record what came back: `accept`, `decline`, `cancel`, or why nothing did."""
        self._write(EventType.PERMISSION_ANSWERED, sync=True, decision="allow" if allowed else "deny", reason=answer)

    def succeeded(self, **told: Any) -> None:
        """Record that it was done, and what it did."""
        self._write(EventType.TOOL_SUCCESS, detail=told)

    def failed(self, code: Code, why: str) -> None:
        """Record that it was not done."""
        self._write(EventType.TOOL_FAILURE, code=code.value, reason=why)

    def _write(self, kind: EventType, *, sync: bool = False, **told: Any) -> None:
        event = Event(
            kind,
            self.id,
            subject=self.subject,
            session=self.session,
            component=self.component,
            tool=self.tool,
            arguments_digest=self.arguments_digest,
            **told,
        )
        self.log.append(event, self.redactor, sync=sync)


def begin(log: AuditLog, tool: str, arguments: Mapping[str, Any], *, subject: str, session: str | None) -> Attempt:
    """Record that somebody uses a tool of the host's own. Raises SandboxError for arguments that JSON cannot carry."""
    digest = arguments_digest(arguments)
    named = arguments.get("component_id")
    component = named if isinstance(named, str) else None
    attempt = Attempt(log, new_request_id(), tool, subject, session, digest, component, Redactor(secrets_in(arguments)))
    attempt._write(EventType.TOOL_INVOKE, arguments=arguments)
    return attempt


def arguments_digest(arguments: Mapping[str, Any]) -> str:
    """The digest of arguments in their one form. Raises SandboxError for those that JSON cannot carry."""
    try:
        return digest_of(canonical_json(arguments))
    except (ValueError, TypeError) as error:
        raise SandboxError(f"the arguments are not JSON: {error}", code=Code.INVALID_ARGUMENTS) from None


def secrets_in(arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What of the arguments must not be recorded: a variable's value may be a secret."""
    inner = arguments.get("details")
    parts = [arguments, *([inner] if isinstance(inner, Mapping) else [])]
    pairs = ((str(part.get("key", "")), part.get("value")) for part in parts)
    return [(key, value) for key, value in pairs if isinstance(value, str)]
