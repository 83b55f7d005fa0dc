"""What a list of the HTTP API may be asked with: which part, and which entries.

Decides what text a query may hold: a value is text there, and is read in one spelling alone.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from sandbox.audit import EventType
from sandbox.config.spending import MOST_MONEY
from sandbox.policy.entries import Strict
from sandbox.policy.refusal import Refusal, one_of, quoted
from sandbox.server.http.api.models import ApprovalId, ComponentName, GrantId, State

_MOST_PAGE = 100
_NUMBER = re.compile(r"[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)


def _digits(value: Any) -> Any:
    """A number of a query: text, and no other spelling than its digits."""
    if isinstance(value, str):
        if not value.isascii() or not value.isdigit() or len(value) > 9:
            raise Refusal(f"{quoted(value)} is no whole number", "write digits: `50`")
        return int(value)
    return value


_Size = Annotated[int, Field(ge=1, le=_MOST_PAGE, description="Entries in the answer")]
PageSize = Annotated[_Size, BeforeValidator(_digits)]


class Page(Strict):
    """Which part of a list."""

    limit: PageSize = _MOST_PAGE


class ComponentsAsked(Page):
    """Which components."""

    after: Annotated[ComponentName, Field(description="Begin after this one")] | None = None


class GrantsAsked(Page):
    """Which grants."""

    component: ComponentName | None = None
    after: Annotated[GrantId, Field(description="Begin after this one")] | None = None


class ApprovalsAsked(Page):
    """Which approvals."""

    status: State | None = None
    after: Annotated[ApprovalId, Field(description="Begin after this one")] | None = None


_LAST_MOMENT = datetime.max.replace(microsecond=0, tzinfo=UTC).timestamp()


def _moment(value: Any) -> Any:
    """A time of a query (RFC 3339), in seconds since 1970; before then there is no record, nor after the last year."""
    if not isinstance(value, str):
        return value
    refusal = Refusal(f"{quoted(value)} is no time", "write it as in `2026-11-23T02:00:00Z`")
    try:
        # A leap second is the last one of its minute.
        moment = datetime.fromisoformat(re.sub(r"(?<=:)60(?=[.Zz+-])", "59", value.upper()))
    except ValueError:
        raise refusal from None
    if moment.tzinfo is None:
        raise refusal
    return min(max(0.0, moment.timestamp()), _LAST_MOMENT)


def _amount(value: Any) -> Any:
    """Money in a query."""
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise Refusal(f"{quoted(value)} is no amount of money", "write a number from 0: `0.25`")
        return float(value)
    return value


Moment = Annotated[float, BeforeValidator(_moment, json_schema_input_type=str), Field(json_schema_extra={"format": "date-time"})]
_Money = Annotated[float, Field(ge=0, le=MOST_MONEY)]
Money = Annotated[_Money, BeforeValidator(_amount)]
_EVENTS = [each.value for each in EventType]


def _event(text: str) -> str:
    if text not in _EVENTS:
        raise Refusal(f"{quoted(text)} is nothing that happens", one_of(text, _EVENTS))
    return text


Event = Annotated[str, AfterValidator(_event), Field(json_schema_extra={"enum": list(_EVENTS)})]
Named = Annotated[str, Field(min_length=1, max_length=256)]
Place = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\.[0-9]{1,12}$", description="Begin after this place")]


class RecordsAsked(Page):
    """Which records."""

    subject: Named | None = None
    component: Named | None = None
    tool: Named | None = None
    type: Annotated[Event, Field(description="What happened, as in `tool_invoke`")] | None = None
    outcome: Annotated[Named, Field(description="A decision, an ending, or an error's code")] | None = None
    session: Named | None = None
    trace: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="A trace id of W3C Trace Context")] | None = None
    audit_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="All records of one call or request")] | None = None
    since: Annotated[Moment, Field(description="From then on")] | None = None
    until: Annotated[Moment, Field(description="Before then")] | None = None
    min_cost: Annotated[Money, Field(description="What a call cost at least")] | None = None
    order: Literal["newest", "oldest"] = "newest"
    after: Place | None = None


class Nothing(Strict):
    """No parameter."""
