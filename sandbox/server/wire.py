"""Judge one line from an MCP client, and write one line to it.

Decides what a line is: a message, a refusal to answer it with, or nothing. Leaves what a message means to the SDK.

Rules: a line is strict JSON (RFC 8259, RFC 7493): UTF-8, no `NaN` or `Infinity`, no number that overflows, no duplicate key,
no lone surrogate. What cannot be read is answered -32700 with a null id, what is no JSON-RPC message -32600, and a request
whose text is readable but not strict -32602 with its own id: the SDK's parser would take the last of two equal keys, and
what was approved must be what runs.
"""

from __future__ import annotations

import logging
from typing import Any

import mcp.types as t
from pydantic import ValidationError

from sandbox.server.strict import has_lone_surrogate, read_json

MAX_LINE_BYTES = 16 << 20
"""The longest message a client may send: arguments of a few MiB as base64, with room."""

_log = logging.getLogger(__name__)


def read_line(line: bytes) -> t.JSONRPCMessage | None:
    """The message of one line; a `Refusal` to answer where it cannot be taken; None where there is nothing to do."""
    if not line.strip():
        return None
    try:
        decoded, flaws = read_json(line)
    except ValueError as error:
        return refuse(None, t.PARSE_ERROR, f"parse error: {error}")
    return _message(decoded, flaws)


def _message(decoded: Any, flaws: list[str]) -> t.JSONRPCMessage | None:
    try:
        message: t.JSONRPCMessage = t.jsonrpc_message_adapter.validate_python(decoded, by_name=False)
    except ValidationError:
        return refuse(_id_of(decoded), t.INVALID_REQUEST, "invalid request: not a JSON-RPC 2.0 message of MCP")
    if isinstance(message, t.JSONRPCNotification) and "id" in decoded:
        # The SDK drops an id that is no string and no integer, and the request would wait for ever.
        return refuse(None, t.INVALID_REQUEST, "invalid request: `id` is a string or an integer")
    if not flaws:
        return message
    if isinstance(message, t.JSONRPCRequest):
        return refuse(_id_of(decoded), t.INVALID_PARAMS, f"invalid params: {flaws[0]}")
    _log.warning("dropped a %s that is not strict JSON: %s", type(message).__name__, flaws[0])
    return None


class Refusal(t.JSONRPCError):
    """An answer that this host writes by itself, before the SDK saw the message."""


def refuse(request_id: t.RequestId | None, code: int, message: str) -> Refusal:
    """The answer that refuses a message."""
    return Refusal(jsonrpc="2.0", id=request_id, error=t.ErrorData(code=code, message=message))


def write_line(message: t.JSONRPCMessage) -> bytes:
    """One line for the client. What cannot be written as JSON becomes an error with the same id: it is never dropped."""
    try:
        return message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
    except (ValueError, TypeError, UnicodeError):
        _log.exception("a message could not be written")
        request_id = message.id if isinstance(message, t.JSONRPCResponse | t.JSONRPCError) else None
        return write_line(refuse(request_id, t.INTERNAL_ERROR, "the result cannot be written as JSON"))


def _id_of(decoded: object) -> t.RequestId | None:
    found = decoded.get("id") if isinstance(decoded, dict) else None
    if isinstance(found, str):
        return None if has_lone_surrogate(found) else found
    return found if isinstance(found, int) and not isinstance(found, bool) else None
