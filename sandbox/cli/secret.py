"""`sandbox secret`: set, list and remove what policies name as `secret:`.

Decides where a value comes from: standard input, or a prompt that shows nothing. Never the command line, which other users of the
machine can read and a shell remembers. No command shows a value, and none is in an error. Who set or removed which secret is on
record: what is set is recorded first, or it is not set.
"""

from __future__ import annotations

import getpass
import os
import sys
import time
from argparse import Namespace

from sandbox.admission import new_request_id
from sandbox.audit import Event, EventType, Redactor, rfc3339
from sandbox.cli.exits import Exit
from sandbox.cli.home import home_of, leave_no_core_dump
from sandbox.cli.local_user import local_user
from sandbox.cli.terminal import Terminal
from sandbox.cli.times import clock
from sandbox.errors import Code, SandboxError
from sandbox.state import Clock, Home, sqlite_store
from sandbox.state.recorded import open_record
from sandbox.state.secrets import MAX_VALUE, SecretStore


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run `secret set`, `list` or `remove`."""
    leave_no_core_dump()
    home = Home.open(home_of(arguments), os.environ)
    return {"set": _set, "list": _list, "remove": _remove}[arguments.action](arguments, terminal, home)


def _set(arguments: Namespace, terminal: Terminal, home: Home) -> int:
    (name, *more) = arguments.words
    if more or "=" in name:
        help_ = "`sandbox secret set NAME` asks for it, or reads it from standard input: `… < FILE`"
        raise SandboxError("a value is never written in a command line", help=help_, code=Code.INVALID_ARGUMENTS)
    new = _store(home).set(name, _value(name), time.time(), before_commit=lambda: _record(home, EventType.SECRET_SET, name))
    if terminal.json:
        terminal.data({"name": name, "new": new})
    else:
        terminal.line(f"{name} is {'set' if new else 'changed'}: it holds from the next call on, in every running server")
    return Exit.OK


def _store(home: Home) -> SecretStore:
    return SecretStore.of(home, os.environ)


def _record(home: Home, kind: EventType, name: str) -> None:
    state = sqlite_store(home.state)
    try:
        clock_ = Clock(state.latest())
    finally:
        state.close()
    event = Event(kind, new_request_id(), subject=local_user(), detail={"name": name})
    open_record(home, os.environ, clock=clock_, source="terminal").append(event, Redactor(), sync=True)


def _value(name: str) -> str:
    """The value, without the one line end that a file or `echo` puts behind it."""
    if sys.stdin.isatty():
        return getpass.getpass(f"value of {name} (not shown): ", stream=sys.stderr)
    data = sys.stdin.buffer.read(MAX_VALUE + 3)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        # Not the cause: its text quotes the bytes.
        raise SandboxError("the value is no UTF-8 text", help="encode it: `base64`", code=Code.INVALID_ARGUMENTS) from None
    return text.removesuffix("\n").removesuffix("\r")


def _list(_: Namespace, terminal: Terminal, home: Home) -> int:
    found = _store(home).names()
    if terminal.json:
        terminal.data([{"name": one.name, "changed_at": rfc3339(one.changed_at)} for one in found])
    else:
        rows = [(one.name, clock(one.changed_at)) for one in found]
        terminal.table(("SECRET", "CHANGED"), rows, none="no secrets are set")
    return Exit.OK


def _remove(arguments: Namespace, terminal: Terminal, home: Home) -> int:
    _store(home).remove(arguments.words[0])
    _record(home, EventType.SECRET_REMOVED, arguments.words[0])
    if terminal.json:
        terminal.data({"name": arguments.words[0], "removed": True})
    else:
        terminal.line(f"{arguments.words[0]} is removed: calls that need it are denied it from now on")
    return Exit.OK
