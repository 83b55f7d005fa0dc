"""The gateway's conversation with the server: which workers there are, by which rules, and how each request ended.

    server → gateway   {"attach": worker} with its egress socket ·
                       {"rules": worker, "network": […], "component": key, "caps": {…}} ·
                       {"secrets": worker, "call": id, "values": {name: value}} · {"reset": worker} · {"detach": worker} ·
                       {"ended": worker, "call": id} · {"sending": worker, "call": id} · {"flush": n} ·
                       {"proxy": {…}, "login": text or null}
    gateway → server   {"event": {"worker", "call", "n", "decision", "scheme", "host", "port", "address", "method", "path",
                       "bytes_in", "bytes_out", "reason", "origin", "resource", "limit", "secret",
                       "operation", "began", "seconds"}} · {"flushed": n} ·
                       {"sending": worker, "call", "bytes_out"}: what left by requests that are not over · {"gone": worker}

`address` is the one that was dialled, or of a denial the one that was refused (null where it was not the address).

`component` tells whose limits the requests of a worker count under.

Rules: a proxy is named before the first worker; a worker without rules reaches nothing; frames are answered in order, so
`flushed` comes after every event of a request whose answer a guest has seen; when the server goes, everything ends.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

from sandbox.host.channel import Channel
from sandbox.host.gateway.attached import Worker
from sandbox.host.gateway.caps import Caps
from sandbox.host.gateway.dial import trust_store
from sandbox.host.gateway.request import Ending, Outside
from sandbox.host.gateway.resolver import make_resolver
from sandbox.host.gateway.route import Routes
from sandbox.host.gateway.uses import Uses
from sandbox.template.network import NetworkRules
from sandbox.template.wire import network_from_wire

WorkerId = int | str
_RULES_BYTES = 64 << 20


class Gateway:
    """Serves one control socket until its other end closes it."""

    def __init__(self, control: socket.socket, outside: Outside) -> None:
        self._routes = Routes(outside)
        self._workers: dict[WorkerId, Worker] = {}
        self._uses: dict[str, Uses] = {}
        self.closed = asyncio.Event()
        self._channel = Channel(control, self._on_frame, self._on_close, limit=_RULES_BYTES)

    def _on_frame(self, message: dict[str, Any], descriptors: list[int]) -> None:
        match message:
            case {"attach": int() | str() as worker}:
                self._attach(worker, descriptors)
                return
            case {"rules": int() | str() as worker, "network": list() as rules}:
                self._set_rules(worker, rules, message.get("caps") or {}, str(message.get("component") or worker))
            case {"proxy": dict() as proxy, "login": str() | None as login}:
                self._routes.set(proxy, login)
            case {"secrets": int() | str() as worker, "call": str() as call, "values": dict() as values}:
                if worker in self._workers:
                    self._workers[worker].give_secrets(call, values)
            case {"reset": int() | str() as worker}:
                if worker in self._workers:
                    self._workers[worker].reset("revoked while it ran")
            case {"detach": int() | str() as worker}:
                if worker in self._workers:
                    self._workers[worker].close()
            case {"ended": int() | str() as worker, "call": str() as call}:
                if worker in self._workers:
                    self._workers[worker].end_call(call)
            case {"sending": int() | str() as worker, "call": str() as call}:
                sent = self._workers[worker].sending(call) if worker in self._workers else 0
                self._channel.send({"sending": worker, "call": call, "bytes_out": sent})
            case {"flush": int() as number}:
                self._flush(number)
        for descriptor in descriptors:
            os.close(descriptor)

    def _attach(self, name: WorkerId, descriptors: list[int]) -> None:
        (descriptor,) = descriptors
        if name in self._workers:
            self._workers[name].close("another worker took its name")
        egress = socket.socket(fileno=descriptor)
        self._workers[name] = Worker(egress, self._routes, lambda ending: self._tell(name, ending), lambda: self._forget(name))

    def _set_rules(self, name: WorkerId, rules: list[Any], caps: dict[str, Any], component: str) -> None:
        worker = self._workers.get(name)
        if worker is None:
            return
        try:
            worker.set_rules(NetworkRules(network_from_wire(rules)), Caps.from_json(caps), self._uses_of(component))
        except (ValueError, TypeError, LookupError) as error:
            # Rules that cannot be read allow nothing.
            worker.close(f"the rules cannot be read: {error}")

    def _uses_of(self, component: str) -> Uses:
        """The counts of a component; those that refuse nothing any more are forgotten."""
        now = asyncio.get_running_loop().time()
        held = {id(worker.uses) for worker in self._workers.values()}
        self._uses = {key: uses for key, uses in self._uses.items() if id(uses) in held or not uses.idle(now)}
        return self._uses.setdefault(component, Uses())

    def _flush(self, number: int) -> None:
        for worker in tuple(self._workers.values()):
            worker.drain()
        self._channel.send({"flushed": number})

    def _tell(self, name: WorkerId, ending: Ending) -> None:
        self._channel.send({"event": {"worker": name, **ending.to_json()}})

    def _forget(self, name: WorkerId) -> None:
        del self._workers[name]
        self._channel.send({"gone": name})

    def _on_close(self) -> None:
        for worker in tuple(self._workers.values()):
            worker.close("the server is gone")
        self.closed.set()


async def serve(control: socket.socket, nameserver: tuple[str, int] | None) -> None:
    """Serve `control` until the server closes it."""
    gateway = Gateway(control, Outside(make_resolver(nameserver), trust_store()))
    await gateway.closed.wait()
