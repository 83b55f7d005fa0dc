"""The part of a store that remembers approvals: what was asked for, and what has become of it.

Decides nothing of what may follow what: that is `sandbox.admission.approval`. A change is made of the row as it is, checked and
kept in one step, so of ten processes that take one approval exactly one does.

Rules: what can still give something is sealed, as grants are; how much may be pending is bounded, of a subject, of a tenant and
in all, and who is refused learns of nobody else's; of what is closed the last ones are kept, without their arguments.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from sandbox.admission.approval import Approval, ApprovalError, Bound, State, Yes, expired
from sandbox.errors import Code, HostUnavailable, NotFound
from sandbox.state.tables import Tables

MAX_PENDING, MAX_OF_TENANT, MAX_OF_SUBJECT = 256, 128, 16
"""How many may be pending at a time, in all, of one tenant (or of all who have none), and of one subject of it: each wants a
person's time."""
WITHDRAWN_S = 60.0
"""How long one that was withdrawn keeps its place, from its asking on: to ask and take back, over and over, costs records too."""
MAX_CLOSED = 1_000
"""How many that are closed, or whose time is over, are remembered."""

_OPEN = (State.PENDING, State.APPROVED)
_PUT = "INSERT OR REPLACE INTO approvals VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_PENDING = "SELECT * FROM approvals WHERE state = 'pending' AND key = ?"
_LATEST = "SELECT * FROM approvals WHERE key = ? ORDER BY requested_at DESC, id LIMIT 1"
_COUNT = """
SELECT count(*), coalesce(sum(ours), 0), coalesce(sum(ours AND subject = ?2), 0)
FROM (SELECT subject, json_extract(body, '$.bound.tenant') IS ?1 AS ours FROM approvals
      WHERE state = 'pending' OR (state = 'withdrawn' AND requested_at > ?3))
"""
_DUE = "SELECT * FROM approvals WHERE state = 'pending' AND expires_at <= ?"
_LISTED = "SELECT * FROM approvals WHERE (?1 IS NULL OR state = ?1) ORDER BY requested_at, id"
_FORGET = """
DELETE FROM approvals WHERE state != 'pending' AND (state != 'approved' OR expires_at <= ?1) AND id NOT IN
(SELECT id FROM approvals WHERE state != 'pending' AND (state != 'approved' OR expires_at <= ?1)
 ORDER BY requested_at DESC, id LIMIT ?2)
"""

Change = Callable[[Approval], Approval]
Made = Callable[[Approval], None]
"""Told of a change when it is made and not yet kept: what it raises leaves nothing behind."""


class StoredApprovals:
    """Approvals: asked for, read, changed."""

    _tables: Tables

    def request_approval(self, wanted: Approval, *, before_commit: Made) -> Approval:
        """Keep a request; the one of exactly the same that is pending already, where there is one. Raises ApprovalError."""
        with self._tables.changing(wanted.requested_at) as db:
            if rows := db.execute(_PENDING, (wanted.bound.key,)).fetchall():
                return approval_of(rows[0])
            _refuse_too_many(db, wanted)
            db.execute(_PUT, _row(wanted))
            db.execute(_FORGET, (wanted.requested_at, MAX_CLOSED))
            before_commit(wanted)
        return wanted

    def change_approval(self, approval_id: str, change: Change, now: float, *, before_commit: Made) -> Approval:
        """Make of an approval what `change` makes of it; what that raises leaves it as it was. Raises NotFound."""
        with self._tables.changing(now) as db:
            rows = db.execute("SELECT * FROM approvals WHERE id = ?", (approval_id,)).fetchall()
            if not rows:
                raise _unknown(approval_id)
            after = change(approval_of(rows[0]))
            db.execute(_PUT, _row(after))
            before_commit(after)
        return after

    def expire_approvals(self, now: float, *, before_commit: Made) -> tuple[Approval, ...]:
        """Close what nobody has answered in time; those that this very call closed."""
        if not self._tables.rows(_DUE, (now,)):
            return ()
        with self._tables.changing(now) as db:
            closed = tuple(expired(approval_of(row), now) for row in db.execute(_DUE, (now,)).fetchall())
            for each in closed:
                db.execute(_PUT, _row(each))
                before_commit(each)
        return closed

    def approval(self, approval_id: str) -> Approval:
        """The approval of that id; raises NotFound."""
        rows = self._tables.trusting("SELECT * FROM approvals WHERE id = ?", (approval_id,))
        if not rows:
            raise _unknown(approval_id)
        return approval_of(rows[0])

    def latest_approval(self, bound: Bound) -> Approval | None:
        """The last one that was asked for of exactly this, whatever has become of it."""
        rows = self._tables.trusting(_LATEST, (bound.key,))
        return approval_of(rows[0]) if rows else None

    def approvals(self, state: State | None = None) -> tuple[Approval, ...]:
        """Those that are known, the oldest first: all, or those in one state."""
        rows = self._tables.trusting(_LISTED, (None if state is None else state.value,))
        return tuple(map(approval_of, rows))


def _refuse_too_many(db: sqlite3.Connection, wanted: Approval) -> None:
    """Raise ApprovalError where no place is left; how many are pending of others is not told."""
    bound, since = wanted.bound, wanted.requested_at - WITHDRAWN_S
    in_all, of_tenant, of_subject = db.execute(_COUNT, (bound.tenant, bound.subject, since)).fetchone()
    if of_subject >= MAX_OF_SUBJECT:
        told = f"{of_subject} approvals of `{bound.subject}` are pending, or were withdrawn just now, and no more are kept"
    elif of_tenant >= MAX_OF_TENANT or in_all >= MAX_PENDING:
        told = "too many approvals are pending, and no more are kept"
    else:
        return
    help_ = "one that is answered makes room; `sandbox approvals list` shows them"
    raise ApprovalError(told, help=help_, code=Code.ACCESS_DENIED)


def _row(approval: Approval) -> tuple[Any, ...]:
    told = asdict(approval)
    sealed = told.pop("sealed")
    return (*_said_apart(approval), json.dumps(told), sealed)


def _said_apart(approval: Approval) -> tuple[Any, ...]:
    """What is said in columns of its own, beside the body."""
    bound = approval.bound
    return (approval.id, bound.key, approval.state.value, bound.subject, approval.requested_at, approval.expires_at)


def approval_of(row: sqlite3.Row) -> Approval:
    """The approval in a row; raises HostUnavailable for one that is none, or whose columns say something else."""
    try:
        told = json.loads(row["body"])
        lists = {name: tuple(told["bound"][name]) for name in ("roles", "rules", "approver_roles")}
        told["bound"] = Bound(**{**told["bound"], **lists})
        told["yeses"] = tuple(Yes(**{**yes, "roles": tuple(yes["roles"])}) for yes in told["yeses"])
        approval = Approval(**{**told, "state": State(told["state"])}, sealed=row["sealed"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise HostUnavailable(f"the stored approval `{row['id']}` is none: {error}") from error
    if _said_apart(approval) != tuple(row)[:6]:
        raise HostUnavailable(f"the stored approval `{row['id']}` says two things")
    return approval


def _unknown(approval_id: str) -> NotFound:
    told = f"there is no approval `{approval_id[:80]}`"
    return NotFound(told, help="`sandbox approvals list` shows them", code=Code.APPROVAL_NOT_FOUND)
