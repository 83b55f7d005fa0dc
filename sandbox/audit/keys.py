"""The keys of a record: one that marks its end and its days, one that closes its lines.

Decides the form of a mark and of a closed line: BLAKE2b under the mark's key; AES-256-GCM under a random nonce for each line, its
number and the digest before it bound to it as associated data. Where keys lie is `sandbox.state.recorded`.

Rules: the chain goes over the closed lines, so whether it holds is found without the key that opens them; a closed line that does
not open is an error, never an empty record; the cipher is loaded with the first line that is closed or opened.

Source: NIST SP 800-38D (GCM; random nonces, far below 2^32 lines under one key).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.errors import HostUnavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12
_CLOSED = b'","sealed":"'


def _no_key() -> bytes:
    raise HostUnavailable("the record is encrypted, and nobody named its key", help="name the key's file: `SANDBOX_SECRETS_KEY`")


@dataclass(frozen=True, slots=True)
class Keys:
    """`marks` tells what this program wrote from what others did; `lines` gives the key of closed lines.

    Without a `marks` nothing is marked; `lines` raises HostUnavailable where there is no key. `note` is a file outside of the
    record's folder in which is noted how far it has come; without one an old copy that is put back is not found.
    """

    marks: bytes | None = None
    lines: Callable[[], bytes] = _no_key
    note: Path | None = None

    def mark(self, use: str, text: str) -> str:
        """The mark on a text; empty without a key."""
        if self.marks is None:
            return ""
        return hashlib.blake2b(f"{use} {text}".encode(), key=self.marks, digest_size=32).hexdigest()

    def marked(self, use: str, text: str, mark: object) -> bool:
        """Whether the mark is the one on that text; without a key nothing is asked."""
        return self.marks is None or (isinstance(mark, str) and hmac.compare_digest(mark.encode(), self.mark(use, text).encode()))

    def close(self, line: bytes, seq: int, prev: str) -> bytes:
        """A line as it lies in an encrypted record, newline included."""
        nonce = os.urandom(_NONCE)
        closed = base64.b64encode(nonce + _cipher(self.lines()).encrypt(nonce, line, _bound(seq, prev)))
        return b'{"prev":"%s%s%s","seq":%d}\n' % (prev.encode(), _CLOSED, closed, seq)

    def opened(self, line: bytes) -> bytes:
        """A line as it was before it was closed, or as it is. Raises HostUnavailable where the key does not open it."""
        if not is_closed(line):
            return line
        try:
            outer = json.loads(line)
            data = base64.b64decode(outer["sealed"], validate=True)
            return _cipher(self.lines()).decrypt(data[:_NONCE], data[_NONCE:], _bound(outer["seq"], outer["prev"]))
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise HostUnavailable("a record is encrypted and does not open", help="was it written under another key?") from error
        except _invalid_tag() as error:
            raise HostUnavailable("a record is encrypted, and this key does not open it", help=_OTHER_KEY) from error

    def read(self, line: bytes) -> dict[str, Any] | None:
        """The record of a line, or None for a line that holds none. Raises HostUnavailable where the key does not open it."""
        try:
            # Not the fast decoder: it knows neither lone surrogates nor integers of more than 64 bits.
            record = json.loads(self.opened(line))
        except (ValueError, RecursionError):
            return None
        return record if isinstance(record, dict) else None


NO_KEYS = Keys()
_OTHER_KEY = "put back the key it was written under, or name it: `SANDBOX_SECRETS_KEY`"


def is_closed(line: bytes) -> bool:
    """Whether a line of the record is encrypted."""
    return line.startswith(b'{"prev":"') and _CLOSED in line[:100]


def _bound(seq: int, prev: str) -> bytes:
    return f"{seq} {prev}".encode()


@lru_cache(maxsize=4)
def _cipher(key: bytes) -> AESGCM:
    # Imported here alone: it takes 20 ms, and most records are in the clear.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(hashlib.blake2b(b"lines", key=key, digest_size=32, person=b"sandbox record").digest())


def _invalid_tag() -> type[Exception]:
    from cryptography.exceptions import InvalidTag

    return InvalidTag
