"""`sandbox admission test`: requests with expected answers, a policy author's unit tests."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from sandbox.admission.document.cases import Tried, load_cases, tried
from sandbox.cli.exits import Exit
from sandbox.cli.terminal import Terminal


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Try every case of every file."""
    results = [(word, tried(*load_cases(Path(word)))) for word in arguments.words]
    wrong = [one for _, results_of in results for one in results_of if one.wrong is not None]
    if terminal.json:
        cases = [{"file": word, **_told(one)} for word, results_of in results for one in results_of]
        terminal.data({"ok": not wrong, "cases": cases})
    else:
        for word, results_of in results:
            _show(terminal, word, results_of)
    return Exit.REFUSED if wrong else Exit.OK


def _told(one: Tried) -> dict[str, Any]:
    told = {"name": one.case.name, "at": one.case.origin, "ok": one.wrong is None, "expected": one.case.expect.value}
    return {**told, "decision": one.effect.value, "rules": list(one.rules), "reason": one.reason, "wrong": one.wrong}


def _show(terminal: Terminal, word: str, results: list[Tried]) -> None:
    for one in results:
        if one.wrong is not None:
            terminal.line(f"{one.case.origin}: {one.case.name}: {one.wrong}", colour="red")
    failed = sum(one.wrong is not None for one in results)
    said = f"{len(results)} cases, as expected" if not failed else f"{failed} of {len(results)} cases are not as expected"
    terminal.line(f"{word}: {said}", colour="red" if failed else "green")
