"""An ordinary C program does the same behind the gate as on Wasmtime alone, where rules allow everything.

The subjects are those of WebAssembly/wasi-testsuite's programs for preview 1, which `wasi_testsuite.py` runs from a folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from wasmtime import Engine, Store, WasiConfig
from wasmtime.component import Component, Linker

from sandbox.host.gates import Gates
from sandbox.template.template import Access, Effect, FileRule, Limits, Preopen, WasiTemplate
from tests.host.gates.conftest import GUESTS


def bare(engine: Engine, component: Component, folder: Path) -> list[str]:
    """What the program says on wasmtime-py alone."""
    linker = Linker(engine)
    linker.add_wasip2()
    store, wasi = Store(engine), WasiConfig()
    wasi.preopen_dir(str(folder), "/t", True)
    store.set_wasi(wasi)
    instance = linker.instantiate(store, component)
    func = instance.get_func(store, "exercise")
    assert func is not None
    said: list[str] = func(store, "/t")
    return said


def gated(gates: Gates, component: Component, folder: Path) -> list[str]:
    """What it says behind the gates."""
    preopen = Preopen(str(folder), "/t", writable=True)
    pin = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    rules = (FileRule(Effect.ALLOW, f"{folder}/**", Access.ALL, "p.yaml:1:1"),)
    template = WasiTemplate(preopens=(preopen,), files=rules, limits=Limits(file_ops=1_000_000))
    gates.bind(template, ((preopen, pin),), None, lambda _: None)
    prepared = gates.instantiate(component, WasiConfig())
    func = prepared.instance.get_func(prepared.store, "exercise")
    assert func is not None
    said: list[str] = func(prepared.store, "/t")
    gates.close(prepared)
    os.close(pin)
    return said


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory, engine: Engine, gates: Gates) -> tuple[list[str], list[str]]:
    """Every line, bare and gated."""
    component = Component(engine, (GUESTS / "libc_files" / "libc_files.wasm").read_bytes())
    places = [tmp_path_factory.mktemp(name).resolve() for name in ("bare", "gated")]
    return bare(engine, component, places[0]), gated(gates, component, places[1])


def test_every_operation_has_the_same_end(sides: tuple[list[str], list[str]]) -> None:
    assert [(one, other) for one, other in zip(*sides, strict=True) if one != other] == []


def test_the_program_does_something(sides: tuple[list[str], list[str]]) -> None:
    """Most of it works, and what must fail does."""
    lines = sides[0]
    assert len(lines) > 100
    assert sum(line.endswith(": ok") for line in lines) > 40
    assert "read: hello there" in lines
    assert "create with 255 bytes: ok" in lines
