"""Limits as a person reads them: the name the policy uses, the value in its unit, the line it stands on."""

from __future__ import annotations

from sandbox.template.template import Limits

_NAMES = {
    "memory_bytes": "memory",
    "cpu_time_ms": "cpu_time",
    "wall_time_ms": "wall_time",
    "fuel": "fuel",
    "output_bytes": "output",
    "stdio_bytes": "stdio",
    "open_files": "open_files",
    "concurrency": "concurrency",
    "file_ops": "file_ops",
    "cpu_share": "cpu",
}

_STEPS = (("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10))


def name(field: str) -> str:
    """The policy's word for a field of `Limits`: `wall_time` for `wall_time_ms`."""
    return _NAMES[field]


def size(count: int) -> str:
    """Bytes in the largest binary unit that divides them: `64Mi`."""
    for unit, step in _STEPS:
        if count and count % step == 0:
            return f"{count // step}{unit}"
    return f"{count}B"


def duration(milliseconds: int) -> str:
    """Milliseconds as seconds where they are whole: `30s`, `250ms`."""
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


def spell(limits: Limits, field: str) -> str:
    """That a limit was reached: "`wall_time` of 30s was reached (policy.yaml:22:7)"."""
    value = getattr(limits, field)
    shown = duration(value) if field.endswith("_ms") else size(value) if field.endswith("_bytes") else str(value)
    return f"`{name(field)}` of {shown} was reached ({limits.origin(field)})"
