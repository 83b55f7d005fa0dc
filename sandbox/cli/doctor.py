"""`sandbox doctor`: which layers of the operating system protect this machine, as a worker found them when it took them.

Beside them, where tokens are configured: whose, and whether the issuer's keys can be had.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace

from sandbox.cli.configured import configuration_of
from sandbox.cli.exits import Exit
from sandbox.cli.hosting import open_sandbox
from sandbox.cli.identity import Found, identity_of
from sandbox.cli.terminal import Terminal
from sandbox.host.layers.report import LayerReport


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Start a host, ask, and show."""
    with terminal.working("starting a worker"):
        report, identity = asyncio.run(_ask(arguments))
    return _show(report, identity, arguments, terminal)


async def _ask(arguments: Namespace) -> tuple[LayerReport, Found]:
    async with open_sandbox(arguments, source="terminal", isolation="default") as sandbox:
        return await sandbox.doctor(), await identity_of(configuration_of(arguments))


def _show(report: LayerReport, identity: Found, arguments: Namespace, terminal: Terminal) -> int:
    ok = not report.missing and identity.problem is None
    if terminal.json:
        layers = [{"name": layer.name, "held": layer.held, "detail": layer.detail} for layer in report.layers]
        terminal.data({"ok": ok, "layers": layers, "identity": identity.to_json()})
    else:
        columns = 3 if any(layer.detail for layer in report.layers) else 2
        rows = [(layer.name, "holds" if layer.held else "MISSING", layer.detail)[:columns] for layer in report.layers]
        terminal.table(("LAYER", "HERE", "WHY")[:columns], rows, none="no layers were reported")
        if found := identity.rows():
            terminal.table(("IDENTITY", "WHENCE"), found, none="")
    if report.missing and not terminal.json:
        strict = configuration_of(arguments).isolation == "strict"
        then = "`isolation: strict` is configured, so nothing starts" if strict else "`--isolation strict` would not start"
        terminal.note(f"the missing layers protect nothing here; {then}")
    return Exit.OK if ok else Exit.UNAVAILABLE
