"""The values that an admission document may hold, each with the refusal that says what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from sandbox.admission.conditions import when
from sandbox.admission.conditions.operators import OPERATORS
from sandbox.admission.conditions.patterns import expression
from sandbox.admission.conditions.when import Predicate
from sandbox.admission.decision import Ruling
from sandbox.admission.signal import Signal
from sandbox.admission.words import LogLevel, Method, Template, Treatment, Where
from sandbox.policy.refusal import Refusal, one_of, quoted

_Word = TypeVar("_Word", bound=StrEnum)
_NAME = re.compile(r"[A-Za-z0-9_.:@/+-]{1,200}", re.ASCII)
_PATTERN = re.compile(r"[A-Za-z0-9_.:@/+*-]{1,200}", re.ASCII)
_TOOL = re.compile(r"[A-Za-z0-9_*-]{1,128}", re.ASCII)
_DURATION = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _word(kind: type[_Word], called: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if isinstance(value, kind) or not isinstance(value, str):
            return value
        if value not in [each.value for each in kind]:
            raise Refusal(f"{quoted(value)} is no {called}", one_of(value, [each.value for each in kind]))
        return kind(value)

    return read


def _fits(shape: re.Pattern[str], called: str, help_: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not shape.fullmatch(text):
            raise Refusal(f"{quoted(text)} is no {called}", help_)
        return text

    return check


def _duration(text: str) -> str:
    duration_s(text)
    return text


def duration_s(text: str) -> int:
    """`30s`, `15m`, `1h`, `90d` as seconds; raises `Refusal`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise Refusal(f"{quoted(text)} is no time", "write a whole number and `s`, `m`, `h` or `d`: `1h`, `90d`")
    return int(match[1]) * _SECONDS[match[2]]


def _expression(text: str) -> str:
    expression(text)
    return text


def _line(text: str) -> str:
    if not text or not text.isprintable() or len(text) > 300:
        raise Refusal(f"{quoted(text)} is no line", "write one line of at most 300 characters")
    return text


def _condition(bare: str | None) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if isinstance(value, when.KINDS):
            return value
        if callable(value):
            return Predicate(value)
        condition, found = when.parse(value, bare=bare)
        for path, refusal in found:
            at = ".".join(str(step) for step in path)
            raise Refusal(f"{at}: {refusal.message}" if at else refusal.message, refusal.help)
        return condition

    return read


def _sent(signal: Signal) -> Signal:
    if signal is Signal.SIGCONT:
        raise Refusal("`SIGCONT` lets a call go on, and none is held up by this", "write `SIGSTOP` or `SIGKILL`")
    return signal


_SCALAR = {"type": ["string", "number", "boolean"]}
_OPERANDS: dict[str, Any] = {
    **dict.fromkeys(OPERATORS, _SCALAR),
    **{key: {"type": "array", "items": _SCALAR, "minItems": 1} for key in ("in", "not_in")},
    **{key: {"type": "number"} for key in ("gt", "ge", "lt", "le")},
    **{key: {"type": "string"} for key in ("matches", "starts_with")},
    "exists": {"type": "boolean"},
    "cidr": {"type": ["string", "array"], "items": {"type": "string"}},
}
_ASKED = {"anyOf": [_SCALAR, {"type": "object", "properties": _OPERANDS, "additionalProperties": False, "minProperties": 1}]}
_SHAPE: dict[str, Any] = {
    "type": "object",
    "description": "Fields with what is asked of them; `all`, `any` and `not` hold conditions themselves",
    "properties": {
        **{key: {"type": "array", "items": {"type": "object"}, "minItems": 1} for key in ("all", "any")},
        "not": {"type": "object"},
    },
    "additionalProperties": _ASKED,
}

Effect = Annotated[Ruling, BeforeValidator(_word(Ruling, "effect"))]
Templates = Annotated[Template, BeforeValidator(_word(Template, "template"))]
Treated = Annotated[Treatment, BeforeValidator(_word(Treatment, "action on content"))]
Place = Annotated[Where, BeforeValidator(_word(Where, "place"))]
Detail = Annotated[LogLevel, BeforeValidator(_word(LogLevel, "level"))]
MethodName = Annotated[Method, BeforeValidator(_word(Method, "method"))]
Name = Annotated[str, AfterValidator(_fits(_NAME, "name", "write letters, digits and `_.:@/+-`"))]
Pattern = Annotated[str, AfterValidator(_fits(_PATTERN, "name", "write letters, digits and `_.:@/+-`, with `*` for any run"))]
ToolPattern = Annotated[
    str, AfterValidator(_fits(_TOOL, "tool's name", "write `component__function`, with `*` for any run: `billing__*`"))
]
Line = Annotated[str, AfterValidator(_line)]
Duration = Annotated[str, AfterValidator(_duration), Field(json_schema_extra={"pattern": f"^{_DURATION.pattern}$"})]
Expression = Annotated[str, AfterValidator(_expression)]
SentSignal = Annotated[Signal, BeforeValidator(_word(Signal, "signal")), AfterValidator(_sent)]
Priority = Annotated[int, Field(ge=-1_000_000, le=1_000_000)]
# Any to a type checker: a mapping or a function is given, and a condition is kept.
When = Annotated[Any, BeforeValidator(_condition(None)), WithJsonSchema(_SHAPE)]
ResourceWhen = Annotated[Any, BeforeValidator(_condition("resource")), WithJsonSchema(_SHAPE)]
