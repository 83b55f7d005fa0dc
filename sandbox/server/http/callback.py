"""Where a webhook's answers to requests for an approval come in, each signed in place of a token.

Decides how what became of an answer reads in HTTP. Leaves signatures to `sandbox.changes.signed`, and what an answer is worth to
`sandbox.changes.approving`. Without a webhook in the configuration there is no such place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from sandbox.api import Sandbox
from sandbox.changes.approving import approval_json
from sandbox.changes.signed import ID, SIGNATURE, TIMESTAMP, UnsignedError
from sandbox.errors import Code, HostUnavailable, SandboxError
from sandbox.server.http.answers import Answer, told
from sandbox.server.http.names import API
from sandbox.server.http.request import Request

PATH = f"{API}/approvals/callback"
_STATUS = {
    Code.INVALID_ARGUMENTS: HTTPStatus.BAD_REQUEST,
    Code.APPROVAL_NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.NOT_YOURS_TO_ANSWER: HTTPStatus.FORBIDDEN,
    Code.NO_LONGER_PENDING: HTTPStatus.CONFLICT,
}


async def answered(sandbox: Sandbox, request: Request, content: Callable[[], Awaitable[bytes | Answer]]) -> Answer:
    """What becomes of one answer."""
    if not sandbox.hears_callbacks:
        return Answer(HTTPStatus.NOT_FOUND, "no webhook is configured here")
    if request.method != "POST":
        return Answer(HTTPStatus.METHOD_NOT_ALLOWED, "", ((b"allow", b"POST"),))
    body = await content()
    if isinstance(body, Answer):
        return body
    headers = {name: values[0] for name in (ID, TIMESTAMP, SIGNATURE) if len(values := request.all(name.encode())) == 1}
    try:
        return told(HTTPStatus.OK, approval_json(await sandbox.answer_by_callback(headers, body)))
    except HostUnavailable:
        return told(HTTPStatus.SERVICE_UNAVAILABLE, {"error": {"code": Code.UNAVAILABLE.value}})
    except UnsignedError as error:
        return told(HTTPStatus.UNAUTHORIZED, {"error": error.to_json()})
    except SandboxError as error:
        return told(_STATUS.get(error.code, HTTPStatus.FORBIDDEN), {"error": error.to_json()})
