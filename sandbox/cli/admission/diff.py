"""`sandbox admission diff`: what one document permits that another does not, each with an example.

By examples: two documents of which none differs are not proved to be the same, and it says so.
"""

from __future__ import annotations

import json
from argparse import Namespace

from sandbox.admission.looking_back.comparing import Difference, differences, example_of
from sandbox.cli.admission.reading import document_of
from sandbox.cli.exits import Exit
from sandbox.cli.terminal import Terminal


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Compare two documents; the exit code is 1 where an example differs."""
    first, second = arguments.words
    found = differences(document_of(first), document_of(second))
    if terminal.json:
        terminal.data({"same": not found, "differences": [each.to_json() for each in found]})
    elif not found:
        terminal.line(f"{first} and {second} answer every example alike")
        terminal.note("documents are compared by examples: a difference that none of them meets is not seen")
    else:
        for each in found:
            _show(terminal, each, first, second)
    return Exit.REFUSED if found else Exit.OK


def _show(terminal: Terminal, each: Difference, first: str, second: str) -> None:
    terminal.line(json.dumps(example_of(each.request), ensure_ascii=False, default=str))
    for name, decision in ((first, each.first), (second, each.second)):
        colour = "green" if decision.allowed else "red"
        terminal.line(f"  {name}: {decision.effect.value.replace('_', ' ')}: {decision.reason}", colour=colour)
