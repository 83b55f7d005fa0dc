"""Admission text → `AdmissionDocument`, or every problem with it at once.

    1. read      text → tree with places                              (sandbox.policy.tree)
    2. refuse    what this host does not do yet, by name
    3. parse     conditions, each error at its own place               (conditions)
    4. validate  everything else                                       (models)
    5. extend    the documents that it names, below it
    6. compare   names that are used and that are there                (references)

As strict as a policy: UTF-8, 256 KiB, no alias, tag, duplicate or unknown key; from a file that nobody but its owner can change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

from sandbox.admission.conditions.when import Found, parse
from sandbox.admission.document.extending import loosened, over
from sandbox.admission.document.models import VERSION, AdmissionDocument
from sandbox.admission.document.references import Finding, findings
from sandbox.errors import Code, PolicyError, Problem
from sandbox.policy.file import read_policy_file
from sandbox.policy.load import SCHEMA_KEY
from sandbox.policy.named import admission_text
from sandbox.policy.problems import in_order, nothing_written, validate
from sandbox.policy.refusal import quoted
from sandbox.policy.tree import Path, Tree, read_tree, show_path

ANY = "*"
_NAMED = frozenset({"extends", "roles", "scopes", "session"})


def load_admission(text: bytes | str, *, file: str) -> AdmissionDocument:
    """Read an admission document; `file` names it in messages. Raises `PolicyError` with every problem."""
    return _load(text, file, ())


def load_admission_file(path: FilePath | str) -> AdmissionDocument:
    """Read a document from a file that nobody else can change; raises `PolicyError`."""
    return load_admission(read_policy_file(FilePath(path)), file=str(path))


def named_admission(name: str) -> AdmissionDocument:
    """The document of that name; its lines go by `policies/admission/NAME.yaml`. Raises `PolicyError`."""
    return _named(name, ())


def checked(document: AdmissionDocument) -> AdmissionDocument:
    """A document as it holds: one that was made in Python with what it extends, and held to the same rules as a text.

    Raises `PolicyError`.
    """
    if document.digest:
        return document
    whole: AdmissionDocument | None = None
    for name in document.extends:
        base = named_admission(name)
        whole = base if whole is None else over(whole, base)
    whole, found = _over(whole, document)
    problems = [Problem("<python>", show_path(path), wrong.message, wrong.help) for path, wrong in found]
    if problems:
        raise PolicyError(tuple(problems))
    return whole


def _named(name: str, within: tuple[str, ...]) -> AdmissionDocument:
    text, file = admission_text(name)
    return _load(text, file, (*within, name))


def _load(text: bytes | str, file: str, within: tuple[str, ...]) -> AdmissionDocument:
    tree = read_tree(text, file=file)
    if not isinstance(tree.data, dict):
        problem = tree.problem((), "the document is no mapping", 'begin with `version: "1.0"`')
        raise PolicyError((*tree.problems, problem), code=Code.INVALID_FORMAT)
    data = {key: value for key, value in tree.data.items() if key != SCHEMA_KEY or not isinstance(value, str)}
    faulty = dict(_faulty_conditions(data))
    problems = [*tree.problems, *nothing_written(data, tree)]
    problems += [
        tree.problem((*at, *path), wrong.message, wrong.help, key=True) for at, found in faulty.items() for path, wrong in found
    ]
    stripped = _without(data, set(faulty))
    document, wrong = validate(AdmissionDocument, stripped, tree)
    problems += wrong
    whole = _placed(document, tree) if document is not None else _sound_part(stripped, tree)
    if whole is not None:
        whole, wrong = _extended(whole, tree, within)
        problems += wrong
    document = whole if document is not None else None
    if problems or document is None:
        raise PolicyError(in_order(problems), code=Code.INVALID_FORMAT if tree.problems else None)
    return document.read_from(hashlib.sha256(repr(document).encode()).hexdigest())


def _faulty_conditions(data: Any) -> Iterator[tuple[Path, Found]]:
    """The conditions that are none, each with all that is wrong with it."""
    for path, bare in ((("rules", ANY, "when"), None), (("roles", ANY, "permissions", ANY, "conditions"), "resource")):
        for place in _places(data, path):
            _, found = parse(_at(data, place), bare=bare)
            if found:
                yield place, found


def _places(data: Any, path: Path) -> Iterator[Path]:
    """Every place of the data that the path leads to, `ANY` standing for each key and each item."""
    if not path:
        yield ()
        return
    step, *rest = path
    keys: Any = range(len(data)) if isinstance(data, list) and step == ANY else data if isinstance(data, dict) else ()
    for key in keys:
        if step in (ANY, key):
            yield from ((key, *below) for below in _places(data[key], tuple(rest)))


def _at(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step]
    return data


def _without(data: Any, paths: set[Path], at: Path = ()) -> Any:
    """The data without what lies at the paths."""
    if isinstance(data, dict):
        return {key: _without(value, paths, (*at, key)) for key, value in data.items() if (*at, key) not in paths}
    if isinstance(data, list):
        return [_without(value, paths, (*at, key)) for key, value in enumerate(data)]
    return data


def _sound_part(data: Any, tree: Tree) -> AdmissionDocument | None:
    """The sections that are valid by themselves, so that what is wrong between them is told too; None where that would guess.

    What others name has to be whole: without the roles, every role would seem not to be there.
    """
    sound = {key: value for key, value in data.items() if validate(AdmissionDocument, {"version": VERSION, key: value}, tree)[0]}
    if _NAMED & (data.keys() - sound.keys()):
        return None
    return validate(AdmissionDocument, {**sound, "version": VERSION}, tree)[0]


def _placed(document: AdmissionDocument, tree: Tree) -> AdmissionDocument:
    for at, rule in enumerate(document.rules):
        rule.from_line(tree.where(("rules", at)))
    for at, line in enumerate(document.content):
        line.from_line(tree.where(("content", at)))
    return document


def _extended(own: AdmissionDocument, tree: Tree, within: tuple[str, ...]) -> tuple[AdmissionDocument | None, list[Problem]]:
    """The document with what it extends below it, and what is wrong between them."""
    whole, problems = None, []
    for at, name in enumerate(own.extends):
        if name in within:
            problems.append(tree.problem(("extends", at), f"{quoted(name)} extends itself", "take it out"))
            continue
        try:
            base = _named(name, within)
            whole = base if whole is None else over(whole, base)
        except PolicyError as error:
            problems += [tree.problem(("extends", at), each.message, each.help) for each in error.problems]
    if problems:
        return None, problems
    whole, found = _over(whole, own)
    return whole, [tree.problem(path, wrong.message, wrong.help) for path, wrong in found]


def _over(base: AdmissionDocument | None, own: AdmissionDocument) -> tuple[AdmissionDocument, list[Finding]]:
    if base is None:
        return own, list(findings(own, own))
    whole = over(base, own)
    return whole, [*loosened(base, own), *findings(own, whole)]
