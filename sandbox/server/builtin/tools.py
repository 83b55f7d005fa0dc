"""The host's own tools as the server calls them: recorded, asked about where they give something, done, and shown.

Decides in which order that happens. Leaves what a tool does to `sandbox.server.builtin.work`, and what counts as a yes to
`sandbox.server.builtin.asking`.

    1. find     the tool that the name means, in whatever spelling
    2. decide   may this subject do that now; after an answer once more
    3. record   the attempt, with the arguments as they came: no record, nothing is done
    4. read     the arguments, in the listed shape or the existing ecosystem's
    5. work     the answer, or a question
    6. ask      the person at the client; in the era without sessions the call ends here, and comes again with the answer
    7. do       what was asked about, if it is still the same
    8. record   what became of it

Rule: whatever goes wrong is a tool error with its code, as of any tool; nothing of the host's own failures reaches a client.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import mcp.types as t
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from sandbox.admission.words import Method
from sandbox.api import Sandbox
from sandbox.changes.attempts import Attempt, arguments_digest
from sandbox.errors import Code, HostUnavailable, SandboxError
from sandbox.policy.grants import Lifetime
from sandbox.server.builtin.arguments import read
from sandbox.server.builtin.asking import ANSWER_SECONDS, Answer, Asked, Asking, Question, refusal
from sandbox.server.builtin.catalogue import CATALOGUE, Own, find
from sandbox.server.builtin.ecosystem import as_meant
from sandbox.server.builtin.work import Done, Work
from sandbox.server.calls import NOT_NOW, failed, unknown_tool
from sandbox.server.clients import Caller, Context

_log = logging.getLogger(__name__)


class BuiltinTools:
    """The own tools of one server. `most` is the longest lifetime of a grant that a client may be given after a yes."""

    def __init__(self, sandbox: Sandbox, *, most: Lifetime = "session", answer_seconds: float = ANSWER_SECONDS) -> None:
        self._sandbox = sandbox
        self._work = Work(sandbox, most)
        self._asking = Asking(seconds=answer_seconds)
        self._listed = [own.shown() for own in CATALOGUE]

    def tools(self) -> list[t.Tool]:
        """The tools as they are listed, each under one name."""
        return list(self._listed)

    def knows(self, name: str) -> bool:
        """Whether a name means one of them: hyphenated and the existing ecosystem's names do."""
        return find(name) is not None

    def meant(self, name: str) -> tuple[str, Method] | None:
        """The tool that a name means, and what it needs: whoever only reads must be able to read, else to change grants."""
        own = find(name)
        return None if own is None else (own.name, Method.READ if own.hints.read_only_hint else Method.GRANTS)

    async def call(self, ctx: Context, params: t.CallToolRequestParams) -> t.CallToolResult | t.InputRequiredResult:
        """Answer a call. Raises MCPError for a name that means none of them."""
        own = find(params.name)
        if own is None:
            raise unknown_tool(params.name)
        caller: Caller = ctx.lifespan_context.caller(ctx)
        modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        try:
            done = await self._answer(ctx, caller, own, params, modern=modern)
        except HostUnavailable as error:
            _log.error("`%s` was not done: %s", own.name, error)
            return _failed(HostUnavailable(NOT_NOW), structured=modern)
        except SandboxError as error:
            return _failed(error, structured=modern)
        return done if isinstance(done, t.InputRequiredResult) else _shown(done)

    async def _answer(
        self, ctx: Context, caller: Caller, own: Own, params: t.CallToolRequestParams, *, modern: bool
    ) -> Done | t.InputRequiredResult:
        arguments = params.arguments or {}
        if modern and params.request_state is not None:
            asked = (own.name, arguments_digest(arguments), caller.subject, caller.session)
            return await self._resumed(params, asked, lambda: self._permit(own, arguments, caller, counted=False))
        await self._permit(own, arguments, caller)
        attempt = self._sandbox.attempt(own.name, arguments, subject=caller.subject, session=caller.session)
        with _Recorded(attempt):
            # Over HTTP the era without sessions has no connection whose end could be one.
            leaves = not modern or ctx.request is None
            asked = read(own.takes, arguments)
            asked = as_meant(asked) if "details" in arguments else asked
            done = await self._work.do(own, asked, caller, leaves=leaves)
            if not isinstance(done, Question):
                attempt.succeeded(**({} if own.hints.read_only_hint else {"result": done}))
                return done
            answer = await self._asking.ask(ctx, caller, own.name, attempt, done)
            if isinstance(answer, t.InputRequiredResult):
                return answer
            return await _done(attempt, done, answer)

    async def _permit(self, own: Own, arguments: Mapping[str, Any], caller: Caller, *, counted: bool = True) -> None:
        changes = not own.hints.read_only_hint
        asked = (own.name, arguments, caller.who, caller.session)
        await self._sandbox.permit_own(*asked, changes=changes, counted=counted)

    async def _resumed(self, params: t.CallToolRequestParams, asked: Asked, permit: Callable[[], Awaitable[None]]) -> Done:
        found, answer = self._asking.answered(params.request_state or "", params.input_responses, asked)
        with _Recorded(found.attempt):
            # Who asked may have lost the right to it while somebody was asked.
            await permit()
            return await _done(found.attempt, found.question, answer)


async def _done(attempt: Attempt, question: Question, answer: Answer) -> Done:
    if not answer.allowed:
        raise refusal(answer)
    done = await question.then()
    attempt.succeeded(result=done)
    return done


class _Recorded:
    """Records the end of an attempt that fails, of whatever."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SandboxError):
            self._attempt.failed(error.code, error.message)
        elif isinstance(error, Exception):
            self._attempt.failed(Code.UNAVAILABLE, type(error).__name__)
        elif error is not None:
            self._attempt.failed(Code.CANCELLED, "the caller went away")


def _failed(error: SandboxError, *, structured: bool) -> t.CallToolResult:
    return t.CallToolResult.model_validate(failed(error.to_json(), structured=structured))


def _shown(done: Done) -> t.CallToolResult:
    text = json.dumps(done, ensure_ascii=False, separators=(",", ":"))
    return t.CallToolResult(content=[t.TextContent(text=text)], structured_content=done)
