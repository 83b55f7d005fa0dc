"""`sandbox role`: give a role of the admission document to a subject while servers run, take it away, list who was given which.

Leaves what a role may to the admission document, and whether it is one of its roles to `sandbox.changes.roles`.
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
from sandbox.cli.times import clock


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run `role assign`, `remove` or `list`."""
    return asyncio.run(_run(arguments, terminal))


async def _run(arguments: Namespace, terminal: Terminal) -> int:
    work = {"assign": _assign, "remove": _remove, "list": _list}[arguments.action]
    async with open_sandbox(arguments, source="terminal") as sandbox:
        return await work(arguments, terminal, sandbox)


async def _assign(arguments: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    subject, role = arguments.words
    new = await sandbox.assign_role(subject, role, who=local_user())
    if terminal.json:
        terminal.data({"subject": subject, "role": role, "new": new})
    else:
        terminal.line(f"{subject} has the role {role}" + (": from the next call on, in every server" if new else " already"))
    return Exit.OK


async def _remove(arguments: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    subject, role = arguments.words
    await sandbox.remove_role(subject, role, who=local_user())
    if terminal.json:
        terminal.data({"subject": subject, "role": role, "removed": True})
    else:
        terminal.line(f"{subject} does not have the role {role} any more, from the next call on")
    return Exit.OK


async def _list(_: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    found = sandbox.roles()
    if terminal.json:
        terminal.data([{"subject": one.subject, "role": one.role, "who": one.who, "at": rfc3339(one.at)} for one in found])
    else:
        rows = [(one.subject, one.role, one.who, clock(one.at)) for one in found]
        terminal.table(("SUBJECT", "ROLE", "GIVEN BY", "SINCE"), rows, none="no role was given while servers ran")
    return Exit.OK
