"""`sandbox policy migrate`: a policy of version "1.0" as one of version "2.0" that decides alike."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from pathlib import Path

from sandbox.cli.exits import Exit
from sandbox.cli.home import policy_value
from sandbox.cli.policy.opening import component_of, opened
from sandbox.cli.policy.put import put
from sandbox.cli.policy.reading import usage
from sandbox.cli.terminal import Terminal
from sandbox.in_force.accepted import Written
from sandbox.policy.file import read_policy_file
from sandbox.policy.migrate import Migrated, migrate
from sandbox.policy.named import policy_text


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Print the new text, write it to a file, or put it in place."""
    (word,) = arguments.words
    component = asyncio.run(component_of(word, arguments))
    if arguments.set and component is None:
        usage(f"`{word}` is no component of this home", "`--set` is for a component; `--output FILE` writes a file")
    migrated = _of_file(word, tuple(arguments.waive)) if component is None else asyncio.run(_of_component(word, arguments))
    for line in migrated.dropped if not terminal.json else ():
        terminal.note(f"warning: {line.origin}: `{line.field}` was waived, had no effect, and is left out")
    if arguments.set:
        return asyncio.run(put(arguments, terminal, word, "the migrated policy", Written(migrated.text, "policy")))
    if arguments.output is not None:
        _write(Path(arguments.output), migrated.text)
    if terminal.json:
        dropped = [{"field": line.field, "origin": line.origin} for line in migrated.dropped]
        terminal.data({"text": migrated.text, "output": arguments.output, "dropped": dropped})
    elif arguments.output is None:
        terminal.text(migrated.text.removesuffix("\n"))
    else:
        terminal.line(f"written to {arguments.output}")
    return Exit.OK


def _of_file(word: str, waive: tuple[str, ...]) -> Migrated:
    value = policy_value(word)
    text = read_policy_file(value) if isinstance(value, Path) else policy_text(value)
    return migrate(text, file=word, waive=waive)


async def _of_component(word: str, arguments: Namespace) -> Migrated:
    async with opened(arguments) as sandbox:
        accepted = sandbox.accepted_policy(word)
    waived = tuple(waiver.field for waiver in accepted.document.waivers)
    return migrate(accepted.text.encode(), file=accepted.file, waive=(*waived, *arguments.waive))


def _write(path: Path, text: str) -> None:
    if path.exists():
        usage(f"`{path}` is there already", "name a file that is not there yet")
    path.touch(mode=0o600)
    path.write_text(text)
