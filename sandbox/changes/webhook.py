"""Tell a webhook of each request for an approval, and hear the answers that come back signed.

Decides what is posted, how often, and what an answer looks like. What an answer is worth is `sandbox.changes.approving`'s:
whoever has the secret vouches for the name in it; the approver's role and a second person are asked for as ever.

Rules: the arguments are in it where the operator said so, else their digest and length: who answers looks at the terminal or at
the HTTP API. A message is posted at most `len(PAUSES_S)` times, after each pause once, over https or to this machine, without
following anybody elsewhere and without a proxy; no call waits for it. That it could not be told is logged, and gives nothing: the
request waits like any other.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from sandbox.admission import Subject
from sandbox.admission.approval import Approval
from sandbox.changes.approving import ADMIN, Approvals, approval_json
from sandbox.changes.signed import Heard, UnsignedError, headers_of, key_of
from sandbox.config.approvals import WebhookSection
from sandbox.errors import Code, HostUnavailable, SandboxError

PAUSES_S = (0.0, 1.0, 5.0, 30.0)
"""How long is waited before each attempt."""
SECONDS = 10.0
MAX_WAITING = 256
MAX_NAME, MAX_BODY = 200, 64 << 10
CALLBACK = "callback"

_ANSWERS = ("approve", "deny")
_LOG = logging.getLogger("sandbox")


@dataclass(slots=True)
class Webhook:
    """One webhook; `secret` gives what its secret is now, None where it is not set."""

    section: WebhookSection
    secret: Callable[[], str | None]
    clock: Callable[[], float]
    pauses_s: tuple[float, ...] = PAUSES_S
    _heard: Heard = field(default_factory=Heard)
    _telling: set[asyncio.Task[None]] = field(default_factory=set)

    def tell(self, approval: Approval, arguments: str) -> None:
        """Post a request, beside what goes on; one too many is not told."""
        if len(self._telling) >= MAX_WAITING:
            _LOG.error("the approval `%s` is not told to the webhook: too many wait to be", approval.id)
            return
        told = {**approval_json(approval), **({"arguments": arguments} if self.section.arguments else {})}
        body = json.dumps({"type": "approval.requested", "timestamp": told["requested_at"], "data": told}).encode()
        task = asyncio.get_running_loop().create_task(self._told(approval.id, body))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """Tell nobody any more."""
        for task in tuple(self._telling):
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)

    def answer(self, approvals: Approvals, headers: Mapping[str, str], body: bytes) -> Approval:
        """Take an answer: `{"approval": ID, "answer": "approve"|"deny", "by": NAME, "note": TEXT}`, signed as requests are.

        Raises UnsignedError, SandboxError for what is no answer, NotFound and ApprovalError as an answer at the terminal does;
        HostUnavailable, after which the same message is heard again.
        """
        if len(body) > MAX_BODY:
            raise UnsignedError(f"an answer has at most {MAX_BODY} bytes")
        self._heard.take(self._key(), headers, body, self.clock())
        said = _read(body)
        by = Subject(said["by"], scopes=(ADMIN,))
        work = approvals.approve if said["answer"] == "approve" else approvals.deny
        try:
            return work(said["approval"], by, said.get("note", ""), by_way_of=CALLBACK)
        except HostUnavailable:
            # Whoever sends it again means the same answer, which counts once whatever became of this one.
            self._heard.forget(headers)
            raise

    def _key(self) -> bytes:
        secret = self.secret()
        if secret is None:
            name = self.section.secret
            raise SandboxError(f"the webhook's secret `{name}` is not set", help=f"`sandbox secret set {name}`")
        return key_of(secret)

    async def _told(self, approval_id: str, body: bytes) -> None:
        why = ""
        for pause in self.pauses_s:
            await asyncio.sleep(pause)
            try:
                headers = headers_of(self._key(), approval_id, self.clock(), body)
                status = await asyncio.to_thread(partial(_post, self.section.url, headers, body))
            except (OSError, http.client.HTTPException, SandboxError) as error:
                why = str(error) or type(error).__name__
                continue
            if 200 <= status < 300:
                return
            why = f"it answered {status}"
        _LOG.error("the approval `%s` could not be told to the webhook: %s", approval_id, why)


def _post(url: str, headers: Mapping[str, str], body: bytes) -> int:
    """The status that a server answers."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=SECONDS)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, {**headers, "content-type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def _read(body: bytes) -> dict[str, str]:
    """What an answer says. Raises SandboxError."""
    try:
        said: Any = json.loads(body)
    except ValueError:
        said = None
    texts = isinstance(said, dict) and all(isinstance(each, str) for each in said.values())
    if not texts or not {"approval", "answer", "by"} <= said.keys() <= {"approval", "answer", "by", "note"}:
        raise _no_answer("an answer has the texts `approval`, `answer`, `by` and, where there is one, `note`")
    if said["answer"] not in _ANSWERS:
        raise _no_answer("`answer` is `approve` or `deny`")
    if not said["by"] or not said["by"].isprintable() or len(said["by"]) > MAX_NAME:
        raise _no_answer("`by` names who answers")
    return dict(said)


def _no_answer(message: str) -> SandboxError:
    return SandboxError(message, code=Code.INVALID_ARGUMENTS)
