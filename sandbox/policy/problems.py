"""What pydantic found wrong with a document, as problems that a policy author can act on.

Each names the place, the path, quotes the text and says what to write instead. One problem for each place: where a value may
be one of several types, pydantic reports every one that it is not.
"""

from __future__ import annotations

from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from sandbox.errors import Problem
from sandbox.policy.refusal import Refusal, did_you_mean, quoted
from sandbox.policy.tree import Misread, Path, Tree, show_path

Model = TypeVar("Model", bound=BaseModel)
_SHAPES = {"model_type": "a mapping", "model_attributes_type": "a mapping", "dict_type": "a mapping", "tuple_type": "a list"}
_SCALARS = {"string_type": "text", "int_type": "a whole number", "literal_error": "one of its words"}


def validate(model: type[Model], data: Any, tree: Tree, at: Path = ()) -> tuple[Model | None, list[Problem]]:
    """The data as a model, or None and what is wrong with it; `at` is the path of the data in the tree."""
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        found: dict[Path, Problem] = {}
        for detail in error.errors(include_url=False):
            path, problem = _problem(model, tree, at, detail)
            found.setdefault(path, problem)
        return None, list(found.values())


def nothing_written(data: Any, tree: Tree, path: Path = ()) -> list[Problem]:
    """A problem for every key and item after which nothing stands: left empty, a restriction would read as none."""
    if data is None and path in tree.values and tree.values[path].read_as:
        return [tree.problem(path, "nothing stands here", "write a value (`[]` for an empty list), or take the line out")]
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [problem for key, value in items for problem in nothing_written(value, tree, (*path, key))]


def _problem(model: type[BaseModel], tree: Tree, at: Path, detail: Any) -> tuple[Path, Problem]:
    kind, loc = detail["type"], (*at, *detail["loc"])
    if kind == "missing":
        return loc, tree.problem(loc, f"`{loc[-1]}` is missing", "write it; the schema leaves it no default")
    if kind == "extra_forbidden":
        return loc, tree.problem(loc, f"unknown key {quoted(loc[-1])}", _keys_help(model, detail["loc"]), key=True)
    path = _known_path(tree, loc)
    cause = (detail.get("ctx") or {}).get("error")
    if isinstance(cause, Refusal):
        return path, tree.problem(path, cause.message, cause.help)
    if isinstance(cause, ValidationError):
        inner = cause.errors(include_url=False)[0]
        return _problem(model, tree, path, {**inner, "loc": ()})
    return path, tree.problem(path, *_wrong_type(tree, path, kind, detail))


def _wrong_type(tree: Tree, path: Path, kind: str, detail: Any) -> tuple[str, str | None]:
    place, value = tree.values.get(path), detail.get("input")
    if kind in _SHAPES:
        return f"{_shown(tree, path, value)} stands where {_SHAPES[kind]} is meant", _shape_help(path, kind)
    if place is not None and place.read_as is not None and kind in _SCALARS:
        text = place.text or ""
        if kind == "int_type" and isinstance(value, Misread):
            return f"{quoted(text)} is no plain whole number", "write decimal digits only, without quotes"
        if len(path) > 1 and path[-2] == "limits" and text.isdigit():
            return f"{quoted(text)} has no unit", f"write `{path[-1]}: {text}{'s' if str(path[-1]).endswith('_time') else 'Mi'}`"
        return f"YAML reads {quoted(text)} as {place.read_as}, and text is meant", f'quote it: `{_last_name(path)}"{text}"`'
    if kind in _SCALARS:
        return f"{_shown(tree, path, value)} stands where {_SCALARS[kind]} is meant", _scalar_help(kind)
    if kind == "less_than_equal":
        most = detail["ctx"]["le"]
        return f"{_shown(tree, path, value)} is more than this host gives", f"write at most `{most}`"
    return f"{_shown(tree, path, value)} is refused: {detail['msg'][:1].lower()}{detail['msg'][1:]}", None


def _shown(tree: Tree, path: Path, value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    place = tree.values.get(path)
    return quoted(place.text if place is not None and place.text is not None else value)


def _scalar_help(kind: str) -> str:
    return "write digits without quotes" if kind == "int_type" else "write one plain value"


def _shape_help(path: Path, kind: str) -> str:
    name = _last_name(path)
    if kind == "tuple_type":
        return f"write `{name}[…]`"
    return f"write keys and values below `{name.rstrip(': ')}`" if name else "write keys and values: `key: value`"


def _last_name(path: Path) -> str:
    return f"{path[-1]}: " if path and isinstance(path[-1], str) else ""


def _known_path(tree: Tree, loc: Path) -> Path:
    """The location without the names of union members that pydantic adds to it."""
    for end in range(len(loc), 0, -1):
        if loc[:end] in tree.values:
            return loc[:end]
    return ()


def _keys_help(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    at: type[BaseModel] = model
    for step in loc[:-1]:
        if isinstance(step, str) and step in at.model_fields:
            at = _model_of(at.model_fields[step].annotation) or at
    names = list(at.model_fields)
    return (
        did_you_mean(str(loc[-1]), names)
        or _one_deeper(at, str(loc[-1]))
        or "the keys here are " + ", ".join(f"`{name}`" for name in names)
    )


def _one_deeper(at: type[BaseModel], key: str) -> str | None:
    for name, field in at.model_fields.items():
        if (model := _model_of(field.annotation)) is not None and key in model.model_fields:
            return f"write it below `{name}`"
    return None


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_of(part))), None)


def in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    """The problems in the order of the text, each place and message once."""
    return tuple(sorted(dict.fromkeys(problems), key=_place))


def _place(problem: Problem) -> tuple[int, int]:
    _, line, column = problem.where.rsplit(":", 2)
    return int(line), int(column)


__all__ = ["in_order", "nothing_written", "show_path", "validate"]
