"""Run the command `sandbox`.

Decides which module answers and with which code the process ends. Leaves what a command does to `sandbox.cli.<group>`.

Rules: an error is one line with its help on standard error (with `--json`, an object on standard output), never a traceback;
standard output has nothing but data; Ctrl-C ends quietly with 130.
"""

from __future__ import annotations

import errno
import importlib
import logging
import os
import re
import sys
from argparse import Namespace
from collections.abc import Sequence

from sandbox.cli.arguments import parse, root
from sandbox.cli.exits import Exit, exit_for
from sandbox.cli.home import refuse_no_home
from sandbox.cli.terminal import Terminal, safe
from sandbox.errors import SandboxError

_HELP = {
    errno.ENOENT: "is the path right? it is taken from the current folder",
    errno.EACCES: "`ls -ld` says who may use it; `--home DIR` names another home",
    errno.EPERM: "`ls -ld` says who may use it; `--home DIR` names another home",
    errno.EROFS: "`--home DIR` names a home that can be written",
    errno.ENOSPC: "make room where the home lies, or name another with `--home DIR`",
    errno.EISDIR: "name a file in it",
    errno.ENOTDIR: "a part of the path is a file",
    errno.EMFILE: "`ulimit -n` raises how many files may be open",
}
"""What to do about an error of the operating system."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; the result is the exit code (`sandbox.cli.exits`)."""
    if "_ARGCOMPLETE" in os.environ:  # a shell asks, by a key press
        importlib.import_module("sandbox.cli.completion").complete(root())
    words = sys.argv[1:] if argv is None else argv
    terminal = Terminal(json="--json" in words)
    try:
        code = _answer(words, terminal)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has enough; what Python flushes at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Exit.PIPE
    return code


def _answer(words: Sequence[str], terminal: Terminal) -> int:
    try:
        arguments = parse(words)
    except SandboxError as error:
        terminal.fail(error)
        return exit_for(error)
    _log_to_stderr(arguments.log_level)
    return _run(arguments, terminal)


def _run(arguments: Namespace, terminal: Terminal) -> int:
    try:
        if arguments.needs_home:
            refuse_no_home(arguments)
        code: int = importlib.import_module(f"sandbox.cli.{arguments.module}").command(arguments, terminal)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except SandboxError as error:
        terminal.fail(error)
        return exit_for(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        said = f"{error.filename}: {_reason(error)}" if error.filename else _reason(error)
        terminal.fail_with(said, help=_HELP.get(error.errno or 0))
        return Exit.UNAVAILABLE
    except Exception as error:  # the last line of defence: a person never sees a traceback
        logging.getLogger(__name__).debug("internal error", exc_info=True)
        terminal.fail_with(f"internal error: {type(error).__name__}: {error}", help="`--log-level debug` shows where")
        return Exit.INTERNAL
    return code


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Paragraphs("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])


class _Paragraphs(logging.Formatter):
    """A record as one paragraph. A client or a component may have written part of it: no character of it moves the terminal,
    and no line of it looks like another record."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's text."""
        return re.sub(r"\n(?=\S)", "\n  ", safe(super().format(record), lines=True))
