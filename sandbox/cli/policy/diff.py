"""`sandbox policy diff`: what one policy permits and another does not, each with an example that both were asked about.

Files, named policies and components of this home; beside a component, a file is read as if it were that component's.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace

from sandbox.cli.exits import Exit
from sandbox.cli.policy.opening import component_of, given, opened
from sandbox.cli.policy.reading import judged
from sandbox.cli.policy.showing import show_differences
from sandbox.cli.terminal import Terminal
from sandbox.template.compare import differences
from sandbox.template.examples import Differences


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Compare the two; the exit code is 1 where they differ."""
    left, right = arguments.words
    found = asyncio.run(_compared(left, right, arguments))
    if terminal.json:
        terminal.data({"left": left, "right": right, **found.to_json()})
    else:
        show_differences(terminal, found, left, right)
    return Exit.REFUSED if found.found else Exit.OK


async def _compared(left: str, right: str, arguments: Namespace) -> Differences:
    names = (await component_of(left, arguments), await component_of(right, arguments))
    if names == (None, None):
        return differences(judged(left, arguments).compiled.template, judged(right, arguments).compiled.template)
    async with opened(arguments) as sandbox:
        templates = [
            sandbox.template_in_force(word)
            if name is not None
            else sandbox.template_under(other or "", given(word, tuple(arguments.waive)))
            for word, name, other in ((left, names[0], names[1]), (right, names[1], names[0]))
        ]
    return differences(*templates)
