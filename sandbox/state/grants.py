"""The part of a store that remembers grants.

Rules: a use is counted in the same step that checks it; what has ended stays ended (nothing here un-ends a grant); how many
grants may hold for a component is bounded.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from sandbox.errors import Code, GrantError, NotFound
from sandbox.policy.grants import Grant
from sandbox.state.rows import grant_of, grant_row
from sandbox.state.tables import BeforeCommit, Tables
from sandbox.wit.types import Digest

MAX_GRANTS = 10_000
"""How many grants may hold for one component at a time."""

_COUNT = """
SELECT count(*) FROM grants WHERE component = ? AND ended_at IS NULL AND (max_uses IS NULL OR uses < max_uses)
"""
_INSERT = "INSERT INTO grants VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_HOLDING = """
SELECT * FROM grants WHERE ended_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
AND (max_uses IS NULL OR uses < max_uses OR :used_up)
AND (:component IS NULL OR component = :component) AND (:digest IS NULL OR digest = :digest) ORDER BY created_at, rowid
"""
_END = "UPDATE grants SET ended_at = ?, ended_why = ? WHERE id = ? AND ended_at IS NULL RETURNING *"
_NEXT_EXPIRY = "SELECT min(expires_at) FROM grants WHERE ended_at IS NULL"
_EXPIRE = "UPDATE grants SET ended_at = :now, ended_why = 'expired' WHERE ended_at IS NULL AND expires_at <= :now RETURNING *"
_SESSIONS = "SELECT DISTINCT keeper, session FROM grants WHERE ended_at IS NULL AND session IS NOT NULL"
_END_SESSION = """
UPDATE grants SET ended_at = ?, ended_why = 'its session ended' WHERE ended_at IS NULL AND session = ? RETURNING *
"""
_USE = """
UPDATE grants SET uses = uses + 1 WHERE id = :id AND ended_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
AND (max_uses IS NULL OR uses < max_uses)
"""


class StoredGrants:
    """Grants: added, read, used, ended."""

    _tables: Tables

    def add_grant(self, grant: Grant, *, before_commit: BeforeCommit) -> None:
        """Persist a grant; when this returns it survives a crash. What `before_commit` raises leaves nothing behind."""
        with self._tables.changing(grant.created_at) as db:
            (count,) = db.execute(_COUNT, (grant.component_name,)).fetchone()
            if count >= MAX_GRANTS:
                raise GrantError(
                    f"`{grant.component_name}` has {count} grants", help="revoke some, or write them into its policy"
                )
            db.execute(_INSERT, grant_row(grant))
            before_commit()

    def grant(self, grant_id: str) -> Grant:
        """The grant of that id, ended or not; raises NotFound."""
        rows = self._tables.trusting("SELECT * FROM grants WHERE id = ?", (grant_id,))
        if not rows:
            raise NotFound(
                f"there is no grant `{grant_id}`", help="`sandbox permission list` shows them", code=Code.GRANT_NOT_FOUND
            )
        return grant_of(rows[0])

    def grants(
        self, now: float, *, component: str | None = None, digest: Digest | None = None, used_up: bool = False
    ) -> tuple[Grant, ...]:
        """The grants that hold at `now`, the oldest first: all, or those of one component name and digest.

        With `used_up` also those that give nothing to a further call, and that a running one may hold.
        """
        about = {"now": now, "component": component, "digest": digest, "used_up": used_up}
        return tuple(map(grant_of, self._tables.trusting(_HOLDING, about)))

    def end_grant(self, grant_id: str, now: float, why: str) -> Grant | None:
        """End a grant for good; None where it had ended before (another process may have been first)."""
        with self._tables.changing(now) as db:
            ended = db.execute(_END, (now, why, grant_id)).fetchall()
        return grant_of(ended[0]) if ended else None

    def sessions(self) -> tuple[tuple[str, str], ...]:
        """The sessions that grants are bound to, each with the process that keeps it."""
        return tuple((row["keeper"] or "", row["session"]) for row in self._tables.rows(_SESSIONS))

    def end_session(self, session: str, now: float) -> tuple[Grant, ...]:
        """End every grant that is bound to a session; gives those that this very call ended."""
        if all(session != bound for _, bound in self.sessions()):
            return ()
        with self._tables.changing(now) as db:
            ended = db.execute(_END_SESSION, (now, session)).fetchall()
        return tuple(map(grant_of, ended))

    def expire(self, now: float) -> tuple[Grant, ...]:
        """End every grant whose time is over at `now`; gives those that this very call ended."""
        due = self.next_expiry()
        if due is None or due > now:
            return ()
        with self._tables.changing(now) as db:
            ended = db.execute(_EXPIRE, {"now": now}).fetchall()
        return tuple(map(grant_of, ended))

    def next_expiry(self) -> float | None:
        """When the next grant that has not ended expires, or None."""
        ((when,),) = self._tables.rows(_NEXT_EXPIRY)
        return None if when is None else float(when)

    def take_uses(self, grant_ids: Iterable[str], now: float) -> bool:
        """Count one use of each of these grants, all or none: False where one of them does not hold any more."""
        try:
            with self._tables.changing(now) as db:
                for grant_id in grant_ids:
                    _used(db.execute(_USE, {"id": grant_id, "now": now}))
        except _UsedUpError:
            return False
        return True


class _UsedUpError(Exception):
    """Rolls a change back: a grant in it does not hold any more."""


def _used(done: sqlite3.Cursor) -> None:
    if done.rowcount != 1:
        raise _UsedUpError
