"""`sandbox admission templates`: the admission documents that ship with the host."""

from __future__ import annotations

from argparse import Namespace

from sandbox.admission.document.load import named_admission
from sandbox.cli.exits import Exit
from sandbox.cli.terminal import Terminal
from sandbox.policy.named import admission_names, admission_text


def command(arguments: Namespace, terminal: Terminal) -> int:
    """List them, or print the text of one."""
    if arguments.words:
        (name,) = arguments.words
        text, _ = admission_text(name)
        if terminal.json:
            terminal.data({"name": name, "text": text.decode()})
        else:
            terminal.text(text.decode().rstrip("\n"))
        return Exit.OK
    found = {name: named_admission(name).description for name in admission_names()}
    if terminal.json:
        terminal.data([{"name": name, "description": description} for name, description in found.items()])
    else:
        terminal.table(("NAME", "WHAT IT IS FOR"), list(found.items()), none="none ships with this host")
    return Exit.OK
