"""Keep a request's credentials out of its answer: a server that sends back what it was sent must not tell the guest.

Decides what of an answer is masked: the values that went along with the request, as they are, as JSON and Python write them in
quotes, percent-encoded and in base64, and of a Basic credential the name and the password too. Leaves which values those are to
`credentials`. Rules: a mask is as long as what it hides, so lengths and framing stay true; what may be the beginning of a value
waits for the next bytes, never longer than the answer; a body that comes compressed all the same is not opened.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator

from sandbox.host.gateway.headers import Headers
from sandbox.redaction.literals import MIN_LITERAL, spellings

PLAIN: Headers = [(b"accept-encoding", b"identity")]
"""What a request with a credential asks for instead of what the guest did: a compressed answer could not be looked through."""


class Echo:
    """Masks `values` in one answer, which is told in pieces."""

    def __init__(self, values: Iterable[str]) -> None:
        found = {form for value in values for part in _parts(value) for form in spellings(part) if len(form) >= MIN_LITERAL}
        self._forms = sorted((form.encode() for form in found), key=len, reverse=True)
        self._any = re.compile(b"|".join(map(re.escape, self._forms)))
        self._held = b""

    def fields(self, given: Headers) -> Headers:
        """Header fields, masked."""
        return [(name, self.whole(value)) for name, value in given]

    def whole(self, data: bytes) -> bytes:
        """A text that is all there, masked."""
        return self._any.sub(lambda found: b"*" * len(found[0]), data)

    def more(self, data: bytes) -> bytes:
        """What may be passed on once these bytes of the body have come."""
        masked = self.whole(self._held + data)
        kept = max((_beginning(masked, form) for form in self._forms), default=0)
        passed, self._held = masked[: len(masked) - kept], masked[len(masked) - kept :]
        return passed

    def end(self) -> bytes:
        """The rest of the body."""
        rest, self._held = self._held, b""
        return rest


def _beginning(data: bytes, form: bytes) -> int:
    """How many of the last bytes may be the beginning of `form`."""
    at = max(0, len(data) - len(form) + 1)
    while (at := data.find(form[:1], at)) >= 0:
        if form.startswith(data[at:]):
            return len(data) - at
        at += 1
    return 0


def _parts(value: str) -> Iterator[str]:
    """The value, and what a server that decodes it may send back."""
    yield value
    if len(value) >= MIN_LITERAL and len(value) % 4 == 0:
        try:
            name, colon, password = b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return
        if colon:
            yield from (f"{name}:{password}", password)
