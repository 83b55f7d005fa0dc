"""Carry one `tools/call` to the host and its outcome back.

Decides how an outcome is shown to a client. Leaves everything that decides or runs to `sandbox.api`.

Rules: a result is the wire's JSON object, as the SDK writes it from its models, and no model: to make one, check it and dump
it twice takes longer than a small guest's call. It is structured content with the same JSON as text. What went wrong inside a
call is a tool error, which a model reads and can act on, with the machine-readable body of the denial; a tool that is not
there is -32602. What a guest printed and the denials it swallowed are in `_meta` alone, bounded: both are the guest's words.

The body of an error is always the text and always in `_meta`. It is structured content too, except for a tool with an output
schema in the handshake era: the TypeScript SDK 1.x holds a client to that schema in an error as well.

Source: MCP 2025-11-25, "Tools", structured content and error handling.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import mcp.types as t
from mcp import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from sandbox.api import Sandbox
from sandbox.changes.asking import Person
from sandbox.errors import HostUnavailable, NotFound, SandboxError
from sandbox.host.outcome import Denial
from sandbox.result import CallResult
from sandbox.server.clients import Caller
from sandbox.server.tools import Listed
from sandbox.state.tables import LostError
from sandbox.wit.schema import OUTPUT_KEY
from sandbox.wit.tools import Tool

META_ERROR = "sandbox/error"
META_REQUEST = "sandbox/request"
META_DENIALS = "sandbox/denials"
META_STDOUT = "sandbox/stdout"
META_STDERR = "sandbox/stderr"
META_WARNINGS = "sandbox/warnings"

MAX_PRINTED = 4096
"""Characters of each of a guest's two outputs that a result carries; the record has the rest."""

MAX_DENIALS = 20

NOT_NOW = "this host cannot make calls now; its log says why"
LOST = "this host cannot reach its state, and makes no call until it can"

_log = logging.getLogger(__name__)


Shown = dict[str, Any]
"""A `CallToolResult` on the wire."""


async def call_tool(
    sandbox: Sandbox,
    listed: Listed,
    arguments: dict[str, Any],
    *,
    version: str,
    caller: Caller,
    heard: Callable[[CallResult], Awaitable[None]],
    person: Person | None = None,
) -> Shown:
    """Call a tool and show what became of it; `heard` is told first, `person` is asked where a rule says so.

    A cancelled caller cancels the call, and its worker dies.

    Raises:
        MCPError: -32602 where the tool went away, -32603 where this host failed.
    """
    structured = version in MODERN_PROTOCOL_VERSIONS or listed.tool.output_schema is None
    try:
        called = await sandbox.call(
            listed.tool.name, arguments, subject=caller.who, session=caller.session, metadata=caller.metadata, person=person
        )
    except NotFound as error:
        raise unknown_tool(listed.tool.name) from error
    except HostUnavailable as error:
        # It may name the host's own files, to whoever keeps this host: not to a client.
        _log.error("`%s` was not called: %s", listed.tool.name, error)
        told = LOST if isinstance(error, LostError) else NOT_NOW
        return failed(HostUnavailable(told).to_json(), structured=structured)
    except SandboxError as error:
        return failed(error.to_json(), structured=structured)
    await heard(called)
    return shown(called, listed.tool, structured_errors=structured)


def unknown_tool(name: str) -> MCPError:
    """The error for a tool that is not there; what the client wrote is quoted as ASCII and cut."""
    return MCPError(t.INVALID_PARAMS, f"Unknown tool: {name[:80]!a}")


def shown(called: CallResult, tool: Tool, *, structured_errors: bool) -> Shown:
    """A call's end as MCP shows it."""
    meta = {META_REQUEST: called.request_id, **_printed(called), **_denied(called.outcome.denials)}
    if called.warnings:
        meta[META_WARNINGS] = list(called.warnings)
    if called.body is not None:
        return failed(called.body, structured=structured_errors, meta=meta)
    if tool.output_schema is None:
        return _result("null", error=False, meta=meta)
    value = {OUTPUT_KEY: called.outcome.value}
    return {**_result(_text(value), error=False, meta=meta), "structuredContent": value}


def failed(body: dict[str, Any], *, structured: bool, meta: dict[str, Any] | None = None) -> Shown:
    """A tool error with its machine-readable body."""
    result = _result(_text(body), error=True, meta={META_ERROR: body, **(meta or {})})
    return {**result, "structuredContent": body} if structured else result


def _result(text: str, *, error: bool, meta: dict[str, Any]) -> Shown:
    return {"content": [{"type": "text", "text": text}], "isError": error, "_meta": meta}


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _printed(called: CallResult) -> dict[str, str]:
    if not (called.outcome.stdout or called.outcome.stderr):
        return {}
    printed = called.printed(MAX_PRINTED)
    return {key: text for key, text in ((META_STDOUT, printed.stdout), (META_STDERR, printed.stderr)) if text}


def _denied(denials: tuple[Denial, ...]) -> dict[str, Any]:
    if not denials:
        return {}
    # `target` is what the guest itself said; `private` stays here.
    return {META_DENIALS: [{"code": denial.code.value, "tried": denial.target} for denial in denials[:MAX_DENIALS]]}
