"""The part of `Sandbox` that shows approvals and answers them.

Decides how it is spelled in Python, and nothing else: `sandbox.changes.approving` does it. `by` is who answers, as the edge
vouches for it; whoever asked cannot, and the scope `admin` and the approver's role are needed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sandbox.admission import Subject
from sandbox.admission.approval import Approval, State
from sandbox.changes.approving import Approvals
from sandbox.dispatch import Dispatch
from sandbox.errors import NotFound
from sandbox.state.secrets import SecretStore

if TYPE_CHECKING:
    from sandbox.changes.webhook import Webhook
    from sandbox.config.approvals import ApprovalKeys


class Answering:
    """What `Sandbox` offers to answer approvals."""

    _dispatch: Dispatch
    _webhook: Webhook | None

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

    @property
    def hears_callbacks(self) -> bool:
        """Whether a webhook is told of requests, and may answer them."""
        return self._webhook is not None

    async def answer_by_callback(self, headers: Mapping[str, str], body: bytes) -> Approval:
        """Take a webhook's signed answer. Raises UnsignedError, SandboxError, NotFound, ApprovalError."""
        if self._webhook is None:
            raise NotFound("no webhook is configured here", help="write `approvals: {webhook: …}` in sandbox.yaml")
        return self._webhook.answer(await self._now(), headers, body)

    async def _now(self) -> Approvals:
        """The approvals, judged by the document and the roles as they are now."""
        approving = self._approving()
        await self._dispatch.refresh()
        return approving


def wait_of(keys: ApprovalKeys | None) -> float:
    """How long a call waits for an answer, in seconds."""
    return 0.0 if keys is None else keys.wait_s


def webhook_of(keys: ApprovalKeys | None, store: SecretStore, clock: Callable[[], float]) -> Webhook | None:
    """The webhook of a host, where one is configured; no other host waits for what speaks HTTP."""
    section = None if keys is None else keys.webhook
    if section is None:
        return None
    made: Webhook = importlib.import_module("sandbox.changes.webhook").Webhook(
        section, lambda: store.values().get(section.secret), clock
    )
    return made
