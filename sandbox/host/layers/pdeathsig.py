"""Die with the parent: no worker outlives its zygote, no zygote its server (PR_SET_PDEATHSIG)."""

from __future__ import annotations

import ctypes
import os
import signal

from sandbox.host.layers import libc

_SET, _GET = 1, 2


def apply(parent: int | None = None) -> None:
    """Ask for SIGKILL at the parent's death. `parent` is who it should be: gone before we asked, we go too."""
    libc.prctl(_SET, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os._exit(0)


def probe() -> str | None:
    """None where the kernel has the order."""
    order = ctypes.c_int(0)
    libc.prctl(_GET, ctypes.byref(order))
    return None if order.value == signal.SIGKILL else "no signal is set for the parent's death"
