"""The requests of one client that wait for their answers.

Decides whether another one may come. Leaves answering to the SDK, whose rules about ids it follows.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import mcp.types as t
from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.jsonrpc_dispatcher import cancelled_request_id_from_params

from sandbox.server.wire import Refusal, refuse

MAX_IN_FLIGHT = 1024
"""Requests that may wait for their answers at once; a policy's `concurrency` says how many of them run."""


@dataclass(slots=True)
class Ledger:
    """The requests that are not answered yet, by id as the SDK correlates them (`"7"` is `7`)."""

    waiting: set[t.RequestId] = field(default_factory=set)
    listening: set[t.RequestId] = field(default_factory=set)
    """Requests that have no end of their own: `subscriptions/listen`."""
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    """Nothing waits, whoever listens."""
    empty: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._tell()

    def ask(self, request: t.JSONRPCRequest) -> Refusal | None:
        """Note a request; the refusal where its id waits already or too many wait."""
        key = coerce_request_id(request.id)
        if key in self.waiting or key in self.listening:
            return refuse(request.id, t.INVALID_REQUEST, "invalid request: a request with this id is in flight")
        if len(self.waiting) + len(self.listening) >= MAX_IN_FLIGHT:
            return refuse(request.id, t.INTERNAL_ERROR, f"busy: {MAX_IN_FLIGHT} requests are in flight")
        (self.listening if request.method == "subscriptions/listen" else self.waiting).add(key)
        self._tell()
        return None

    def answered(self, request_id: t.RequestId) -> None:
        """Note that a request got its answer, or that the client gave it up."""
        key = coerce_request_id(request_id)
        self.waiting.discard(key)
        self.listening.discard(key)
        self._tell()

    def cancelled(self, notification: t.JSONRPCNotification) -> None:
        """Note `notifications/cancelled`: a cancelled request is never answered."""
        request_id = cancelled_request_id_from_params(notification.params)
        if notification.method == "notifications/cancelled" and request_id is not None:
            self.answered(request_id)

    def _tell(self) -> None:
        for event, none_left in ((self.idle, not self.waiting), (self.empty, not self.waiting and not self.listening)):
            (event.set if none_left else event.clear)()
