"""A person at the terminal of a command is asked about what an ask line keeps back.

Decides whether there is one: where standard input and standard error are a terminal's, and no script reads the output. Leaves
what a yes is worth to `sandbox.changes.asking`: who sits here may say so for good.

Rules: what a component wrote is shown escaped; the question, and nothing else, stands on standard error; one question at a time;
what was typed before it was shown is forgotten; whatever is no answer is a no. The terminal is read without a thread, so that a
call which ends takes its question with it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass, field

from sandbox.changes.asking import Answer, Asked, Person, Question
from sandbox.cli.confirming import forget_typed
from sandbox.cli.terminal import Terminal, safe

_LETTERS = {"o": Answer.ONCE, "s": Answer.SESSION, "u": Answer.UNTIL_REVOKED}
_LINE = 1024


def person_at(terminal: Terminal) -> Person | None:
    """Who sits at this command's terminal, or None where nobody does."""
    if terminal.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    return Person(_Asking(terminal, sys.stdin.fileno()).ask, "terminal", "lasting")


@dataclass(slots=True)
class _Asking:
    """The questions of one command."""

    terminal: Terminal
    descriptor: int
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ask(self, question: Asked) -> Answer:
        """Show the question, and read one line."""
        async with self._turn:
            self.terminal.note(said(question))
            forget_typed(self.descriptor)
            self.terminal.note(offered(question))
            return heard(await self._line(), question)

    async def _line(self) -> str:
        loop, line = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

        def read() -> None:
            if not line.done():
                line.set_result(os.read(self.descriptor, _LINE))

        loop.add_reader(self.descriptor, read)
        try:
            return str((await line).decode("utf-8", "replace"))
        finally:
            loop.remove_reader(self.descriptor)


def said(question: Asked) -> str:
    """The question for somebody who may see the host's paths."""
    if not isinstance(question, Question):
        return question.text
    host = "" if question.host_path == question.path else f"  which is {safe(question.host_path)}\n"
    first, path, *rest = question.text.split("\n")
    return "\n".join([first, path, *([host.rstrip()] if host else []), *rest])


def offered(question: Asked) -> str:
    """The answers that count."""
    words = " · ".join(f"[{answer.value[0]}]{answer.value[1:]}" for answer in question.choices)
    return f"{words} (no answer is a no): "


def heard(line: str, question: Asked) -> Answer:
    """What a line says: the word of an answer or its first letter."""
    word = line.strip().lower()
    found = next((answer for answer in Answer if answer.value == word), _LETTERS.get(word, Answer.NO))
    return found if found in question.choices else Answer.NO
