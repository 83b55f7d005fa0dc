"""A policy for several components at once, told by `scope: workflow`: who they are, and what each is given beside its own.

Decides what such a document may say; read by the reader of every policy, its lines judged by the rules for a policy's lines.
What it does to components, its own and others, is `sandbox.in_force.shared`.

Rules: it adds and denies, it replaces nothing; limits, credentials and secrets belong to one component's own policy; its paths
are the host's, since a component's data folder is nobody else's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from sandbox.errors import Code, PolicyError, Problem
from sandbox.policy import uris
from sandbox.policy.entries import Entry, Strict
from sandbox.policy.fields import Distinct, Version
from sandbox.policy.load import SCHEMA_KEY, load_tree
from sandbox.policy.models import PolicyDocument
from sandbox.policy.problems import in_order, nothing_written, validate
from sandbox.policy.refusal import Refusal, quoted
from sandbox.policy.tree import Path, Place, Tree, read_tree

SHARED = "shared_permissions"
_ALONE = {"resources": "limits", "state": "a store"}


def _name(text: str) -> str:
    if not text or not all(char.isalnum() or char in "._-" for char in text) or not text.isascii():
        raise Refusal(f"{quoted(text)} can be no component's name", "name each component as `sandbox component list` does")
    return text


class _Head(Strict):
    version: Version
    scope: Literal["workflow"]
    description: str = ""
    components: Annotated[tuple[Annotated[str, AfterValidator(_name)], ...], Field(strict=False), Distinct]


@dataclass(frozen=True, slots=True)
class Workflow:
    """A document for several components: their names, and the entries that each is given."""

    components: tuple[str, ...]
    shared: PolicyDocument
    description: str = ""

    def entries(self) -> Iterator[tuple[str, str, Entry]]:
        """Each entry with its section and effect."""
        for section, effect, entries in self.shared.sections():
            yield from ((section, effect, entry) for entry in entries)


def load_workflow(text: bytes | str, *, file: str) -> Workflow:
    """Read the document; raises `PolicyError` with every problem, as `load_policy` does."""
    tree = read_tree(text, file=file)
    if not isinstance(tree.data, dict) or tree.data.get("scope") != "workflow":
        problem = tree.problem((), "the document is none for several components", "begin with `scope: workflow`")
        raise PolicyError((*tree.problems, problem), code=Code.INVALID_FORMAT)
    head = {key: value for key, value in tree.data.items() if key not in {SHARED, SCHEMA_KEY}}
    made, problems = validate(_Head, head, tree)
    problems += [*tree.problems, *nothing_written(head, tree)]
    shared, found = _shared(tree)
    problems += found
    if shared is not None:
        problems += _not_shared(shared)
    if problems or made is None or shared is None:
        raise PolicyError(in_order(problems), code=Code.INVALID_FORMAT if tree.problems else None)
    return Workflow(made.components, shared, made.description)


def _shared(tree: Tree) -> tuple[PolicyDocument | None, list[Problem]]:
    shared = tree.data.get(SHARED)
    if not isinstance(shared, dict) or not shared:
        told = f"`{SHARED}` gives nothing" if SHARED in tree.data else f"`{SHARED}` is missing"
        return None, [tree.problem((SHARED,) if SHARED in tree.data else (), told, "write `storage`, `network` or `environment`")]
    alone = [name for name in _ALONE if name in shared]
    if alone:
        why = f"{_ALONE[alone[0]]} cannot be shared: each component has its own"
        return None, [tree.problem((SHARED, alone[0]), why, "write it into each component's policy", key=True)]
    try:
        return load_tree(_as_policy(tree, shared)), []
    except PolicyError as error:
        return None, [_renamed(problem, isinstance(shared.get("storage"), list)) for problem in error.problems]


def _as_policy(tree: Tree, shared: dict[str, Any]) -> Tree:
    """What is shared as the policy whose `permissions` it is, every place where it is in the file."""
    bare = isinstance(shared.get("storage"), list)
    permissions = {**shared, "storage": {"allow": shared["storage"]}} if bare else shared
    data = {"version": "2.0", "permissions": permissions}
    return Tree(tree.file, data, _moved(tree.values, bare), _moved(tree.keys, bare))


def _moved(places: dict[Path, Place], bare: bool) -> dict[Path, Place]:
    moved: dict[Path, Place] = {}
    for path, place in places.items():
        if path[:1] == (SHARED,):
            inside = path[1:]
            listed = bare and inside[:1] == ("storage",) and len(inside) > 1
            moved["permissions", *(("storage", "allow", *inside[1:]) if listed else inside)] = place
    return moved


def _renamed(problem: Problem, bare: bool) -> Problem:
    path = problem.path.replace("permissions", SHARED, 1) if problem.path.startswith("permissions") else problem.path
    return replace(problem, path=path.replace(".storage.allow[", ".storage[", 1) if bare else path)


def _not_shared(shared: PolicyDocument) -> Iterator[Problem]:
    """What a document for several components cannot give."""
    for section, effect, entries in shared.sections():
        for entry in entries:
            why = _why_not(section, effect, entry)
            if why is not None:
                yield Problem(entry.origin, f"{SHARED}.{section}", *why)


def _why_not(section: str, effect: str, entry: Entry) -> tuple[str, str] | None:
    written = entry.plain()
    if effect == "ask":
        return "`ask` asks for one component, and this line is of several", "write it into each component's policy"
    if "credential" in written or "secret" in written:
        return "a secret is given to one component by its own policy", "write the line with it into that policy"
    if section == "storage" and uris.parse_uri(written["uri"]).anchor is uris.Anchor.DATA:
        told = f"{quoted(written['uri'])} lies in a component's own data folder, which is nobody else's"
        return told, "share a folder of the host: `fs:///srv/shared/**`"
    return None
