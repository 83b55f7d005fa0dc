"""Problem details (RFC 9457): how the API says no, whatever said it.

Decides the status of each code. Leaves the words to whatever refused. Pure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from sandbox.errors import Code, HostUnavailable, NotAdmitted, NotFound, SandboxError
from sandbox.server.http.answers import Answer, Header

PROBLEM = b"application/problem+json"

_STATUS = {
    Code.ACCESS_DENIED: 403,
    Code.NOT_YOURS_TO_ANSWER: 403,
    Code.APPROVAL_REQUIRED: 403,
    Code.CONTENT_WITHHELD: 403,
    Code.CONFLICT: 409,
    Code.NO_LONGER_PENDING: 409,
    Code.RATE_LIMIT_EXCEEDED: 429,
    Code.BUDGET_EXCEEDED: 429,
    Code.UNAVAILABLE: 503,
    Code.STOPPED: 503,
}
_OTHERWISE = 422
_CODES = {401: Code.ACCESS_DENIED, 403: Code.ACCESS_DENIED, 404: Code.NOT_FOUND, 421: Code.ACCESS_DENIED, 503: Code.UNAVAILABLE}


class BadRequest(SandboxError):  # noqa: N818 - it reads as the status is called
    """A request that cannot be taken as it is: a status, and all that is wrong with it."""

    code = Code.INVALID_ARGUMENTS

    def __init__(self, message: str, *, status: int = 422, help: str | None = None, wrong: Sequence[dict[str, Any]] = ()) -> None:  # noqa: A002 - the word of the error style
        super().__init__(message, help=help)
        self.status, self.wrong = status, tuple(wrong)


def status_of(error: SandboxError) -> int:
    """The status that an error is told with."""
    if isinstance(error, BadRequest):
        return error.status
    if isinstance(error, HostUnavailable):
        return 503
    return 404 if isinstance(error, NotFound) else _STATUS.get(error.code, _OTHERWISE)


def problem_of(error: SandboxError, audit_id: str | None = None) -> Answer:
    """An error as the API tells it."""
    status, told = status_of(error), error.to_json()
    body: dict[str, Any] = {"detail": told["message"], "code": told["code"]}
    wrong = error.wrong if isinstance(error, BadRequest) else told.get("problems")
    further = {"help": told.get("help"), "problems": wrong or None, "rules": told.get("rules"), "audit_id": audit_id}
    body |= {name: value for name, value in further.items() if value is not None}
    wait = error.retry_after_s if isinstance(error, NotAdmitted) else None
    if wait is None:
        return problem(status, body)
    return problem(status, {**body, "retry_after_s": wait}, ((b"retry-after", str(math.ceil(wait)).encode()),))


def problem(status: int, told: dict[str, Any], headers: tuple[Header, ...] = ()) -> Answer:
    """An answer with a problem in it."""
    body = {"type": f"urn:sandbox:{told['code']}", "title": HTTPStatus(status).phrase, "status": status, **told}
    return Answer(status, json.dumps(body), headers, PROBLEM)


def as_problem(answer: Answer) -> Answer:
    """What was said before the API was asked, in its form; what is no refusal as it is."""
    if answer.status < 400 or answer.kind == PROBLEM:
        return answer
    code = _CODES.get(answer.status, Code.INVALID_ARGUMENTS)
    detail = answer.text or HTTPStatus(answer.status).phrase.lower()
    return problem(answer.status, {"detail": detail, "code": code.value}, answer.headers)
