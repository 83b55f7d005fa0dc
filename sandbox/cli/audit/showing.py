"""`sandbox audit show ID`: all that is on record of one call, from its attempt to its end."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Iterator
from datetime import datetime

from sandbox.audit import AuditQuery
from sandbox.cli.audit.asked import Record, answers, no_call
from sandbox.cli.exits import Exit
from sandbox.cli.home import home_of
from sandbox.cli.terminal import Terminal
from sandbox.cli.times import clock
from sandbox.state.home import Home

_FIRST = ("subject", "tenant", "session", "trace_id", "address", "user_agent", "component", "tool", "digest")
_HEAD = frozenset({"time", "event", "severity", "audit_id", "seq", "prev"})


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run `audit show`."""
    (call,) = arguments.words
    home = Home.open(home_of(arguments), os.environ)
    found = list(answers(home, AuditQuery(audit_id=call)))[::-1]
    if not found:
        raise no_call(call)
    if terminal.json:
        terminal.data(found)
        return Exit.OK
    told: dict[str, object] = {}
    for record in found:
        terminal.line(f"{clock(datetime.fromisoformat(record['time']).timestamp())}  {record['event']}  (record {record['seq']})")
        for name, value in _new(record, told):
            terminal.line(f"  {name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    return Exit.OK


def _new(record: Record, told: dict[str, object]) -> Iterator[tuple[str, object]]:
    """What a record says that the one before it did not."""
    names = (*_FIRST, *(name for name in sorted(record) if name not in _FIRST and name not in _HEAD))
    for name in names:
        value = record.get(name)
        if value in (None, "", [], {}) or told.get(name) == value:
            continue
        told[name] = value
        yield name, value
