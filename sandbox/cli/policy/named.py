"""`sandbox policy list`: the policies that ship with the host, by name."""

from __future__ import annotations

from argparse import Namespace

from sandbox.cli.exits import Exit
from sandbox.cli.terminal import Terminal
from sandbox.policy.named import named_policy, policy_names


def command(_: Namespace, terminal: Terminal) -> int:
    """List the names and what each is for."""
    found = [(name, named_policy(name).description) for name in policy_names()]
    if terminal.json:
        terminal.data([{"name": name, "description": description} for name, description in found])
    else:
        terminal.table(("POLICY", "WHAT IT IS FOR"), found, none="no policies ship with this host")
    return Exit.OK
