"""The part of `Sandbox` that shows approvals and answers them.

Decides how it is spelled in Python, and nothing else: `sandbox.changes.approving` does it. `by` is who answers, as the edge
vouches for it; whoever asked cannot, and the scope `admin` and the approver's role are needed.
"""

from __future__ import annotations

from sandbox.admission import Subject
from sandbox.admission.approval import Approval, State
from sandbox.changes.approving import Approvals


class Answering:
    """What `Sandbox` offers to answer approvals."""

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
        return self._approving().approve(approval_id, by, note, by_way_of=by_way_of)

    async def deny_approval(self, approval_id: str, by: Subject, note: str = "", *, by_way_of: str = "python") -> Approval:
        """Say no. Raises as `approve`."""
        return self._approving().deny(approval_id, by, note, by_way_of=by_way_of)

    async def withdraw_approval(self, approval_id: str, by: Subject, note: str = "", *, by_way_of: str = "python") -> Approval:
        """Ask for it no more: whoever asked, or who may answer. Raises as `approve`."""
        return self._approving().withdraw(approval_id, by, note, by_way_of=by_way_of)
