"""`sandbox policy get`: the rules in force for a component, each with the line or grant that it comes from.

Decides whose rules those are: a running server's that has the component, which may have another ceiling than this terminal, else
what holds by the files.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace
from typing import Any

from sandbox.cli.exits import Exit
from sandbox.cli.policy.opening import opened
from sandbox.cli.policy.showing import colour_of
from sandbox.cli.terminal import Terminal
from sandbox.remote import policies_in_force
from sandbox.template.report import Note


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Show what holds now."""
    view, others = asyncio.run(_view(arguments))
    for server in others:
        terminal.note(f"warning: the running server {server} has other rules: its ceiling or its policies are its own")
    if terminal.json:
        terminal.data(view)
        return Exit.OK
    at = "" if view["server"] is None else f", in the running server {view['server']}"
    terminal.line(f"{view['component']} is under {view['file']}{at}")
    rules = [Note(**rule) for rule in view["rules"]]
    rows = [(note.origin, note.line, note.enforced_by) for note in rules]
    terminal.table(("FROM", "WHAT HOLDS", "WHAT ENFORCES IT"), rows, none="nothing is granted", colours=[*map(colour_of, rules)])
    for left in view["left_out"]:
        terminal.note(f"warning: the grant {left['grant']['id']} gives nothing here: {left['why']}")
    for text in view["warnings"]:
        terminal.note(f"warning: {text}")
    for text in view["waiting"]:
        terminal.note(f"waits for acceptance: {text}")
    for text in view["problems"]:
        terminal.note(f"error: {text}")
    return Exit.OK


async def _view(arguments: Namespace) -> tuple[dict[str, Any], list[str]]:
    """The view with its server, and the servers whose rules are others."""
    (component,) = arguments.words
    async with opened(arguments) as sandbox:
        there = {} if arguments.ceiling is not None else await policies_in_force(sandbox.home / "run", component)
        if not there:
            return {**sandbox.get_policy(component).to_json(), "server": None}, []
    shown = next(iter(there))
    return {**there[shown], "server": shown}, [name for name, view in there.items() if view["rules"] != there[shown]["rules"]]
