"""What calls may cost and how many there may be, as it is written: the sections `budgets`, `rates` and `prices`.

`sandbox.yaml` has `budgets`, an admission document all three; a `Budget` is also a value in Python. Frozen and strict, as a
policy is. Money is written with at most six decimals, prices with nine; both are whole numbers from here on (`micros`, `nanos`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from sandbox.policy import units
from sandbox.policy.entries import Strict
from sandbox.policy.fields import Time
from sandbox.policy.refusal import Refusal, one_of, quoted
from sandbox.policy.tree import Misread

MOST_MONEY = 1_000_000_000
"""In whole units: in millionths it is still exact in a store that counts by doubles (Redis' Lua)."""
MOST_COUNT = 10**15
_RATE = re.compile(r"([1-9][0-9]{0,8})/(s|min|hour|day)", re.ASCII)
RATE_PATTERN = r"^[1-9][0-9]{0,8}/(s|min|hour|day)$"
_RATE_MS = {"s": 1_000, "min": 60_000, "hour": 3_600_000, "day": 86_400_000}
_PATTERN = re.compile(r"[A-Za-z0-9._*-]{1,128}", re.ASCII)


class Metric(StrEnum):
    """What is counted, in whole numbers of the unit in its name."""

    COST = "cost_micros"
    TOKENS = "tokens"
    REQUESTS = "requests"
    TOOL_CALLS = "tool_calls"
    LLM_CALLS = "llm_calls"
    CPU = "cpu_ms"
    EGRESS = "egress_bytes"
    SECONDS = "wall_ms"


MEASURED = (Metric.COST, Metric.TOKENS, Metric.CPU, Metric.EGRESS, Metric.SECONDS)
"""What is known only when a call has ended; the others are known when it is asked for."""


class Period(StrEnum):
    """How long a budget lasts until it begins anew, by the calendar in UTC; a week begins on Monday."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Per(StrEnum):
    """Whose calls a rate counts together."""

    USER = "user"
    TENANT = "tenant"
    SESSION = "session"
    RUN = "run"
    COMPONENT = "component"
    TOOL = "tool"
    GLOBAL = "global"


def _decimal(places: int, what: str) -> BeforeValidator:
    def read(value: Any) -> Decimal:
        text = value.text if isinstance(value, Misread) else str(value)
        try:
            number = Decimal(text) if not isinstance(value, bool) and re.fullmatch(r"[0-9.eE+-]+", text) else None
        except InvalidOperation:
            number = None
        if number is None or not number.is_finite() or number < 0:
            raise Refusal(f"{quoted(text)} is no {what}", "write a number from 0: `10`, `0.25`")
        if number > MOST_MONEY:
            raise Refusal(f"{quoted(text)} is more than this host counts", f"write at most `{MOST_MONEY}`")
        if number != number.quantize(Decimal(1).scaleb(-places)):
            raise Refusal(f"{quoted(text)} is finer than this host counts", f"write at most {places} decimals")
        return number

    return BeforeValidator(read)


def _count(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_COUNT:
        text = getattr(value, "text", value)
        raise Refusal(f"{quoted(text)} is no count", f"write a whole number from 0 to {MOST_COUNT}, without quotes")
    return value


def _size(text: str) -> str:
    units.parse_size(text)
    return text


def _word(kind: type[StrEnum], what: str) -> BeforeValidator:
    def read(value: Any) -> Any:
        words = [each.value for each in kind]
        if value not in words:
            raise Refusal(f"{quoted(getattr(value, 'text', value))} is no {what}", one_of(str(value), words))
        return kind(value)

    return BeforeValidator(read, json_schema_input_type=Literal[tuple(each.value for each in kind)])


def _percent(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 99:
        raise Refusal(
            f"{quoted(getattr(value, 'text', value))} is no share of a limit", "write a whole number from 1 to 99: `80`"
        )
    return value


def _limit(value: Any) -> Any:
    text = getattr(value, "text", value)
    if not isinstance(text, str) or not _RATE.fullmatch(text):
        raise Refusal(f"{quoted(text)} is no rate", "write a number and what it is counted over: `60/min`, `5/s`, `1000/hour`")
    return text


def _pattern(text: str) -> str:
    if not _PATTERN.fullmatch(text):
        raise Refusal(f"{quoted(text)} can be no tool's name", "write a name, with `*` for any run: `weather__*`")
    return text


_as_number = PlainSerializer(lambda number: f"{number:f}", return_type=str, when_used="json")
Money = Annotated[Decimal, _decimal(6, "amount of money"), _as_number]
Price = Annotated[Decimal, _decimal(9, "price"), _as_number]
Seconds = Annotated[Decimal, _decimal(3, "number of seconds"), _as_number]
Number = Annotated[int, BeforeValidator(_count)]
Percent = Annotated[int, BeforeValidator(_percent), Field(json_schema_extra={"minimum": 1, "maximum": 99})]
Bytes = Annotated[str, AfterValidator(_size), Field(json_schema_extra={"pattern": units.SIZE_PATTERN})]
Limit = Annotated[str, BeforeValidator(_limit), Field(json_schema_extra={"pattern": RATE_PATTERN})]
ToolPattern = Annotated[str, AfterValidator(_pattern)]
Named = dict[Annotated[str, Field(min_length=1, max_length=256)], "Budget"]


def micros(amount: Decimal) -> int:
    """Money in millionths."""
    return int(amount.scaleb(6))


def nanos(price: Decimal) -> int:
    """A price in thousandths of a millionth."""
    return int(price.scaleb(9))


def shown_money(amount_micros: int) -> str:
    """Millionths as money is written, without the zeros behind."""
    whole, rest = divmod(abs(amount_micros), 1_000_000)
    decimals = f"{rest:06}".rstrip("0")
    return f"{'-' if amount_micros < 0 else ''}{whole}" + (f".{decimals}" if decimals else "")


class _Deferred(Strict):
    """A model that is made ready when it is first used: most commands have no budgets, and 15 ms of their start-up."""

    model_config = ConfigDict(defer_build=True)


class Budget(_Deferred):
    """How much somebody may use in each period, in all where there is none; `…_per_call` bounds one call.

    Amounts of money are in the currency of the prices; `max_seconds` counts how long the calls ran.
    """

    max_cost: Money | None = None
    max_tokens: Number | None = None
    max_requests: Number | None = None
    max_tool_calls: Number | None = None
    max_llm_calls: Number | None = None
    max_cpu_seconds: Seconds | None = None
    max_egress_bytes: Bytes | None = None
    max_seconds: Seconds | None = None
    max_cost_per_call: Money | None = None
    max_tokens_per_call: Number | None = None
    max_cpu_seconds_per_call: Seconds | None = None
    max_egress_bytes_per_call: Bytes | None = None
    max_seconds_per_call: Seconds | None = None
    period: Annotated[Period, _word(Period, "period")] | None = None
    soft_limit_percent: Percent | None = None

    @model_validator(mode="after")
    def _limits_something(self) -> Budget:
        if not self.limits and not self.per_call:
            raise Refusal("the budget limits nothing", "write a limit: `max_cost: 10`, `max_requests: 1000`")
        if self.soft_limit_percent is not None and not self.limits:
            raise Refusal("`soft_limit_percent` is a share of no limit", "write a limit beside it, or take it out")
        if self.period is not None and not self.limits:
            raise Refusal("`period` has nothing to count", "a limit for one call needs none: take it out")
        return self

    @property
    def limits(self) -> dict[Metric, int]:
        """What may be used in the period, each in its metric's unit."""
        return _numbers(self, "")

    @property
    def per_call(self) -> dict[Metric, int]:
        """What one call may use."""
        return _numbers(self, "_per_call")


FIELDS = {
    Metric.COST: "max_cost",
    Metric.TOKENS: "max_tokens",
    Metric.REQUESTS: "max_requests",
    Metric.TOOL_CALLS: "max_tool_calls",
    Metric.LLM_CALLS: "max_llm_calls",
    Metric.CPU: "max_cpu_seconds",
    Metric.EGRESS: "max_egress_bytes",
    Metric.SECONDS: "max_seconds",
}
"""How a budget's limit of a metric is called."""


def _numbers(budget: Budget, behind: str) -> dict[Metric, int]:
    found = {metric: getattr(budget, f"{name}{behind}", None) for metric, name in FIELDS.items()}
    return {metric: _number(metric, value) for metric, value in found.items() if value is not None}


def _number(metric: Metric, value: Any) -> int:
    if metric is Metric.COST:
        return micros(value)
    if metric in (Metric.CPU, Metric.SECONDS):
        return int(value.scaleb(3))
    return units.parse_size(value) if metric is Metric.EGRESS else cast(int, value)


class CircuitBreaker(_Deferred):
    """A tool that fails `failures` times `within` a time is not called for `pause`; then one call tries whether it works."""

    failures: Annotated[int, Field(ge=1, le=10_000)]
    within: Time = "1m"
    pause: Time = "30s"


class BudgetSection(_Deferred):
    """Whose calls may use how much. `default` of the runs, and `default_…`, hold for each who is not named."""

    all: Annotated[Budget | None, Field(alias="global")] = None
    users: Named = Field(default_factory=dict)
    tenants: Named = Field(default_factory=dict)
    components: Named = Field(default_factory=dict)
    runs: Named = Field(default_factory=dict)
    default_user: Budget | None = None
    default_tenant: Budget | None = None
    default_component: Budget | None = None
    circuit_breaker: CircuitBreaker | None = None

    model_config = ConfigDict(populate_by_name=True)

    @model_validator(mode="after")
    def _runs_have_no_period(self) -> BudgetSection:
        for name, budget in self.runs.items():
            if budget.period is not None:
                raise Refusal(f"the run {quoted(name)} has a `period`, and a run does not begin anew", "take it out")
        return self

    @property
    def says_nothing(self) -> bool:
        """Whether there is nothing to count."""
        return self == BudgetSection()


class Rate(_Deferred):
    """How many calls there may be in a time: of tools or of an action, counted together `per` whom."""

    tool: ToolPattern | None = None
    action: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    per: Annotated[Per, _word(Per, "one that calls are counted by")] = Per.USER
    limit: Limit

    @model_validator(mode="after")
    def _names_calls(self) -> Rate:
        if (self.tool is None) == (self.action is None):
            raise Refusal("a rate is of tools or of an action", 'write one of the two: `tool: "*"`, `action: api_call`')
        return self

    @property
    def count(self) -> int:
        """How many."""
        return int(self.limit.partition("/")[0])

    @property
    def length_ms(self) -> int:
        """In what time."""
        return _RATE_MS[self.limit.partition("/")[2]]


class ModelPrice(_Deferred):
    """What a model costs for 1,000 tokens; what was read from its cache costs as other input where nothing else is said."""

    input: Price
    output: Price
    cached: Price | None = None


class Prices(_Deferred):
    """What calls cost: each call of a tool (the first pattern that fits), each second of CPU time, tokens of models.

    A model named here has the price that is written here; the others have those that ship with the host, as of their date.
    """

    per_call: Mapping[ToolPattern, Price] = Field(default_factory=dict)
    cpu_second: Price | None = None
    models: Mapping[Annotated[str, Field(min_length=1, max_length=128)], ModelPrice] = Field(default_factory=dict)

    model_config = ConfigDict(protected_namespaces=())
