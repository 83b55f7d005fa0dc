"""What a client hears while its call runs and when it has ended: progress, denials, and what the guest wrote.

Decides who is told what. Leaves how it travels to the SDK.

Rules: progress only to who asked for it, at once and then every few seconds, so that a client that gives up on silence does not.
A denial is a warning; a line that the guest wrote to standard error or `wasi:logging` has the level that it begins with, else
`info`, is data, never a sentence of ours, and is told once the guest has ended it, not its call, without the secrets of the
call; the lines of a private key are held back until its last one, for one alone does not look like a key. While an admission
document looks through results, and over HTTP to a handshake client that asked for no progress (`sandbox.server.http.plain`), all
is told at the end. One that set no level hears warnings and above; the era without sessions sets the level in each request, and
hears nothing without one.

Source: MCP 2025-11-25, "Progress", "Logging"; 2026-07-28, `_meta` `io.modelcontextprotocol/logLevel`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import warnings
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

import mcp.types as t
from mcp import MCPDeprecationWarning

from sandbox.host.outcome import Outcome
from sandbox.host.output import May
from sandbox.redaction.patterns import open_key
from sandbox.result import CallResult
from sandbox.server.clients import Client, Context

LEVELS: tuple[t.LoggingLevel, ...] = get_args(t.LoggingLevel)
"""As RFC 5424 orders them, the least first."""

UNASKED: t.LoggingLevel = "warning"
HEARTBEAT_SECONDS = 3.0
MAX_LINES = 100
MAX_LINE = 1024

_GUEST_LEVELS: dict[str, t.LoggingLevel] = {
    "trace": "debug",
    "debug": "debug",
    "info": "info",
    "warn": "warning",
    "error": "error",
    "critical": "critical",
}
"""`wasi:logging`'s levels, as `sandbox.host.gates.logging` writes them before a line."""


@contextlib.asynccontextmanager
async def progress(ctx: Context, doing: Callable[[], str]) -> AsyncIterator[None]:
    """Tell the client every few seconds what its call is at, if it asked."""
    if not (ctx.meta and ctx.meta.get("progress_token") is not None):
        yield
        return
    telling = asyncio.create_task(_beat(ctx, doing))
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


async def _beat(ctx: Context, doing: Callable[[], str]) -> None:
    began = time.monotonic()
    while True:
        passed = time.monotonic() - began
        await ctx.session.report_progress(round(passed, 3), None, doing() if passed < 1 else f"{doing()}, {passed:.0f} s")
        await asyncio.sleep(HEARTBEAT_SECONDS)


Log = Callable[[t.LoggingLevel, Any, str], Awaitable[None]]
"""Writes one line to a client's log: its level, what it says, and who."""


@dataclass(slots=True)
class Lines:
    """A guest's lines, told as they come: while its call runs those that it has ended, as they `may` be. `say` tells one."""

    say: Callable[[str], Awaitable[None]]
    may: May | None = None
    characters: int = 0
    """Of what the guest wrote, told or too much to tell, in whole lines."""
    count: int = 0
    _silent: bool = False
    _rest: bytes = b""
    _held: list[str] = field(default_factory=list)
    _key_end: re.Pattern[str] | None = None
    _waiting: deque[str] = field(default_factory=deque)
    _saying: asyncio.Task[None] | None = None

    def take(self, data: bytes) -> None:
        """Hear more of it. Called from the loop, where the guest's output is read."""
        if self._silent:
            return
        whole, end, self._rest = (self._rest + data).rpartition(b"\n")
        if not end:
            return
        text = self._released((whole + end).decode(errors="replace"))  # no character goes over the end of a line
        lines = text.splitlines()[: MAX_LINES - self.count]
        told = self.as_may_be("\n".join(lines))
        if told is None:
            # What is not told now comes with the end, as it may be then.
            self._silent, self._rest = True, b""
            return
        self.characters += len(text)
        self.count += len(lines)
        lines = told.splitlines()
        self._waiting.extend(lines)
        if lines and (self._saying is None or self._saying.done()):
            self._saying = asyncio.create_task(self._say())

    def as_may_be(self, text: str) -> str | None:
        """What of a text may be told while the call runs; None where nothing may."""
        return None if self.may is None else self.may(text)

    def _released(self, text: str) -> str:
        """What may be told of it and of what was held back before: of a private key that has not ended, nothing."""
        self._held.append(text)
        if self._key_end is not None and self._key_end.search(text) is None:
            return ""
        text = "".join(self._held)
        begun = open_key(text)
        self._key_end = None if begun is None else begun[1]
        at = len(text) if begun is None else text.rfind("\n", 0, begun[0]) + 1
        self._held = [text[at:]]
        return text[:at]

    async def said(self) -> None:
        """Wait until what was heard has been told."""
        if self._saying is not None:
            await self._saying

    def close(self) -> None:
        """Tell no more: nobody waits for the call."""
        if self._saying is not None:
            self._saying.cancel()

    async def _say(self) -> None:
        while self._waiting:
            await self.say(self._waiting.popleft())


async def tell(
    log: Log, least: t.LoggingLevel | None, tool: str, component: str, called: CallResult, lines: Lines | None = None
) -> None:
    """Write to the client's log what a call left behind, from the level `least` on: its denials and the guest's lines.

    Of the guest's lines those that `lines` has not told.
    """
    outcome = called.outcome
    if least is None or not (outcome.denials or outcome.stderr):
        return
    told, count = (0, 0) if lines is None else (lines.characters, lines.count)
    left = called.said(told, MAX_LINES * MAX_LINE).splitlines()[: MAX_LINES - count]
    for level, data in (*_denials(outcome, tool), *(_line(line, tool) for line in left)):
        if LEVELS.index(level) >= LEVELS.index(least):
            await log(level, data, component)


async def tell_line(log: Log, least: t.LoggingLevel, tool: str, component: str, line: str) -> None:
    """Write one line of a guest to the client's log, where it is of the level `least` or above."""
    level, data = _line(line, tool)
    if LEVELS.index(level) >= LEVELS.index(least):
        await log(level, data, component)


def log_of(ctx: Context) -> Log:
    """The log of who made a request, beside its answer."""

    async def log(level: t.LoggingLevel, data: Any, logger: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MCPDeprecationWarning)
            await ctx.session.send_log_message(level, data, logger=logger, related_request_id=ctx.request_id)

    return log


def least_of(ctx: Context, client: Client | None) -> t.LoggingLevel | None:
    """The level from which on the client wants to hear, None for nothing; `client` is that of the handshake era."""
    if client is not None:
        return client.level or UNASKED
    asked = (ctx.meta or {}).get(t.LOG_LEVEL_META_KEY)
    return asked if asked in LEVELS else None


def _denials(outcome: Outcome, tool: str) -> Iterator[tuple[t.LoggingLevel, dict[str, Any]]]:
    for denial in outcome.denials[:MAX_LINES]:
        yield "warning", {"tool": tool, "denied": denial.code.value, "tried": dict(denial.target), "reason": denial.reason}


def _line(line: str, tool: str) -> tuple[t.LoggingLevel, dict[str, Any]]:
    return _GUEST_LEVELS.get(line.partition(" ")[0], "info"), {"tool": tool, "guest": line[:MAX_LINE]}
