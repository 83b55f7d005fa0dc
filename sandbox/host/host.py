"""Run admitted calls of untrusted components, each in a process that can be killed.

Decides nothing about policy: a call comes with its `Admission` and its template, the host enforces. It decides which process
runs a call, when one is not run (queue full, breaker open), and what its end means.

`invoke`, in order:
1. the component may be called: it is loaded, the admission is about it, it does not keep crashing
2. a turn: at most `concurrency` calls of a component under one limit at a time, first come first served
3. a worker for (component, template): an idle one, else a spare or a new one that takes them
4. the call, with `wall_time` from now; its worker is killed at the deadline, at a cancel, at a revoke
5. what the gateway saw of it, then the outcome; the worker goes back, or is gone

Rules: nothing here imports wasmtime; a guest's end is an `Outcome`, never an exception.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sandbox.admission import Admission
from sandbox.errors import HostUnavailable, SandboxError
from sandbox.host import wire
from sandbox.host.artefacts import Artefacts
from sandbox.host.asking import Ask, Questions
from sandbox.host.breaker import Breaker
from sandbox.host.cache import Variant
from sandbox.host.ending import CalledOff, outcome_of, unavailable
from sandbox.host.forker import Forker
from sandbox.host.layers.report import LayerReport
from sandbox.host.outcome import Ending, Outcome, Usage
from sandbox.host.outward import Outward
from sandbox.host.pool import Key, Pool
from sandbox.host.process import Ended, Worker
from sandbox.host.running import Running, RunningCall, RunningCalls, Stopped
from sandbox.host.settings import HostSettings
from sandbox.host.share import Share
from sandbox.host.suspension import Why
from sandbox.host.traced import tell_run, tell_wait
from sandbox.host.trees import Trees
from sandbox.host.turns import QueueFull, Turns
from sandbox.telemetry.durations import Durations
from sandbox.template.environment import EnvironmentRules
from sandbox.template.template import EnvironmentRule, Limits, WasiTemplate
from sandbox.template.wire import to_wire
from sandbox.wit.types import Digest, Export, World
from sandbox.wit.wire import export_to_json

_LOG = logging.getLogger("sandbox")

ARGUMENT_BYTES = 8 << 20
"""The longest call, arguments as JSON: a worker's own memory must hold them."""

PREPARE_TOUCHED_WASI = 86
"""The gates' exit status for a guest that cannot be prepared (`sandbox.host.gates`, which the server may not import)."""

_NOT_PREPARABLE = (PREPARE_TOUCHED_WASI, -signal.SIGABRT)
"""Native code that finds no context aborts."""

Keep = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Answers what a call asks of the values that its component keeps."""

_NO_SECRETS: Mapping[str, str] = MappingProxyType({})
_ATTEMPTS = 4
_UNREADY = 2
_READY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Component:
    """A component that was checked, compiled and read, and may be called."""

    digest: Digest
    world: World
    size: int
    policy_section: bytes | None = field(default=None, repr=False)


class Host:
    """One host: its zygotes, workers, compiler and gateway. `start` before use, `close` after."""

    def __init__(self, settings: HostSettings) -> None:
        self._settings = settings
        self._breaker = Breaker(crashes=settings.crashes, window_s=settings.crash_window_s, pause_s=settings.crash_pause_s)
        self._turns = Turns(longest=settings.queue)
        self._components: dict[Digest, Component] = {}
        self._exports: dict[Digest, list[dict[str, Any]]] = {}
        self._running = RunningCalls(lambda worker: self._outward.reset(worker))
        self._unpreparable: set[Digest] = set()
        self._trees = Trees()
        self._layers = LayerReport()
        self._counts = dict.fromkeys(("calls", "crashes", "retries"), 0)
        self._state = "new"
        self.waits = Durations()
        """How long calls waited until a worker took them."""

    async def start(self) -> None:
        """Start the zygote and the spares. Raises HostUnavailable where `strict` misses a layer."""
        if self._state != "new":
            raise RuntimeError("a host is started once")
        settings, unsafe = self._settings, self._settings.unsafe_run_in_zygotes
        if unsafe is not None and settings.isolation == "strict":
            raise HostUnavailable("isolation is `strict`, and something is to run in the zygotes that takes layers away")
        self._state = "started"
        self._artefacts = Artefacts(settings)
        self._outward = Outward(settings.nameserver, self._gateway_lost, settings.proxy, settings.proxy_login)
        self._forkers = {variant: Forker(variant, self._artefacts.own, self._dead, unsafe_run=unsafe) for variant in Variant}
        self._pool = Pool(
            self._spawn, self._equip, max_workers=settings.max_workers, spares=settings.spares, longest_queue=settings.queue
        )
        await self._artefacts.open()
        self._layers = await self._probe()
        self._judge_layers(self._layers)
        self._pool.refill()

    async def close(self) -> None:
        """End every process of the host; calls that run end as UNAVAILABLE."""
        if self._state != "started":
            return
        self._state = "closed"
        for running in self._running.values():
            running.stopped_for = running.stopped_for or Ending.UNAVAILABLE
        await self._pool.close()
        await asyncio.gather(*(forker.close() for forker in self._forkers.values()))
        await self._outward.close()
        await self._artefacts.close()

    async def load(self, source: Path | bytes) -> Component:
        """Check, compile (or find compiled) and read a component. Raises ComponentError."""
        self._require_started()
        component = await self._artefacts.load(source)
        self._components[component.digest] = Component(
            component.digest, component.world, component.size, component.policy_section
        )
        self._exports[component.digest] = [export_to_json(export) for export in component.world.exports]
        return self._components[component.digest]

    async def invoke(
        self,
        admission: Admission,
        template: WasiTemplate,
        export: Export,
        arguments: Mapping[str, Any],
        *,
        call_id: str,
        secrets: Mapping[str, str] = _NO_SECRETS,
        ask: Ask | None = None,
        keep: Keep | None = None,
    ) -> Outcome:
        """Run one admitted call; `secrets` are the values of those that the template names, `ask` puts a rule's questions.

        `keep` answers what the call asks of the values that its component keeps.

        Cancelling it kills the worker, and raises `CalledOff` where it had begun.
        """
        self._require_started()
        digest = template.component
        if admission.component != digest or digest not in self._components:
            raise RuntimeError("the admission, the template and a loaded component belong together")
        if call_id in self._running:
            raise RuntimeError(f"the call `{call_id}` runs already")
        loop = asyncio.get_running_loop()
        pause = self._breaker.refused_for(digest, loop.time())
        if pause:
            return unavailable(f"the tool keeps crashing and is not called for another {pause:.0f}s")
        running = self._running[call_id] = Running(template, loop.time(), ask=ask, keep=keep)
        self._counts["calls"] += 1
        try:
            async with self._turns.turn((digest, template.tenant), template.limits.concurrency):
                running.stored = await self._trees.begin(template, call_id)
                return await self._run(running, export, arguments, call_id, secrets)
        except QueueFull:
            line = template.limits.origin("concurrency")
            return unavailable(f"too many calls wait: `concurrency` is {template.limits.concurrency} ({line})")
        finally:
            self._running.end(call_id)
            self._trees.end(call_id, running.done)

    async def stop(self, call_ids: Sequence[str], reason: str = Ending.REVOKED, because: str = "") -> tuple[Stopped, ...]:
        """Kill the workers of these calls; returns once they are dead. Calls that do not run are left out.

        `reason` is an `Ending`, or the name of a limit that was reached; `because` a sentence about it, for the outcome.
        """
        return await self._running.stop(call_ids, reason, because)

    def used(self, call_id: str) -> Usage | None:
        """What a running call has used so far, nothing where it waits; None where it does not run."""
        running = self._running.get(call_id)
        if running is None or running.worker is None:
            return None if running is None else Usage()
        wall_ms, cpu_ms = running.worker.used()
        return Usage(wall_ms=wall_ms, cpu_ms=cpu_ms, bytes_sent=self._outward.sent(running.worker, call_id))

    def pause(self, call_id: str, why: Why, *, within_s: float) -> bool:
        """Hold a call up, as `sandbox.host.suspension` says, for so many seconds at most: then it is ended. Whether it runs."""
        return self._running.pause(call_id, why, within_s)

    def resume(self, call_id: str, why: Why) -> bool:
        """Hold a call for this reason no more; whether it was held for it."""
        return self._running.resume(call_id, why)

    def paused(self) -> dict[str, frozenset[Why]]:
        """The calls that are held up, and what each is held for."""
        return self._running.paused()

    async def narrow(self, call_id: str, template: WasiTemplate) -> Stopped | None:
        """Hold a running call to the network rules of `template` from now on, its connections cut; it goes on without them.

        A call that has not begun, and one whose gateway does not say that it is so, is stopped. None for one that does not run.
        """
        running = self._running.get(call_id)
        if running is None:
            return None
        ordered = asyncio.get_running_loop().time()
        worker = running.worker
        if worker is not None:
            # Its rules are not those of its template any more: no other call gets it, and this one begins with no other worker.
            worker.spent = True
            running.stopped_for = running.stopped_for or Ending.REVOKED
            if await self._outward.narrow(worker, template):
                ms = (asyncio.get_running_loop().time() - ordered) * 1000
                return Stopped(call_id, round(ms, 3), connections_only=True)
        (killed,) = await self._running.stop([call_id], Ending.REVOKED)
        return killed

    def running(self) -> tuple[RunningCall, ...]:
        """The calls that run or wait."""
        return tuple(RunningCall(call_id, one.template, one.started) for call_id, one in self._running.items())

    async def retire(self, digest: Digest | None = None) -> int:
        """End the idle workers of a component, after its policy has changed, or of all; how many there were."""
        return self._pool.retire(lambda template: digest is None or template.component == digest)

    def layers(self) -> LayerReport:
        """Which layers hold here, as a worker found them at the start."""
        return self._layers

    def metrics(self) -> dict[str, int]:
        """Counters since the start, and how many workers there are now."""
        restarts = sum(forker.restarts for forker in self._forkers.values())
        pool = self._pool.counts
        return {
            **self._counts,
            **self._artefacts.counts,
            "kills": self._running.kills,
            **pool,
            "waiting": pool["waiting"] + self._turns.waiting,
            "running": len(self._running),
            **self._running.held(),
            "zygote_restarts": restarts,
            "gateway_restarts": max(0, self._outward.starts - 1),
        }

    async def _run(
        self, running: Running, export: Export, arguments: Mapping[str, Any], call_id: str, secrets: Mapping[str, str]
    ) -> Outcome:
        """Steps 3 to 5; again with another worker where the one we had could not begin."""
        template = running.template
        unready = 0
        for _ in range(_ATTEMPTS):
            await running.may_begin()
            if running.stopped is not None:
                return running.stopped
            try:
                worker = await self._pool.acquire(Key(template))
            except _NotReadyError:
                # A spare may have died of something else; a component that kills two is one that crashes.
                unready += 1
                if unready < _UNREADY:
                    continue
                break
            except SandboxError as error:
                return unavailable(error.message)
            if running.stopped is not None:
                self._pool.release(worker)
                return running.stopped
            running.worker = worker
            ended = await self._call(running, worker, export, arguments, call_id, secrets)
            running.worker, running.done = None, ended.done
            if ended.stale or ended.preparing:
                self._outward.drop(worker, call_id)
                self._counts["retries"] += 1
                continue
            events = await self._outward.events(worker, call_id) if template.network else []
            outcome = self._judge(outcome_of(ended, template.limits, events), template)
            tell_run(running.begun or running.started, outcome, events, template)
            return outcome
        return self._judge(Outcome(Ending.CRASHED, message="the tool crashed"), template)

    async def _call(
        self,
        running: Running,
        worker: Worker,
        export: Export,
        arguments: Mapping[str, Any],
        call_id: str,
        secrets: Mapping[str, str],
    ) -> Ended:
        template, stored = running.template, running.stored
        limits = template.limits
        environment = _variables(template.environment, self._settings.environment, secrets) if template.environment else ()
        order = {"call": call_id, "export": export.wit_id, "environment": environment, "arguments": arguments, "stored": stored}
        worker.on_stored = functools.partial(self._trees.grown, call_id)
        try:
            frame = wire.encode(order)
        except ValueError as error:
            frame, refused = b"", f"arguments: {error}"
        else:
            refused = f"arguments: longer than {ARGUMENT_BYTES} bytes of JSON"
        if not frame or len(frame) > ARGUMENT_BYTES:
            self._pool.release(worker)
            return Ended(done={"ending": Ending.INVALID_ARGUMENTS, "message": refused, "limit": None})
        worker.on_keep = running.keep
        questions = Questions(call_id, self._running, worker, running.ask)
        self._outward.begin(worker, call_id, secrets)
        self._begins(running)
        ending = worker.begin(
            frame, wall_ms=limits.wall_time_ms, stdio_bytes=limits.stdio_bytes, output_bytes=limits.output_bytes
        )
        share = self._share_of(limits, worker, call_id)
        try:
            ended = await ending
        except asyncio.CancelledError as error:
            worker.kill(Ending.CANCELLED)
            events = self._outward.drop(worker, call_id)
            outcome = outcome_of(worker.so_far(), limits, events)
            tell_run(running.begun or running.started, outcome, events, template)
            raise CalledOff(outcome, *error.args) from None
        finally:
            questions.close()
            if share is not None:
                share.close()
            running.leaves()
        if ended.done is not None and not ended.done.get("last"):
            self._pool.release(worker)
        else:
            # It says that it ends, or it is dead: it is not waited for.
            worker.kill_quietly()
        return ended

    def _begins(self, running: Running) -> None:
        if running.begun is None:
            running.begun = asyncio.get_running_loop().time()
            self.waits.add(waited := running.begun - running.started)
            tell_wait(waited)
        running.begins()

    def _share_of(self, limits: Limits, worker: Worker, call_id: str) -> Share | None:
        if limits.cpu_share is None:
            return None
        pause = functools.partial(self._running.pause, call_id, Why.CPU_SHARE)
        return Share(limits, worker, pause, functools.partial(self._running.resume, call_id, Why.CPU_SHARE))

    def _judge(self, outcome: Outcome, template: WasiTemplate) -> Outcome:
        if outcome.ending is Ending.CRASHED:
            self._counts["crashes"] += 1
            self._breaker.crashed(template.component, asyncio.get_running_loop().time())
        return outcome

    async def _spawn(self, fuel: bool) -> Worker:
        variant = Variant.FUEL if fuel else Variant.PLAIN
        await self._artefacts.prepare(variant)
        return await self._forkers[variant].spawn()

    async def _equip(self, worker: Worker, key: Key) -> None:
        """Have a spare take its component and template. Raises _NotReadyError where it dies of that."""
        template = key.template
        digest = template.component
        compiled = await self._artefacts.compiled(digest, fuel=key.fuel)
        if template.network:
            self._outward.attach(worker, template)
            await self._outward.ready()
        order = {
            "template": to_wire(template),
            "exports": self._exports[digest],
            "prepare": digest not in self._unpreparable,
        }
        worker.take(key, order, compiled.fd)
        try:
            async with asyncio.timeout(_READY_SECONDS):
                said = await asyncio.shield(worker.ready)
        except TimeoutError:
            said = None
        if said is None or worker.spent:
            raise _NotReadyError
        if self._settings.isolation == "strict" and LayerReport.of(said).missing:
            raise HostUnavailable("a worker lacks a layer that `strict` isolation needs")

    async def _probe(self) -> LayerReport:
        """Have one worker take every layer for an empty template, and say which hold."""
        worker = await self._spawn(False)
        worker.probe()
        async with asyncio.timeout(_READY_SECONDS):
            said = await asyncio.shield(worker.ready)
        worker.kill_quietly()
        if said is None:
            raise HostUnavailable(f"a worker does not start here (exit status {worker.status})")
        return LayerReport.of(said)

    def _judge_layers(self, report: LayerReport) -> None:
        if not report.missing:
            return
        missing = "; ".join(f"{layer.name} ({layer.detail})" for layer in report.missing)
        if self._settings.isolation == "strict":
            raise HostUnavailable(f"isolation is `strict` and layers are missing: {missing}", help="`sandbox doctor` lists them")
        _LOG.warning("WARNING: guests run with fewer layers around them than this host has. Missing: %s", missing)

    def _dead(self, worker: Worker) -> None:
        """A worker of ours has died, whatever of."""
        if worker.preparing and worker.status in _NOT_PREPARABLE and isinstance(worker.key, Key):
            self._unpreparable.add(worker.key.template.component)
        self._outward.forget(worker)
        self._pool.lost(worker)

    def _gateway_lost(self, workers: frozenset[int]) -> None:
        """Workers that the gateway serves no more have no way out, and get no new one."""
        if self._state == "started":
            self._pool.spend(workers)

    def _require_started(self) -> None:
        if self._state != "started":
            raise HostUnavailable("the host is not running")


class _NotReadyError(Exception):
    """A worker died while it took its component."""


@functools.lru_cache(maxsize=64)
def _environment_rules(rules: tuple[EnvironmentRule, ...]) -> EnvironmentRules:
    return EnvironmentRules(rules)


def _variables(rules: tuple[EnvironmentRule, ...], host: Mapping[str, str], secrets: Mapping[str, str]) -> list[list[str]]:
    """The variables of one call: their values are the host's of now."""
    return [list(pair) for pair in _environment_rules(rules).variables(host, secrets)]
