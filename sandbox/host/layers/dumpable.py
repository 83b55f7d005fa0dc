"""No other process of the same user may trace this one or read its memory (PR_SET_DUMPABLE 0); no core dump either."""

from __future__ import annotations

from sandbox.host.layers import libc

_SET, _GET = 4, 3


def apply() -> None:
    """Clear the bit. After the user namespace's maps are written: they need it."""
    libc.prctl(_SET, 0)


def probe() -> str | None:
    """None where the bit is clear."""
    return None if libc.prctl(_GET) == 0 else "the process is dumpable"
