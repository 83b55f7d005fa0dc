"""Conditions: what `when:` says, and whether it holds.

Three-valued: True, False, or None for "cannot tell", where a field is missing or holds what its operator cannot be asked of. What
None means is the rule's to say: it denies in a deny rule and does not allow in an allow rule.

Rules of a list: of `subject.roles`, `subject.scopes` and `action` one value that fits is enough; of a list in the arguments, a
condition holds where it holds of every value, does not where it holds of none, and cannot be told between the two. Whether
something is in an empty list (`exists`) cannot be told either. `ne` and `not_in` say the opposite of `eq` and `in`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.admission.conditions.facts import ALWAYS, MISSING, SETS, TEXTS, Facts, reader
from sandbox.admission.conditions.operators import OPERATORS, Answer, asked, operand
from sandbox.admission.request import CallRequest
from sandbox.policy.refusal import Refusal, quoted
from sandbox.policy.tree import Path

Holds = Callable[[Facts], Answer]
Found = list[tuple[Path, Refusal]]

_NEGATED = {"ne": "eq", "not_in": "in"}
_GROUPS = ("all", "any", "not")
_NUMBERS = frozenset({"gt", "ge", "lt", "le"})


@dataclass(frozen=True, slots=True)
class Test:
    """A field, an operator of `OPERATORS`, and what it is compared with."""

    field: str
    operator: str
    value: Any

    def __str__(self) -> str:
        return f"{self.field} {self.operator} {self.value}"


@dataclass(frozen=True, slots=True)
class Every:
    """Holds where every part does."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """Holds where one part does."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """Holds where its part does not."""

    part: Condition


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition written in Python: asked of the request, it answers True, False, or None for "cannot tell"."""

    function: Callable[[CallRequest], Answer]


Condition = Test | Every | Some | Negation
KINDS = (Test, Every, Some, Negation, Predicate)


def tests_of(condition: Condition | Predicate | None) -> Iterator[Test]:
    """Every test that a condition is made of."""
    match condition:
        case Test():
            yield condition
        case Every(parts) | Some(parts):
            for part in parts:
                yield from tests_of(part)
        case Negation(part):
            yield from tests_of(part)


def fields_of(condition: Condition | Predicate) -> Iterator[str]:
    """Every field that a condition names."""
    return (test.field for test in tests_of(condition))


def parse(data: Any, *, bare: str | None = None) -> tuple[Condition, Found]:
    """What a `when` says, and everything that is wrong with it, by its path in `data`; `bare` stands before one-word fields."""
    found: Found = []
    return _mapping(data, (), found, bare), found


def _mapping(data: Any, path: Path, found: Found, bare: str | None) -> Condition:
    if not isinstance(data, Mapping):
        found.append((path, Refusal("a condition is a mapping of fields", "write `subject.roles: {not_in: [admin]}`")))
        return Every(())
    parts: list[Condition] = []
    for key, value in data.items():
        if key in _GROUPS:
            parts.append(_group(key, value, (*path, key), found, bare))
        else:
            parts += _field(str(key), value, (*path, key), found, bare)
    return parts[0] if len(parts) == 1 else Every(tuple(parts))


def _group(key: str, value: Any, path: Path, found: Found, bare: str | None) -> Condition:
    if key == "not":
        return Negation(_mapping(value, path, found, bare))
    if not isinstance(value, list | tuple) or not value:
        found.append((path, Refusal(f"`{key}` holds a list of conditions", f"write `{key}: [{{tool: …}}, {{action: …}}]`")))
        return Every(())
    parts = tuple(_mapping(item, (*path, at), found, bare) for at, item in enumerate(value))
    return Every(parts) if key == "all" else Some(parts)


def _field(field: str, value: Any, path: Path, found: Found, bare: str | None) -> Iterator[Test]:
    named = f"{bare}.{field}" if bare is not None and "." not in field and field not in {"action", "tool", "component"} else field
    try:
        reader(named)
    except Refusal as refusal:
        found.append((path, refusal))
        return
    if isinstance(value, list | tuple):
        found.append((path, Refusal("a list stands where an operator is meant", f"write `{field}: {{in: […]}}`")))
    elif isinstance(value, Mapping):
        if not value:
            found.append((path, Refusal("no operator stands here", f"write one of {', '.join(OPERATORS)}")))
        for operator, written in value.items():
            yield from _test(named, str(operator), written, (*path, operator), found)
    else:
        yield from _test(named, "eq", value, path, found)


def _test(field: str, operator: str, written: Any, path: Path, found: Found) -> Iterator[Test]:
    try:
        value = operand(operator, written)
        asked(operator, value)
        if field in TEXTS:
            _refuse_no_text(field, operator, value)
        yield Test(field, operator, value)
    except Refusal as refusal:
        found.append((path, refusal))


def _refuse_no_text(field: str, operator: str, value: Any) -> None:
    values = value if isinstance(value, tuple) else (value,)
    wrong = next((each for each in values if not isinstance(each, str)), None)
    if operator in _NUMBERS or (operator != "exists" and wrong is not None):
        shown = str(value if wrong is None else wrong).lower()
        raise Refusal(f"`{field}` is always a text, and {quoted(shown)} is none", f'quote it if a text is meant: `"{shown}"`')


def holds(condition: Condition | Predicate) -> Holds:
    """The condition, made ready to be asked."""
    match condition:
        case Predicate(function):
            return lambda facts: _said(function(facts.request))
        case Test():
            return _ready(condition)
        case Every(parts):
            return _every(tuple(map(holds, parts)))
        case Some(parts):
            return _some(tuple(map(holds, parts)))
        case Negation(part):
            return _negated(holds(part))


def _said(answer: Any) -> Answer:
    """What a predicate answers; what is no answer (`"no"`, a coroutine) raises, and so denies."""
    if answer is None or isinstance(answer, bool):
        return answer
    if inspect.iscoroutine(answer):
        answer.close()
    raise TypeError(f"a condition answers True, False or None, not {type(answer).__name__}")


def _every(parts: tuple[Holds, ...]) -> Holds:
    def answer(facts: Facts) -> Answer:
        unknown = False
        for part in parts:
            said = part(facts)
            if said is False:
                return False
            unknown = unknown or said is None
        return None if unknown else True

    return answer


def _some(parts: tuple[Holds, ...]) -> Holds:
    def answer(facts: Facts) -> Answer:
        unknown = False
        for part in parts:
            said = part(facts)
            if said is True:
                return True
            unknown = unknown or said is None
        return None if unknown else False

    return answer


def _negated(part: Holds) -> Holds:
    def answer(facts: Facts) -> Answer:
        said = part(facts)
        return None if said is None else not said

    return answer


def _ready(test: Test) -> Holds:
    read, positive = reader(test.field), _NEGATED.get(test.operator)
    question = asked(test.operator, test.value)
    if test.operator == "exists":
        # Of what is never missing, nothing is what is not there: no role, no tool.
        never = test.field in ALWAYS or test.field in SETS
        return lambda facts: _exists((read(facts) or MISSING) if never else read(facts), test.value)
    if test.field in SETS:
        among: Holds = lambda facts: any(question(each) is True for each in read(facts))  # noqa: E731 - it is one of three
        return _negated(among) if positive else among
    whole_list = test.operator == "contains"

    def answer(facts: Facts) -> Answer:
        value = read(facts)
        if value is MISSING:
            return None
        return _of_all(question, value) if isinstance(value, list | tuple) and not whole_list else question(value)

    return _negated(answer) if positive else answer


def _exists(value: Any, wanted: bool) -> Answer:
    if isinstance(value, list | tuple):
        there = {_exists(each, True) for each in value}
        return wanted if there == {True} else None
    return (value is not MISSING) is wanted


def _of_all(question: Callable[[Any], Answer], values: list[Any] | tuple[Any, ...]) -> Answer:
    said = {_of_all(question, each) if isinstance(each, list | tuple) else question(each) for each in values}
    return said.pop() if len(said) == 1 else None if said else False
