"""The environment's twins of the configuration's keys: `SANDBOX_WORKERS_MAX` for `workers.max`.

Text keys are taken as they are, the others are read as the value after the key would be. `SANDBOX_CEILING` names a policy
document. A variable that is empty is as if not there; one whose name is nearly a twin's is refused, since it would be a
setting that nobody reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from sandbox.config.models import NOT_YET, Document
from sandbox.config.settings import DEFAULTS, Layer, Setting, settings_of
from sandbox.errors import PolicyError, Problem
from sandbox.policy.load import load_policy_file
from sandbox.policy.problems import nothing_written, validate
from sandbox.policy.tree import Path as Keys
from sandbox.policy.tree import Place, Tree, read_tree

PREFIX = "SANDBOX_"
CEILING = f"{PREFIX}CEILING"
OTHERS = ("CONFIG", "HOME", "SECRETS_KEY", "STATE_PASSWORD", "TOKEN")
"""Variables of this program that are no key of the configuration."""
_TEXT = frozenset(
    {"state", "admission", "isolation", "auth.token_file", "auth.token_variable", "proxy.url", "proxy.secret", "proxy.names"}
    | {"telemetry.endpoint"}
)
_NEAR = 0.85


def twin(key: str) -> str:
    """The variable of a key."""
    return PREFIX + key.upper().replace(".", "_")


def read_variables(environ: Mapping[str, str]) -> Layer:
    """The layer of the environment; raises `PolicyError` with every problem."""
    given = {name: text for name, text in environ.items() if name.startswith(PREFIX) and text}
    problems = [_refused(name, why) for key, why in NOT_YET.items() if (name := twin(key)) in given]
    problems += _misspelled(given)
    settings: dict[str, Setting] = {}
    for key in DEFAULTS:
        if (name := twin(key)) in given:
            found, wrong = _read(key, name, given[name])
            settings |= found
            problems += wrong
    try:
        ceiling = load_policy_file(Path(given[CEILING]).expanduser()) if CEILING in given else None
    except PolicyError as error:
        problems += error.problems
    if (file := twin("auth.token_file")) in given and (variable := twin("auth.token_variable")) in given:
        problems.append(Problem(f"${variable}:1:1", "", f"`{variable}` and `{file}` are both set", "keep one of the two"))
    if problems:
        raise PolicyError(tuple(problems))
    return Layer(settings, ceiling, None if ceiling is None else Path(given[CEILING]).expanduser().absolute())


def _read(key: str, name: str, text: str) -> tuple[dict[str, Setting], list[Problem]]:
    """One variable, as the one key of a document."""
    path: Keys = tuple(key.split("."))
    try:
        tree = _text_tree(name, text) if key in _TEXT else read_tree(text, file=f"${name}")
    except PolicyError as error:
        return {}, list(error.problems)
    data: Any = tree.data
    for step in reversed(path):
        data = {step: data}
    placed = Tree(tree.file, data, {(*path, *below): place for below, place in tree.values.items()})
    document, problems = validate(Document, data, placed)
    problems = [*tree.problems, *nothing_written(data, placed), *problems]
    if document is None or problems:
        return {}, problems[:1]
    return {one.key: one for one in settings_of(document, dict.fromkeys(DEFAULTS, f"${name}"))}, []


def _text_tree(name: str, text: str) -> Tree:
    return Tree(f"${name}", text, {(): Place(1, 1, text)})


def _refused(name: str, why: str) -> Problem:
    return Problem(f"${name}:1:1", "", f"`{name}` is not enforced yet: {why.partition('; ')[0]}", "unset it")


def _misspelled(given: Mapping[str, str]) -> list[Problem]:
    known = {twin(key).removeprefix(PREFIX) for key in (*DEFAULTS, *NOT_YET, "ceiling")} | set(OTHERS)
    problems = []
    for name in given:
        word = name.removeprefix(PREFIX)
        near = [] if word in known else get_close_matches(word, known, n=1, cutoff=_NEAR)
        if near:
            problems.append(Problem(f"${name}:1:1", "", f"`{name}` is no setting", f"did you mean `{PREFIX}{near[0]}`?"))
    return problems
