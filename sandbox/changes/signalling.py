"""The part of `Sandbox` that stops calls: signals to running ones, their handlers, and the switch for everything.

Decides how it is spelled in Python, and nothing else: `sandbox.changes.signals` and `sandbox.changes.stopping` do it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sandbox.admission.signal import Signal, SignalContext, SignalledCall
from sandbox.changes.signals import Handler, Signals
from sandbox.changes.stopping import Stopping
from sandbox.components import Running
from sandbox.receipt import Receipt
from sandbox.state import Stop

AHandler = TypeVar("AHandler", bound=Handler)


class Signalling:
    """What `Sandbox` offers to stop calls and to hear of it."""

    _signals: Signals

    def _switch(self) -> Stopping:
        raise NotImplementedError

    def on_signal(self, signal: Signal) -> Callable[[AHandler], AHandler]:
        """Have a function told of every such signal: `@sandbox.on_signal(Signal.SIGSTOP)`.

        It gets the call and the context (`reason`, `action`, `approved_by`), after the signal was sent. It may be a coroutine
        function; one that raises or takes longer than a second is logged and changes nothing.
        """

        def register(handler: AHandler) -> AHandler:
            self._signals.on(signal, handler)
            return handler

        return register

    async def signal(self, call_id: str, signal: Signal, *, reason: str = "", who: str = "local") -> SignalledCall:
        """Kill, suspend or resume a running call; its `wall_time` stands still while it is suspended. Raises NotFound."""
        return await self._signals.send(signal, call_id, SignalContext(reason, "signal", approved_by=who))

    def suspended(self) -> dict[str, Running]:
        """The calls that are suspended here, by their id."""
        return self._signals.suspended()

    async def stop_calls(self, session: str | None = None, *, reason: str = "", who: str = "local") -> tuple[Stop, Receipt]:
        """End every running call of a session, or of everybody, in every process of this home, and refuse all new ones.

        It holds until `resume_calls`, over restarts. The receipt says what was ended.
        """
        return await self._switch().stop(session, who=who, why=reason)

    async def resume_calls(self, session: str | None = None, *, who: str = "local") -> Stop:
        """Let what was stopped run again. Raises NotFound where it was not stopped."""
        return await self._switch().resume(session, who=who)

    def stops(self) -> tuple[Stop, ...]:
        """What is stopped, the oldest first."""
        return self._switch().stops()
