"""The process that runs one component's calls, one at a time, and can be killed at any moment.

Decides nothing: the template is the server's, the gates judge, the kernel times. Forked from the zygote; its life:

1. as a spare: everything inherited is closed, the layers without a template are taken, the listener is given away
2. taken: the component is loaded from its sealed artefact, the grants are pinned, the other layers follow
3. for each call: a fresh store (or the one prepared while idle), denials as they happen, one `done`
4. it ends after a trap, an exit, a fault, `CALLS` calls or half of its CPU time; or the server is gone

Frames in:  {"take": {"template", "exports", "prepare"}} + compiled component · {"probe"} · {"call", "export", "environment",
"arguments", "stored"} · {"answer": null, or why not}, to an "ask" · {"kept": …}, to a "keep"
Frames out: {"ready": layers} · {"denial": …} · {"ask": …} · {"keep": …} · {"stored": growth} · {"done": …, "value": …} ·
{"stale"} · {"prepared": bool}

Rules: nothing is imported and no library is mapped after the layers; the process ends by `os._exit` only; SIGINT is
ignored, as in the zygote; what goes to standard error is for the debug log.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from typing import Any, NoReturn

from wasmtime import Engine, WasiConfig
from wasmtime.component import Component

from sandbox.host import wire
from sandbox.host.gates import Gates, Prepared
from sandbox.host.gates.checks import checks_of
from sandbox.host.gates.filesystem import sizes
from sandbox.host.layers import libc
from sandbox.host.measure import bounded
from sandbox.host.outcome import Denial, Ending
from sandbox.host.units import size
from sandbox.host.worker import endings
from sandbox.host.worker.confine import Lockdown, Surroundings, cpu_seconds_of_life
from sandbox.host.worker.egress import WorkerEgress
from sandbox.host.worker.meter import Meter, cpu_ms
from sandbox.host.worker.pins import Pins, landlock_rights, pin
from sandbox.host.worker.values import Codec, Returned
from sandbox.template.template import FileRule, Limits, WasiTemplate
from sandbox.template.wire import from_wire
from sandbox.wit.types import Export
from sandbox.wit.wire import export_from_json

CALLS = 1_000
"""After so many calls a worker is retired: whatever leaks, leaks no further."""

CALL_FRAME_BYTES = 64 << 20
"""The longest call: arguments are bounded by the edge, this by the worker's memory."""

ANSWER_BYTES = 2 << 20
"""The longest answer in a call: a value that the component keeps, as base64."""

_RESTS = 3
_PR_SET_NAME = 15


@dataclass(frozen=True, slots=True)
class Preloaded:
    """What the zygote made once, before any fork."""

    engine: Engine
    gates: Gates
    surroundings: Surroundings


def main(preloaded: Preloaded, descriptors: list[int]) -> NoReturn:
    """Live. `descriptors` are control, egress, the guest's standard output and error, and our own."""
    status = 70
    try:
        Worker(preloaded, *descriptors).run()
        status = 0
    except BaseException:  # noqa: BLE001 - the outermost frame: an exception must not run the zygote's code in the child
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


class Worker:
    """One worker, from fork to end."""

    def __init__(self, preloaded: Preloaded, control: int, egress: int, stdout: int, stderr: int, notes: int) -> None:
        self._gates = preloaded.gates
        self._engine = preloaded.engine
        self._stdout, self._stderr = stdout, stderr
        self._lockdown = Lockdown(preloaded.surroundings)
        os.setsid()
        os.dup2(notes, 2)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        libc.prctl(_PR_SET_NAME, b"sandbox-worker")
        self._lockdown.as_spare((control, egress, stdout, stderr))
        self._control = socket.socket(fileno=control)
        self._egress = WorkerEgress(socket.socket(fileno=egress))
        self._meter = Meter()
        self._sending = threading.Lock()
        self._sizes: sizes.Sizes | None = None
        self._calls = 0
        self._prepared: Prepared | None = None
        self._wasi: WasiConfig | None = None
        self._has_prepared = False
        self._rests: list[float] = []

    def run(self) -> None:
        """Serve until the server is gone or the worker is spent."""
        while (received := wire.receive(self._control, CALL_FRAME_BYTES)) is not None:
            message, descriptors = received
            if "take" in message:
                self._take(message["take"], descriptors)
            elif "probe" in message:
                self._lock(WasiTemplate(), Pins((), ()))
            elif not self._call(message):
                return

    def _take(self, order: dict[str, Any], descriptors: list[int]) -> None:
        self._template: WasiTemplate = from_wire(order["template"])
        self._exports: dict[str, Export] = {export.wit_id: export for export in map(export_from_json, order["exports"])}
        self._codecs: dict[str, Codec] = {}
        self._prepare_next = bool(order["prepare"])
        self._component = Component.deserialize_file(self._engine, f"/proc/self/fd/{descriptors[0]}")
        os.close(descriptors[0])
        self._pins = pin(self._template)
        egress = self._egress if self._template.network else None
        limited = bounded(self._template.files)
        self._sizes = sizes.Sizes(self._template.files, self._grown, self._over) if limited else None
        told: dict[str, Any] = {"ask": self._ask, "keep": self._keep, "log": self._stderr, "sizes": self._sizes}
        self._gates.bind(self._template, self._pins.preopened, egress, self._report, **told)
        self._lock(self._template, self._pins)

    def _lock(self, template: WasiTemplate, pins: Pins) -> None:
        """The layers that need the template; then say which of them hold."""
        rights = landlock_rights(template, pins)
        port = self._egress.port if template.network else None
        self._lockdown.for_template(template, self._meter.data_bytes(), rights, port)
        self._send({"ready": self._lockdown.said, "cpu_ms": cpu_ms()})

    def _call(self, message: dict[str, Any]) -> bool:
        """Run one call and say how it ended; whether the worker may run another."""
        if self._pins.stale:
            self._send({"stale": True})
            return False
        self._calls += 1
        self._egress.call = message["call"]
        limits = self._template.limits
        if self._sizes is not None:
            self._sizes.begin(dict(message.get("stored", ())))
        self._meter.start(limits.cpu_time_ms)
        end, value, usage, spent_instance = self._run(message, limits)
        stored = self._sizes.end() if self._sizes is not None else {}
        spent = self._calls >= CALLS or cpu_ms() > 500 * cpu_seconds_of_life(limits)
        last = spent or not end.reusable
        prepare = self._prepare_next and not last and end.ending is not Ending.INVALID_ARGUMENTS
        done: dict[str, Any] = {"ending": end.ending, "message": end.message, "limit": end.limit, "usage": usage, "last": last}
        done |= {"stored": list(stored.items())} if stored else {}
        # Said until it has gone well once: then whatever a worker dies of, it is not that its guest cannot be prepared.
        done |= {"preparing": prepare and not self._has_prepared, "life_cpu_ms": cpu_ms()}
        # The shortest of the last three: a busy machine makes single ones long.
        done |= {"rest_ms": min(self._rests) if len(self._rests) == _RESTS else 0.0}
        with self._sending:
            wire.send(self._control, wire.encode_with({"done": done}, "value", value))
        answered = time.monotonic()
        # After the answer: to close a store of many megabytes takes as long as a short call.
        if spent_instance is not None and not last:
            self._gates.close(spent_instance)
        if not last:
            self._wasi = self._context()
        if prepare:
            self._prepare(limits)
        self._rests = [*self._rests[1 - _RESTS :], (time.monotonic() - answered) * 1000]
        return not last

    def _run(self, message: dict[str, Any], limits: Limits) -> tuple[endings.End, str, dict[str, Any], Prepared | None]:
        """The call itself: its end, its value as JSON text, what it used; and its instance, to be closed."""
        prepared: Prepared | None = None
        returned: Returned | None = None
        failure: BaseException | None = None
        try:
            wasi, self._wasi = self._wasi or self._context(), None
            wasi.env = message["environment"]
            prepared = self._instance(wasi)
            returned = self._invoke(prepared, message, limits)
        except BaseException as error:  # noqa: BLE001 - the outermost frame of a call: everything is an ending
            failure = error
        cpu, peak = self._meter.stop()
        fault = prepared.fault if prepared is not None else None
        end = self._end(returned, failure, fault, limits, peak)
        usage: dict[str, Any] = {"cpu_ms": cpu, "peak_memory_bytes": peak, "fuel": _fuel_used(prepared, limits)}
        usage |= {"requests": prepared.requests if prepared is not None else 0, "output_bytes": 0}
        if prepared is not None:
            usage |= {"denials": prepared.denials, "checks": checks_of(prepared.call, len(message["environment"]))}
        if returned is not None and end.reusable:
            usage["output_bytes"] = len(returned.json_text)
        return end, returned.json_text if returned is not None and end.reusable else "null", usage, prepared

    def _instance(self, wasi: WasiConfig) -> Prepared:
        prepared, self._prepared = self._prepared, None
        if prepared is None:
            self._meter.before_guest()
            return self._gates.instantiate(self._component, wasi=wasi)
        self._gates.activate(prepared, wasi)
        return prepared

    def _invoke(self, prepared: Prepared, message: dict[str, Any], limits: Limits) -> Returned:
        export = self._exports[message["export"]]
        codec = self._codecs.get(export.wit_id)
        if codec is None:
            codec = self._codecs[export.wit_id] = Codec(export)
        index = None
        if export.interface is not None:
            index = prepared.instance.get_export_index(prepared.store, export.interface)
        at = prepared.instance.get_export_index(prepared.store, export.name, index)
        func = prepared.instance.get_func(prepared.store, at) if at is not None else None
        if func is None:
            raise LookupError(f"the component has no function `{export.wit_id}`")
        return codec.call(prepared.store, func, message["arguments"], limits.output_bytes)

    def _end(
        self, returned: Returned | None, failure: BaseException | None, fault: BaseException | None, limits: Limits, peak: int
    ) -> endings.End:
        if fault is not None:
            _log(fault)
            return endings.End(Ending.CRASHED, "the host failed while the tool ran")
        if failure is not None:
            _log(failure)
            return endings.of_exception(failure, limits, peak)
        assert returned is not None
        if not returned.is_err:
            return endings.End(Ending.RETURNED, reusable=True)
        return endings.End(Ending.GUEST_ERROR, endings.memory_hint(limits, peak) or "", reusable=True)

    def _context(self) -> WasiConfig:
        """The context of one call: made after the fork, its random numbers are this process's own."""
        wasi = WasiConfig()
        wasi.stdout_file = f"/proc/self/fd/{self._stdout}"
        wasi.stderr_file = f"/proc/self/fd/{self._stderr}"
        return wasi

    def _prepare(self, limits: Limits) -> None:
        """Make the next call's instance while idle. A guest that touches WASI meanwhile ends the process."""
        self._meter.before_guest()
        self._meter.start(limits.cpu_time_ms)
        try:
            self._prepared = self._gates.instantiate(self._component)
        except Exception as error:  # noqa: BLE001 - the next call instantiates for itself, and says what is wrong
            _log(error)
            self._prepare_next = False
        self._meter.stop()
        if not self._has_prepared:
            self._send({"prepared": self._prepared is not None})
        self._has_prepared = self._prepared is not None

    def _report(self, denial: Denial) -> None:
        self._send({"denial": _told(denial)})

    def _ask(self, wanted: Denial) -> str | None:
        """Wait in the gate until the server has an answer: None for a yes, else why not. No other frame comes meanwhile."""
        why = self._answered({"ask": _told(wanted)})["answer"]
        return None if why is None else str(why)

    def _keep(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What the server says of the component's values."""
        answer = self._answered({"keep": asked})["kept"]
        assert isinstance(answer, dict)
        return answer

    def _answered(self, message: dict[str, Any]) -> dict[str, Any]:
        self._send(message)
        received = wire.receive(self._control, ANSWER_BYTES)
        if received is None:
            os._exit(0)  # the server is gone
        return received[0]

    def _grown(self, stored: dict[int, int]) -> None:
        """Say what each tree has grown by in this call; from the watcher's thread."""
        self._send({"stored": list(stored.items())})

    def _over(self, name: str, rule: FileRule) -> NoReturn:
        """End the call, and the process: several files grew past a total together; from the watcher's thread."""
        assert rule.max_total_bytes is not None
        cpu, peak = self._meter.stop()
        usage = {"cpu_ms": cpu, "peak_memory_bytes": peak}
        message = f"`{name}` of {size(rule.max_total_bytes)} was reached ({rule.origin})"
        end = {"ending": Ending.LIMIT, "message": message, "limit": name, "usage": usage, "last": True, "life_cpu_ms": cpu_ms()}
        self._send({"done": end, "value": None})
        os._exit(0)

    def _send(self, message: dict[str, Any]) -> None:
        with self._sending:
            wire.send(self._control, wire.encode(message))


def _told(denial: Denial) -> dict[str, Any]:
    body = {"code": denial.code, "target": denial.target, "reason": denial.reason, "origin": denial.origin}
    return {**body, "private": denial.private}


def _fuel_used(prepared: Prepared | None, limits: Limits) -> int | None:
    if prepared is None or limits.fuel is None:
        return None
    return limits.fuel - prepared.store.get_fuel()


def _log(error: BaseException) -> None:
    """The whole story, for the debug log alone."""
    traceback.print_exception(error)
    sys.stderr.flush()
