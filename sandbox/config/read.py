"""One `sandbox.yaml` → what it says, or every problem with it at once.

Read as strictly as a policy, by the same reader: UTF-8, 256 KiB, no alias, tag, duplicate or unknown key, a file that nobody
but its owner can change (ATTACKS POL-07). The ceiling is read as the policy that it would be, so its lines are judged by the
rules for a policy's lines and errors name their place in this file.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.config.models import NOT_YET, Document
from sandbox.config.settings import DEFAULTS, Layer, settings_of
from sandbox.errors import Code, PolicyError, Problem
from sandbox.policy.file import read_policy_file
from sandbox.policy.load import load_tree
from sandbox.policy.models import PolicyDocument
from sandbox.policy.problems import in_order, nothing_written, validate
from sandbox.policy.refusal import did_you_mean
from sandbox.policy.tree import Path as Keys
from sandbox.policy.tree import Place, Tree, read_tree

CEILING = "ceiling"
_VERSION = "2.0"


def read_file(path: Path) -> Layer:
    """The layer of a file; raises `PolicyError`."""
    return replace(read_text(read_policy_file(path), file=str(path)), file=path.absolute())


def read_text(text: bytes | str, *, file: str) -> Layer:
    """The layer of a text, whose places go by `file`; raises `PolicyError` with every problem."""
    tree = read_tree(text, file=file)
    if not isinstance(tree.data, dict):
        problem = tree.problem((), "the configuration is no mapping", "write keys and values: `isolation: strict`")
        raise PolicyError((*tree.problems, problem), code=Code.INVALID_FORMAT)
    ceiling, problems = _ceiling(tree)
    plain = {key: value for key, value in tree.data.items() if key not in {CEILING, *NOT_YET}}
    problems += not_yet(tree)
    problems += nothing_written(plain, tree)
    document, found = validate(Document, plain, tree)
    problems += [_helped(problem) for problem in found if problem.where not in {one.where for one in problems}]
    if problems or tree.problems or document is None:
        raise PolicyError(in_order([*tree.problems, *problems]), code=Code.INVALID_FORMAT if tree.problems else None)
    origins = {key: tree.where(tuple(key.split("."))) for key in DEFAULTS}
    return Layer({one.key: one for one in settings_of(document, origins)}, ceiling)


def _helped(problem: Problem) -> Problem:
    """An unknown key may be meant for the ceiling, which is a document of its own and none of this model's fields."""
    near = did_you_mean(problem.path, [CEILING]) if problem.message.startswith("unknown key") else None
    return replace(problem, help=near) if near else problem


def not_yet(tree: Tree) -> list[Problem]:
    """A problem for each key that is refused by name."""
    return [
        tree.problem((key,), f"`{key}` is not enforced yet: {why.partition('; ')[0]}", why.partition("; ")[2], key=True)
        for key, why in NOT_YET.items()
        if key in tree.data
    ]


def _ceiling(tree: Tree) -> tuple[PolicyDocument | None, list[Problem]]:
    if CEILING not in tree.data:
        return None, []
    try:
        return load_tree(_as_policy(tree)), []
    except PolicyError as error:
        return None, [_renamed(problem) for problem in error.problems]


def _as_policy(tree: Tree) -> Tree:
    """The ceiling as the policy whose `permissions` it is, every place where it is in the file."""
    data: dict[str, Any] = {"version": _VERSION, "permissions": tree.data[CEILING]}
    return Tree(tree.file, data, _moved(tree.values), _moved(tree.keys))


def _moved(places: dict[Keys, Place]) -> dict[Keys, Place]:
    return {("permissions", *path[1:]): place for path, place in places.items() if path[:1] == (CEILING,)}


def _renamed(problem: Problem) -> Problem:
    head, dot, rest = problem.path.partition(".")
    return replace(problem, path=f"{CEILING}{dot}{rest}" if head == "permissions" else CEILING)
