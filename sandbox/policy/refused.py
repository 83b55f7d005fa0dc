"""Fields that a policy of POLICY's schema may name and this host refuses by name, with the reason.

Two kinds. What this host decides otherwise is an error, always: a line without effect would read like protection. What WASI
cannot have at all may be waived by name, as a no-op that is shown wherever the policy is.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from sandbox.errors import PolicyError, Problem
from sandbox.policy.models import Waiver
from sandbox.policy.refusal import one_of, quoted
from sandbox.policy.tree import Path, Tree

ANY = "*"
WAIVABLE = ("ipc", "runtime.docker", "runtime.hyperlight", "execute")
_PERMISSIONS = ("permissions",)

REFUSED: dict[Path, str] = {
    ("permissions", "network", "ask"): "a person is asked about files alone; write an allow, or grant the host at run time",
    ("permissions", "environment", "ask"): (
        "WASI hands the environment over before the guest runs, so there is no moment of use; write an allow or a deny"
    ),
}
"""Fields that could read like authority or protection and would be neither, by their path, and what to do instead."""

REFUSED_1: dict[Path, str] = {
    ("permissions", "runtime", "wasm"): (
        "this host chooses its own engine; write folders as storage lines with `mount`, variables by name, and take it out"
    ),
}
"""Those of version "1.0" alone."""

IMPOSSIBLE: dict[Path, str] = {
    ("permissions", "ipc"): "ipc",
    ("permissions", "runtime", "docker"): "runtime.docker",
    ("permissions", "runtime", "hyperlight"): "runtime.hyperlight",
    ("permissions", "execute"): "execute",
}


def strip_refused(
    tree: Tree, data: Any, *, version_1: bool, waive: tuple[str, ...]
) -> tuple[Any, list[Problem], tuple[Waiver, ...]]:
    """The tree's `data` without those fields, a problem for each, and the waivers that were used."""
    for field in waive:
        if field not in WAIVABLE:
            raise PolicyError((Problem(f"{tree.file}:1:1", "", f"{quoted(field)} cannot be waived", one_of(field, WAIVABLE)),))
    data = copy.deepcopy(data)
    table = {**REFUSED, **REFUSED_1} if version_1 else REFUSED
    problems = [tree.problem(path, *_refused(path, why), key=True) for path, why in _take(data, table)]
    waivers: list[Waiver] = []
    for path, field in _take(data, IMPOSSIBLE):
        if field in waive:
            waivers.append(Waiver(field=field, origin=tree.where(path, key=True)))
        else:
            problems.append(tree.problem(path, *_impossible(field), key=True))
    if "execute" in waive:
        waivers += [Waiver(field="execute", origin=tree.where(path)) for path in _take_execute(data)]
    _drop_empty_runtime(data)
    return data, problems, tuple(waivers)


def _refused(path: Path, why: str) -> tuple[str, str]:
    said, _, help_ = why.partition("; ")
    return f"`{path[-1]}` is refused here: {said}", help_


def _impossible(field: str) -> tuple[str, str]:
    return (
        f"`{field}` is refused: WASI has no such thing to grant, so the line would be a promise without effect",
        f"take it out, or accept it as a no-op by `--waive {field}`",
    )


def _take(data: Any, table: dict[Path, str]) -> Iterator[tuple[Path, str]]:
    for pattern, said in table.items():
        for path, parent in _parents(data, pattern[:-1], ()):
            if isinstance(parent, dict) and pattern[-1] in parent:
                del parent[pattern[-1]]
                yield (*path, pattern[-1]), said


def _parents(data: Any, pattern: Path, path: Path) -> Iterator[tuple[Path, Any]]:
    if not pattern:
        yield path, data
    elif isinstance(data, dict):
        for key in list(data) if pattern[0] == ANY else [key for key in data if key == pattern[0]]:
            yield from _parents(data[key], pattern[1:], (*path, key))
    elif isinstance(data, list) and pattern[0] == ANY:
        for at, item in enumerate(data):
            yield from _parents(item, pattern[1:], (*path, at))


def _take_execute(data: Any) -> Iterator[Path]:
    for effect in ("allow", "deny"):
        for path, access in _parents(data, (*_PERMISSIONS, "storage", effect, ANY, "access"), ()):
            if isinstance(access, list) and "execute" in access:
                yield (*path, access.index("execute"))
                access.remove("execute")


def _drop_empty_runtime(data: Any) -> None:
    permissions = data.get("permissions") if isinstance(data, dict) else None
    if isinstance(permissions, dict) and permissions.get("runtime") == {}:
        del permissions["runtime"]
