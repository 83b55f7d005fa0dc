"""`sandbox audit`: read the record, and check that it is as it was written.

Reads the files alone: it works while servers write, and without any of them.
"""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from sandbox.audit import EventType, records, verify
from sandbox.cli.exits import Exit
from sandbox.cli.home import home_of
from sandbox.cli.terminal import Terminal
from sandbox.cli.times import clock, moment
from sandbox.errors import Code, NotFound, SandboxError, unknown_component
from sandbox.state.home import Home
from sandbox.state.recorded import record_keys

Record = dict[str, Any]


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run `audit list` or `audit verify`."""
    home = Home.open(home_of(arguments), os.environ)
    return _list(arguments, terminal, home) if arguments.action == "list" else _verify(terminal, home)


def _list(arguments: Namespace, terminal: Terminal, home: Home) -> int:
    wanted = list(_filters(arguments))
    found = deque(
        (record for record in records(home.audit, record_keys(home, os.environ)) if all(fits(record) for fits in wanted)),
        maxlen=arguments.limit,
    )
    if not found and arguments.component is not None:
        _refuse_unknown(arguments.component, home)
    if not found and arguments.call is not None and not _on_record(arguments.call, home):
        raise NotFound(f"no call `{arguments.call}` is on record", help="the last column of `sandbox audit list` has the ids")
    if terminal.json:
        terminal.data(list(found))
    else:
        terminal.table(("TIME", "EVENT", "WHAT", "OUTCOME", "ID"), map(_row, found), none=_none(arguments))
    return Exit.OK


def _refuse_unknown(component: str, home: Home) -> None:
    """A name that the record never mentions is more likely mistyped than without events."""
    names = {str(record["component"]) for record in records(home.audit, record_keys(home, os.environ)) if record.get("component")}
    if component not in names:
        raise unknown_component(component, names)


def _on_record(call: str, home: Home) -> bool:
    return any(record.get("audit_id") == call for record in records(home.audit, record_keys(home, os.environ)))


def _none(arguments: Namespace) -> str:
    asked = {"component": arguments.component, "event": arguments.event, "call": arguments.call, "since": arguments.since}
    said = " and ".join(f"{name} `{value}`" for name, value in asked.items() if value is not None)
    return f"no events with {said}" if said else "no events"


def _filters(arguments: Namespace) -> Iterator[Callable[[Record], bool]]:
    for field, value in (("component", arguments.component), ("event", _event(arguments.event)), ("audit_id", arguments.call)):
        if value is not None:
            yield _field_is(field, value)
    if arguments.since is not None:
        since = moment(arguments.since, now=time.time())
        yield lambda record: datetime.fromisoformat(record["time"]) >= since


def _field_is(field: str, value: str) -> Callable[[Record], bool]:
    return lambda record: record.get(field) == value


def _event(name: str | None) -> str | None:
    if name is None or name in {kind.value for kind in EventType}:
        return name
    known = ", ".join(f"`{kind.value}`" for kind in EventType)
    raise SandboxError(f"there is no event `{name}`", help=f"the events are {known}", code=Code.INVALID_ARGUMENTS)


def _row(record: Record) -> tuple[str, ...]:
    what = record.get("tool") or record.get("component") or ""
    outcome = (record.get("code") or record.get("ending") or record.get("decision"), record.get("reason"))
    when = clock(datetime.fromisoformat(record["time"]).timestamp())
    return (when, record["event"], what, ": ".join(part for part in outcome if part), record["audit_id"])


def _verify(terminal: Terminal, home: Home) -> int:
    result = verify(home.audit, record_keys(home, os.environ))
    if terminal.json:
        fault = None if result.fault is None else result.fault.to_json()
        terminal.data({"ok": result.ok, "records": result.records, "digest": result.digest, "fault": fault})
    elif result.fault is None:
        last = f"the last one is {result.digest}" if result.records else "nothing is on record"
        terminal.line(f"ok: {result.records} records, {last}")
    else:
        whole = min(result.records, result.fault.seq - 1)
        terminal.note(f"error: {result.fault.message}\n  help: {_kept(whole)}")
    return Exit.OK if result.ok else Exit.REFUSED


def _kept(records: int) -> str:
    if records == 0:
        return "no record before it can be relied on"
    return f"the {records} records before it are as they were written" if records > 1 else "record 1 is as it was written"
