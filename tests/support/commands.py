"""`sandbox` commands as a test gives them: installed and in a process of its own, or, much faster, in this one."""

from __future__ import annotations

import contextlib
import io
import logging
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sandbox.cli import main
from tests.support.serving import SECONDS, program


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def installed(*words: str, folder: Path | None = None) -> Done:
    """Run the installed command."""
    done = subprocess.run([program(), *_words(words, folder)], capture_output=True, text=True, timeout=SECONDS, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def sandbox(*words: str, folder: Path | None = None) -> Done:
    """The same command line without a new interpreter; the host's own processes are as real as ever."""
    output, errors = io.StringIO(), io.StringIO()
    before = logging.root.handlers[:]
    logging.root.handlers.clear()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                code = main(_words(words, folder))
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
    finally:
        logging.root.handlers[:] = before
    return Done(code, output.getvalue(), errors.getvalue())


def _words(words: tuple[str, ...], folder: Path | None) -> list[str]:
    return [*words, *(() if folder is None else ("--home", str(folder / "home")))]
