"""`sandbox replay`: what of the record would have been decided otherwise under another admission document.

Reads the record alone: it works while servers write, and without any of them. Budgets and rates are counted anew.
"""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sandbox.admission.looking_back.replaying import Changed, replay
from sandbox.audit import records
from sandbox.cli.admission.reading import document_of
from sandbox.cli.exits import Exit
from sandbox.cli.home import home_of
from sandbox.cli.terminal import Terminal
from sandbox.cli.times import clock, moment
from sandbox.in_force.admitting import HANDLED
from sandbox.state import Home
from sandbox.state.recorded import record_keys


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Replay the record; the exit code is 1 where a decision changes."""
    (word,) = arguments.words
    document, home = document_of(word), Home.open(home_of(arguments), os.environ)
    found = replay(_between(arguments, home), document, handles=HANDLED)
    if terminal.json:
        terminal.data({"decisions": found.decisions, "changed": [each.to_json() for each in found.changed]})
    else:
        rows = map(_row, found.changed)
        none = f"none of {found.decisions} decisions changes under {word}"
        terminal.table(("TIME", "SUBJECT", "TOOL", "WAS", "WOULD BE", "BY"), list(rows), none=none)
        if found.changed:
            terminal.note(f"{len(found.changed)} of {found.decisions} decisions change under {word}")
        if any(not each.certain for each in found.changed):
            terminal.note("(?) the record does not hold all of its arguments: the answer may have been another")
    return Exit.REFUSED if found.changed else Exit.OK


def _between(arguments: Namespace, home: Home) -> Iterator[dict[str, Any]]:
    since = None if arguments.since is None else moment(arguments.since, now=time.time())
    until = None if arguments.until is None else moment(arguments.until, now=time.time())
    for record in records(home.audit, record_keys(home, os.environ)):
        at = datetime.fromisoformat(record["time"])
        if (since is None or at >= since) and (until is None or at < until):
            yield record


def _row(each: Changed) -> tuple[str, ...]:
    after = each.after.effect.value + ("" if each.certain else " (?)")
    at = clock(datetime.fromisoformat(each.time).timestamp())
    return (at, each.subject, each.tool, each.before.value, after, each.after.reason)
