"""The part of `Sandbox` that records who was let in by an edge, and who was not.

Decides nothing: whether a token is good is the edge's, and how often one is noted too. Rule: what is told here comes from
verified claims or is a word of our own; the token itself never comes this far.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.admission import Subject, new_request_id
from sandbox.audit import Event, EventType, Redactor
from sandbox.audit.asked import said_of_itself
from sandbox.dispatch import Dispatch


class Authentications:
    """What `Sandbox` offers to an edge that asks for tokens."""

    _dispatch: Dispatch

    def authenticated(self, who: Subject, detail: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Record that a subject came with a token of its own. Raises HostUnavailable."""
        told = {"subject": who.id, "tenant": who.tenant, "detail": {"roles": who.roles, "scopes": who.scopes, **detail}}
        self._note(EventType.AUTH_SUCCESS, metadata, **told)

    def not_authenticated(self, reason: str, detail: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Record that somebody was not let in, and why. Raises HostUnavailable."""
        self._note(EventType.AUTH_FAILURE, metadata, reason=reason, detail=detail)

    def _note(self, kind: EventType, metadata: Mapping[str, Any], **told: Any) -> None:
        log = self._dispatch.recording.log
        write = log.refused if kind is EventType.AUTH_FAILURE else log.append
        write(Event(kind, new_request_id(), **told, **said_of_itself(metadata)), Redactor())
