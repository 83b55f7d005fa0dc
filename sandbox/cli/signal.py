"""`sandbox signal`: the calls that run in the servers of this home; kill, suspend and resume them.

Decides how they are shown. The server that runs a call sends the signal and records it, with the user who gave this command.
"""

from __future__ import annotations

import asyncio
import os
from argparse import Namespace

from sandbox.cli.exits import Exit
from sandbox.cli.home import home_of
from sandbox.cli.local_user import local_user
from sandbox.cli.terminal import Terminal
from sandbox.remote import calls_running, signal_call
from sandbox.state import Home

_SENT = {"kill": ("SIGKILL", "killed"), "stop": ("SIGSTOP", "suspended"), "cont": ("SIGCONT", "resumed")}


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run `signal list`, `kill`, `stop` or `cont`."""
    home = Home.open(home_of(arguments), os.environ)
    if arguments.action == "list":
        return _list(home, terminal)
    signal, said = _SENT[arguments.action]
    (call_id,) = arguments.words
    call = asyncio.run(signal_call(home.run, call_id, signal, reason=arguments.reason, who=local_user()))
    if terminal.json:
        terminal.data({"call_id": call_id, "signal": signal, "tool": call["tool"], "server": call["server"]})
    else:
        terminal.line(f"{said}: {call_id} ({call['tool']})")
    return Exit.OK


def _list(home: Home, terminal: Terminal) -> int:
    found = asyncio.run(calls_running(home.run))
    if terminal.json:
        terminal.data(found)
        return Exit.OK
    rows = [
        (call["call_id"], call["tool"], call["session"] or "", "suspended" if call["suspended"] else "runs", call["server"])
        for call in found
    ]
    terminal.table(("CALL", "TOOL", "SESSION", "STATE", "SERVER"), rows, none="no call runs")
    return Exit.OK
