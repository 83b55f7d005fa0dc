"""Ask a person at a terminal, where one is there. Anything but a typed yes is a no."""

from __future__ import annotations

import sys

from sandbox.cli.terminal import Terminal


def somebody_is_there(terminal: Terminal) -> bool:
    """Whether a person can be asked: not where a script reads, and not without a keyboard."""
    return not terminal.json and sys.stdin.isatty() and sys.stderr.isatty()


def yes(question: str) -> bool:
    """Whether the person says yes."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().casefold() in {"y", "yes"}
