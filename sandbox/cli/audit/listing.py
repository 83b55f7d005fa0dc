"""`sandbox audit list`: the newest events that answer, the oldest of them first.

Reads the files alone: it works while servers write, and without any of them.
"""

from __future__ import annotations

import os
from argparse import Namespace
from datetime import datetime
from itertools import islice

from sandbox.cli.audit.asked import Record, answers, query_of, refuse_unknown, said
from sandbox.cli.exits import Exit
from sandbox.cli.home import home_of
from sandbox.cli.terminal import Terminal
from sandbox.cli.times import clock
from sandbox.state.home import Home


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run `audit list`."""
    home, query = Home.open(home_of(arguments), os.environ), query_of(arguments)
    found = list(islice(answers(home, query), arguments.limit))[::-1]
    if not found:
        refuse_unknown(home, query)
    if terminal.json:
        terminal.data(found)
    else:
        terminal.table(("TIME", "EVENT", "WHO", "WHAT", "OUTCOME", "ID"), map(_row, found), none=said(query))
    return Exit.OK


def _row(record: Record) -> tuple[str, ...]:
    what = record.get("tool") or record.get("component") or ""
    outcome = (record.get("code") or record.get("ending") or record.get("decision"), record.get("reason"))
    when = clock(datetime.fromisoformat(record["time"]).timestamp())
    told = ": ".join(part for part in outcome if part)
    return (when, record["event"], record.get("subject") or "", what, told, record["audit_id"])
