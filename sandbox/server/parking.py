"""A call whose component waits in its gate while the person at the client is asked.

Decides how the question travels and what counts as an answer. In the handshake era it goes out while the call is open. In the era
without sessions the call is answered with it (`InputRequiredResult`) and runs on here, parked, until the client makes the call
again with what the person said: then that one has the parked call's next question, or its end.

Rules: an answer is to one question, good once, and only of the tool, the arguments, the subject and the session that were asked
about: what the client carries is a random name of what is kept here. Whatever is no answer is a no. A parked call to which nobody
comes back is ended; how many wait at a time is for `sandbox.changes.asking` to say.

Source: MCP 2025-11-25 and 2026-07-28, "Elicitation"; `InputRequiredResult`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import mcp.types as t
from mcp import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from sandbox.admission import canonical_json, digest_of
from sandbox.changes.asking import Answer, Asked, Person
from sandbox.errors import GrantError
from sandbox.host.asking import ANSWER_SECONDS
from sandbox.policy.grants import Lifetime
from sandbox.server.builtin.asking import can_ask
from sandbox.server.calls import Shown, failed
from sandbox.server.clients import Caller, Context

AWAY_SECONDS = ANSWER_SECONDS - 10.0
"""How long a parked call waits for its client to come back, a little less than the answer is waited for: then it is ended."""

ANSWER = "answer"
QUESTION = "permission"

Run = Callable[["Person | None", Callable[[], Context]], Awaitable[Shown]]
"""Makes the call: whom it may ask, and the request that is answered with what it comes to."""


def schema(choices: tuple[Answer, ...]) -> dict[str, Any]:
    """The form that a client shows."""
    words = [choice.value for choice in choices]
    asked = {"type": "string", "title": "Allow it", "description": "For how long", "enum": words, "default": Answer.NO.value}
    return {"type": "object", "properties": {ANSWER: asked}, "required": [ANSWER]}


def read(given: object) -> Answer:
    """What a client's answer says; what is neither a yes nor a no is nothing."""
    if not isinstance(given, t.ElicitResult) or given.action == "cancel":
        return Answer.NOTHING
    said = (given.content or {}).get(ANSWER) if given.action == "accept" else None
    return next((answer for answer in Answer if answer.value == said), Answer.NO)


@dataclass(slots=True)
class _Parked:
    """A call that runs on while its client is away: the request that answers for it, and the question that it waits for."""

    about: tuple[str, str, str, str]
    ctx: Context
    task: asyncio.Task[Shown] | None = None
    asks: asyncio.Event = field(default_factory=asyncio.Event)
    question: Asked | None = None
    answer: asyncio.Future[Answer] | None = None

    async def ask(self, question: Asked) -> Answer:
        """Have the question carried out, and wait."""
        self.question, self.answer = question, asyncio.get_running_loop().create_future()
        self.asks.set()
        return await self.answer


class Parking:
    """The parked calls of one server. `most` is how long at most a yes through a client is good."""

    def __init__(self, most: Lifetime = "session", seconds: float = AWAY_SECONDS) -> None:
        self._most, self._seconds = most, seconds
        self._away: dict[str, tuple[_Parked, asyncio.TimerHandle]] = {}

    async def call(
        self, ctx: Context, caller: Caller, params: t.CallToolRequestParams, run: Run
    ) -> Shown | t.InputRequiredResult:
        """Make a call, or go on with the one that the client comes back to."""
        if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            return await run(self._person(ctx, caller, lambda question: _pushed(ctx, question)), lambda: ctx)
        about = (params.name, digest_of(canonical_json(params.arguments or {})), caller.subject, caller.session)
        if params.request_state is not None:
            return await self._resumed(ctx, about, params)
        parked = _Parked(about, ctx)
        parked.task = asyncio.ensure_future(run(self._person(ctx, caller, parked.ask), lambda: parked.ctx))
        return await self._next(parked, parked.task)

    def close(self) -> None:
        """End what is parked: the server goes."""
        for state in tuple(self._away):
            self._forget(state)

    def _person(self, ctx: Context, caller: Caller, ask: Callable[[Asked], Awaitable[Answer]]) -> Person | None:
        return Person(ask, f"mcp:{caller.subject}", self._most) if can_ask(ctx) else None

    async def _resumed(
        self, ctx: Context, about: tuple[str, str, str, str], params: t.CallToolRequestParams
    ) -> Shown | t.InputRequiredResult:
        found = self._away.get(params.request_state or "")
        if found is None or found[0].about != about:
            said = "no such call waits for an answer: it was answered, is too old, or was about something else"
            error = GrantError(said, help="make the call again, without the state")
            return failed(error.to_json(), structured=True)
        del self._away[params.request_state or ""]
        parked, timer = found
        timer.cancel()
        parked.ctx = ctx
        assert parked.answer is not None
        assert parked.task is not None
        parked.asks.clear()
        if not parked.answer.done():
            parked.answer.set_result(read((params.input_responses or {}).get(QUESTION)))
        return await self._next(parked, parked.task)

    async def _next(self, parked: _Parked, task: asyncio.Task[Shown]) -> Shown | t.InputRequiredResult:
        """The call's end, or its next question; a client that gives the call up ends it."""
        asks = asyncio.ensure_future(parked.asks.wait())
        try:
            await asyncio.wait({task, asks}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        finally:
            asks.cancel()
        return await task if task.done() else self._park(parked)

    def _park(self, parked: _Parked) -> t.InputRequiredResult:
        assert parked.question is not None
        state = secrets.token_urlsafe(24)
        self._away[state] = parked, asyncio.get_running_loop().call_later(self._seconds, self._forget, state)
        form = t.ElicitRequestFormParams(message=parked.question.text, requested_schema=schema(parked.question.choices))
        return t.InputRequiredResult(input_requests={QUESTION: t.ElicitRequest(params=form)}, request_state=state)

    def _forget(self, state: str) -> None:
        parked, timer = self._away.pop(state)
        timer.cancel()
        assert parked.task is not None
        parked.task.add_done_callback(_seen)
        parked.task.cancel()


def _seen(task: asyncio.Task[Shown]) -> None:
    """Nobody waits for it any more, whatever it ended in; its record does."""
    if not task.cancelled():
        task.exception()


async def _pushed(ctx: Context, question: Asked) -> Answer:
    try:
        # Without the related request it would go to a stream that a client need not have open.
        given = await ctx.session.elicit_form(question.text, schema(question.choices), related_request_id=ctx.request_id)
    except (MCPError, ValidationError):
        return Answer.NOTHING
    return read(given)
