"""`sandbox doctor`: which layers of the operating system protect this machine, as a worker found them when it took them."""

from __future__ import annotations

import asyncio
from argparse import Namespace

from sandbox.api import Sandbox
from sandbox.cli.exits import Exit
from sandbox.cli.home import home_of
from sandbox.cli.terminal import Terminal
from sandbox.host.layers.report import LayerReport


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Start a host, ask, and show."""
    with terminal.working("starting a worker"):
        report = asyncio.run(_ask(arguments))
    return _show(report, terminal)


async def _ask(arguments: Namespace) -> LayerReport:
    async with Sandbox(home_of(arguments), source="terminal") as sandbox:
        return await sandbox.doctor()


def _show(report: LayerReport, terminal: Terminal) -> int:
    if terminal.json:
        layers = [{"name": layer.name, "held": layer.held, "detail": layer.detail} for layer in report.layers]
        terminal.data({"ok": not report.missing, "layers": layers})
    else:
        columns = 3 if any(layer.detail for layer in report.layers) else 2
        rows = [(layer.name, "holds" if layer.held else "MISSING", layer.detail)[:columns] for layer in report.layers]
        terminal.table(("LAYER", "HERE", "WHY")[:columns], rows, none="no layers were reported")
    if report.missing and not terminal.json:
        terminal.note("the missing layers protect nothing here; `--isolation strict` would not start")
    return Exit.UNAVAILABLE if report.missing else Exit.OK
