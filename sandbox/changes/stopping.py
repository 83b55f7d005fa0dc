"""Stop everything, or a session, in every process of a home, until somebody resumes it.

Decides nothing about who may. What is stopped is in the store: so it holds over restarts, and for a process that starts later.

`stop`, in order: 1. keep it in the store  2. have the other processes look, and look here: running calls are killed, idle
workers too  3. record it, with what it ended. It holds even where it cannot be recorded. `resume` is recorded before it is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.admission import new_request_id
from sandbox.audit import Event, EventType, Redactor
from sandbox.changes.granting import Granting
from sandbox.errors import NotFound
from sandbox.receipt import Receipt
from sandbox.state import EVERYTHING, Stop


@dataclass(slots=True)
class Stopping:
    """The switch of one home; `granting` knows its store, its record and its other processes."""

    granting: Granting

    async def stop(self, session: str | None, *, who: str, why: str) -> tuple[Stop, Receipt]:
        """Refuse the calls of a session, or of everybody, and end those that run. The stop that holds now, and what it ended."""
        changes, store = self.granting.changes, self.granting.store
        scope = EVERYTHING if session is None else session
        async with changes.lock:
            since = store.generation()
            held = store.stop(Stop(scope, who, why, self.granting.clock()))
            telling = self.granting.tell_others(since)
            ended = await changes.apply()
        receipt = Receipt("", store.generation(), ended, await telling)
        told = {"scope": _named(scope), "receipt": receipt.to_json()}
        self._record(EventType.CALLS_STOPPED, who, why, told, session)
        return held, receipt

    async def resume(self, session: str | None, *, who: str) -> Stop:
        """Let the calls of a session, or of everybody, run again. Raises NotFound where they were not stopped."""
        changes, store = self.granting.changes, self.granting.store
        scope = EVERYTHING if session is None else session
        async with changes.lock:
            if not any(stop.scope == scope for stop in store.stops()):
                raise _not_stopped(store.stops(), scope)
            since = store.generation()
            told = {"scope": _named(scope)}
            record = lambda: self._record(EventType.CALLS_RESUMED, who, "", told, session)  # noqa: E731 - named for the line below
            ended = store.resume(scope, self.granting.clock(), before_commit=record)
            telling = self.granting.tell_others(since)
            await changes.apply()
        await telling
        if ended is None:
            raise _not_stopped(store.stops(), scope)
        return ended

    def stops(self) -> tuple[Stop, ...]:
        """What is stopped, the oldest first."""
        return self.granting.store.stops()

    def _record(self, kind: EventType, who: str, why: str, told: dict[str, Any], session: str | None) -> None:
        event = Event(kind, new_request_id(), subject=who, session=session, reason=why or None, detail=told)
        self.granting.log.append(event, Redactor(), sync=True)


def _named(scope: str) -> str:
    return "everything" if scope == EVERYTHING else scope


def _not_stopped(stops: tuple[Stop, ...], scope: str) -> NotFound:
    others = ", ".join(f"`{_named(stop.scope)}`" for stop in stops)
    help_ = f"what is stopped: {others}" if others else "nothing is stopped"
    return NotFound(f"{'everything' if scope == EVERYTHING else f'the session `{scope}`'} is not stopped", help=help_)
