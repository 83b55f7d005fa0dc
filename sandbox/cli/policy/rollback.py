"""`sandbox policy rollback`: put an earlier version of a component's policy back in force, and show what that changes.

Rules: what gives a component more than it has needs somebody's word, `--yes` or a typed one; what only takes away needs none.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace

from sandbox.cli.confirming import somebody_is_there, yes
from sandbox.cli.exits import Exit
from sandbox.cli.policy.opening import opened
from sandbox.cli.policy.reading import usage
from sandbox.cli.policy.showing import show_differences, show_receipt
from sandbox.cli.terminal import Terminal
from sandbox.template.compare import differences
from sandbox.template.difference import taken_away


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Put it back."""
    return asyncio.run(_back(arguments, terminal, *arguments.words))


async def _back(arguments: Namespace, terminal: Terminal, component: str) -> int:
    async with opened(arguments) as sandbox:
        now, last = sandbox.template_in_force(component), sandbox.policy_versions(component)
        earlier = sandbox.earlier_policy(component, arguments.to)
        then = sandbox.template_of_version(component, earlier)
        found = differences(now, then)
        if not terminal.json:
            before = f"version {last[-1].version} (now)" if last else "now"
            show_differences(terminal, found, before, f"version {earlier.version} (again)")
        if taken_away(then, now):
            _ask(arguments, terminal, component, earlier.version)
        receipt = await sandbox.rollback_policy(component, earlier.version)
        version = sandbox.policy_versions(component)[-1]
    if terminal.json:
        told = {"component": component, "version": version.version, **found.to_json(), "receipt": receipt.to_json()}
        terminal.data(told)
        return Exit.OK
    terminal.line(f"{component} is under version {version.version} of its policy, {version.policy_file or 'policy'}")
    show_receipt(terminal, receipt)
    return Exit.OK


def _ask(arguments: Namespace, terminal: Terminal, component: str, version: int) -> None:
    if arguments.yes or (somebody_is_there(terminal) and yes(f"give `{component}` more than it has now?")):
        return
    usage(f"nothing is put back: version {version} gives `{component}` more than it has now", "say `--yes` where you want that")
