"""Hide a text in a row that others may read: the arguments of an approval that is pending.

Decides which key is used; the cipher is `sandbox.state.sealing`. Rules: the key is made with the first text, and is this user's,
outside of the home; or, for a store that ends with its process, one of that process's own.

Loaded with the first text: the library takes 20 ms.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.errors import HostUnavailable
from sandbox.state.secret_key import KEY_BYTES, key_place, make_key, read_key

if TYPE_CHECKING:
    from sandbox.state.sealing import Sealer

_STORE = "approvals"


@dataclass(slots=True)
class Hidden:
    """Hides texts and shows them again; `key` gives 32 bytes, always the same."""

    key: Callable[[], bytes]
    _sealer: Sealer | None = field(default=None, repr=False)

    @classmethod
    def by_user(cls, environ: Mapping[str, str]) -> Hidden:
        """By the key of this user's secrets."""
        return cls(lambda: _users(environ))

    @classmethod
    def here_alone(cls) -> Hidden:
        """By a key that ends with this value."""
        key = os.urandom(KEY_BYTES)
        return cls(lambda: key)

    def hide(self, name: str, at: float, text: str) -> str:
        """The text as it lies in a row, bound to its name and time."""
        return self._sealed_by().close(name, at, text)

    def show(self, name: str, at: float, hidden: str) -> str:
        """The text; raises HostUnavailable where it was changed, moved, or hidden by another key."""
        try:
            return self._sealed_by().open(name, at, hidden)
        except ValueError as error:
            told = f"what `{name}` was asked with cannot be read: it was changed, or is hidden by another user's key"
            raise HostUnavailable(told) from error

    def _sealed_by(self) -> Sealer:
        if self._sealer is None:
            made: Sealer = importlib.import_module("sandbox.state.sealing").Sealer(self.key(), _STORE)
            self._sealer = made
        return self._sealer


def _users(environ: Mapping[str, str]) -> bytes:
    file = key_place(environ)
    return read_key(file) or make_key(file)
