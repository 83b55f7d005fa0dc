"""What the filesystem gate costs: a guest's open+read+close and stat, gated against bare wasmtime-py, in one run.

Rules: the same guest and the same files; both sides take turns, round by round, so that a busy machine is busy for both; a
round is one call of the guest that does the work many times, and the medians of the rounds are compared. The template has
100 rules. Fails above `MAX_RATIO` for a file in the mount's own folder.

    python -m benchmarks.gates
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from wasmtime import Engine, Store, WasiConfig
from wasmtime.component import Component, Linker

from sandbox.host.engine import make_engine
from sandbox.host.gates import Gates, passthrough_text, tunnel_text
from sandbox.host.outcome import Denial
from sandbox.template.template import Access, Effect, FileRule, Limits, Preopen, WasiTemplate

GUEST = Path(__file__).parents[1] / "tests" / "guests" / "fs" / "fs.wasm"
ROUNDS, TIMES = 41, 100
MAX_RATIO = 4.0
UNPACED = Limits(file_ops=1_000_000)
FILES = {"in the mount": "f", "three folders down": "a/b/c/f"}
WORK = {"open+read+close": "loop-open", "stat": "loop-stat"}

Guest = Callable[[str, str], float]
"""Does the export's work on the path, and gives the microseconds of one time."""


def _timed(store: Store, get: Callable[[str], Callable[..., int] | None]) -> Guest:
    def run(export: str, path: str) -> float:
        func = get(export)
        assert func is not None
        begin = time.perf_counter()
        done = func(store, 0, path, TIMES)
        taken = time.perf_counter() - begin
        assert done == 5 * TIMES, done
        return taken / TIMES * 1e6

    preopens = get("preopens")
    assert preopens is not None
    preopens(store)
    return run


def _bare(engine: Engine, guest: Component, folder: str) -> Guest:
    linker = Linker(engine)
    linker.add_wasip2()
    linker.add_wasi_http()
    store, wasi = Store(engine), WasiConfig()
    wasi.preopen_dir(folder, "/data", True)
    store.set_wasi(wasi)
    store.set_wasi_http()
    instance = linker.instantiate(store, guest)
    return _timed(store, lambda name: instance.get_func(store, name))


def _unexpected(denial: Denial) -> None:
    raise RuntimeError(f"refused: {denial.target}")


def _gated(engine: Engine, guest: Component, folder: str) -> Guest:
    gates = Gates(engine, Component(engine, passthrough_text()), Component(engine, tunnel_text()))
    patterns = [f"{folder}/**", *(f"/srv/other{i}/**" for i in range(99))]
    rules = tuple(FileRule(Effect.ALLOW, pattern, Access.ALL, "policy.yaml:1:1") for pattern in patterns)
    preopen = Preopen(folder, "/data", writable=True)
    pin = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    gates.bind(WasiTemplate(preopens=(preopen,), files=rules, limits=UNPACED), ((preopen, pin),), None, _unexpected)
    prepared = gates.instantiate(guest, WasiConfig())
    return _timed(prepared.store, lambda name: prepared.instance.get_func(prepared.store, name))


def measure(folder: Path) -> dict[str, dict[str, float]]:
    """Medians in microseconds, and their ratio, by work and file."""
    for path in FILES.values():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("hello")
    engine = make_engine()
    guest = Component(engine, GUEST.read_bytes())
    sides = {"bare": _bare(engine, guest, str(folder)), "gated": _gated(engine, guest, str(folder))}
    found = {}
    for work, export in WORK.items():
        for where, path in FILES.items():
            rounds = [{side: run(export, path) for side, run in sides.items()} for _ in range(ROUNDS)]
            p50 = {side: statistics.median(taken[side] for taken in rounds) for side in sides}
            found[f"{work}, {where}"] = {**p50, "ratio": p50["gated"] / p50["bare"]}
    return found


def main() -> int:
    """Print the figures as JSON lines; 1 where a ratio is above the promise."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder).resolve())
    for name, figures in found.items():
        print(json.dumps({"work": name, **{key: round(value, 2) for key, value in figures.items()}}))
    slow = [name for name, figures in found.items() if "in the mount" in name and figures["ratio"] > MAX_RATIO]
    for name in slow:
        print(f"above {MAX_RATIO}× bare: {name}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
