"""The variables that a client has to hand to this program, since a policy lies below what they hold: `fs://${WORKSPACE}/**`.

A client starts it with an almost empty environment, whatever is set in the terminal in which it is installed.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path

from sandbox.cli.policy.opening import opened
from sandbox.cli.policy.reading import document_of, home_here
from sandbox.errors import Code, SandboxError
from sandbox.policy.models import PolicyDocument
from sandbox.policy.uris import parse_uri


def environment(values: Iterable[str], needed: Iterable[str]) -> dict[str, str]:
    """What `--env` says; of a variable that is `needed`, the absolute path. Raises SandboxError."""
    found: dict[str, str] = {}
    for written in values:
        name, equals, value = written.partition("=")
        if not equals or not name.isidentifier() or not name.isascii():
            raise SandboxError(f"`{written}` sets no variable", help="write `--env NAME=VALUE`", code=Code.INVALID_ARGUMENTS)
        found[name] = str(Path(value).expanduser().resolve()) if name in needed else value
    return found


def needed_by(arguments: Namespace, files: list[str], policies: Iterable[str]) -> tuple[str, ...]:
    """The variables of these policies; of what is installed, where neither a file nor a policy is named."""
    documents = [document_of(policy, ()) for policy in policies]
    if not files and not documents and (home_here(arguments).state).exists():
        documents = asyncio.run(_installed(arguments))
    return tuple(sorted({name for document in documents for name in _variables(document)}))


async def _installed(arguments: Namespace) -> list[PolicyDocument]:
    async with opened(arguments) as sandbox:
        return [sandbox.accepted_policy(one.name).document for one in sandbox.components()]


def _variables(document: PolicyDocument) -> set[str]:
    storage = document.permissions.storage
    written = [*(one.uri for one in (*storage.allow, *storage.ask)), *(one.uri for one in storage.deny)]
    return {name for uri in written if (name := parse_uri(uri).variable) is not None}
