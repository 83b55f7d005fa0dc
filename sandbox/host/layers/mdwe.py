"""No memory becomes executable any more (PR_SET_MDWE, Linux 6.3). After loading: compiled code is mapped before."""

from __future__ import annotations

from sandbox.host.layers import libc

_SET, _GET = 65, 66
_REFUSE_EXEC_GAIN = 1


def apply() -> None:
    """Refuse every gain of PROT_EXEC from now on."""
    libc.prctl(_SET, _REFUSE_EXEC_GAIN)


def probe() -> str | None:
    """None where the bit is set."""
    try:
        held = libc.prctl(_GET) & _REFUSE_EXEC_GAIN
    except OSError:
        return "this kernel has no PR_SET_MDWE (Linux 6.3 has)"
    return None if held else "PR_SET_MDWE is not set"
