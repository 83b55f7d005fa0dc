"""Change what a component may do: grant, revoke, put another document in place. The way in for every one of these.

Decides that a change may be made at all: that it is well formed, inside the ceiling, about a component that is known, and on
record. What it means for running calls is `sandbox.changes.applying`.

Rules: what adds authority is recorded and on the disk before it is acknowledged, or it is not made; a revoke is made first and
recorded after, so it holds even where the record cannot be written any more; other running servers are told at once, outside
the lock, since two that change something at the same time would wait for each other.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from sandbox.admission import new_request_id
from sandbox.audit import AuditLog, Event, EventType, Redactor
from sandbox.changes.applying import Changes
from sandbox.control import notify_all
from sandbox.errors import GrantError, PolicyError, SandboxError, unknown_component
from sandbox.in_force.accepted import DEFAULTS, NOBODY, Accepted, Documents, Given
from sandbox.in_force.effective import Effective, deny_all
from sandbox.in_force.sessions import lives, new_keeper
from sandbox.in_force.views import PolicyView, grant_json, view_of
from sandbox.policy.effect import Effect
from sandbox.policy.grants import Grant, GrantKind, Lifetime
from sandbox.receipt import Receipt, ServerReceipt, StoppedCall
from sandbox.state import PolicyVersion, Store, StoredComponent
from sandbox.template.smallest import grant_for
from sandbox.wit.types import Digest

_LOG = logging.getLogger("sandbox")
OVER = "its session ended"
LIFETIMES = get_args(Lifetime)
MAX_PROBLEMS = 32
"""Places of a refused document that are kept in the record."""

LONGEST_S = 100 * 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class About:
    """Who grants, why, and for how long: `expires_in` in seconds, `max_uses` in calls; None is without end.

    A `session` is the one whose calls alone have the grant: a lifetime of `session` needs one, `once` may have one.
    """

    who: str = "local"
    reason: str | None = None
    expires_in: float | None = None
    max_uses: int | None = None
    lifetime: Lifetime = "lasting"
    session: str | None = None
    spent: bool = False
    """Whether its one use is a call's that runs already."""

    def __post_init__(self) -> None:
        seconds, calls = self.expires_in, self.max_uses
        if self.lifetime not in LIFETIMES:
            raise GrantError(f"`{self.lifetime}` is no lifetime", help="write `once`, `session` or `lasting`")
        if self.lifetime == "session" and not self.session:
            raise GrantError("a grant for a session needs to know which", help="name the `session`, or grant `once` or `lasting`")
        if self.lifetime == "lasting" and self.session is not None:
            raise GrantError("a lasting grant is of no session", help="leave `session` out, or grant for the `session`")
        if self.lifetime == "once" and calls not in (None, 1):
            raise GrantError(f"a grant for `once` cannot hold for `{calls}` calls", help="leave out one of the two")
        if seconds is not None and not 0 < seconds <= LONGEST_S:
            raise GrantError(f"a grant cannot last `{seconds}` seconds", help="give a positive number, or leave it out")
        if calls is not None and calls < 1:
            raise GrantError(f"a grant cannot hold for `{calls}` calls", help="give a positive number, or leave it out")

    @property
    def uses(self) -> int | None:
        """For how many calls the grant is good."""
        return 1 if self.lifetime == "once" else self.max_uses


@dataclass(slots=True)
class Granting:
    """The changes of one home. `own_socket` is the name of this process's control socket, or empty."""

    changes: Changes
    documents: Documents
    store: Store
    log: AuditLog
    clock: Callable[[], float]
    run: Path
    own_socket: Callable[[], str]
    keeper: str = field(default_factory=new_keeper)

    def known(self, component: str) -> tuple[Digest, Accepted]:
        """The digest and the document of a component, loaded here or remembered; raises NotFound."""
        loaded = self.changes.components.loaded.get(component)
        if loaded is not None:
            return loaded.digest, loaded.effective.accepted
        row = self.store.component(component)
        if row is None:
            raise unknown_component(component, {*self.changes.components.loaded, *(one.name for one in self.store.components())})
        return row.digest, self.documents.stored(row)

    def view(self, component: str, session: str | None = None) -> PolicyView:
        """What holds for a component now, for the calls of a session where one is named; raises NotFound."""
        return view_of(component, *self.holding(component, session))

    def holding(self, component: str, session: str | None = None) -> tuple[Digest, Effective]:
        """The same as it is judged by: nothing, with the reason, where its document does not hold here. Raises NotFound."""
        loaded = self.changes.components.loaded.get(component)
        if loaded is not None:
            return loaded.digest, loaded.effective_for(session)
        digest, document = self.known(component)
        try:
            return digest, self.changes.effective(component, digest, document, session=session)
        except SandboxError as error:
            return digest, deny_all(document, digest, error)

    async def grant(self, component: str, kind: GrantKind, entry: Mapping[str, Any], effect: Effect, about: About) -> Grant:
        """Add one entry; raises NotFound, GrantError.

        It stays where at least one running server gives it, or none runs the component: a later one may. Where none of those that
        run it does (each may have a ceiling of its own), it is withdrawn and refused. `control.status_all` tells who does not.
        """
        digest, document = self.known(component)
        grant = self._new(component, digest, kind, entry, effect, about)
        async with self.changes.lock:
            self._refuse_what_cannot_hold(component, digest, document, grant)
            since = self.store.generation()
            self.store.add_grant(grant, before_commit=lambda: self._record(EventType.PERMISSION_GRANTED, grant))
            telling = self.tell_others(since, grant.id)
            await self.changes.apply()
        await self._withdraw_what_nobody_gives(grant, await telling)
        return grant

    def preview(
        self, component: str, kind: GrantKind, entry: Mapping[str, Any], effect: Effect, about: About
    ) -> tuple[Effective, Effective]:
        """What holds for the calls that a grant would be for, before it and with it; raises as `grant` does."""
        digest, document = self.known(component)
        grant = self._new(component, digest, kind, entry, effect, about)
        return self._refuse_what_cannot_hold(component, digest, document, grant)

    def without(self, grant: Grant) -> tuple[Effective, Effective]:
        """What holds for the calls that a grant is for, with it and without it."""
        digest, document = self.known(grant.component_name)
        name, session = grant.component_name, grant.session
        held = self.changes.effective(name, digest, document, session=session)
        return held, self.changes.effective(name, digest, document, session=session, without=grant.id)

    async def grant_from_denial(self, denial_id: str, about: About) -> Grant:
        """Add the smallest entry that would have allowed a denied effect; raises NotFound, GrantError."""
        denied = self.store.denial(denial_id)
        digest, document = self.known(denied.component)
        if digest != denied.digest:
            raise GrantError(
                f"`{denied.component}` is another component than the one that was denied", help="make the call again"
            )
        held = self.changes.effective(denied.component, digest, document, session=about.session)
        smallest = grant_for(denied.denial, held.template)
        if smallest is None:
            raise GrantError(f"no grant can allow what `{denial_id}` tried: {denied.denial.reason}")
        return await self.grant(denied.component, smallest.kind, smallest.entry, Effect.ALLOW, about)

    async def revoke(self, grant_id: str) -> Receipt:
        """End a grant for good; raises NotFound, and GrantError where it has ended."""
        return await self._end(self.store.grant(grant_id), "revoked")

    async def over(self, grant: Grant, why: str) -> None:
        """End a grant that was for something which is over, if it has not ended."""
        if self.store.grant(grant.id) in self.store.grants(self.clock(), component=grant.component_name, used_up=True):
            await self._end(grant, why)

    def held(self) -> tuple[Grant, ...]:
        """The grants that have not ended, used up or not."""
        return self.store.grants(self.clock(), used_up=True)

    async def reset(self, component: str) -> tuple[tuple[Grant, Receipt], ...]:
        """End every grant of a component, denies too; raises NotFound."""
        ended = self.store.grants(self.clock(), component=component, used_up=True)
        if not ended:
            self.known(component)
        return tuple([(grant, await self._end(grant, "reset")) for grant in ended])

    async def start_anew(self) -> tuple[Receipt, tuple[str, ...]]:
        """End every grant of every component, and forget what of the store is not as it was left; its tables.

        What a person at a terminal decides: from now on the store is taken for ours, whatever happened to it.
        """
        async with self.changes.lock:
            since = self.store.generation()
            found = self.store.start_anew(self.clock())
            kind = EventType.SECURITY_ALERT if found else EventType.PERMISSION_REVOKED
            told = {"forgotten": list(found)}
            self._write(Event(kind, new_request_id(), subject="local", reason="every grant was reset", detail=told), Redactor())
            telling = self.tell_others(since)
            stopped = await self.changes.apply()
        return await self._receipt("", stopped, telling), found

    async def end_session(self, session: str) -> tuple[Grant, ...]:
        """End what was granted for a session: it is over. The grants that this ended."""
        async with self.changes.lock:
            ended = self.store.end_session(session, self.clock())
            stopped = await self.changes.apply() if ended else ()
        for grant in ended:
            told = tuple(call for call in stopped if call.component == grant.component_name)
            self._record(EventType.PERMISSION_REVOKED, grant, Receipt(grant.component_name, self.changes.seen, told), OVER)
        return ended

    def end_forgotten_sessions(self) -> None:
        """End what was granted for sessions whose process is gone: nobody else ends them."""
        with _told():
            for session in [session for keeper, session in self.store.sessions() if not lives(keeper)]:
                for grant in self.store.end_session(session, self.clock()):
                    receipt = Receipt(grant.component_name, self.store.generation())
                    self._record(EventType.PERMISSION_REVOKED, grant, receipt, OVER)

    async def end_own_sessions(self) -> None:
        """End what was granted for the sessions of this process: it goes."""
        with _told():
            for session in [session for keeper, session in self.store.sessions() if keeper == self.keeper]:
                await self.end_session(session)

    def _new(
        self, component: str, digest: Digest, kind: GrantKind, entry: Mapping[str, Any], effect: Effect, about: About
    ) -> Grant:
        now = self.clock()
        return Grant(
            id=f"g-{secrets.token_hex(6)}",
            component_name=component,
            digest=digest,
            kind=kind,
            entry=dict(entry),
            who=about.who,
            created_at=now,
            effect=effect,
            why=about.reason or "",
            expires_at=None if about.expires_in is None else now + about.expires_in,
            max_uses=about.uses,
            uses=1 if about.spent else 0,
            lifetime=about.lifetime,
            session=about.session,
            keeper=None if about.session is None else self.keeper,
        )

    async def _end(self, grant: Grant, why: str) -> Receipt:
        async with self.changes.lock:
            since = self.store.generation()
            if self.store.end_grant(grant.id, self.clock(), why) is None:
                raise GrantError(f"the grant `{grant.id}` has ended already")
            telling = self.tell_others(since)
            stopped = await self.changes.apply()
        receipt = await self._receipt(grant.component_name, stopped, telling)
        self._record(EventType.PERMISSION_REVOKED, grant, receipt, why)
        return receipt

    async def _withdraw_what_nobody_gives(self, grant: Grant, servers: tuple[ServerReceipt, ...]) -> None:
        """Never a deny: it takes away wherever it can, and where it cannot hold nothing is granted at all."""
        refused = [(server.server, server.held.why) for server in servers if server.held.holds is False]
        given = self.changes.held(grant.id).holds or any(server.held.holds for server in servers)
        if grant.effect is Effect.DENY or given or not refused:
            return
        await self._end(grant, "no running server gives it")
        said = "; ".join(f"server {name}: {why}" for name, why in refused)
        raise GrantError(
            f"no running server gives what it says, so it is withdrawn: {said}", help="grant what its ceiling allows"
        )

    async def update(self, component: str, given: Given) -> Receipt:
        """Put another document in place of the accepted one; raises NotFound, and PolicyError: then nothing has changed."""
        digest, _ = self.known(component)
        try:
            return await self._replace(component, self.documents.read(given))
        except PolicyError as error:
            # Where, not what: a document that is refused may hold anything.
            told = {"problems": [one.where for one in error.problems[:MAX_PROBLEMS]], "code": error.code.value}
            kind, audit_id = EventType.POLICY_REFUSED, new_request_id()
            self._write(Event(kind, audit_id, subject="local", component=component, digest=digest, detail=told), Redactor())
            raise

    async def put_back(self, component: str, version: PolicyVersion) -> Receipt:
        """Put a document that was accepted once in place of the accepted one; raises NotFound, PolicyError."""
        return await self._replace(component, self.accepted_then(version))

    def accepted_then(self, version: PolicyVersion) -> Accepted:
        """The document of an earlier version, with what was waived then; raises PolicyError."""
        file = version.policy_file
        return self.documents.kept(version.policy_text, Path(file).name or "policy", file)

    async def _replace(self, component: str, new: Accepted) -> Receipt:
        digest, _ = self.known(component)
        async with self.changes.lock:
            self.changes.effective(component, digest, new)
            since = self.store.generation()
            row = self.store.component(component, digest)
            self.put(component, digest, new, row.path if row is not None else "", EventType.POLICY_UPDATED)
            telling = self.tell_others(since)
            stopped = await self.changes.apply()
        return await self._receipt(component, stopped, telling)

    def put(self, name: str, digest: Digest, accepted: Accepted, path: str, kind: EventType) -> None:
        """Remember that this document is accepted for this component, on record and on the disk."""
        by = accepted.by if accepted.by != DEFAULTS else NOBODY  # a default holds as long as the configuration says so
        row = StoredComponent(name, digest, path, accepted.path or accepted.file, accepted.text, by, self.clock())
        told = {"file": row.policy_file, "policy": accepted.document.digest, "warnings": list(accepted.document.warnings)}
        event = Event(kind, new_request_id(), subject="local", component=name, digest=digest, detail=told)
        self.store.put_component(row, before_commit=lambda: self._write(event, Redactor()))

    def _refuse_what_cannot_hold(
        self, component: str, digest: Digest, document: Accepted, grant: Grant
    ) -> tuple[Effective, Effective]:
        """Above the ceiling, on the host's own folders, on a link that leads elsewhere, beside a grant that it would undo, …

        What holds without the grant and with it.
        """
        session = grant.session
        held = self.changes.effective(component, digest, document, session=session)
        before = {one.grant.id for one in held.left_out}
        try:
            effective = self.changes.effective(component, digest, document, grant, session=session)
        except PolicyError as error:
            said = "; ".join(problem.message for problem in error.problems)
            help_ = "; ".join(problem.help for problem in error.problems if problem.help)
            raise GrantError(f"the grant cannot hold: {said}", help=help_ or None) from error
        for one in effective.left_out:
            if one.grant.id not in before:
                other = "" if one.grant.id == grant.id else f" beside the grant `{one.grant.id}`"
                raise GrantError(f"the grant cannot hold{other}: {one.why}", help=one.help)
        return held, effective

    def tell_others(self, since: int, grant: str = "") -> asyncio.Task[tuple[ServerReceipt, ...]]:
        """Have every other running server apply the store now; await the answers outside the lock."""
        return asyncio.create_task(notify_all(self.run, since=since, besides=self.own_socket(), grant=grant))

    async def _receipt(
        self, component: str, stopped: tuple[StoppedCall, ...], telling: asyncio.Task[tuple[ServerReceipt, ...]]
    ) -> Receipt:
        return Receipt(component, self.store.generation(), stopped, await telling)

    def _record(self, kind: EventType, grant: Grant, receipt: Receipt | None = None, ended: str | None = None) -> None:
        event = Event(
            kind,
            new_request_id(),
            subject=grant.who,
            component=grant.component_name,
            digest=grant.digest,
            grants=(grant.id,),
            reason=ended or grant.why or None,
            detail={"grant": grant_json(grant)} if receipt is None else {"receipt": receipt.to_json()},
        )
        value = grant.entry.get("value") if grant.kind == "environment" else None
        self._write(event, Redactor([(str(grant.entry["key"]), value)] if isinstance(value, str) else []))

    def _write(self, event: Event, redactor: Redactor) -> None:
        self.log.append(event, redactor, sync=True)


@contextmanager
def _told() -> Iterator[None]:
    """Of a session that is over nothing can be had, whether its grants' end is written down or not."""
    try:
        yield
    except SandboxError as error:
        _LOG.error("grants of sessions that are over are not put away: %s", error)
