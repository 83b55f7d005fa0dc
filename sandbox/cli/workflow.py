"""`sandbox workflow check`, `load`, `unload`, `list`: policies that hold for several components at once.

Leaves what they mean to `sandbox.changes.workflows`, which also tells every running server.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace
from pathlib import Path

from sandbox.api import Sandbox
from sandbox.cli.exits import Exit
from sandbox.cli.hosting import open_sandbox
from sandbox.cli.local_user import local_user
from sandbox.cli.terminal import Terminal
from sandbox.in_force.shared import Held
from sandbox.policy.file import read_policy_file
from sandbox.policy.workflow import load_workflow
from sandbox.receipt import Receipt


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run `workflow check`, `load`, `unload` or `list`."""
    if arguments.action == "check":
        return _check(arguments, terminal)
    return asyncio.run(_run(arguments, terminal))


def _check(arguments: Namespace, terminal: Terminal) -> int:
    (file,) = arguments.words
    workflow = load_workflow(read_policy_file(Path(file)), file=file)
    if terminal.json:
        terminal.data({"file": file, "components": list(workflow.components)})
    else:
        terminal.line(f"ok: {file}, for {', '.join(workflow.components)}")
    return Exit.OK


async def _run(arguments: Namespace, terminal: Terminal) -> int:
    async with open_sandbox(arguments, source="terminal") as sandbox:
        return await {"load": _load, "unload": _unload, "list": _list}[arguments.action](arguments, terminal, sandbox)


async def _load(arguments: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    (file,) = arguments.words
    workflow, receipt = await sandbox.load_workflow(Path(file), name=arguments.name, who=local_user())
    held = next(one for one in sandbox.workflows() if one.workflow == workflow)
    name = held.stored.name
    if terminal.json:
        terminal.data({"name": name, "components": list(workflow.components), "holders": _holders(held), **receipt.to_json()})
        return Exit.OK
    terminal.line(f"loaded: {name}, for {', '.join(workflow.components)}")
    _tell_holders(held, terminal)
    _tell(receipt, terminal)
    return Exit.OK


async def _unload(arguments: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    (name,) = arguments.words
    receipt = await sandbox.unload_workflow(name, who=local_user())
    if terminal.json:
        terminal.data({"name": name, **receipt.to_json()})
        return Exit.OK
    terminal.line(f"unloaded: {name}")
    _tell(receipt, terminal)
    return Exit.OK


async def _list(_: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    if terminal.json:
        terminal.data([_shown(one) for one in sandbox.workflows()])
        return Exit.OK
    for one in sandbox.workflows():
        terminal.line(f"{one.stored.name}  for {', '.join(one.workflow.components)}  ({one.stored.file}, by {one.stored.who})")
        _tell_holders(one, terminal)
        for section, effect, entry in one.workflow.entries():
            terminal.line(f"  {effect} {section}  {' '.join(f'{key}={value}' for key, value in entry.plain().items())}")
    return Exit.OK


def _tell_holders(held: Held, terminal: Terminal) -> None:
    for name, digests in _holders(held).items():
        nothing = f"nothing: no component had that name; once it is there, load `{held.stored.file}` again"
        terminal.line(f"  {name}: {', '.join(digests) or nothing}")


def _holders(held: Held) -> dict[str, list[str]]:
    return {name: [f"sha256:{digest}" for digest in digests] for name, digests in held.holders().items()}


def _tell(receipt: Receipt, terminal: Terminal) -> None:
    for call in receipt.every_stop:
        terminal.line(f"  stopped: {call.call_id}  {call.tool}  {call.ms} ms")
    for server in receipt.unconfirmed:
        terminal.note(f"WARNING: the running server {server} did not answer: it changes before its next call")


def _shown(one: Held) -> dict[str, object]:
    entries = [{"section": section, "effect": effect, **entry.plain()} for section, effect, entry in one.workflow.entries()]
    stored = one.stored
    return {
        "name": stored.name,
        "file": stored.file,
        "components": list(one.workflow.components),
        "holders": _holders(one),
        "entries": entries,
        "who": stored.who,
        "at": stored.at,
    }
