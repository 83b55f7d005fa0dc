"""How a component is shown to a person: before somebody accepts it, and in the list of those that are installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.cli.hosting import NOTHING_INSTALLED
from sandbox.cli.terminal import Terminal
from sandbox.registry.asked import Asked
from sandbox.registry.inspection import ComponentView, Inspection
from sandbox.wit.tools import Tool

_WIDTH = 80
_CEILING = {"within": "yes", "narrowed": "in part: {}", "above": "no: {}", "refused": "no: {}"}


def show(inspection: Inspection, terminal: Terminal) -> None:
    """Everything that a person decides by: what it is, its tools, its imports, what it asks for, what changed, what is odd."""
    terminal.line(f"{inspection.name}  sha256:{inspection.digest}")
    terminal.line(f"  {inspection.size:,} bytes from {inspection.source}")
    terminal.line()
    rows = [(tool.name, _signature(tool), _first_line(tool.description)) for tool in inspection.tools]
    terminal.table(("TOOL", "ARGUMENTS", "DESCRIPTION"), rows, none="it has no tools")
    terminal.line()
    terminal.line(f"imports: {_families(inspection.imports)}")
    if inspection.asked is None:
        terminal.line("it asks for nothing")
    else:
        _show_asked(inspection.asked, terminal)
    if inspection.changes:
        terminal.line()
        terminal.line("since its tools were accepted:")
        for change in inspection.changes:
            terminal.line(f"  {change.line}")
    for odd in (*inspection.doubts, *inspection.notes):
        terminal.note(f"warning: {odd}")


def show_list(views: Sequence[ComponentView], servers: Mapping[str, Sequence[str]], terminal: Terminal) -> None:
    """The installed components, each with the running servers that have loaded it; below them what waits and what is wrong."""
    rows = [
        (
            view.name,
            view.state,
            len(view.tools),
            _policy(view),
            f"sha256:{view.digest[:12]}",
            ", ".join(servers.get(view.name, ())) or "no server",
            view.source or "a file of this host",
        )
        for view in views
    ]
    headers = ("COMPONENT", "STATE", "TOOLS", "POLICY", "DIGEST", "RUNS IN", "SOURCE")
    terminal.table(headers, rows, none=NOTHING_INSTALLED)
    for view in views:
        for line in (*view.problems, *view.waiting, *view.warnings):
            terminal.note(f"{view.name}: {line}")


def _show_asked(asked: Asked, terminal: Terminal) -> None:
    terminal.line()
    terminal.line(f"it asks for ({asked.path or asked.file}):")
    headers = ("LINE", "WHAT IT ASKS FOR", "WITHIN THE CEILING")
    rows = [(line.origin, line.line, _CEILING[line.standing].format(line.gives)) for line in asked.lines]
    shown = slice(None) if asked.ceiling or asked.problems else slice(2)
    terminal.table(headers[shown], [row[shown] for row in rows], none="nothing that can be read as a policy")
    for problem in asked.problems:
        terminal.note(f"error: {problem}")
    for warning in asked.warnings:
        terminal.note(f"warning: {warning}")


def _policy(view: ComponentView) -> str:
    if not view.accepted_by:
        return "none"
    return Path(view.policy).name + (" (default)" if view.accepted_by == "defaults" else "")


def _families(imports: Sequence[str]) -> str:
    """The packages, each with its interfaces, without versions."""
    found: dict[str, list[str]] = {}
    for name in imports:
        package, _, interface = name.partition("@")[0].partition("/")
        found.setdefault(package, []).append(interface)
    return "; ".join(f"{package} ({', '.join(names)})" for package, names in found.items()) or "nothing"


def _signature(tool: Tool) -> str:
    required = tool.input_schema.get("required", ())
    return " ".join(name if name in required else f"[{name}]" for name in tool.input_schema.get("properties", {}))


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"
