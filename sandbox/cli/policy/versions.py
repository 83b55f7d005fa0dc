"""`sandbox policy versions`: the documents that were accepted for a component, and which one is in force."""

from __future__ import annotations

import asyncio
import hashlib
from argparse import Namespace

from sandbox.audit import rfc3339
from sandbox.cli.exits import Exit
from sandbox.cli.policy.opening import opened
from sandbox.cli.terminal import Terminal
from sandbox.cli.times import clock
from sandbox.state import PolicyVersion


def command(arguments: Namespace, terminal: Terminal) -> int:
    """List them, the oldest first."""
    found = asyncio.run(_versions(arguments))
    last = found[-1].version if found else None
    if terminal.json:
        terminal.data([{**_told(one), "in_force": one.version == last} for one in found])
        return Exit.OK
    rows = [
        (
            one.version,
            "in force" if one.version == last else "",
            clock(one.accepted_at),
            one.accepted_by,
            one.policy_file,
            _sum(one),
        )
        for one in found
    ]
    none = f"nobody has accepted a policy for `{arguments.words[0]}`"
    terminal.table(("VERSION", "", "SINCE", "ACCEPTED BY", "FILE", "TEXT"), rows, none=none)
    return Exit.OK


async def _versions(arguments: Namespace) -> tuple[PolicyVersion, ...]:
    async with opened(arguments) as sandbox:
        return sandbox.policy_versions(arguments.words[0])


def _sum(one: PolicyVersion) -> str:
    return hashlib.sha256(one.policy_text.encode()).hexdigest()[:12]


def _told(one: PolicyVersion) -> dict[str, object]:
    about = {"version": one.version, "accepted_at": rfc3339(one.accepted_at), "accepted_by": one.accepted_by}
    about |= {"component": one.digest}
    return {**about, "file": one.policy_file, "text": one.policy_text}
