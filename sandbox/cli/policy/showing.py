"""How differences of two policies and receipts are shown: to a person as a table, to a script as data."""

from __future__ import annotations

from sandbox.cli.terminal import Terminal
from sandbox.receipt import Receipt
from sandbox.template.examples import Differences, Verdict
from sandbox.template.report import Note


def show_differences(terminal: Terminal, found: Differences, left: str, right: str) -> None:
    """A table of examples: what each of the two says, and by which line."""
    rows = [(each.kind, each.example, _cell(each.left), _cell(each.right)) for each in found.found]
    colours = ["green" if each.right.allowed and not each.left.allowed else "red" for each in found.found]
    terminal.table(("", "EXAMPLE", left, right), rows, none="they decide alike: no difference was found", colours=colours)
    if not found.complete:
        terminal.note("warning: there is more to compare than was looked at; the examples are true, others may be missing")


def colour_of(note: Note) -> str:
    """The colour of a line: what allows, what denies, what nothing enforces."""
    if note.enforced_by.startswith("nothing"):
        return "yellow"
    return "red" if note.line.startswith("deny ") else "green" if note.line.startswith("allow ") else ""


def show_receipt(terminal: Terminal, receipt: Receipt) -> None:
    """Which running calls a change stopped, and which servers did not confirm it."""
    for stopped in receipt.every_stop:
        terminal.line(f"  stopped a call of {stopped.tool} ({stopped.call_id}) after {stopped.ms:.1f} ms")
    for server in receipt.unconfirmed:
        terminal.note(f"  the server {server} did not confirm: it looks before its next call")


def _cell(verdict: Verdict) -> str:
    return verdict.says if verdict.origin is None else f"{verdict.says} ({verdict.origin})"
