"""The operations of who answers: look at what waits for an approval, say yes or no, ask for it no more.

Decides who is told of one: whoever asked for it, and who has `admin`; to anybody else it is not there. Whose answer counts is
`sandbox.admission.approval`'s: never that of who asked.
"""

from __future__ import annotations

from sandbox.admission import approval as asked_for
from sandbox.audit import rfc3339
from sandbox.errors import Code, NotFound
from sandbox.server.http.api.catalogue import page_of
from sandbox.server.http.api.models import Approval, ApprovalId, ApprovalPage, Note, Yes
from sandbox.server.http.api.operations import ADMIN, INVOKE, Asked, Example, Link, Operation
from sandbox.server.http.api.queries import ApprovalsAsked

BY_WAY_OF = "http"
_ID = "a-0123456789abcdef0123456789abcdef"
_APPROVAL = {
    "id": _ID,
    "state": "pending",
    "subject": "agent",
    "tenant": "acme",
    "tool": "site__deploy",
    "action": "",
    "resource": "",
    "component": "site",
    "digest": "0" * 64,
    "arguments_digest": "0" * 64,
    "arguments_bytes": 24,
    "reason": "changes in production need an admin",
    "rules": ["rule:production-needs-an-admin"],
    "approver_roles": ["admin"],
    "four_eyes": False,
    "requested_at": "2026-11-23T02:00:00.000Z",
    "expires_at": "2026-11-23T03:00:00.000Z",
    "yeses": [],
    "closed_by": None,
    "closed_at": None,
    "note": "",
}
_YES = {"who": "ann", "roles": ["admin"], "by_way_of": BY_WAY_OF, "at": "2026-11-23T02:05:00.000Z", "note": "go ahead"}
_CLOSED = {"closed_by": "ann", "closed_at": "2026-11-23T02:05:00.000Z", "note": "go ahead"}
_REFUSALS = {404: "There is no approval of that id that this subject may know of", 409: "It is pending no more"}
_THIS = {"approval_id": "$response.body#/approvals/0/id"}


async def _approvals(asked: Asked) -> ApprovalPage:
    query: ApprovalsAsked = asked.query
    found = [one for one in asked.sandbox.approvals(status=query.status, by=asked.who) if _may_know(asked, one)]
    page, following = page_of(found, lambda one: one.id, query.after, query.limit)
    return ApprovalPage(approvals=tuple(map(_shown, page)), next=following)


async def _approval(asked: Asked) -> Approval:
    found = _known(asked)
    told = {"arguments": asked.sandbox.approval_arguments(found), "question": asked.sandbox.approval_question(found)}
    return _shown(found).model_copy(update=told)


async def _approve(asked: Asked) -> Approval:
    note: Note = asked.body
    return _shown(await asked.sandbox.approve(_known(asked).id, asked.who, note.note, by_way_of=BY_WAY_OF))


async def _deny(asked: Asked) -> Approval:
    note: Note = asked.body
    return _shown(await asked.sandbox.deny_approval(_known(asked).id, asked.who, note.note, by_way_of=BY_WAY_OF))


async def _withdraw(asked: Asked) -> Approval:
    note: Note = asked.body
    return _shown(await asked.sandbox.withdraw_approval(_known(asked).id, asked.who, note.note, by_way_of=BY_WAY_OF))


def _known(asked: Asked) -> asked_for.Approval:
    wanted = asked.parameters["approval_id"]
    found = asked.sandbox.approval(wanted, by=asked.who)
    if not _may_know(asked, found):
        help_ = "GET /api/v1/approvals lists those that there are"
        raise NotFound(f"there is no approval `{wanted}`", help=help_, code=Code.APPROVAL_NOT_FOUND)
    return found


def _may_know(asked: Asked, one: asked_for.Approval) -> bool:
    return asked.sees_all or (one.bound.subject, one.bound.tenant) == (asked.who.id, asked.who.tenant)


def _shown(one: asked_for.Approval) -> Approval:
    bound = one.bound
    return Approval(
        id=one.id,
        state=one.state.value,
        subject=bound.subject,
        tenant=bound.tenant,
        tool=bound.tool,
        action=bound.action,
        resource=bound.resource,
        component=bound.component,
        digest=bound.digest,
        arguments_digest=bound.arguments_digest,
        arguments_bytes=one.length,
        reason=one.reason,
        rules=bound.rules,
        approver_roles=bound.approver_roles,
        four_eyes=bound.four_eyes,
        requested_at=rfc3339(one.requested_at),
        expires_at=rfc3339(one.expires_at),
        yeses=tuple(
            Yes(who=yes.who, roles=yes.roles, by_way_of=yes.by_way_of, at=rfc3339(yes.at), note=yes.note) for yes in one.yeses
        ),
        closed_by=one.closed_by,
        closed_at=None if one.closed_at is None else rfc3339(one.closed_at),
        note=one.note,
    )


APPROVALS = (
    Operation(
        id="listApprovals",
        method="GET",
        path="approvals",
        summary="List approvals",
        description="By id: a subject's own, and with `admin` everybody's of the tenant.",
        scopes=(INVOKE,),
        does=_approvals,
        gives=ApprovalPage,
        query=ApprovalsAsked,
        example=Example(answer={"approvals": [_APPROVAL], "next": None}),
        links=(Link("getApproval", _THIS),),
    ),
    Operation(
        id="getApproval",
        method="GET",
        path="approvals/{approval_id}",
        summary="Show an approval",
        description="With the arguments as they would run, escaped and whole, while it is pending.",
        scopes=(INVOKE,),
        does=_approval,
        gives=Approval,
        parameters={"approval_id": ApprovalId},
        example=Example(answer={**_APPROVAL, "arguments": '{"path":"/production"}', "question": "`agent` wants to …"}),
        refusals={404: _REFUSALS[404]},
    ),
    Operation(
        id="approve",
        method="POST",
        path="approvals/{approval_id}/approve",
        summary="Say yes",
        description="The call that asked may then be made once, exactly as it was asked. Where more than one person is needed "
        "it stays pending. Needs a token with `admin` and the approver's role; whoever asked cannot.",
        scopes=(ADMIN,),
        needs_token=True,
        does=_approve,
        takes=Note,
        gives=Approval,
        parameters={"approval_id": ApprovalId},
        changes=True,
        example=Example(body={"note": "go ahead"}, answer={**_APPROVAL, **_CLOSED, "state": "approved", "yeses": [_YES]}),
        refusals=_REFUSALS,
    ),
    Operation(
        id="deny",
        method="POST",
        path="approvals/{approval_id}/deny",
        summary="Say no",
        description="Needs a token with `admin` and the approver's role; whoever asked cannot.",
        scopes=(ADMIN,),
        needs_token=True,
        does=_deny,
        takes=Note,
        gives=Approval,
        parameters={"approval_id": ApprovalId},
        changes=True,
        example=Example(body={"note": "not today"}, answer={**_APPROVAL, **_CLOSED, "state": "denied", "note": "not today"}),
        refusals=_REFUSALS,
    ),
    Operation(
        id="withdraw",
        method="POST",
        path="approvals/{approval_id}/withdraw",
        summary="Ask for it no more",
        description="By whoever asked, or who may answer.",
        scopes=(INVOKE,),
        needs_token=True,
        does=_withdraw,
        takes=Note,
        gives=Approval,
        parameters={"approval_id": ApprovalId},
        changes=True,
        example=Example(body={}, answer={**_APPROVAL, **_CLOSED, "state": "withdrawn", "closed_by": "agent", "note": ""}),
        refusals=_REFUSALS,
    ),
)
