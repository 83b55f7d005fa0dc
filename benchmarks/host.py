"""What a call costs inside the host, and what a kill and a worker cost, in one run.

1. in the worker: store, instance, JSON call and close behind the gates, against the same on bare wasmtime-py (native linker,
   its own conversion), turn by turn in this process, for a small component and a CPython one
2. through the host: calls one after another through a worker process, the first one apart
3. a kill: from the order to the worker's death, and from there to the end of the next call, in a worker that is new to it
4. a worker's memory: what it has to itself (private pages) and its share of the rest (PSS)

    python -m benchmarks.host

Rules: both sides of a ratio take turns; medians are compared. Fails above `MAX_RATIO` in the worker, `MAX_KILL_MS` at the 99th
percentile of kills, or `MAX_FRESH_MS` for the median of what follows a kill.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from wasmtime import Engine, Store, WasiConfig
from wasmtime.component import Component, Linker

from sandbox.admission import Admission, Authorizer, CallRequest, RequestId, Subject
from sandbox.host.compiler.world import describe
from sandbox.host.engine import make_engine
from sandbox.host.gates import Gates, passthrough_text, tunnel_text
from sandbox.host.host import Component as Loaded
from sandbox.host.host import Host
from sandbox.host.outcome import Ending
from sandbox.host.settings import HostSettings
from sandbox.host.worker.values import Codec
from sandbox.template.template import Limits, WasiTemplate
from sandbox.wit.types import Export
from tests.host.processes.driver import workers
from tests.support.components import python_component
from tests.support.guests import guest

ROUNDS, KILLS, CALLS = 201, 100, 300
MAX_RATIO, MAX_KILL_MS, MAX_FRESH_MS = 1.5, 50.0, 100.0
_NUMBERS = itertools.count(1)

Call = Callable[[], None]


def _instance_function(store: Store, instance: Any, export: Export) -> Any:
    index = None if export.interface is None else instance.get_export_index(store, export.interface)
    return instance.get_func(store, instance.get_export_index(store, export.name, index))


def _bare(engine: Engine, component: Component, export: Export, arguments: list[Any]) -> Call:
    linker = Linker(engine)
    linker.add_wasip2()
    linker.add_wasi_http()

    def call() -> None:
        store = Store(engine)
        store.set_wasi(WasiConfig())
        store.set_wasi_http()
        _instance_function(store, linker.instantiate(store, component), export)(store, *arguments)
        store.close()

    return call


def _gated(engine: Engine, component: Component, export: Export, arguments: dict[str, Any]) -> Call:
    gates, codec = Gates(engine, Component(engine, passthrough_text()), Component(engine, tunnel_text())), Codec(export)

    def call() -> None:
        prepared = gates.instantiate(component, wasi=WasiConfig())
        codec.call(prepared.store, _instance_function(prepared.store, prepared.instance, export), arguments, 1 << 20)
        gates.close(prepared)

    return call


def _compiled(engine: Engine, path: Path) -> Component:
    """Loaded from a file as a worker does: its memory's image is then mapped, not copied."""
    with tempfile.NamedTemporaryFile() as compiled:
        compiled.write(Component(engine, path.read_bytes()).serialize())
        compiled.flush()
        return Component.deserialize_file(engine, compiled.name)


def in_the_worker(path: Path, function: str, arguments: dict[str, Any]) -> dict[str, float]:
    """Medians of both sides in microseconds, and their ratio."""
    engine = make_engine()
    component = _compiled(engine, path)
    export = next(one for one in describe(engine, component).exports if one.name == function)
    sides = _bare(engine, component, export, list(arguments.values())), _gated(engine, component, export, arguments)
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for call, times in zip(sides, took, strict=True):
            begun = time.perf_counter()
            call()
            times.append((time.perf_counter() - begun) * 1e6)
    bare, gated = (statistics.median(times) for times in took)
    return {"bare_us": round(bare, 1), "gated_us": round(gated, 1), "ratio": round(gated / bare, 2)}


def _admit(component: Loaded) -> Admission:
    request = CallRequest(RequestId(str(next(_NUMBERS))), Subject.local(), "tool", "component", component.digest)
    admission = Authorizer().admit(request, now=0.0).admission
    assert admission is not None
    return admission


class Caller:
    """Calls one function of one component through a host."""

    def __init__(self, host: Host, component: Loaded, function: str, arguments: dict[str, Any]) -> None:
        self._host, self._component, self._arguments = host, component, arguments
        self._export = next(one for one in component.world.exports if one.name == function)
        self._template = replace(WasiTemplate(limits=Limits(wall_time_ms=20_000)), component=component.digest)

    async def __call__(self, call_id: str = "") -> Ending:
        """One call; how it ended."""
        number = call_id or str(next(_NUMBERS))
        outcome = await self._host.invoke(_admit(self._component), self._template, self._export, self._arguments, call_id=number)
        return outcome.ending

    async def timed(self) -> float:
        """Milliseconds of one call that returns."""
        begun = time.perf_counter()
        ending = await self()
        assert ending is Ending.RETURNED, ending
        return (time.perf_counter() - begun) * 1e3


async def through_the_host(host: Host, path: Path, function: str, arguments: dict[str, Any]) -> dict[str, float]:
    """The first call in a new worker, then the median and the 99th percentile of those that follow."""
    call = Caller(host, await host.load(path), function, arguments)
    first = await call.timed()
    later = [await call.timed() for _ in range(CALLS)]
    p50, p99 = statistics.median(later), statistics.quantiles(later, n=100)[98]
    return {"first_ms": round(first, 2), "p50_ms": round(p50, 3), "p99_ms": round(p99, 3)}


async def kills(host: Host) -> dict[str, float]:
    """Order to death, and death to the end of a call in another worker."""
    looping = Caller(host, await host.load(guest("exhaust_cpu")), "spin", {})
    other = Caller(host, await host.load(guest("every_type")), "echo-u32", {"x": 5})
    dead, fresh = [], []
    for _ in range(KILLS):
        number = f"kill-{next(_NUMBERS)}"
        task = asyncio.create_task(looping(number))
        await _runs(host, number)
        (stopped,) = await host.stop((number,))
        dead.append(stopped.ms)
        assert await task is Ending.REVOKED
        await host.retire(other._component.digest)
        fresh.append(await other.timed())
    return {
        "dead_p50_ms": round(statistics.median(dead), 2),
        "dead_p99_ms": round(statistics.quantiles(dead, n=100)[98], 2),
        "fresh_worker_p50_ms": round(statistics.median(fresh), 2),
        "fresh_worker_p99_ms": round(statistics.quantiles(fresh, n=100)[98], 2),
    }


async def _runs(host: Host, number: str) -> None:
    """Wait until a call spins in its worker: its deadline is seconds away, so its death will be the order's."""
    while not any(one.call_id == number for one in host.running()):  # noqa: ASYNC110 - another process's start has no event
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.02)


def memory() -> list[dict[str, int]]:
    """KiB of each worker: private, and proportional (PSS)."""
    return [_memory_of(pid) for pid in workers()]


def _memory_of(pid: int) -> dict[str, int]:
    rows = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
    sizes = {row[0].rstrip(":"): int(row[1]) for row in rows}
    return {"private_kib": sizes["Private_Clean"] + sizes["Private_Dirty"], "pss_kib": sizes["Pss"]}


@contextmanager
def _cache() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o700)
        yield Path(folder)


async def main() -> int:
    """Measure, print one JSON document, and say whether the bounds hold."""
    python = python_component()
    report: dict[str, Any] = {
        "in the worker, small": in_the_worker(guest("every_type"), "echo-u32", {"x": 5}),
        "in the worker, CPython": in_the_worker(python, "evaluate", {"code": "1+1"}),
    }
    with _cache() as folder:
        host = Host(HostSettings(folder, max_workers=4, spares=2, crashes=1_000_000))
        await host.start()
        try:
            report["host, small"] = await through_the_host(host, guest("every_type"), "echo-u32", {"x": 5})
            report["host, CPython"] = await through_the_host(host, python, "evaluate", {"code": "1+1"})
            report["memory of each worker"] = memory()
            report["kill"] = await kills(host)
        finally:
            await host.close()
    print(json.dumps(report, indent=2))
    small, large, kill = report["in the worker, small"], report["in the worker, CPython"], report["kill"]
    held = small["ratio"] <= MAX_RATIO and large["ratio"] <= MAX_RATIO
    return 0 if held and kill["dead_p99_ms"] <= MAX_KILL_MS and kill["fresh_worker_p50_ms"] <= MAX_FRESH_MS else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
