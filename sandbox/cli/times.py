"""Times as a person writes and reads them at the terminal."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from sandbox.errors import Code, SandboxError

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> float:
    """`30s`, `10m`, `2h`, `7d` as seconds.

    Raises:
        SandboxError: `invalid_arguments`, it is no such time.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text, re.ASCII)
    if match is None:
        raise SandboxError(
            f"`{text}` is no time", help="write a whole number and `s`, `m`, `h` or `d`: `10m`", code=Code.INVALID_ARGUMENTS
        )
    return int(match[1]) * _SECONDS[match[2]]


def moment(text: str, *, now: float) -> datetime:
    """An ISO 8601 time (UTC where it names no zone), or how long before `now`: `10m`.

    Raises:
        SandboxError: `invalid_arguments`, it is neither.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    try:
        return datetime.fromtimestamp(now - duration(text), UTC)
    except SandboxError as error:
        told = f"{error.help}, or a time as `2026-11-22T19:17:05Z`"
        raise SandboxError(error.message, help=told, code=Code.INVALID_ARGUMENTS) from None


def clock(seconds: float | None) -> str:
    """Seconds since 1970 as local time; empty for None."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).astimezone().isoformat(sep=" ", timespec="seconds")
