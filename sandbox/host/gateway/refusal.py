"""How a request can fail to go through, as far as the guest and the record are told.

`Refused`, `Failed` and `Limited` become an HTTP answer while none has begun, since a guest sees what only the gateway knows as
a status; after that, and always for `Cut`, the connection is reset: a clean end would read as a whole answer.
"""

from __future__ import annotations

import json

from sandbox.errors import Code


class NotSent(Exception):  # noqa: N818 - an ending of a request, not an error of ours
    """A request that does not go through. `reason` is for the record; `told` is all that the guest learns.

    `address` is the refused one: for the operator alone, since a name's address says what the host's network looks like.
    `secret` is the name of one that is not set.
    """

    decision = "error"
    status = 502
    code: str = Code.NETWORK_ERROR.value

    def __init__(
        self,
        reason: str,
        told: str | None = None,
        *,
        origin: str | None = None,
        address: str | None = None,
        secret: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.told = reason if told is None else told
        self.origin = origin
        self.address = address
        self.secret = secret

    def body(self) -> bytes:
        """The JSON that the guest gets: a code and a sentence, nothing about the host's network."""
        return json.dumps({"error": self.code, "reason": self.told}).encode()


class Refused(NotSent):
    """The policy refuses; `origin` is the deny rule's line, or None where no rule allows it."""

    decision = "deny"
    status = 403
    code = Code.NETWORK_ACCESS_DENIED.value


class Failed(NotSent):
    """The name, the connection or the server failed."""


class TimedOut(NotSent):
    """It took too long."""

    status = 504


class Limited(NotSent):
    """The limit `resource`, of the line `origin` or of `Caps`, is reached at `limit`. `retry_after_s`: when there may be room."""

    decision = "cap"
    code = Code.RESOURCE_LIMIT_EXCEEDED.value

    def __init__(
        self,
        reason: str,
        resource: str,
        limit: int,
        origin: str | None = None,
        *,
        status: int = 502,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(reason, origin=origin)
        self.resource = resource
        self.limit = limit
        self.status = status
        self.retry_after_s = retry_after_s


class Cut(Limited):
    """A limit that was reached on the way: both connections are reset."""


class GuestGone(Exception):  # noqa: N818 - an ending, not an error
    """The guest closed its connection before the answer was complete."""
