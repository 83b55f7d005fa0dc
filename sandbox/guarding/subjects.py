"""Who asks in this task: the subject of the request that is being answered.

Decides nothing: the middleware says it, from what the application has verified. Where nobody has, nobody asks: a subject without
a name, roles or scopes.
"""

from __future__ import annotations

from contextvars import ContextVar

from sandbox.admission import Subject

NOBODY = Subject("")
current_subject: ContextVar[Subject] = ContextVar("current_subject", default=NOBODY)


def subject_now() -> Subject:
    """The subject of this task."""
    return current_subject.get()
