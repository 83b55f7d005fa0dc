"""The closed list of fields that a condition may name, and how each is read from the facts of a request.

Rule: what is not there is `MISSING`, which makes a condition "cannot tell"; so is what is null. Nothing is read but what the list
names. A list on the way to a field is gone through: `arguments.files.path` is the path of every file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sandbox.admission.request import CallRequest
from sandbox.admission.usage import Usage
from sandbox.policy.refusal import Refusal, did_you_mean, quoted


@dataclass(slots=True)
class Facts:
    """A request, what is known of usage, and what the document makes of it: inherited roles, implied scopes, kinds of action."""

    request: CallRequest
    usage: Usage
    roles: frozenset[str]
    scopes: frozenset[str]
    actions: frozenset[str]


class _Missing:
    """The type of `MISSING`."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""What a field is that is not there."""

Read = Callable[[Facts], Any]

USAGE = "usage"
USAGE_FIELDS = tuple(each.name for each in dataclasses.fields(Usage) if each.name != "labels")
SETS = frozenset({"subject.roles", "subject.scopes", "action"})
"""Fields of several values where one that fits is enough; of any other list all must, or it cannot be told."""
ALWAYS = frozenset({"subject.id", "subject.roles", "action", "tool", "component"})
"""Fields that are never missing: a rule that names one can be found by it."""
TEXTS = ALWAYS | {"subject.tenant", "subject.scopes", "resource.name"}
"""Fields that hold texts and nothing else."""
TOLD = "metadata"
"""What the caller says of itself."""
_OPEN: Mapping[str, Callable[[CallRequest], Mapping[str, Any]]] = {
    "subject.claims": lambda request: request.subject.claims,
    "resource": lambda request: request.resource.attributes,
    "arguments": lambda request: request.arguments,
    "metadata": lambda request: request.metadata,
}
_CLOSED: Mapping[str, Read] = {
    "subject.id": lambda facts: facts.request.subject.id,
    "subject.roles": lambda facts: facts.roles,
    "subject.tenant": lambda facts: _there(facts.request.subject.tenant),
    "subject.scopes": lambda facts: facts.scopes,
    "resource.name": lambda facts: facts.request.resource.name or MISSING,
    "action": lambda facts: facts.actions,
    "tool": lambda facts: facts.request.tool,
    "component": lambda facts: facts.request.component,
}
FIELDS = (*_CLOSED, *(f"{head}.…" for head in _OPEN), *(f"{USAGE}.{name}" for name in USAGE_FIELDS))
_MAX_STEPS = 16


def reader(field: str) -> Read:
    """How a field is read; raises `Refusal` for a name that is none of the list."""
    if field in _CLOSED:
        return _CLOSED[field]
    head, _, name = field.partition(".")
    if head == USAGE and name in USAGE_FIELDS:
        return lambda facts: _there(getattr(facts.usage, name))
    for opening, of in _OPEN.items():
        steps = tuple(field.removeprefix(f"{opening}.").split("."))
        if field.startswith(f"{opening}.") and all(steps) and len(steps) <= _MAX_STEPS:
            return _below(of, steps)
    raise Refusal(f"{quoted(field)} is no field", _meant(field, head))


def _below(of: Callable[[CallRequest], Mapping[str, Any]], steps: tuple[str, ...]) -> Read:
    first, *rest = steps
    if not rest:
        return lambda facts: _there(of(facts.request).get(first))
    return lambda facts: _walk(of(facts.request).get(first), rest)


def _walk(value: Any, steps: list[str]) -> Any:
    for at, step in enumerate(steps):
        if isinstance(value, list | tuple):
            return [_walk(item, steps[at:]) for item in value]
        if not isinstance(value, Mapping):
            return MISSING
        value = value.get(step)
    return _there(value)


def _there(value: Any) -> Any:
    return MISSING if value is None else value


def _meant(field: str, head: str) -> str:
    if head == USAGE:
        return did_you_mean(field, [f"{USAGE}.{name}" for name in USAGE_FIELDS]) or "the counts are " + ", ".join(USAGE_FIELDS)
    if field in _OPEN:
        return f"name what is below it: `{field}.name`"
    shown = (*_CLOSED, *(f"{each}.…" for each in (*_OPEN, USAGE)))
    return did_you_mean(field, FIELDS) or "the fields are " + ", ".join(f"`{each}`" for each in shown)
