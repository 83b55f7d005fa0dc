"""`sandbox stop` and `resume`: end every call, or those of a session, and refuse all others until somebody resumes.

Leaves what that means to `sandbox.changes.stopping`, which also tells every running server. It works without one, too: what is
stopped is refused by servers that start later.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace

from sandbox.api import Sandbox
from sandbox.audit import rfc3339
from sandbox.cli.exits import Exit
from sandbox.cli.hosting import open_sandbox
from sandbox.cli.local_user import local_user
from sandbox.cli.terminal import Terminal
from sandbox.state import Stop


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run `stop` or `resume`."""
    return asyncio.run(_run(arguments, terminal))


async def _run(arguments: Namespace, terminal: Terminal) -> int:
    async with open_sandbox(arguments, source="terminal") as sandbox:
        work = _stop if arguments.action == "stop" else _resume
        return await work(arguments, terminal, sandbox)


async def _stop(arguments: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    stop, receipt = await sandbox.stop_calls(arguments.session, reason=arguments.reason, who=local_user())
    if terminal.json:
        terminal.data({**_shown(stop), **receipt.to_json(), "ended": [call.to_json() for call in receipt.every_stop]})
        return Exit.OK
    terminal.line(f"stopped: {_what(arguments)}; {len(receipt.every_stop)} running calls were ended")
    for call in receipt.every_stop:
        terminal.line(f"  {call.call_id}  {call.tool}  {call.ms} ms")
    for server in receipt.unconfirmed:
        terminal.note(f"WARNING: the running server {server} did not answer: its calls stop before its next one")
    terminal.note(f"  help: `sandbox resume {_options(arguments)}` lets them run again")
    return Exit.OK


async def _resume(arguments: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    stop = await sandbox.resume_calls(arguments.session, who=local_user())
    if terminal.json:
        terminal.data(_shown(stop))
        return Exit.OK
    terminal.line(f"resumed: {_what(arguments)} (stopped by {stop.who}{f': {stop.why}' if stop.why else ''})")
    for other in sandbox.stops():
        terminal.note(f"still stopped: {'everything' if other.scope == '*' else f'session {other.scope}'}")
    return Exit.OK


def _shown(stop: Stop) -> dict[str, object]:
    return {"scope": stop.scope, "who": stop.who, "why": stop.why, "at": rfc3339(stop.at)}


def _what(arguments: Namespace) -> str:
    return "everything" if arguments.session is None else f"session {arguments.session}"


def _options(arguments: Namespace) -> str:
    return "--all" if arguments.session is None else f"--session {arguments.session}"
