"""Ask the record: by user, tenant, component, tool, type, outcome, cost, time, trace, session, call.

Decides which records answer a question, and how much of the record is looked at for one page. Leaves who may ask to the edge.

Rules: a page is bounded in records and in bytes looked at, so it may hold fewer than was asked for while there is more: `after`
of the page says where to go on, and is None at the end. A cursor stays good while the record grows, and where days before it are
removed. Days are passed over by their dates: a record that was written while the clock was set back stands in a later day than
its own, and is found by a question without `until`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.audit.head import SUFFIX
from sandbox.audit.keys import NO_KEYS, Keys, is_closed
from sandbox.audit.reading import Place, backwards, forwards, sizes_of
from sandbox.audit.record import rfc3339
from sandbox.errors import Code, SandboxError

Record = dict[str, Any]
MOST = 1000
"""Records of one page."""
LOOKED_AT = 64 << 20
"""Bytes of the record that are looked at for one page, and one line."""
_FIELDS = {
    "subject": "subject",
    "tenant": "tenant",
    "component": "component",
    "tool": "tool",
    "type": "event",
    "session": "session",
    "trace": "trace_id",
    "audit_id": "audit_id",
}
_OUTCOMES = ("decision", "ending", "code")


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """What is looked for; None asks nothing. `since` and `until` are seconds since 1970, from and before.

    `outcome` is how it was decided (`allow`, `deny`, `require_approval`), how it ended (`returned`, `trapped`, …), or an error's
    code. `min_cost_micros` is what a call cost at least, in millionths. The newest records come first, unless `oldest_first`;
    `after` is a page's cursor, of a question in the same order.
    """

    subject: str | None = None
    tenant: str | None = None
    component: str | None = None
    tool: str | None = None
    type: str | None = None
    outcome: str | None = None
    session: str | None = None
    trace: str | None = None
    audit_id: str | None = None
    since: float | None = None
    until: float | None = None
    min_cost_micros: int | None = None
    oldest_first: bool = False
    limit: int = 100
    after: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MOST:
            told = f"a page has 1 to {MOST} records"
            raise SandboxError(told, help="ask for the next one with `after`", code=Code.INVALID_ARGUMENTS)


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Records as they were written, in the order that was asked for, and where to go on; None where nothing follows."""

    records: tuple[Record, ...]
    after: str | None


def ask(folder: Path, query: AuditQuery, keys: Keys = NO_KEYS) -> AuditPage:
    """One page. Raises SandboxError for a cursor that is none, HostUnavailable for what cannot be read or opened."""
    wanted, left = Wanted(query), LOOKED_AT
    found: list[Record] = []
    start = None if query.after is None else Place.of(query.after)
    sizes = {name: size for name, size in sizes_of(folder).items() if wanted.may_lie_in(name)}
    for at, line in (forwards if query.oldest_first else backwards)(folder, sizes, start):
        left -= len(line)
        if (record := wanted.of(line, keys)) is not None:
            found.append(record)
        if len(found) == query.limit or left <= 0:
            return AuditPage(tuple(found), str(at))
    return AuditPage(tuple(found), None)


def every(folder: Path, query: AuditQuery, keys: Keys = NO_KEYS) -> Iterator[Record]:
    """Every record that answers, however many; one is in memory at a time."""
    wanted = Wanted(query)
    start = None if query.after is None else Place.of(query.after)
    sizes = {name: size for name, size in sizes_of(folder).items() if wanted.may_lie_in(name)}
    for _, line in (forwards if query.oldest_first else backwards)(folder, sizes, start):
        if (record := wanted.of(line, keys)) is not None:
            yield record


class Wanted:
    """A question, ready to be put to many lines: a line without the texts that it needs is not even decoded."""

    def __init__(self, query: AuditQuery) -> None:
        asked = ((field, getattr(query, name)) for name, field in _FIELDS.items())
        self._fields = {field: value for field, value in asked if value is not None}
        self._outcome, self._cost = query.outcome, query.min_cost_micros
        self._since = None if query.since is None else rfc3339(query.since)
        self._until = None if query.until is None else rfc3339(query.until)
        # A record is spelled in one form, so what it says stands in its line to the letter.
        self._needles = [f'"{field}":{json.dumps(value)}'.encode() for field, value in self._fields.items()]
        self._needles += [] if self._outcome is None else [json.dumps(self._outcome).encode()]
        self._needles += [] if self._cost is None else [b'"cost_micros":']

    def may_lie_in(self, name: str) -> bool:
        """Whether a day's file may hold an answer."""
        day = name.removesuffix(SUFFIX)
        return (self._since is None or day >= self._since[:10]) and (self._until is None or day <= self._until[:10])

    def of(self, line: bytes, keys: Keys) -> Record | None:
        """The record of a line, if it answers."""
        if is_closed(line):
            line = keys.opened(line)
        if not all(needle in line for needle in self._needles):
            return None
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            return None
        return record if isinstance(record, dict) and self._fits(record) else None

    def _fits(self, record: Record) -> bool:
        at = str(record.get("time"))
        return (
            all(record.get(field) == value for field, value in self._fields.items())
            and (self._outcome is None or self._outcome in [record.get(field) for field in _OUTCOMES])
            and (self._since is None or at >= self._since)
            and (self._until is None or at < self._until)
            and (self._cost is None or record.get("usage", {}).get("cost_micros", 0) >= self._cost)
        )
