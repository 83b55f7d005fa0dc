"""Seal a secret and open it again, with the keys that come from one key file.

Decides the form of what lies on the disk: AES-256-GCM under a random nonce for each value, its name, its store and the time of
its change bound to it as associated data, and a seal (HMAC-SHA-256) over the whole store. Leaves files to `secrets`.

Loaded only where there is a secret: the library takes 20 ms.

Source: NIST SP 800-38D (GCM; random nonces, far below 2^32 values under a key), RFC 5869 (HKDF).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12
_USE = b"sandbox secrets 1: "


class Sealer:
    """The keys of one store: `store` is its id, `key` the 32 bytes of the key file."""

    def __init__(self, key: bytes, store: str) -> None:
        self._store = store
        self._cipher = AESGCM(_derived(key, store, b"values"))
        self._seal_key = _derived(key, store, b"seal")

    def close(self, name: str, changed_at: float, value: str) -> str:
        """The value as it lies on the disk."""
        nonce = os.urandom(_NONCE)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, value.encode(), self._bound(name, changed_at))).decode()

    def open(self, name: str, changed_at: float, closed: str) -> str:
        """The value; raises ValueError where it is not what `close` made for this name."""
        try:
            data = base64.b64decode(closed, validate=True)
            return self._cipher.decrypt(data[:_NONCE], data[_NONCE:], self._bound(name, changed_at)).decode()
        except (InvalidTag, binascii.Error) as error:
            raise ValueError(f"the value of `{name}` does not open") from error

    def seal(self, content: bytes) -> str:
        """The seal over a store's content."""
        return hmac.digest(self._seal_key, content, "sha256").hex()

    def holds(self, content: bytes, seal: str) -> bool:
        """Whether the content is what was sealed."""
        return hmac.compare_digest(self.seal(content).encode(), seal.encode())

    def _bound(self, name: str, changed_at: float) -> bytes:
        return json.dumps([self._store, name, changed_at]).encode()


def _derived(key: bytes, store: str, use: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=store.encode(), info=_USE + use).derive(key)
