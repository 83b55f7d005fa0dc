"""`sandbox policy get`: the rules in force for a component, each with the line or grant that it comes from."""

from __future__ import annotations

import asyncio
from argparse import Namespace

from sandbox.cli.exits import Exit
from sandbox.cli.policy.opening import opened
from sandbox.cli.policy.showing import colour_of
from sandbox.cli.terminal import Terminal
from sandbox.views import PolicyView


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Show what holds now."""
    view = asyncio.run(_view(arguments))
    if terminal.json:
        terminal.data(view.to_json())
        return Exit.OK
    terminal.line(f"{view.component} is under {view.file}")
    rows = [(note.origin, note.line, note.enforced_by) for note in view.rules]
    terminal.table(
        ("FROM", "WHAT HOLDS", "WHAT ENFORCES IT"), rows, none="nothing is granted", colours=[*map(colour_of, view.rules)]
    )
    for left in view.left_out:
        terminal.note(f"warning: the grant {left.grant.id} gives nothing here: {left.why}")
    for text in view.warnings:
        terminal.note(f"warning: {text}")
    for text in view.waiting:
        terminal.note(f"waits for acceptance: {text}")
    for text in view.problems:
        terminal.note(f"error: {text}")
    return Exit.OK


async def _view(arguments: Namespace) -> PolicyView:
    async with opened(arguments) as sandbox:
        return sandbox.get_policy(arguments.words[0])
