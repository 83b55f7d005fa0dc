"""`sandbox policy explain`: may it, which line says so, and what would have to change.

For a file or a named policy what it alone decides, under the ceiling where one is given; for a component of this home what holds
for it now, its grants included.
"""

from __future__ import annotations

import asyncio
import shlex
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sandbox.cli.exits import Exit
from sandbox.cli.policy.asked import asked, resolved
from sandbox.cli.policy.opening import component_of, opened
from sandbox.cli.policy.reading import data_folder, judged, usage
from sandbox.cli.terminal import Terminal
from sandbox.template.advice import Advice, Explained, Question, explained, under_ceiling
from sandbox.template.template import WasiTemplate


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Answer every question; the exit code is 1 where one answer is no."""
    questions = tuple(asked(arguments))
    if not questions:
        usage("nothing is asked", "write `--read PATH`, `--url URL`, `--env NAME` or `--limit NAME[=VALUE]`")
    (word,) = arguments.words
    component = asyncio.run(component_of(word, arguments))
    found = _of_file(word, arguments, questions, terminal) if component is None else _of_component(word, arguments, questions)
    if terminal.json:
        terminal.data([each.to_json() for each in found])
    else:
        for each in found:
            _show(terminal, each)
    return Exit.OK if all(each.said.allowed for each in found) else Exit.REFUSED


def _of_component(word: str, arguments: Namespace, questions: Sequence[Question]) -> tuple[Explained, ...]:
    return asyncio.run(_asked_of(word, arguments, questions))


async def _asked_of(word: str, arguments: Namespace, questions: Sequence[Question]) -> tuple[Explained, ...]:
    async with opened(arguments) as sandbox:
        template = sandbox.template_in_force(word)
        found = sandbox.explain_policy(word, *map(resolved, questions))
    return tuple(_with_mount(template, word, question, each) for question, each in zip(questions, found, strict=True))


def _of_file(word: str, arguments: Namespace, questions: Sequence[Question], terminal: Terminal) -> tuple[Explained, ...]:
    compiled = judged(word, arguments).compiled
    found = explained(compiled.template, tuple(map(resolved, questions)))
    if not all(each.said.allowed for each in found):
        without = judged(word, arguments, ceiling=False).compiled.template
        found = tuple(under_ceiling(without, each) for each in found)
    found = tuple(_with_mount(compiled.template, word, question, each) for question, each in zip(questions, found, strict=True))
    if arguments.component is None and compiled.own_folders and not terminal.json:
        stands = f"`{data_folder(word, arguments)}` stands for the component's own data folder"
        terminal.note(f"{stands}; `--component FILE.wasm` says whose")
    return found


def _with_mount(template: WasiTemplate, word: str, asked: Question, each: Explained) -> Explained:
    """The answer; for a path that the component calls so, where it lies: a refusal that a person copies names that one.

    To permit the host's path of that name would be no help, and may be anybody's.
    """
    if each.said.allowed or asked.kind != "storage":
        return each
    mounts = [one for one in template.preopens if one.guest_path != one.host_path]
    for mount in sorted(mounts, key=lambda one: len(one.guest_path), reverse=True):
        if Path(asked.target).is_relative_to(mount.guest_path):
            meant = Path(mount.host_path, Path(asked.target).relative_to(mount.guest_path))
            access = next(iter(asked.access.words), "read")
            command = shlex.join(("sandbox", "policy", "explain", word, f"--{access}", str(meant)))
            return replace(each, advice=Advice(f"what the component calls so is `{meant}`: ask about that", command=command))
    return each


def _show(terminal: Terminal, each: Explained) -> None:
    terminal.line(each.said.line, colour="green" if each.said.allowed else "red")
    if each.advice is not None:
        terminal.note(f"  help: {each.advice.say}")
        if each.advice.command is not None:
            terminal.note(f"  help: `{each.advice.command}`")
