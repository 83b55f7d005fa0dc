"""Lists in pages, for any list that clients ask for.

Rules: sorted by key, and a cursor is the last key of the page before, so that a page never repeats or skips what was there all
along; a cursor that is none of ours is refused.
"""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections.abc import Sequence

import mcp.types as t
from mcp import MCPError

PAGE = 100
"""Entries in one answer; a list of a thousand tools takes the SDK 0.3 s to write."""

MAX_CURSOR = 1024


def page_of(keys: Sequence[str], cursor: str | None) -> tuple[Sequence[str], str | None]:
    """The sorted keys of the page after `cursor`, the first one without, and the cursor of the next page.

    Raises:
        MCPError: -32602, the cursor is none of ours.
    """
    start = 0 if cursor is None else bisect_right(keys, _key_in(cursor))
    page = keys[start : start + PAGE]
    return page, _cursor(page[-1]) if start + PAGE < len(keys) else None


def cursor_in(params: t.PaginatedRequestParams | None) -> str | None:
    """The cursor that a client sent."""
    return None if params is None else params.cursor


def _cursor(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _key_in(cursor: str) -> str:
    try:
        key = base64.b64decode(cursor, altchars=b"-_", validate=True).decode() if len(cursor) <= MAX_CURSOR else ""
    except (binascii.Error, ValueError):
        key = ""
    if not key.isprintable() or not key:
        raise MCPError(t.INVALID_PARAMS, "invalid cursor")
    return key
