"""The part of `Sandbox` that stops calls: signals to running ones, their handlers, and the switch for everything.

Decides how it is spelled in Python, and nothing else: `sandbox.changes.signals` and `sandbox.changes.stopping` do it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sandbox.admission.signal import Signal, SignalContext, SignalledCall
from sandbox.changes.signals import Handler, Signals
from sandbox.changes.stopping import Stopping
from sandbox.components import Components, Running
from sandbox.control import Further
from sandbox.errors import SandboxError
from sandbox.receipt import Receipt
from sandbox.state import Stop

AHandler = TypeVar("AHandler", bound=Handler)


class Signalling:
    """What `Sandbox` offers to stop calls and to hear of it."""

    _signals: Signals
    _components: Components

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

    def _heard(self) -> dict[str, Further]:
        """What other processes of this user may ask about the calls that run here, and order."""

        async def calls(_: Mapping[str, Any]) -> dict[str, Any]:
            held = self.suspended()
            return {"calls": [call_json(call, call_id in held) for call_id, call in self._components.running.items()]}

        async def signal(asked: Mapping[str, Any]) -> dict[str, Any]:
            try:
                sent = Signal(str(asked["signal"]))
                await self.signal(str(asked["call_id"]), sent, reason=str(asked["reason"]), who=str(asked["who"]))
            except SandboxError as error:
                return {"refused": error.to_json()}
            return {"sent": sent.value}

        return {"calls": calls, "signal": signal}

    def running_calls(self) -> tuple[Running, ...]:
        """The calls that run or wait here."""
        return tuple(self._components.running.values())

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


def call_json(call: Running, suspended: bool) -> dict[str, Any]:
    """A running call as a JSON object; without its arguments, which may be anything."""
    told = {"call_id": call.call_id, "tool": call.tool, "component": call.component, "session": call.session}
    return {**told, "suspended": suspended}
