"""No program gives this process more rights than it has (PR_SET_NO_NEW_PRIVS); Landlock and seccomp rest on it."""

from __future__ import annotations

from sandbox.host.layers import libc

_SET, _GET = 38, 39


def apply() -> None:
    """Set the bit; it cannot be taken back."""
    libc.prctl(_SET, 1)


def probe() -> str | None:
    """None where the bit is set."""
    return None if libc.prctl(_GET) == 1 else "PR_SET_NO_NEW_PRIVS is not set"
