"""What the stores have in common whose rows somebody else could write: a seal, and a mark outside of the store."""

from __future__ import annotations

from contextlib import suppress

from sandbox.state.authentic import Authentic, Mark, StoreChangedError
from sandbox.state.tables import Tables


class SealedTables(Tables):
    """Tables under a seal; `_authentic` knows whether they are as this program left them."""

    _authentic: Authentic

    def not_ours(self) -> tuple[str, ...]:
        """The tables that something else has changed."""
        try:
            self.trusted()
        except StoreChangedError as error:
            return error.tables
        return ()

    def latest_outside(self) -> float:
        """What the mark says; a mark that is none says nothing, and whatever needs an authentic store raises."""
        try:
            return self._authentic.mark().latest
        except StoreChangedError:
            return 0.0

    def advance_outside(self, now: float) -> None:
        """Raise the mark."""
        with suppress(StoreChangedError):
            self._authentic.advance(Mark(latest=now))
