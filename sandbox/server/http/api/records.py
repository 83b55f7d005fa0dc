"""The operation of who looks back: the record, asked.

Decides who is told what: a subject sees the records of its own, and who has `admin` everybody's, of his tenant where he has one.
Where a component or a document lies on the host is told to nobody.
"""

from __future__ import annotations

import asyncio

from sandbox.audit.query import AuditQuery
from sandbox.errors import Code, NotFound, SandboxError
from sandbox.server.http.api.models import RecordPage, amount_micros
from sandbox.server.http.api.operations import READ, Asked, Example, Operation
from sandbox.server.http.api.queries import RecordsAsked
from sandbox.server.resources import without_places

_RECORD = {
    "seq": 17,
    "time": "2026-11-23T02:00:00.000000Z",
    "event": "tool_success",
    "subject": "agent",
    "tool": "fetch__get",
    "audit_id": "0" * 32,
}


async def _records(asked: Asked) -> RecordPage:
    wanted: RecordsAsked = asked.query
    own = asked.who.id
    if not asked.sees_all and wanted.subject not in (None, own):
        return RecordPage(records=())
    query = AuditQuery(
        subject=wanted.subject if asked.sees_all else own,
        # Else a subject without a tenant would see that of a tenant's of the same name: those are left out below.
        tenant=asked.who.tenant,
        component=wanted.component,
        tool=wanted.tool,
        type=wanted.type,
        outcome=wanted.outcome,
        session=wanted.session,
        trace=wanted.trace,
        audit_id=wanted.audit_id,
        since=wanted.since,
        until=wanted.until,
        min_cost_micros=None if wanted.min_cost is None else amount_micros(wanted.min_cost),
        oldest_first=wanted.order == "oldest",
        limit=wanted.limit,
        after=wanted.after,
    )
    try:
        # Beside the loop: a page may look at a long stretch of the record.
        page = await asyncio.to_thread(asked.sandbox.audit, query)
    except SandboxError as error:
        if wanted.after is None or error.code is not Code.INVALID_ARGUMENTS:
            raise
        raise NotFound(f"there is no place `{wanted.after}` in the record", help=error.help, code=Code.NOT_FOUND) from None
    seen = (one for one in page.records if asked.sees_all or one.get("tenant") == asked.who.tenant)
    return RecordPage(records=tuple(map(without_places, seen)), next=page.after)


RECORDS = (
    Operation(
        id="listRecords",
        method="GET",
        path="audit",
        summary="Ask the record",
        description="By user, component, tool, type, outcome, cost, time, trace, session or call: a subject's own records, and "
        "with `admin` everybody's of the tenant. A page may hold fewer than `limit` while there is more: `next` says.",
        scopes=(READ,),
        does=_records,
        gives=RecordPage,
        query=RecordsAsked,
        example=Example(answer={"records": [_RECORD], "next": "2026-11-23.20480"}),
        refusals={404: "There is no such place in the record"},
    ),
)
