"""`sandbox policy rollback`: put an earlier version of a component's policy back in force, and show what that changes."""

from __future__ import annotations

import asyncio
from argparse import Namespace

from sandbox.cli.exits import Exit
from sandbox.cli.policy.opening import opened
from sandbox.cli.policy.showing import show_differences, show_receipt
from sandbox.cli.terminal import Terminal
from sandbox.template.compare import differences


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Put it back."""
    return asyncio.run(_back(arguments, terminal, *arguments.words))


async def _back(arguments: Namespace, terminal: Terminal, component: str) -> int:
    async with opened(arguments) as sandbox:
        before = sandbox.template_in_force(component)
        last = sandbox.policy_versions(component)
        receipt = await sandbox.rollback_policy(component, arguments.to)
        found = differences(before, sandbox.template_in_force(component))
        version = sandbox.policy_versions(component)[-1]
    if terminal.json:
        told = {"component": component, "version": version.version, **found.to_json(), "receipt": receipt.to_json()}
        terminal.data(told)
        return Exit.OK
    show_differences(
        terminal, found, f"version {last[-1].version} (before)" if last else "before", f"version {version.version} (after)"
    )
    terminal.line(f"{component} is under version {version.version} of its policy, {version.policy_file or 'policy'}")
    show_receipt(terminal, receipt)
    return Exit.OK
