"""`sandbox audit export FILE|-|--otlp URL`: copy events as JSON lines, or to a collector, the oldest first.

Rules: a file is made new, for this user alone, and is whole or is not there; what was encrypted is in the clear in it, what was
redacted is not.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from sandbox.cli.audit.asked import Record, answers, query_of, refuse_unknown
from sandbox.cli.audit.collecting import sent
from sandbox.cli.exits import Exit
from sandbox.cli.home import home_of
from sandbox.cli.terminal import Terminal
from sandbox.errors import Code, HostUnavailable, SandboxError
from sandbox.state.home import Home


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run `audit export`."""
    word = _place(arguments)
    home, query = Home.open(home_of(arguments), os.environ), query_of(arguments)
    found = answers(home, replace(query, oldest_first=True))
    if arguments.otlp is not None:
        count = sent(arguments, home, found)
    else:
        count = _copied(found, sys.stdout) if word == "-" else _written(Path(word).expanduser(), found)
    if not count:
        refuse_unknown(home, query)
    if word == "-":
        return Exit.OK
    if terminal.json:
        terminal.data({"file" if arguments.otlp is None else "endpoint": word, "records": count})
    else:
        terminal.line(f"{count} events are {'in' if arguments.otlp is None else 'at'} {word}")
    return Exit.OK


def _place(arguments: Namespace) -> str:
    """The file, or the collector's URL. Raises SandboxError for neither, and for both."""
    places = [*arguments.words, *([] if arguments.otlp is None else [arguments.otlp])]
    if len(places) != 1:
        told = "events are copied to one place: a file, `-`, or a collector"
        help_ = "`sandbox audit export FILE`, or `sandbox audit export --otlp URL`"
        raise SandboxError(told, help=help_, code=Code.INVALID_ARGUMENTS)
    return str(places[0])


def _written(file: Path, found: Iterable[Record]) -> int:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        told = f"`{file}` is there already"
        raise SandboxError(told, help="name a file that is not there yet", code=Code.INVALID_ARGUMENTS) from None
    except OSError as error:
        raise HostUnavailable(f"`{file}` cannot be made: {(error.strerror or '').lower()}") from error
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as text:
            return _copied(found, text)
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def _copied(found: Iterable[Record], text: TextIO) -> int:
    count = 0
    for record in found:
        text.write(json.dumps(record, sort_keys=True, separators=(",", ":")) + "\n")
        count += 1
    text.flush()
    return count
