"""Nothing is inherited: no descriptor but the named ones, no environment, no working directory of the server's."""

from __future__ import annotations

import os
from collections.abc import Collection

_STANDARD = (0, 1, 2)
_HIGHEST = 1 << 20


def apply(keep: Collection[int]) -> None:
    """Close every descriptor but the standard ones and `keep`, empty the environment, leave for `/`."""
    wanted = sorted({*_STANDARD, *keep})
    for below, above in zip(wanted, [*wanted[1:], _HIGHEST], strict=True):
        os.closerange(below + 1, above)
    os.environ.clear()
    os.chdir("/")


def probe(keep: Collection[int]) -> str | None:
    """None where exactly these are open and the environment is empty. Before Landlock: it reads `/proc`."""
    # Listing opens a descriptor of its own, which is closed again by the time each is asked for.
    listed = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - names are numbers here
    strays = {fd for fd in listed if is_open(fd)} - {*_STANDARD, *keep}
    if strays:
        return f"{len(strays)} descriptors are open that nobody asked for"
    return "the environment is not empty" if os.environ else None


def is_open(fd: int) -> bool:
    """Whether the number is a descriptor of this process."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
