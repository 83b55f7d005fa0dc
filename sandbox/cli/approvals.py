"""`sandbox approvals`: the calls that wait for a person's approval; show exactly what is asked for, and answer.

Decides how they are shown. Who answers is the user of this terminal, with the roles that the admission document, or `sandbox role
assign`, gives that name; whether that suffices is `sandbox.changes.approving`'s. The answer is in the store, where every running
server of this home finds it.

Rule: a yes is somebody's word, typed after everything was shown, or `--yes`.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace

from sandbox.admission import Subject
from sandbox.admission.approval import Approval, State
from sandbox.api import Sandbox
from sandbox.changes.approving import approval_json
from sandbox.cli.confirming import somebody_is_there, yes
from sandbox.cli.exits import Exit
from sandbox.cli.hosting import open_sandbox
from sandbox.cli.local_user import local_user
from sandbox.cli.parser import refuse
from sandbox.cli.terminal import Terminal
from sandbox.cli.times import clock

_WAY = "terminal"


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run `approvals list`, `show`, `approve`, `deny` or `withdraw`."""
    return asyncio.run(_run(arguments, terminal))


async def _run(arguments: Namespace, terminal: Terminal) -> int:
    work = {"list": _list, "show": _show, "approve": _approve, "deny": _deny, "withdraw": _withdraw}[arguments.action]
    async with open_sandbox(arguments, source="terminal") as sandbox:
        return await work(arguments, terminal, sandbox)


async def _list(arguments: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    if arguments.state is not None and arguments.state not in list(State):
        arguments.parser.refuse_word(arguments.state, [state.value for state in State])
    found = sandbox.approvals(status=arguments.state)
    if terminal.json:
        terminal.data([approval_json(one) for one in found])
        return Exit.OK
    rows = [(one.id, one.state.value, one.bound.subject, _what(one), one.needs, clock(one.expires_at)) for one in found]
    terminal.table(("APPROVAL", "STATE", "ASKED BY", "WHAT", "NEEDS", "UNTIL"), rows, none="no approval was asked for")
    return Exit.OK


async def _show(arguments: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    (approval_id,) = arguments.words
    approval = sandbox.approval(approval_id)
    if terminal.json:
        terminal.data({**approval_json(approval), "arguments": sandbox.approval_arguments(approval)})
        return Exit.OK
    terminal.text(sandbox.approval_question(approval))
    terminal.line(f"State: {approval.state.value}, until {clock(approval.expires_at)}")
    for said in approval.yeses:
        terminal.line(f"  yes: {said.who} ({said.by_way_of}, {clock(said.at)}){f': {said.note}' if said.note else ''}")
    return Exit.OK


async def _approve(arguments: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    (approval_id,) = arguments.words
    if not arguments.yes:
        approval = sandbox.approval(approval_id)
        if not somebody_is_there(terminal):
            refuse("nothing is approved: nobody is asked where no terminal is", "say `--yes` where you want that")
        terminal.note(sandbox.approval_question(approval))
        if not yes("approve this?"):
            terminal.note("nothing is approved")
            return Exit.REFUSED
    return _told(await sandbox.approve(approval_id, _who(), arguments.note, by_way_of=_WAY), terminal)


async def _deny(arguments: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    (approval_id,) = arguments.words
    return _told(await sandbox.deny_approval(approval_id, _who(), arguments.note, by_way_of=_WAY), terminal)


async def _withdraw(arguments: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    (approval_id,) = arguments.words
    return _told(await sandbox.withdraw_approval(approval_id, _who(), arguments.note, by_way_of=_WAY), terminal)


def _told(approval: Approval, terminal: Terminal) -> int:
    if terminal.json:
        terminal.data(approval_json(approval))
        return Exit.OK
    terminal.line(f"{approval.state.value}: {approval.id} ({_what(approval)} by {approval.bound.subject})")
    if approval.state is State.PENDING:
        terminal.note(f"  it needs {approval.needs}; so far: {', '.join(said.who for said in approval.yeses)}")
    elif approval.state is State.APPROVED:
        terminal.note(f"  the call may be made again, once, until {clock(approval.expires_at)}")
    return Exit.OK


def _what(approval: Approval) -> str:
    return approval.bound.tool or approval.bound.action


def _who() -> Subject:
    return Subject.local(local_user())
