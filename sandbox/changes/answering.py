"""The part of `Sandbox` that shows approvals and answers them.

Decides how it is spelled in Python, and nothing else: `sandbox.changes.approving` does it. `by` is who answers, as the edge
vouches for it; whoever asked cannot, and the scope `admin` and the approver's role are needed.
"""

from __future__ import annotations

from typing import Any

from sandbox.admission import Subject
from sandbox.admission.approval import Approval, State
from sandbox.audit import rfc3339
from sandbox.changes.approving import Approvals
from sandbox.dispatch import Dispatch


class Answering:
    """What `Sandbox` offers to answer approvals."""

    _dispatch: Dispatch

    def _approving(self) -> Approvals:
        raise NotImplementedError

    @property
    def approves(self) -> bool:
        """Whether the admission document may have a person asked to approve a call."""
        return self._approving().authorizer.may_ask

    def approvals(self, *, status: State | str | None = None, by: Subject | None = None) -> tuple[Approval, ...]:
        """The approvals that are known, the oldest first: all, or those in one state; with `by` those that he may know of."""
        return self._approving().listed(None if status is None else State(status), by)

    def approval(self, approval_id: str, *, by: Subject | None = None) -> Approval:
        """One approval. Raises NotFound."""
        return self._approving().seen(approval_id, by)

    def approval_arguments(self, approval: Approval) -> str | None:
        """The arguments that it was asked with, as canonical JSON in ASCII; None once it is closed."""
        return self._approving().arguments(approval)

    def approval_question(self, approval: Approval) -> str:
        """What a person reads before the answer: who wants what, with which arguments, escaped, whole and with their length."""
        return self._approving().question(approval)

    async def approve(self, approval_id: str, by: Subject, note: str = "", *, by_way_of: str = "python") -> Approval:
        """Say yes; where more is needed, it stays pending. Raises NotFound, ApprovalError (not yours, no longer pending)."""
        return (await self._now()).approve(approval_id, by, note, by_way_of=by_way_of)

    async def deny_approval(self, approval_id: str, by: Subject, note: str = "", *, by_way_of: str = "python") -> Approval:
        """Say no. Raises as `approve`."""
        return (await self._now()).deny(approval_id, by, note, by_way_of=by_way_of)

    async def withdraw_approval(self, approval_id: str, by: Subject, note: str = "", *, by_way_of: str = "python") -> Approval:
        """Ask for it no more: whoever asked, or who may answer. Raises as `approve`."""
        return (await self._now()).withdraw(approval_id, by, note, by_way_of=by_way_of)

    async def _now(self) -> Approvals:
        """The approvals, judged by the document and the roles as they are now."""
        approving = self._approving()
        await self._dispatch.refresh()
        return approving


def approval_json(approval: Approval) -> dict[str, Any]:
    """An approval as a JSON object, without its arguments."""
    bound = approval.bound
    about = {"id": approval.id, "state": approval.state.value, "subject": bound.subject, "tenant": bound.tenant}
    about |= {"tool": bound.tool, "action": bound.action, "resource": bound.resource, "component": bound.component}
    of = {"digest": bound.digest, "arguments_digest": bound.arguments_digest, "length": approval.length}
    of |= {"generation": bound.generation, "document": bound.document, "session": approval.session}
    why = {"rules": list(bound.rules), "reason": approval.reason, "approver_roles": list(bound.approver_roles)}
    yeses = [{"who": yes.who, "roles": list(yes.roles), "by": yes.by_way_of, "note": yes.note} for yes in approval.yeses]
    times = {"requested_at": rfc3339(approval.requested_at), "expires_at": rfc3339(approval.expires_at)}
    closed = None if approval.closed_at is None else rfc3339(approval.closed_at)
    ended = {"closed_by": approval.closed_by, "closed_at": closed, "note": approval.note, "used_by": approval.used_by}
    return {**about, **of, **why, "four_eyes": bound.four_eyes, "needs": approval.needs, "yeses": yeses, **times, **ended}
