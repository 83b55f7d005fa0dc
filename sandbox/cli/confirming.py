"""Ask a person at a terminal, where one is there. Anything but a typed yes is a no.

Rules: an answer is typed after its question is shown; what was typed before it is forgotten.
"""

from __future__ import annotations

import sys
import termios

from sandbox.cli.terminal import Terminal


def somebody_is_there(terminal: Terminal) -> bool:
    """Whether a person can be asked: not where a script reads, and not without a keyboard."""
    return not terminal.json and sys.stdin.isatty() and sys.stderr.isatty()


def yes(question: str) -> bool:
    """Whether the person says yes."""
    print(question, end="", file=sys.stderr, flush=True)
    forget_typed(sys.stdin.fileno())
    print(" [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().casefold() in {"y", "yes"}


def forget_typed(descriptor: int) -> None:
    """Forget what a terminal has typed and nobody has read: it answers no question that was not shown."""
    termios.tcflush(descriptor, termios.TCIFLUSH)
