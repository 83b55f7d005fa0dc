"""Ask a person, through the client, before something is done; and do it once, or not at all.

Decides what counts as a yes. In the handshake era the question goes out while the call waits; in the era without sessions it is
the answer to the call, which the client makes again with what the person said (`InputRequiredResult`).

Rules: a client that cannot ask, one that does not answer in time, a declined and a cancelled question are a no, and so is an
acceptance without the tick. An answer is to one question, good once, and only of the tool, the arguments, the subject and the
session that were asked about: what the client carries back is a random name of what is kept here. Who has said no is not asked
the same again in that session for a while, and only a few questions are open at a time. A client that is a program may answer by
itself, so a yes is never more than `sandbox.server.builtin` lets it be.

Source: MCP 2025-11-25 and 2026-07-28, "Elicitation"; `InputRequiredResult`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import mcp.types as t
from cachetools import TTLCache
from mcp import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from sandbox.changes.attempts import Attempt
from sandbox.errors import GrantError, SandboxError
from sandbox.server.clients import Caller, Context

ANSWER_SECONDS = 300.0
"""How long a person may think. The SDK lets a question in its other form live for 600 seconds."""

DECLINED_SECONDS = 600.0
"""How long who said no is not asked the same again."""

MAX_OPEN = 4
"""Questions of one session that are open at a time."""

MAX_KEPT = 256
APPROVE = "approve"
QUESTION = "approval"

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {APPROVE: {"type": "boolean", "title": "Allow this", "description": "Without it, no", "default": False}},
    "required": [APPROVE],
}

Asked = tuple[str, str, str, str]
"""What an answer is bound to: the tool as it was called, the digest of its arguments, the subject, the session."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is put to a person, what is done after a yes, and the command that does the same in a terminal.

    `same` is what it is about, whatever reason an agent gives: who said no to that is not asked it again.
    """

    text: str
    then: Callable[[], Awaitable[dict[str, Any]]]
    command: str | None
    same: str


@dataclass(frozen=True, slots=True)
class Open:
    """A question that waits for its answer, with the attempt that it belongs to."""

    question: Question
    attempt: Attempt
    asked: Asked


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, in a word; `said_no` where a person did, rather than nobody."""

    allowed: bool
    word: str
    said_no: bool = False


class RefusedError(GrantError):
    """Nobody said yes. `command` does the same in a terminal, where that makes sense."""

    def __init__(self, message: str, command: str | None = None) -> None:
        super().__init__(message, help=None if command is None else "show the person at the terminal this `command`")
        self.command = command

    def to_json(self) -> dict[str, Any]:
        """The error with its `command`."""
        return super().to_json() | ({} if self.command is None else {"command": self.command})


class Asking:
    """The questions of one server that are open, and who has said no."""

    def __init__(self, *, seconds: float = ANSWER_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._open: TTLCache[str, Open] = TTLCache(MAX_KEPT, seconds, clock)
        self._waiting: dict[str, int] = {}
        self._declined: TTLCache[tuple[str, str], Literal[True]] = TTLCache(MAX_KEPT, DECLINED_SECONDS, clock)

    async def ask(
        self, ctx: Context, caller: Caller, called: str, attempt: Attempt, question: Question
    ) -> Answer | t.InputRequiredResult:
        """Put a question to the person at this client; the answer, or what the client is to come back with.

        Raises RefusedError where it is not asked at all.
        """
        asked = (called, attempt.arguments_digest, caller.subject, caller.session)
        self._refuse_to_ask(ctx, asked, question)
        attempt.asked(question.text)
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return self.returned(question, attempt, asked)
        self._waiting[caller.session] = self._waiting.get(caller.session, 0) + 1
        try:
            answer = await self._push(ctx, question)
        except asyncio.CancelledError:
            attempt.answered("the caller went away", allowed=False)
            raise
        finally:
            self._waiting[caller.session] -= 1
            if not self._waiting[caller.session]:
                del self._waiting[caller.session]
        return self._noted(attempt, asked, question, answer)

    def answered(self, state: str, responses: t.InputResponses | None, asked: Asked) -> tuple[Open, Answer]:
        """The question that a client comes back to, and what the person said. It is not open any more.

        Raises RefusedError for one that is not open: answered before, too old, or of somebody or something else.
        """
        found = self._open.pop(state, None)
        if found is None or found.asked != asked:
            raise RefusedError("there is no such open question: it was answered, is too old, or was about something else")
        given = (responses or {}).get(QUESTION)
        answer = _read(given) if isinstance(given, t.ElicitResult) else Answer(False, "no answer")
        return found, self._noted(found.attempt, asked, found.question, answer)

    def _refuse_to_ask(self, ctx: Context, asked: Asked, question: Question) -> None:
        if not can_ask(ctx):
            raise RefusedError("this client cannot ask a person (it does not offer elicitation)", question.command)
        if (asked[3], question.same) in self._declined:
            raise RefusedError("a person said no to exactly this in this session; it is not asked again", question.command)
        waiting = self._waiting.get(asked[3], 0) + sum(one.asked[3] == asked[3] for one in self._open.values())
        if waiting >= MAX_OPEN or len(self._open) >= MAX_KEPT:
            raise RefusedError(f"{waiting} questions wait for an answer already", question.command)

    def returned(self, question: Question, attempt: Attempt, asked: Asked) -> t.InputRequiredResult:
        """What the client is to come back with; the question is open from now on."""
        state = secrets.token_urlsafe(24)
        self._open[state] = Open(question, attempt, asked)
        form = t.ElicitRequestFormParams(message=question.text, requested_schema=SCHEMA)
        return t.InputRequiredResult(input_requests={QUESTION: t.ElicitRequest(params=form)}, request_state=state)

    async def _push(self, ctx: Context, question: Question) -> Answer:
        try:
            async with asyncio.timeout(self._seconds):
                # Without the related request it would go to a stream that a client need not have open.
                given = await ctx.session.elicit_form(question.text, SCHEMA, related_request_id=ctx.request_id)
        except TimeoutError:
            return Answer(False, "no answer in time")
        except (MCPError, ValidationError) as error:
            return Answer(False, f"the client did not ask ({type(error).__name__})")
        return _read(given)

    def _noted(self, attempt: Attempt, asked: Asked, question: Question, answer: Answer) -> Answer:
        attempt.answered(answer.word, allowed=answer.allowed)
        if answer.said_no:
            self._declined[asked[3], question.same] = True
        return answer


def refusal(answer: Answer) -> SandboxError:
    """The error of what nobody allowed."""
    return RefusedError(f"a person was asked and did not allow it ({answer.word}); nothing was done")


def _read(given: t.ElicitResult) -> Answer:
    if given.action == "accept":
        # `is True`: a form's field may come back as any kind of value.
        ticked = (given.content or {}).get(APPROVE) is True
        return Answer(True, "accept") if ticked else Answer(False, "accept, without the tick", said_no=True)
    return Answer(False, given.action, said_no=given.action == "decline")


def can_ask(ctx: Context) -> bool:
    """Whether the client of a request can put a question to a person."""
    capabilities = ctx.session.client_capabilities
    offered = None if capabilities is None else capabilities.elicitation
    if offered is None or (offered.url is not None and offered.form is None):
        return False
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS or ctx.session.can_send_request


__all__ = ["ANSWER_SECONDS", "Answer", "Asked", "Asking", "Open", "Question", "RefusedError", "can_ask", "refusal"]
