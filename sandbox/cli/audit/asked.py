"""What the options of `audit list`, `stats` and `export` ask of the record."""

from __future__ import annotations

import math
import os
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sandbox.audit import AuditQuery, EventType, every
from sandbox.cli.times import moment
from sandbox.errors import Code, NotFound, SandboxError, unknown_component
from sandbox.policy.refusal import one_of
from sandbox.state.home import Home
from sandbox.state.recorded import record_keys

Record = dict[str, Any]


def query_of(arguments: Namespace) -> AuditQuery:
    """The question. Raises SandboxError for an option that names nothing."""
    return AuditQuery(
        subject=arguments.subject,
        tenant=arguments.tenant,
        component=arguments.component,
        tool=arguments.tool,
        type=_type(arguments.event),
        outcome=arguments.outcome,
        session=arguments.session,
        trace=arguments.trace,
        audit_id=arguments.call,
        since=_moment(arguments.since),
        until=_moment(arguments.until),
        min_cost_micros=_micros(arguments.min_cost),
    )


def answers(home: Home, query: AuditQuery) -> Iterator[Record]:
    """The records that answer."""
    return every(home.audit, query, record_keys(home, os.environ))


def refuse_unknown(home: Home, query: AuditQuery) -> None:
    """Nothing was found: a name that the record never mentions is more likely mistyped than without events."""
    if query.component is not None:
        names = {str(record["component"]) for record in answers(home, AuditQuery()) if record.get("component")}
        if query.component not in names:
            raise unknown_component(query.component, names)
    if query.audit_id is not None and next(answers(home, AuditQuery(audit_id=query.audit_id)), None) is None:
        raise no_call(query.audit_id)


def no_call(call: str) -> NotFound:
    """The error for a call that is not on record."""
    return NotFound(f"no call `{call}` is on record", help="the last column of `sandbox audit list` has the ids")


def said(query: AuditQuery) -> str:
    """What was asked for, where nothing was found."""
    plain = replace(query, since=None, until=None)
    asked = {"component": plain.component, "event": plain.type, "call": plain.audit_id, "subject": plain.subject}
    asked |= {"tenant": plain.tenant, "tool": plain.tool, "outcome": plain.outcome, "session": plain.session}
    told = " and ".join(f"{name} `{value}`" for name, value in asked.items() if value is not None)
    when = "" if query.since is None and query.until is None else " in that time"
    return f"no events with {told}{when}" if told else f"no events{when}"


def _type(name: str | None) -> str | None:
    known = [kind.value for kind in EventType]
    if name is None or name in known:
        return name
    raise SandboxError(f"there is no event `{name}`", help=one_of(name, known), code=Code.INVALID_ARGUMENTS)


def _moment(text: str | None) -> float | None:
    return None if text is None else moment(text, now=time.time()).timestamp()


def _micros(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        cost = float(text)
    except ValueError:
        cost = math.nan
    if not 0 <= cost < 1e12:
        raise SandboxError(f"`{text}` is no cost", help="write a number, as in `0.05`", code=Code.INVALID_ARGUMENTS)
    return round(cost * 1_000_000)
