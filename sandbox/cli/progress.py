"""Show a person that slow work goes on: a line that moves, with what is done and for how long.

Decides when: where standard error is a terminal, and only after a moment, so that what is quick shows nothing and pays nothing.

Rules: never on standard output, never with `--json`; the line is gone when the work is done.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

AFTER_S = 0.3

Report = Callable[[int, int], None]
"""How much is done, of how much: turns the line into a bar."""


@contextmanager
def moving_line(text: str) -> Iterator[Report]:
    """A line on the terminal while the block runs."""
    line = _Line(text)
    timer = threading.Timer(AFTER_S, line.start)
    timer.daemon = True
    timer.start()
    try:
        yield line.report
    finally:
        timer.cancel()
        line.stop()


class _Line:
    """The line, started by the timer's thread; rich is loaded there, while the work goes on."""

    def __init__(self, text: str) -> None:
        self._text, self._began = text, time.monotonic()
        self._lock, self._over = threading.Lock(), False
        self._shown: Any = None
        self._task: Any = None
        self._of = (0, 0)

    def start(self) -> None:
        progress = importlib.import_module("rich.progress")
        plain = {"color_system": None} if os.environ.get("NO_COLOR") else {}
        console = importlib.import_module("rich.console").Console(file=sys.stderr, highlight=False, **plain)
        bar = [progress.BarColumn(), progress.DownloadColumn()] if self._of[1] else []
        columns = (progress.SpinnerColumn(), progress.TextColumn("{task.description}"), *bar, progress.TimeElapsedColumn())
        with self._lock:
            if self._over:
                return
            self._shown = progress.Progress(*columns, console=console, transient=True)
            # What is shown may come from a component or a path: never markup.
            description = importlib.import_module("rich.markup").escape(self._text)
            self._task = self._shown.add_task(description, total=self._of[1] or None, completed=self._of[0])
            self._shown.start()

    def report(self, done: int, total: int) -> None:
        self._of = (done, total)
        with self._lock:
            if self._shown is not None:
                self._shown.update(self._task, completed=done, total=total or None)

    def stop(self) -> None:
        with self._lock:
            self._over = True
            if self._shown is not None:
                self._shown.stop()
