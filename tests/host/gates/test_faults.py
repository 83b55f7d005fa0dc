"""What must never happen to the process: handles, exceptions, depth, stores (ATTACKS: FS-13, PY-01, PY-06, RND-01)."""

from __future__ import annotations

import asyncio
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from wasmtime import Engine, WasiConfig, WasmtimeError
from wasmtime.component import Component

from sandbox.errors import Code
from sandbox.host.gates import PREPARE_TOUCHED_WASI, Gates, passthrough_text, probe_text, tunnel_text
from sandbox.host.gates.call import REPORTS
from sandbox.host.gates.filesystem import paths
from sandbox.host.gates.filesystem.answers import Error
from sandbox.host.gates.filesystem.descriptors import Files
from sandbox.template.template import Limits, WasiTemplate
from tests.host.gates.conftest import DENIED, FOLLOW, GUESTS, O_DIRECTORY, Start, allow, refused

BASES = [
    SystemExit,
    KeyboardInterrupt,
    asyncio.CancelledError,
    GeneratorExit,
    RecursionError,
    MemoryError,
    KeyError,
    BaseException,
]


@pytest.mark.parametrize("kind", BASES, ids=lambda kind: kind.__name__)
def test_an_exception_in_a_gate_ends_the_call_and_nothing_else(
    start: Start, work: Path, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    def fails(files: Files, arguments: int) -> None:
        files.take(arguments)
        raise kind("injected")

    guest = start({"/w": work}, allow(f"{work}/**"))
    with monkeypatch.context() as patch:
        patch.setattr(paths, "_looked_at", fails)
        with pytest.raises(WasmtimeError, match="a host function failed"):
            guest.stat_at(0, FOLLOW, "f.txt")
    assert isinstance(guest.prepared.fault, kind)
    again = start({"/w": work}, allow(f"{work}/**"))
    assert again.content("f.txt") == b"hello"
    assert again.prepared.fault is None


@pytest.mark.parametrize("kind", BASES, ids=lambda kind: kind.__name__)
def test_an_exception_in_a_destructor_ends_the_call(
    start: Start, work: Path, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    def fails(files: Files, rep: int) -> None:
        raise kind("injected")

    guest = start({"/w": work}, allow(f"{work}/**"))
    handle = guest.open("f.txt")
    with monkeypatch.context() as patch:
        patch.setattr(Files, "dropped", fails)
        with pytest.raises(WasmtimeError):
            guest.drop(handle)
    assert isinstance(guest.prepared.fault, kind)


def test_a_python_stack_that_is_nearly_full_ends_the_call(start: Start, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    # Where there is no room for a callback there is none for a hook written in Python either: pytest's own fails then.
    ignored: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)

    def deeper(depth: int) -> None:
        if depth:
            deeper(depth - 1)
        else:
            guest.stat_at(0, FOLLOW, "sub/g")

    frame, used = sys._getframe(), 0
    while frame is not None:
        frame, used = frame.f_back, used + 1  # type: ignore[assignment]
    for room in range(8, 40, 2):
        try:
            deeper(sys.getrecursionlimit() - used - room)
        except (RecursionError, WasmtimeError):
            break
    else:
        pytest.fail("the stack was never full")
    ignored.clear()
    assert start({"/w": work}, allow(f"{work}/**")).content("f.txt") == b"hello"


@pytest.mark.parametrize("depth", [10, 1000, 3000])
def test_a_gate_is_reached_from_a_deep_guest(start: Start, work: Path, depth: int) -> None:
    assert start({"/w": work}, allow(f"{work}/**")).deep(0, "f.txt", depth) == 0


def test_a_guest_too_deep_for_its_stack_traps(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    with pytest.raises(WasmtimeError):
        guest.deep(0, "f.txt", 10_000_000)


def test_open_files_are_counted_and_given_back(start: Start, work: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    limits = Limits(open_files=10, origins=(("open_files", "policy.yaml:3:1"),))
    guest = start({"/w": work}, allow(f"{work}/**"), limits=limits)
    full = refused(Error.INSUFFICIENT_MEMORY)
    handles = [guest.open("f.txt") for _ in range(5)] + [guest.open("sub", O_DIRECTORY) for _ in range(4)]
    assert min(handles) >= 0
    assert guest.read_directory(0) >= 0
    assert guest.open("f.txt") == guest.open("sub") == guest.read_directory(0) == full
    (denial,) = guest.denials
    assert (denial.code, denial.target) == (Code.RESOURCE_LIMIT_EXCEEDED, {"resource": "open_files", "limit": 10})
    assert denial.origin == "policy.yaml:3:1"
    guest.drop(handles[0])
    assert guest.open("f.txt") >= 0
    assert guest.open("f.txt") == full
    guest.close()
    guest.gates.close(guest.prepared)  # once more changes nothing
    assert len(os.listdir("/proc/self/fd")) <= before + len(guest.pins)
    guest.pins = ()


def test_a_guest_that_hoards_preopens_is_trapped(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    assert guest.hoard(1000) == 2000
    with pytest.raises(WasmtimeError):
        guest.hoard(20_000)
    assert start({"/w": work}, allow(f"{work}/**")).content("f.txt") == b"hello"


def test_refusals_are_told_once_each_and_not_without_end(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    for _ in range(3):
        assert guest.open("etc/x", base=guest.root) == DENIED
    assert len(guest.denials) == 1
    for i in range(REPORTS + 20):
        guest.open(f"etc/{i}", base=guest.root)
    assert len(guest.denials) == REPORTS
    assert guest.prepared.denials == 3 + REPORTS + 20


def test_both_ends_of_wasi_0_2_are_answered_by_the_gate(gates: Gates, engine: Engine) -> None:
    gates.self_test(Component(engine, probe_text()))


def test_a_guest_without_any_rule_reaches_nothing_and_aborts_nothing(gates: Gates, component: Component) -> None:
    gates.bind(WasiTemplate(), (), None, lambda denial: None)
    prepared = gates.instantiate(component, WasiConfig())
    func = prepared.instance.get_func(prepared.store, "random")
    assert func is not None
    assert func(prepared.store) >= 0
    gates.close(prepared)


def forked(child: Callable[[], bytes]) -> tuple[int, bytes]:
    """What a forked child wrote, and its exit status."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, child())
            os._exit(0)
        finally:
            os._exit(70)
    os.close(writer)
    with os.fdopen(reader, "rb") as out:
        told = out.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), told


def test_a_guest_that_calls_wasi_while_it_is_prepared_ends_the_process(engine: Engine, component: Component) -> None:
    """Without a context there is nothing to answer from: the status tells that this component is not to be prepared."""
    gates = Gates(engine, Component(engine, passthrough_text()), Component(engine, tunnel_text()))

    def child() -> bytes:
        prepared = gates.instantiate(component)
        func = prepared.instance.get_func(prepared.store, "preopens")
        assert func is not None
        func(prepared.store)
        return b"answered"

    assert forked(child) == (PREPARE_TOUCHED_WASI, b"")


def test_a_prepared_guest_gets_its_context_when_the_call_comes(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    prepared = guest.gates.instantiate(guest.component)
    guest.gates.close(guest.prepared)
    guest.prepared = prepared
    guest.gates.activate(prepared, WasiConfig())
    assert guest.preopens() == b"/w\n/\n"
    assert guest.content("f.txt") == b"hello"


# A parent as the zygote is: engine, linker and passthrough made, no WASI context ever; then two children, two stores each.
PARENT = """
import os, struct, sys
from pathlib import Path
from wasmtime import WasiConfig
from wasmtime.component import Component
from sandbox.host.engine import make_engine
from sandbox.host.gates import Gates, passthrough_text, tunnel_text
engine = make_engine()
gates = Gates(engine, Component(engine, passthrough_text()), Component(engine, tunnel_text()))
guest = Component(engine, Path(sys.argv[1]).read_bytes())
if sys.argv[2] == "before":
    WasiConfig()
for _ in range(3):
    if not (pid := os.fork()):
        for _ in range(2):
            prepared = gates.instantiate(guest, WasiConfig())
            draw = prepared.instance.get_func(prepared.store, "random")
            os.write(1, struct.pack("<2Q", draw(prepared.store), draw(prepared.store)))
            gates.close(prepared)
        os._exit(0)
    os.waitpid(pid, 0)
"""


def drawn(config: str) -> set[int]:
    command = [sys.executable, "-c", PARENT, str(GUESTS / "fs" / "fs.wasm"), config]
    told = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    assert len(told) == 12 * 8
    return set(struct.unpack("<12Q", told))


def test_two_workers_of_one_parent_draw_different_numbers() -> None:
    """Randomness begins after the fork, in each worker and in each store."""
    assert len(drawn("after")) == 12


def test_a_context_made_before_the_fork_would_give_all_the_same_numbers() -> None:
    """Why the parent makes none: if this ever fails, the rule may go."""
    assert len(drawn("before")) == 4
