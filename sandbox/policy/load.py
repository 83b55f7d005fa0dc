"""Policy text → `PolicyDocument`, or every problem with it at once.

    1. read      text → tree with places                       (tree)
    2. strip     fields that this host refuses by name          (refused)
    3. validate  version "2.0", or "1.0" held as the same        (models, version1)
    4. compare   the well-formed lines beside each other         (checks)

Nothing is opened but the file that `load_policy_file` is given; what `~`, a variable or a link stands for is found out when
the document is compiled.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path as FilePath
from typing import Any, TypeVar

from sandbox.errors import Code, PolicyError, Problem
from sandbox.policy.checks import Entries, Finding, contradictions, doubts
from sandbox.policy.entries import (
    Entry,
    EnvironmentAllow,
    EnvironmentDeny,
    NetworkAllow,
    NetworkEntry,
    StorageAllow,
    StorageAsk,
    StorageDeny,
)
from sandbox.policy.file import read_policy_file
from sandbox.policy.models import PolicyDocument
from sandbox.policy.problems import in_order, nothing_written, validate
from sandbox.policy.refusal import Refusal
from sandbox.policy.refused import strip_refused
from sandbox.policy.tree import MAX_BYTES, Path, Tree, read_tree
from sandbox.policy.version1 import Document1

__all__ = ["MAX_BYTES", "load_policy", "load_policy_file", "load_tree"]

_OPTIONAL_1 = frozenset(
    {"permissions", "storage", "network", "environment", "resources", "allow", "deny", "limits"}
    | {"ipc", "runtime", "docker", "hyperlight", "wasm"}
)
SCHEMA_KEY = "$schema"
"""Where an editor looks for the schema of a document; it says nothing about what is granted."""
_Line = TypeVar("_Line", bound=Entry)


def load_policy(text: bytes | str, *, file: str, waive: tuple[str, ...] = ()) -> PolicyDocument:
    """Read a policy document of version "2.0" or "1.0".

    `file` names it in every message and origin; `waive` names fields that WASI cannot have and that are accepted as a
    no-op. Raises `PolicyError` with every problem: `invalid_format` where the text cannot be read, else
    `validation_failed`.
    """
    return load_tree(read_tree(text, file=file), waive=waive)


def load_tree(tree: Tree, *, waive: tuple[str, ...] = ()) -> PolicyDocument:
    """The document of a text that was read; raises `PolicyError` as `load_policy` does."""
    if not isinstance(tree.data, dict):
        problem = tree.problem((), "the document is no mapping", 'begin with `version: "2.0"`')
        raise PolicyError((*tree.problems, problem), code=Code.INVALID_FORMAT)
    if tree.data.get("scope") == "workflow":
        help_ = "`sandbox workflow load FILE` has it hold; the policy of one component has no `scope`"
        raise PolicyError((tree.problem(("scope",), "this document is for several components at once", help_, key=True),))
    version_1 = tree.data.get("version") == "1.0"
    data = {key: value for key, value in tree.data.items() if key != SCHEMA_KEY or not isinstance(value, str)}
    data = _without_empty_sections(data) if version_1 else data
    data, problems, waivers = strip_refused(tree, data, version_1=version_1, waive=waive)
    problems = [*tree.problems, *problems, *nothing_written(data, tree)]
    document, found = _document(data, tree, version_1)
    entries = _well_formed(data, tree, document)
    problems += found
    problems += _compared(tree, contradictions(entries))
    warnings = _compared(tree, doubts(entries)) if document is not None and not problems else []
    problems += [warning for warning in warnings if not warning.path]
    if problems or document is None:
        raise PolicyError(in_order(_one_each(problems)), code=Code.INVALID_FORMAT if tree.problems else None)
    return document.noted("1.0" if version_1 else "2.0", waivers, tuple(str(warning) for warning in warnings))


def load_policy_file(path: FilePath | str, *, waive: tuple[str, ...] = ()) -> PolicyDocument:
    """Read a policy from a file that nobody else can change (POL-07); raises `PolicyError`."""
    return load_policy(read_policy_file(FilePath(path)), file=str(path), waive=waive)


def _document(data: Any, tree: Tree, version_1: bool) -> tuple[PolicyDocument | None, list[Problem]]:
    if version_1:
        old, problems = validate(Document1, data, tree)
        document = old.as_version_2() if old is not None else None
    else:
        document, problems = validate(PolicyDocument, data, tree)
    if document is not None:
        _tell_lines(document, tree)
    return document, problems


def _tell_lines(document: PolicyDocument, tree: Tree) -> None:
    for section, effect, entries in document.sections():
        for at, entry in enumerate(entries):
            entry.from_line(tree.where(("permissions", section, effect, at)))
    if (kept := document.permissions.state.keyvalue) is not None:
        kept.from_line(tree.where(("permissions", "state", "keyvalue")))
    limits = document.permissions.resources.limits
    if limits.written:
        limits.from_lines({name: _limit_line(tree, name) for name in limits.written})


def _limit_line(tree: Tree, name: str) -> str:
    new: Path = ("permissions", "resources", "limits", name)
    return tree.where(new if new in tree.values else ("permissions", "resources", name))


def _well_formed(data: Any, tree: Tree, document: PolicyDocument | None) -> Entries:
    """The entries to compare: all of a valid document, and of a broken one those that are valid by themselves."""
    if document is not None:
        parts = document.permissions
        return Entries(
            tuple(enumerate(parts.storage.allow)),
            tuple(enumerate(parts.storage.deny)),
            tuple(enumerate(parts.network.allow)),
            tuple(enumerate(parts.network.deny)),
            tuple(enumerate(parts.environment.allow)),
            tuple(enumerate(parts.environment.deny)),
            tuple(enumerate(parts.storage.ask)),
        )
    if data.get("version") == "1.0":
        return Entries()
    return Entries(
        _valid(StorageAllow, data, tree, ("permissions", "storage", "allow")),
        _valid(StorageDeny, data, tree, ("permissions", "storage", "deny")),
        _valid(NetworkAllow, data, tree, ("permissions", "network", "allow")),
        _valid(NetworkEntry, data, tree, ("permissions", "network", "deny")),
        _valid(EnvironmentAllow, data, tree, ("permissions", "environment", "allow")),
        _valid(EnvironmentDeny, data, tree, ("permissions", "environment", "deny")),
        _valid(StorageAsk, data, tree, ("permissions", "storage", "ask")),
    )


def _valid(model: type[_Line], data: Any, tree: Tree, path: Path) -> tuple[tuple[int, _Line], ...]:
    for step in path:
        data = data.get(step) if isinstance(data, dict) else None
    lines: list[tuple[int, _Line]] = []
    for at, item in enumerate(data if isinstance(data, list) else ()):
        entry, _ = validate(model, item, tree, (*path, at))
        if entry is not None:
            lines.append((at, entry.from_line(tree.where((*path, at)))))
    return tuple(lines)


def _compared(tree: Tree, findings: Iterable[Finding]) -> list[Problem]:
    """The findings with their places; a document that cannot be compared in bounded time is one problem without a path."""
    found: list[Problem] = []
    try:
        found.extend(_problem(tree, finding) for finding in findings)
    except Refusal as refusal:
        found.append(tree.problem((), refusal.message, refusal.help))
    return found


def _problem(tree: Tree, finding: Finding) -> Problem:
    return tree.problem(("permissions", finding.section, finding.effect, finding.at), finding.message, finding.help)


def _one_each(problems: Iterable[Problem]) -> list[Problem]:
    """The first problem of each place in the text: an empty value is also one of a wrong type."""
    first: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        first.setdefault((problem.where, problem.path), problem)
    return list(first.values())


def _without_empty_sections(data: Any) -> Any:
    """Version "1.0" as it is found leaves sections empty: that grants nothing and forbids nothing, as if not there."""
    if isinstance(data, dict):
        return {key: _without_empty_sections(value) for key, value in data.items() if value is not None or key not in _OPTIONAL_1}
    return data
