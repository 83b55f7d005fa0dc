"""`sandbox policy set`: put a policy in place for a component, in every running server, and show what that changes.

A policy that is refused changes nothing: the last good one stays in force.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace

from sandbox.api import Sandbox
from sandbox.cli.exits import Exit
from sandbox.cli.policy.opening import given, opened
from sandbox.cli.policy.showing import show_differences, show_receipt
from sandbox.cli.terminal import Terminal
from sandbox.errors import PolicyError
from sandbox.in_force.accepted import Given
from sandbox.receipt import Receipt
from sandbox.template.compare import differences
from sandbox.template.examples import Differences


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Put it in place, or with `--dry-run` say what that would do."""
    component, word = arguments.words
    return asyncio.run(put(arguments, terminal, component, word, given(word, tuple(arguments.waive)), dry_run=arguments.dry_run))


async def put(
    arguments: Namespace, terminal: Terminal, component: str, word: str, policy: Given, *, dry_run: bool = False
) -> int:
    """Put a document in place, called `word` here."""
    async with opened(arguments) as sandbox:
        before = sandbox.accepted_policy(component).file
        try:
            found, receipt = await _put(sandbox, component, policy, dry_run=dry_run)
        except PolicyError as error:
            terminal.fail(error)
            if not terminal.json:
                terminal.note(f"nothing has changed: {_in_force(sandbox, component)} stays in force")
            return Exit.DOCUMENT
        version = _version(sandbox, component)
    if terminal.json:
        told = None if receipt is None else receipt.to_json()
        terminal.data({"component": component, "version": version, **found.to_json(), "receipt": told})
        return Exit.OK
    show_differences(terminal, found, f"{before} (before)", f"{word} (after)")
    if receipt is None:
        terminal.note("nothing has changed: this was a dry run")
        return Exit.OK
    terminal.line(f"{component} is under {word}, version {version} of its policy")
    show_receipt(terminal, receipt)
    return Exit.OK


async def _put(sandbox: Sandbox, component: str, policy: Given, *, dry_run: bool) -> tuple[Differences, Receipt | None]:
    if dry_run:
        return sandbox.policy_differences(component, policy), None
    before = sandbox.template_in_force(component)
    receipt = await sandbox.update_component_policy(component, policy)
    return differences(before, sandbox.template_in_force(component)), receipt


def _version(sandbox: Sandbox, component: str) -> int | None:
    versions = sandbox.policy_versions(component)
    return versions[-1].version if versions else None


def _in_force(sandbox: Sandbox, component: str) -> str:
    version = _version(sandbox, component)
    file = sandbox.accepted_policy(component).file
    return f"`{file}`" if version is None else f"version {version}, `{file}`,"
