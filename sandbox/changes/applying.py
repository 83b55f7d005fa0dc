"""Make what the store says hold here: compile anew, and stop the running calls that lost something.

Decides which running calls a change concerns: those whose template held what the new one does not give. They are stopped; one
that lost hosts alone runs on without them. Everything that changes authority goes through `apply`: a grant, a revoke, an update,
an expiry, in this process or another.

Rules: one change at a time; the new template holds before the first call is stopped, so no call starts under the old one; what
cannot be compiled any more gives nothing; a component's digest is part of a grant, so another component has none.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from sandbox.admission import new_request_id
from sandbox.audit import AuditLog, Event, EventType, Redactor
from sandbox.changes.following import follow
from sandbox.changes.uninterrupted import uninterrupted
from sandbox.components import Components, Loaded, Running
from sandbox.errors import HostUnavailable, SandboxError
from sandbox.host.outcome import Ending
from sandbox.in_force.accepted import Accepted, Documents
from sandbox.in_force.effective import Around, Effective, compile_effective, deny_all, kept_by, why_not_granted
from sandbox.in_force.sessions import Bound, by_session
from sandbox.in_force.stopped import said_of
from sandbox.policy.grants import Grant
from sandbox.receipt import Held, StoppedCall
from sandbox.state import EVERYTHING, Store, StoredComponent
from sandbox.state.authentic import StoreChangedError
from sandbox.template.difference import taken_away
from sandbox.template.smallest import SmallestGrant
from sandbox.template.template import WasiTemplate
from sandbox.wit.types import Digest

_LOG = logging.getLogger("sandbox")


class Stopped(Protocol):
    """What the host says of a call that it stopped."""

    @property
    def call_id(self) -> str:
        """The call's id."""

    @property
    def ms(self) -> float:
        """From the order to the worker's death, or until its connections were cut."""

    @property
    def connections_only(self) -> bool:
        """Whether it runs on without them."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A running call that holds what it may not hold any more. With `kept`, nothing but hosts: it may run on under that."""

    call: Running
    kept: WasiTemplate | None = None


class Stopper(Protocol):
    """What of the host a change needs: `sandbox.host.host.Host`."""

    async def narrow(self, call_id: str, template: WasiTemplate) -> Stopped | None:
        """Hold a running call to other network rules, its connections cut; None where it does not run."""

    async def stop(self, call_ids: tuple[str, ...], reason: str, because: str = "") -> tuple[Stopped, ...]:
        """Kill the workers of these calls, for an ending and with a sentence."""

    async def retire(self, digest: Digest | None = None) -> int:
        """End the idle workers, of one component or all."""


@dataclass(slots=True)
class Changes:
    """The generation that holds here, and the way to the next one."""

    components: Components
    around: Around
    documents: Documents
    store: Store
    log: AuditLog
    clock: Callable[[], float]
    stopper: Callable[[], Stopper | None]
    changed: Callable[[], None]
    reconcile: Callable[[], list[Running]] = list
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    seen: int = -1
    next_expiry: float | None = None
    _recent: deque[tuple[int, tuple[StoppedCall, ...]]] = field(default_factory=lambda: deque(maxlen=256))
    _timer: asyncio.TimerHandle | None = None
    _expiring: asyncio.Task[None] | None = None
    _following: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Apply what changed since the last look, if anything did. Cheap where nothing did."""
        if self.store.generation() != self.seen or (self.next_expiry is not None and self.clock() >= self.next_expiry):
            async with self.lock:
                await self.apply()

    async def sync(self, since: int) -> tuple[StoppedCall, ...]:
        """Apply what changed; the calls stopped by every change newer than generation `since`."""
        await self.refresh()
        return tuple(call for generation, stopped in self._recent if generation > since for call in stopped)

    async def apply(self) -> tuple[StoppedCall, ...]:
        """Make the store's word hold; the calls that this stopped. To be called with the lock held.

        To its end, even where the caller is cancelled: what was seen as lost is stopped now, or never.
        """
        return await uninterrupted(self._apply())

    async def _apply(self) -> tuple[StoppedCall, ...]:
        now = self.clock()
        expired: tuple[Grant, ...] = ()
        losses: list[Loss] = []
        try:
            expired = self.store.expire(now)
            generation = self.store.generation()
            self.components.stops.hold(self.store.stops())
            self.components.assigned.hold(self.store.assignments())
            losses += [Loss(call) for call in self.reconcile()]
            for component in self.components.loaded.values():
                losses += self._renew(component, now)
        except StoreChangedError as error:
            generation, losses = self.store.generation(), self._take_all_away(error)
        except HostUnavailable:
            # What is known to be taken away is, whatever the rest would have been.
            await self._stop(losses)
            raise
        self.seen = generation
        stopped = (*await self._kill_stopped(), *await self._stop(losses))
        self._recent.append((generation, stopped))
        self._wake_at_expiry(now)
        self.changed()
        # Last, since it may raise: what has ended has ended, on record or not.
        for grant in expired:
            self._record_expiry(grant, stopped)
        return stopped

    def follow(self) -> None:
        """Hear from now on of what other servers change, where the store is shared with others."""
        if self._following is None and (heard := self.store.watch()) is not None:
            self._following = asyncio.create_task(follow(heard, self))

    async def heard(self) -> None:
        """Apply what changed; a store that something else has changed is noticed even where it says that nothing has."""
        await self.refresh()
        try:
            self.store.check()
        except StoreChangedError:
            async with self.lock:
                await self.apply()

    async def lose(self, error: HostUnavailable) -> None:
        """Nothing holds any more until the store can be asked; calls that hold something are stopped."""
        async with self.lock:
            self.seen = -1
            await uninterrupted(self._stop(self._take_all_away(error)))

    def held(self, grant_id: str) -> Held:
        """Whether a grant that has not ended holds in this process."""
        session = self.store.grant(grant_id).session
        for component in self.components.loaded.values():
            effective = component.effective_for(session)
            if any(grant.id == grant_id for grant in effective.grants):
                return Held(True)
            why = next((one.why for one in effective.left_out if one.grant.id == grant_id), None)
            if why is not None:
                return Held(False, why)
        return self._held_by_none(grant_id)

    def left_out(self) -> dict[str, str]:
        """The grants that give nothing here, each with the reason."""
        made = [each for one in self.components.loaded.values() for each in (one.effective, *one.bound.made())]
        return {one.grant.id: one.why for effective in made for one in effective.left_out}

    def _held_by_none(self, grant_id: str) -> Held:
        grant = self.store.grant(grant_id)
        component = self.components.loaded.get(grant.component_name)
        if component is None or component.digest != grant.digest or not component.effective.problems:
            return Held()
        return Held(False, f"nothing is granted here: {component.effective.problems[0]}")

    def effective(
        self, name: str, digest: Digest, accepted: Accepted, *more: Grant, session: str | None = None, without: str = ""
    ) -> Effective:
        """What would hold for a component now, for the calls of `session`, with `more` grants and `without` one.

        Raises as `compile_effective` does.
        """
        now = self.clock()
        stored = self.store.grants(now, component=name, digest=digest, used_up=True)
        free, bound = by_session(grant for grant in stored if grant.id != without)
        mine = bound.get(session, ()) if session is not None else ()
        return compile_effective(self.around, name, digest, accepted, (*free, *mine, *more), now)

    def why_not(self, component: Loaded, wanted: SmallestGrant) -> str | None:
        """Why granting this would be refused here, in words for a client; None where it would not."""
        return why_not_granted(self.around, component.name, component.digest, component.effective, wanted.kind, wanted.entry)

    def answered(self, call_id: str, grant: Grant) -> bool:
        """Note that a running call has what was granted while it ran: a revoke of it stops the call. Whether it holds."""
        call = self.components.running.get(call_id)
        component = None if call is None else self.components.loaded.get(call.component)
        if call is None or component is None:
            return False
        grants, effective = (*call.grants, grant.id), component.effective_for(call.session)
        kept = kept_by(self.around, component.name, component.digest, effective, grants, self.clock())
        given = tuple(rule for rule in kept.files if rule.origin == grant.origin)
        template = replace(call.template, files=(*call.template.files, *given))
        self.components.running[call_id] = replace(call, template=template, grants=grants)
        return bool(given)

    async def close(self) -> None:
        """Wake and hear no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait({self._following}, timeout=1)

    def _renew(self, component: Loaded, now: float) -> tuple[Loss, ...]:
        """Give a component what holds for it; its running calls that lost something by it."""
        old, bound_before = component.effective, component.bound.grants
        accepted = self._accepted(component, self.store.component(component.name, component.digest))
        free, bound = by_session(self.store.grants(now, component=component.name, digest=component.digest, used_up=True))
        component.effective = self._held_with(component, accepted, free, now)
        component.bound = Bound(bound, lambda more: self._held_with(component, accepted, (*free, *more), now))
        for one in component.effective.left_out:
            if one not in old.left_out:
                _LOG.warning("%s: %s", component.name, one.told)
        same = (component.effective.template, component.effective.spent) == (old.template, old.spent)
        if same and bound == bound_before:
            return ()
        losses = (self._loss(component, call, now) for call in self.components.calls_of(component.name))
        return tuple(loss for loss in losses if loss is not None)

    def _take_all_away(self, error: HostUnavailable) -> list[Loss]:
        """Nothing holds any more, here: what the store says is not what was granted. The calls that ran under something."""
        _LOG.critical("%s", error)
        told = {"error": error.message}
        alert = Event(EventType.SECURITY_ALERT, new_request_id(), reason=error.message, code=error.code.value, detail=told)
        self.log.append(alert, Redactor(), sync=True)
        for component in self.components.loaded.values():
            component.effective = deny_all(component.effective.accepted, component.digest, error)
            component.bound = Bound()
        return [
            Loss(call)
            for component in self.components.loaded.values()
            for call in self.components.calls_of(component.name)
            if taken_away(call.template, component.effective.template)
        ]

    def _held_with(self, component: Loaded, accepted: Accepted, grants: tuple[Grant, ...], now: float) -> Effective:
        try:
            return compile_effective(self.around, component.name, component.digest, accepted, grants, now)
        except SandboxError as error:
            nothing = deny_all(accepted, component.digest, error)
            if nothing.problems != component.effective.problems:
                _LOG.error("%s: nothing is granted any more: %s", component.name, error)
            return nothing

    def _loss(self, component: Loaded, call: Running, now: float) -> Loss | None:
        """What becomes of a running call that holds something which it may not hold any more; None where it does not."""
        try:
            effective = component.effective_for(call.session)
            kept = kept_by(self.around, component.name, component.digest, effective, call.grants, now)
        except SandboxError:
            return Loss(call)
        taken = taken_away(call.template, kept)
        if not taken:
            return None
        return Loss(call, kept if taken.only_network else None)

    def _accepted(self, component: Loaded, found: StoredComponent | None) -> Accepted:
        """The document in the store; this one's own where nobody accepted one there."""
        accepted = component.effective.accepted
        if found is None or not found.accepted_by or found.policy_text == accepted.text:
            return accepted
        return self.documents.stored(found)

    async def _stop(self, losses: list[Loss]) -> tuple[StoppedCall, ...]:
        stopper = self.stopper()
        if not losses or stopper is None:
            return ()
        calls = {loss.call.call_id: loss.call for loss in losses}
        kept = {loss.call.call_id: loss.kept for loss in losses if loss.kept is not None}
        killing = stopper.stop(tuple(call_id for call_id in calls if call_id not in kept), Ending.REVOKED)
        narrowing = asyncio.gather(*(stopper.narrow(call_id, template) for call_id, template in kept.items()))
        killed, narrowed = await asyncio.gather(killing, narrowing)
        stopped = [*killed, *(one for one in narrowed if one is not None)]
        for one in stopped:
            if one.connections_only:
                self._hold_to(calls[one.call_id], kept[one.call_id])
        return _told(stopped, calls)

    async def _kill_stopped(self) -> tuple[StoppedCall, ...]:
        """End the running calls that a stop is about; of a stop of everything, the idle workers too."""
        stops, stopper = self.components.stops, self.stopper()
        if not stops.held or stopper is None:
            return ()
        calls = {call_id: call for call_id, call in self.components.running.items() if stops.of(call.session)}
        if EVERYTHING in stops.held:
            await stopper.retire()
        because = {call_id: said_of(stop) for call_id, call in calls.items() if (stop := stops.of(call.session))}
        ends = await asyncio.gather(*(stopper.stop((call_id,), Ending.KILLED, said) for call_id, said in because.items()))
        return _told([one for end in ends for one in end], calls)

    def _hold_to(self, call: Running, kept: WasiTemplate) -> None:
        """Note what a call that runs on holds from now on: a later change is judged by that."""
        if call.call_id in self.components.running:
            held = replace(call.template, network=kept.network)
            self.components.running[call.call_id] = replace(call, template=held)

    def _record_expiry(self, grant: Grant, stopped: tuple[StoppedCall, ...]) -> None:
        told = {"stopped": [call.to_json() for call in stopped if call.component == grant.component_name]}
        about = Event(
            EventType.PERMISSION_REVOKED,
            new_request_id(),
            component=grant.component_name,
            digest=grant.digest,
            grants=(grant.id,),
            reason="expired",
            detail=told,
        )
        self.log.append(about, Redactor(), sync=True)

    def _wake_at_expiry(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.next_expiry = self.store.next_expiry()
        if self.next_expiry is not None:
            # At most a day at a time: a timer of years overflows, and the clock may be set in between.
            # One that is due and was not ended is of a store that is not ours: looked at again, not for ever at once.
            delay = min(self.next_expiry - now, 86_400.0) if self.next_expiry > now else 60.0
            self._timer = asyncio.get_running_loop().call_later(delay, self._expire)

    def _expire(self) -> None:
        self._expiring = asyncio.get_running_loop().create_task(self._expired())

    async def _expired(self) -> None:
        try:
            async with self.lock:
                await self.apply()
        except SandboxError as error:
            _LOG.error("a grant has expired, and: %s", error)


def _told(stopped: Iterable[Stopped], calls: Mapping[str, Running]) -> tuple[StoppedCall, ...]:
    return tuple(
        StoppedCall(one.call_id, calls[one.call_id].component, calls[one.call_id].tool, one.ms, one.connections_only)
        for one in stopped
    )
