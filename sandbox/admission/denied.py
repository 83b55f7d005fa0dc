"""The error of a call that is not admitted, from what was decided about it.

Decides its code and its help; what a document says stays as it stands there.
"""

from __future__ import annotations

from typing import Any

from sandbox.admission.decision import Decision, Ruling
from sandbox.errors import Code, NotAdmitted

_NOBODY = "nobody can be asked about this one: approvals are of components' calls, and of what an application guards with them"
STOPPED = ("stopped",)
"""What a decision names as its rule where a stop decided."""


def not_admitted(decision: Decision, code: Code | None = None) -> NotAdmitted:
    """The error of a request that a decision refuses; `code` where its reason is a budget or a rate."""
    said: dict[str, Any] = {"code": code or Code.ACCESS_DENIED}
    if decision.rules == STOPPED:
        said = {"code": Code.STOPPED, "help": "`sandbox resume` lets calls run again"}
    elif decision.effect is Ruling.REQUIRE_APPROVAL:
        said = {"code": Code.APPROVAL_REQUIRED, "help": _NOBODY}
    reason, wait = f"the call is not admitted: {decision.reason}", decision.retry_after_s
    return NotAdmitted(reason, retry_after_s=wait, rules=decision.rules, **said)
