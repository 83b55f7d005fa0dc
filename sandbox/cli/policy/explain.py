"""`sandbox policy explain`: may it, which line says so, and what would have to change.

For a file or a named policy what it alone decides, under the ceiling where one is given; for a component of this home what holds
for it now, its grants included.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sandbox.cli.exits import Exit
from sandbox.cli.policy.opening import component_of, opened
from sandbox.cli.policy.reading import data_folder, judged, usage
from sandbox.cli.terminal import Terminal
from sandbox.template.advice import Advice, Explained, Question, explained, under_ceiling
from sandbox.template.template import Access, WasiTemplate

_ACCESS = {"read": Access.READ, "write": Access.WRITE, "create": Access.CREATE, "delete": Access.DELETE}


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Answer every question; the exit code is 1 where one answer is no."""
    questions = tuple(_questions(arguments))
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


def _questions(arguments: Namespace) -> Iterator[Question]:
    paths: dict[str, Access] = {}
    for word, access in _ACCESS.items():
        for path in getattr(arguments, word) or ():
            paths[path] = paths.get(path, Access.NONE) | access
    yield from (Question("storage", path, access) for path, access in paths.items())
    yield from (Question("network", url, method=arguments.method.upper()) for url in arguments.url or ())
    yield from (Question("environment", name) for name in arguments.env or ())
    for limit in arguments.limit or ():
        name, equals, value = limit.partition("=")
        yield Question("resource", name, value=value if equals else None)


def _of_component(word: str, arguments: Namespace, questions: Sequence[Question]) -> tuple[Explained, ...]:
    return asyncio.run(_asked_of(word, arguments, questions))


async def _asked_of(word: str, arguments: Namespace, questions: Sequence[Question]) -> tuple[Explained, ...]:
    async with opened(arguments) as sandbox:
        template = sandbox.template_in_force(word)
        found = sandbox.explain_policy(word, *map(_resolved, questions))
    return tuple(_with_mount(template, word, question, each) for question, each in zip(questions, found, strict=True))


def _of_file(word: str, arguments: Namespace, questions: Sequence[Question], terminal: Terminal) -> tuple[Explained, ...]:
    compiled = judged(word, arguments).compiled
    found = explained(compiled.template, tuple(map(_resolved, questions)))
    if not all(each.said.allowed for each in found):
        without = judged(word, arguments, ceiling=False).compiled.template
        found = tuple(under_ceiling(without, each) for each in found)
    found = tuple(_with_mount(compiled.template, word, question, each) for question, each in zip(questions, found, strict=True))
    if arguments.component is None and compiled.own_folders and not terminal.json:
        stands = f"`{data_folder(word, arguments)}` stands for the component's own data folder"
        terminal.note(f"{stands}; `--component FILE.wasm` says whose")
    return found


def _resolved(question: Question) -> Question:
    """The question about the real path: rules are about where links end."""
    return replace(question, target=os.path.realpath(question.target)) if question.kind == "storage" else question


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
