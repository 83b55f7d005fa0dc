"""`sandbox audit verify`: check that the record is as it was written."""

from __future__ import annotations

import os
from argparse import Namespace

from sandbox.audit import Verified, verify
from sandbox.cli.exits import Exit
from sandbox.cli.home import home_of
from sandbox.cli.terminal import Terminal
from sandbox.state.home import Home
from sandbox.state.recorded import record_keys


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run `audit verify`."""
    home = Home.open(home_of(arguments), os.environ)
    result = verify(home.audit, record_keys(home, os.environ))
    if terminal.json:
        fault = None if result.fault is None else result.fault.to_json()
        told = {"ok": result.ok, "records": result.records, "removed": result.removed, "keyed": result.keyed}
        terminal.data({**told, "digest": result.digest, "fault": fault})
    elif result.fault is None:
        last = f"the last one is {result.digest}" if result.records else "nothing is on record"
        terminal.line(f"ok: {result.records} records, {_removed(result)}{last}")
    else:
        whole = min(result.records, result.fault.seq - 1 - result.removed)
        terminal.note(f"error: {result.fault.message}\n  help: {_kept(whole)}")
    return Exit.OK if result.ok else Exit.REFUSED


def _removed(result: Verified) -> str:
    return f"{result.removed} before them were removed in time, " if result.removed else ""


def _kept(records: int) -> str:
    if records <= 0:
        return "no record before it can be relied on"
    return f"the {records} records before it are as they were written" if records > 1 else "record 1 is as it was written"
