"""`sandbox policy check`: what enforces each line of a policy, or everything that is wrong with it."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from typing import Any

from sandbox.cli.exits import Exit, exit_for
from sandbox.cli.policy.reading import Judged, data_folder, judged
from sandbox.cli.policy.showing import colour_of
from sandbox.cli.terminal import Terminal
from sandbox.errors import SandboxError


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Check every file; the exit code is of the first that is refused."""
    results = [(word, _judged(word, arguments)) for word in arguments.words]
    codes = [exit_for(result) for _, result in results if isinstance(result, SandboxError)]
    if terminal.json:
        told = [_told(word, result) for word, result in results]
        terminal.data(told if len(told) > 1 else told[0])
    else:
        for word, result in results:
            _show(terminal, word, result, arguments, headed=len(results) > 1)
    return codes[0] if codes else Exit.OK


def _judged(word: str, arguments: Namespace) -> Judged | SandboxError:
    try:
        return judged(word, arguments)
    except SandboxError as error:
        return error


def _told(word: str, result: Judged | SandboxError) -> dict[str, Any]:
    if isinstance(result, SandboxError):
        return {"file": word, "ok": False, "error": result.to_json()}
    document, compiled = result.document, result.compiled
    told: dict[str, Any] = {"file": word, "ok": True, "digest": document.digest, "version": document.written_version}
    waived = [{"field": one.field, "origin": one.origin} for one in document.waivers]
    lines = [asdict(note) for note in compiled.notes]
    return {**told, "lines": lines, "waivers": waived, "warnings": list(compiled.warnings)}


def _show(terminal: Terminal, word: str, result: Judged | SandboxError, arguments: Namespace, *, headed: bool) -> None:
    if isinstance(result, SandboxError):
        terminal.fail(result)
        return
    if headed:
        terminal.line(f'{word}: version "{result.document.written_version}"')
    notes = result.compiled.notes
    rows = [(note.origin, note.line, note.enforced_by) for note in notes]
    colours = [colour_of(note) for note in notes]
    terminal.table(("LINE", "WHAT IT SAYS", "WHAT ENFORCES IT"), rows, none="nothing is granted", colours=colours)
    for warning in result.compiled.warnings:
        terminal.note(f"warning: {warning}")
    if arguments.component is None and result.compiled.own_folders:
        stands = f"`{data_folder(word, arguments)}` stands for the component's own data folder"
        terminal.note(f"{stands}; `--component FILE.wasm` says whose")
