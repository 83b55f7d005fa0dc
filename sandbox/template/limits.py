"""The limits of a document, of its ceiling and of nobody → the limits of a call.

A limit that the document does not write is the ceiling's, else the host's default; one above the ceiling is refused with both
numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox.policy.models import ResourceLimits
from sandbox.policy.refusal import Refusal
from sandbox.policy.units import show_cpu, show_size, show_time
from sandbox.template.report import Report
from sandbox.template.template import Limits

FIELDS = {
    "memory": "memory_bytes",
    "cpu": "cpu_share",
    "cpu_time": "cpu_time_ms",
    "wall_time": "wall_time_ms",
    "fuel": "fuel",
    "output": "output_bytes",
    "stdio": "stdio_bytes",
    "open_files": "open_files",
    "concurrency": "concurrency",
    "file_ops": "file_ops",
}
"""The document's name of a limit, and the template's."""


def compile_limits(document: ResourceLimits, ceilings: Iterable[ResourceLimits], report: Report) -> Limits:
    """The limits of one call, under the lowest of every ceiling; what is wrong goes into `report`."""
    asked, (most, lines) = document.written, _lowest(ceilings)
    for name in asked:
        if name in most and asked[name] > most[name]:
            report.refuse(
                document.origin(name),
                f"permissions.resources.limits.{name}",
                Refusal(
                    f"`{show_limit(name, asked[name])}` is above the ceiling's `{show_limit(name, most[name])}`",
                    f"write `{name}: {show_limit(name, most[name])}` or less",
                ),
            )
    values: dict[str, Any] = {FIELDS[name]: value for name, value in (most | asked).items()}
    lines |= {name: document.origin(name) for name in asked}
    return Limits(**values, origins=tuple((FIELDS[name], line) for name, line in lines.items()))


def _lowest(ceilings: Iterable[ResourceLimits]) -> tuple[dict[str, int], dict[str, str]]:
    """Each limit's lowest value, and the line that it comes from."""
    most: dict[str, int] = {}
    lines: dict[str, str] = {}
    for ceiling in ceilings:
        for name, value in ceiling.written.items():
            if name not in most or value < most[name]:
                most[name], lines[name] = value, ceiling.origin(name)
    return most, lines


def show_limit(name: str, value: int) -> str:
    """A limit as a policy writes it, by its name there: `64Mi`, `2s`, `4`."""
    if name.endswith("_time"):
        return show_time(value)
    if name == "cpu":
        return show_cpu(value)
    if name == "file_ops":
        return f"{value}/s"
    return show_size(value) if name in {"memory", "output", "stdio"} else str(value)
