"""The requests of handshake sessions that wait for their answers.

Decides whether another one may come: the SDK sends the answer of two requests with one id to the later one, and the first would
wait for ever. On standard input `sandbox.server.ledger` does the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import mcp.types as t
from mcp.shared.dispatcher import coerce_request_id

from sandbox.server.ledger import MAX_IN_FLIGHT
from sandbox.server.wire import Refusal, refuse


@dataclass(slots=True)
class Waiting:
    """By session, the ids as the SDK correlates them (`"7"` is `7`)."""

    _sessions: dict[str, set[t.RequestId]] = field(default_factory=dict)

    def begin(self, session: str, request: t.JSONRPCRequest) -> Refusal | None:
        """Note a request; the refusal where its id waits already or too many wait."""
        key = coerce_request_id(request.id)
        waiting = self._sessions.setdefault(session, set())
        if key in waiting:
            return refuse(request.id, t.INVALID_REQUEST, "invalid request: a request with this id is in flight")
        if len(waiting) >= MAX_IN_FLIGHT:
            return refuse(request.id, t.INTERNAL_ERROR, f"busy: {MAX_IN_FLIGHT} requests are in flight")
        waiting.add(key)
        return None

    def end(self, session: str, request: t.JSONRPCRequest) -> None:
        """Note that a request has its answer."""
        waiting = self._sessions[session]
        waiting.discard(coerce_request_id(request.id))
        if not waiting:
            del self._sessions[session]
