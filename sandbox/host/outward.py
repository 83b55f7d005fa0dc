"""The server's end of the egress gateway: started when the first network rule needs it, told which worker may reach what.

Decides nothing: what a rule allows, the gateway judges. What it saw of a call is collected here until the call ends.

Rules: a secret goes to the gateway with the call that may use it, and is forgotten there with its end; the gateway's environment
holds nothing but the system's way to name a trust store; a gateway that dies is started again at the next worker that needs one,
and the workers it served are of no more use for the network.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.config.proxy import Proxy
from sandbox.host.child import Child
from sandbox.host.process import Worker
from sandbox.template.template import WasiTemplate
from sandbox.template.wire import network_to_wire

_TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_FLUSH_SECONDS = 1.0
_START_SECONDS = 10.0
_EVENTS = 1_000
"""Kept of one call; more are counted by the gateway's own caps."""


class Outward:
    """The gateway process of one host. `on_lost(worker ids)` names workers that it serves no more."""

    def __init__(
        self,
        nameserver: tuple[str, int] | None,
        on_lost: Callable[[frozenset[int]], None],
        proxy: Proxy | None = None,
        proxy_login: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._nameserver = nameserver
        self._proxy, self._proxy_login = proxy, proxy_login
        self._login_told: str | None = None
        self._on_lost = on_lost
        self._child: Child | None = None
        self._answered: Child | None = None
        self._attached: set[int] = set()
        self._credentials: dict[int, frozenset[str]] = {}
        self._events: dict[tuple[int, str], list[dict[str, Any]]] = {}
        self._sending: dict[tuple[int, str], int] = {}
        self._numbers = itertools.count(1)
        self._flushing: dict[int, asyncio.Future[None]] = {}
        self.starts = 0
        """How often the gateway was started."""

    def attach(self, worker: Worker, template: WasiTemplate) -> None:
        """Give the gateway a worker's way out, and the rules for it."""
        egress = worker.egress()
        if egress is None:
            return
        with egress:
            channel = self._running().channel
            channel.send({"attach": worker.id}, (egress.fileno(),))
        channel.send(_rules(worker, template))
        self._attached.add(worker.id)
        named = frozenset(rule.credential.secret for rule in template.network if rule.credential is not None)
        if named:
            self._credentials[worker.id] = named

    async def ready(self) -> None:
        """Wait until the gateway answers: a call's `wall_time` is not for the gateway's start."""
        if self._answered is not None and self._answered is self._child:
            return
        await self._flush(_START_SECONDS)
        self._answered = self._child

    def reset(self, worker: Worker) -> None:
        """Cut everything that a worker has on the way."""
        if self._child is not None and worker.id in self._attached:
            self._child.channel.send({"reset": worker.id})

    async def narrow(self, worker: Worker, template: WasiTemplate) -> bool:
        """Hold a worker to the rules of another template and cut all that it has on the way; False where that is not sure."""
        child = self._child
        if child is None or not child.alive or worker.id not in self._attached:
            return False
        child.channel.send(_rules(worker, template))
        child.channel.send({"reset": worker.id})
        # Frames are answered in order: once this one is, the others hold.
        return await self._flush(_FLUSH_SECONDS) and child.alive

    async def events(self, worker: Worker, call_id: str) -> list[dict[str, Any]]:
        """What the gateway saw of a call that has ended, its worker dead or alive; what a dead gateway had not told is lost."""
        seen = self._events.get((worker.id, call_id), [])
        try:
            if self._child is not None and self._child.alive:
                self._child.channel.send({"ended": worker.id, "call": call_id})
                await self._flush(_FLUSH_SECONDS)
        finally:
            self.drop(worker, call_id)
        return seen

    def begin(self, worker: Worker, call_id: str, secrets: Mapping[str, str]) -> None:
        """Collect what a call does, and give the gateway what it may add to the call's requests; before the call is sent.

        Events of no call that runs are dropped.
        """
        if worker.id not in self._attached:
            return
        self._events[worker.id, call_id] = []
        if self._proxy is not None and self._child is not None and (login := self._proxy_login()) != self._login_told:
            self._tell_proxy(self._child, self._proxy, login)
        named = self._credentials.get(worker.id)
        if named is not None and self._child is not None:
            # A variable's secret is not for the gateway.
            values = {name: value for name, value in secrets.items() if name in named}
            self._child.channel.send({"secrets": worker.id, "call": call_id, "values": values})

    def sent(self, worker: Worker, call_id: str) -> int:
        """The bytes that a running call has sent, as far as is known; what is on the way is asked for, for the next look."""
        key = (worker.id, call_id)
        if key not in self._events:
            return 0
        if self._child is not None and self._child.alive:
            self._child.channel.send({"sending": worker.id, "call": call_id})
        return sum(int(event.get("bytes_out") or 0) for event in self._events[key]) + self._sending.get(key, 0)

    def drop(self, worker: Worker, call_id: str) -> list[dict[str, Any]]:
        """What has been heard of a call so far; more will not be asked for."""
        self._sending.pop((worker.id, call_id), None)
        return self._events.pop((worker.id, call_id), [])

    def forget(self, worker: Worker) -> None:
        """A worker is dead. What its last call did may still be asked for."""
        self._attached.discard(worker.id)
        self._credentials.pop(worker.id, None)

    async def close(self) -> None:
        """End the gateway."""
        if self._child is not None:
            await self._child.close()

    async def _flush(self, seconds: float) -> bool:
        """Have the gateway tell all it has seen so far, and whether it did; what it does not tell in time is not waited for."""
        assert self._child is not None
        number = next(self._numbers)
        flushed = self._flushing[number] = asyncio.get_running_loop().create_future()
        self._child.channel.send({"flush": number})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await flushed
        del self._flushing[number]
        return flushed.done() and not flushed.cancelled()

    def _running(self) -> Child:
        if self._child is None or not self._child.alive:
            trust = {name: os.environ[name] for name in _TRUST if name in os.environ}
            arguments = () if self._nameserver is None else (_spell(*self._nameserver),)
            self.starts += 1
            self._child = Child("sandbox.host.gateway", self._frame, self._ended, arguments=arguments, environment=trust)
            if self._proxy is not None:
                self._tell_proxy(self._child, self._proxy, self._proxy_login())
        return self._child

    def _tell_proxy(self, child: Child, proxy: Proxy, login: str | None) -> None:
        child.channel.send({"proxy": proxy.to_json(), "login": login})
        self._login_told = login

    def _frame(self, message: dict[str, Any], descriptors: list[int]) -> None:
        for fd in descriptors:
            os.close(fd)
        match message:
            case {"event": {"worker": int() as worker, "call": str() as call_id} as event}:
                # It was on the way until now, and the next answer is without it.
                self._sending.pop((worker, call_id), None)
                kept = self._events.get((worker, call_id))
                if kept is not None and len(kept) < _EVENTS:
                    kept.append(event)
            case {"sending": int() as worker, "call": str() as call_id, "bytes_out": int() as sent}:
                if (worker, call_id) in self._events:
                    self._sending[worker, call_id] = sent
            case {"gone": int() as worker} if worker in self._attached:
                # It said what no worker says, or it is dead; the gateway hears it no more.
                self._attached.discard(worker)
                self._on_lost(frozenset({worker}))
            case {"flushed": int() as number} if number in self._flushing and not self._flushing[number].done():
                self._flushing[number].set_result(None)

    def _ended(self, _status: int) -> None:
        for flushed in self._flushing.values():
            if not flushed.done():
                flushed.set_result(None)
        lost, self._attached = frozenset(self._attached), set()
        self._on_lost(lost)


def _rules(worker: Worker, template: WasiTemplate) -> dict[str, Any]:
    """By which rules a worker goes out, and whose limits its requests count under: all of a component's are counted together."""
    key = f"{template.tenant}/{template.component}"
    return {"rules": worker.id, "network": network_to_wire(template.network), "component": key}


def _spell(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
