"""`sandbox admission check`: what a document holds, or everything that is wrong with it."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from sandbox.admission.document.models import AdmissionDocument
from sandbox.cli.admission.reading import document_of
from sandbox.cli.exits import Exit, exit_for
from sandbox.cli.terminal import Terminal
from sandbox.errors import SandboxError

_COUNTED = ("roles", "assignments", "scopes", "requires", "actions", "rules", "content", "rates")


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Check every document; the exit code is of the first that is refused."""
    results = [(word, _read(word)) for word in arguments.words]
    codes = [exit_for(result) for _, result in results if isinstance(result, SandboxError)]
    if terminal.json:
        told = [_told(word, result) for word, result in results]
        terminal.data(told if len(told) > 1 else told[0])
    else:
        for word, result in results:
            _show(terminal, word, result)
    return codes[0] if codes else Exit.OK


def _read(word: str) -> AdmissionDocument | SandboxError:
    try:
        return document_of(word)
    except SandboxError as error:
        return error


def _told(word: str, result: AdmissionDocument | SandboxError) -> dict[str, Any]:
    if isinstance(result, SandboxError):
        return {"document": word, "ok": False, "error": result.to_json()}
    counts = {name: len(getattr(result, name)) for name in _COUNTED}
    return {"document": word, "ok": True, "digest": result.digest, "template": result.default.value, **counts}


def _show(terminal: Terminal, word: str, result: AdmissionDocument | SandboxError) -> None:
    if isinstance(result, SandboxError):
        terminal.fail(result)
        return
    held = [f"{count} {name}" for name in _COUNTED if (count := len(getattr(result, name)))]
    terminal.line(f"ok: {word}: {result.default.value}; {', '.join(held) or 'nothing more'}", colour="green")
