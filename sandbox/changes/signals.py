"""Send a signal to a running call, say so in the record, and tell whoever listens.

Decides what each signal means at each moment of a call:

| signal | a call that runs | a call that a rule refuses |
|---|---|---|
| SIGKILL | its process is killed | the session's running calls are killed too |
| SIGSTOP | its process is stopped, its deadlines stand still, at most `suspend_timeout` | it is told that it needs approval |
| SIGCONT | it goes on | nothing |

Rules: the signal is sent before anything else; a handler is told afterwards and changes nothing: one that raises, or takes longer
than `HANDLER_S`, is logged. A handler that is no coroutine function runs in a thread, so that it cannot hold up the calls.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from sandbox.admission import Authorizer, CallRequest, Decision, new_request_id
from sandbox.admission.signal import Signal, SignalContext, SignalledCall
from sandbox.audit import AuditLog, Event, EventType, Redactor
from sandbox.components import Components, Running
from sandbox.errors import NotFound
from sandbox.host.outcome import Ending
from sandbox.host.suspension import Why

_LOG = logging.getLogger("sandbox")

HANDLER_S = 1.0
"""How long a handler may take."""
SUSPEND_S = 600.0
"""How long a call stays suspended where nobody said it, in seconds."""

Handler = Callable[[SignalledCall, SignalContext], Awaitable[None] | None]
_EVENTS = {
    Signal.SIGKILL: EventType.SIGNAL_KILL,
    Signal.SIGSTOP: EventType.SIGNAL_STOP,
    Signal.SIGCONT: EventType.SIGNAL_CONT,
}


class Signalled(Protocol):
    """What of the host a signal needs: `sandbox.host.host.Host`."""

    async def stop(self, call_ids: tuple[str, ...], reason: str, because: str = "") -> object:
        """Kill the workers of these calls."""

    def pause(self, call_id: str, why: Why, *, within_s: float) -> bool:
        """Hold a call up."""

    def resume(self, call_id: str, why: Why) -> bool:
        """Let it go on."""

    def paused(self) -> dict[str, frozenset[Why]]:
        """The calls that are held up."""


@dataclass(slots=True)
class Signals:
    """The signals of one process; its authorizer's document says how long a call may stay suspended."""

    components: Components
    log: Callable[[], AuditLog]
    host: Callable[[], Signalled | None]
    authorizer: Callable[[], Authorizer]
    _handlers: dict[Signal, list[Handler]] = field(default_factory=dict)
    _telling: set[asyncio.Task[None]] = field(default_factory=set)

    def on(self, signal: Signal, handler: Handler) -> None:
        """Have a handler told of every such signal."""
        self._handlers.setdefault(signal, []).append(handler)

    async def send(self, signal: Signal, call_id: str, context: SignalContext) -> SignalledCall:
        """Send a signal to a call. Raises NotFound where it does not run here, and for a SIGCONT to one that is not held."""
        host, running = self.host(), self.components.running.get(call_id)
        if host is None or running is None:
            raise NotFound(f"no call `{call_id}` runs", help="`sandbox signal list` lists those that run")
        await self._apply(host, signal, call_id, context)
        call = SignalledCall(running.tool, running.component, call_id, running.session)
        self._told(signal, call, context)
        return call

    async def refused(self, request: CallRequest, decision: Decision) -> None:
        """A rule has refused a call and names a signal: what that does to the calls of its session, and who is told."""
        if decision.signal is None:
            return
        signal, context = Signal(decision.signal), SignalContext(decision.reason, "violation")
        host = self.host()
        if signal is Signal.SIGKILL and host is not None and request.session is not None:
            theirs = tuple(one.call_id for one in self.components.running.values() if one.session == request.session)
            await host.stop(theirs, Ending.KILLED, f"another call of this session broke a rule: {decision.reason}")
        self._told(signal, SignalledCall(request.tool, request.component, None, request.session, request.subject_id), context)

    def suspended(self) -> dict[str, Running]:
        """The calls that a signal holds up."""
        host = self.host()
        held = host.paused() if host is not None else {}
        running = self.components.running
        return {call_id: running[call_id] for call_id, why in held.items() if Why.SIGNAL in why and call_id in running}

    async def close(self) -> None:
        """Wait for the handlers that are being told, which is not for long."""
        await asyncio.gather(*self._telling, return_exceptions=True)

    async def _apply(self, host: Signalled, signal: Signal, call_id: str, context: SignalContext) -> None:
        if signal is Signal.SIGKILL:
            await host.stop((call_id,), Ending.KILLED, f"the call was killed: {context.reason}" if context.reason else "")
        elif signal is Signal.SIGSTOP:
            if not host.pause(call_id, Why.SIGNAL, within_s=self._suspend_s()):
                raise NotFound(f"no call `{call_id}` runs")
        elif not host.resume(call_id, Why.SIGNAL):
            raise NotFound(f"the call `{call_id}` is not suspended", help="`sandbox signal list` lists those that are")

    def _suspend_s(self) -> float:
        ruleset = self.authorizer().ruleset
        said = None if ruleset is None else ruleset.document.signals.suspend_s
        return SUSPEND_S if said is None else said

    def _told(self, signal: Signal, call: SignalledCall, context: SignalContext) -> None:
        """Record it, and tell the handlers beside."""
        event = Event(
            _EVENTS[signal],
            new_request_id(),
            subject=context.approved_by or call.subject,
            session=call.session,
            component=call.component or None,
            tool=call.tool,
            reason=context.reason or None,
            detail={"action": context.action, **({} if call.call_id is None else {"call_id": call.call_id})},
        )
        self.log().append(event, Redactor())
        for handler in self._handlers.get(signal, ()):
            task = asyncio.get_running_loop().create_task(_tell(handler, call, context))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)


async def _tell(handler: Handler, call: SignalledCall, context: SignalContext) -> None:
    name = getattr(handler, "__qualname__", repr(handler))
    try:
        async with asyncio.timeout(HANDLER_S):
            if inspect.iscoroutinefunction(handler):
                await handler(call, context)
            else:
                await asyncio.to_thread(handler, call, context)
    except TimeoutError:
        _LOG.error("the signal handler `%s` took longer than %.0f s and is not waited for", name, HANDLER_S)
    except Exception:  # noqa: BLE001 - whatever a handler does, the calls go on
        _LOG.exception("the signal handler `%s` failed", name)
