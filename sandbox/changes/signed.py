"""Sign a message, and say whether one that came is signed, fresh and new. Pure, but for what was heard already.

Source: the Standard Webhooks specification: `webhook-id`, `webhook-timestamp` and `webhook-signature`, HMAC-SHA256 over
`ID.TIMESTAMP.BODY` under the bytes that the secret `whsec_BASE64` stands for; several signatures apart by spaces, one that fits
is enough; five minutes of difference between two clocks.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Literal

from cachetools import TTLCache

from sandbox.errors import Code, SandboxError

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
TOLERANCE_S = 300
MAX_HEARD = 10_000
_PREFIX = "whsec_"
_KEY_BYTES = range(24, 65)
_MAX_SIGNATURES = 8


class UnsignedError(SandboxError):
    """A message that is not signed, is too old, or was heard already."""

    code = Code.ACCESS_DENIED


def key_of(secret: str) -> bytes:
    """The key that a secret stands for. Raises SandboxError, which does not tell the secret."""
    help_ = "`(printf whsec_; head -c 32 /dev/urandom | base64) | sandbox secret set NAME`"
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True) if secret.startswith(_PREFIX) else b""
    except binascii.Error:
        key = b""
    if len(key) not in _KEY_BYTES:
        raise SandboxError("the webhook's secret is none: it is `whsec_` and the base64 of 24 to 64 bytes", help=help_)
    return key


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of a message."""
    code = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(code).decode()}"


def headers_of(key: bytes, message_id: str, now: float, body: bytes) -> dict[str, str]:
    """The headers of a message that is sent now."""
    at = int(now)
    return {ID: message_id, TIMESTAMP: str(at), SIGNATURE: signature(key, message_id, at, body)}


class Heard:
    """The messages that came lately: each is good once."""

    def __init__(self) -> None:
        # Twice the difference: a message may come from the future by one, and be old by another.
        self._ids: TTLCache[str, Literal[True]] = TTLCache(MAX_HEARD, 2 * TOLERANCE_S)

    def take(self, key: bytes, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Take a message; raises UnsignedError for one that is not signed, not fresh, or not new."""
        message_id, at = headers.get(ID, ""), headers.get(TIMESTAMP, "")
        if not message_id or not message_id.isascii() or not (at.isascii() and at.isdecimal() and len(at) <= 12):
            raise UnsignedError(f"the message lacks `{ID}` or `{TIMESTAMP}`")
        if abs(now - int(at)) > TOLERANCE_S:
            raise UnsignedError(f"the message's time is more than {TOLERANCE_S} s from this host's")
        wanted = signature(key, message_id, int(at), body).encode()
        given = headers.get(SIGNATURE, "").encode("utf-8", "replace").split(b" ")[:_MAX_SIGNATURES]
        if not any([hmac.compare_digest(each, wanted) for each in given]):  # noqa: C419 - each is compared, whichever fits
            raise UnsignedError("the message's signature is not its own")
        if message_id in self._ids:
            raise UnsignedError("the message was heard already")
        if len(self._ids) >= MAX_HEARD:
            raise UnsignedError("too many messages came lately")
        self._ids[message_id] = True

    def forget(self, headers: Mapping[str, str]) -> None:
        """Let a message that was taken come again: what it says could not be done."""
        self._ids.pop(headers[ID], None)
