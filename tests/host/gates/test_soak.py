"""Long use of one store and of many: memory and descriptors stay where they are (ATTACKS: PY-08)."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from tests.host.gates.conftest import DENIED, FOLLOW, O_CREATE, O_DIRECTORY, Guest, Start, allow


def resident() -> int:
    """Resident memory in KiB, after a collection."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def everything(guest: Guest, times: int) -> None:
    """Each kind of value across the gate, refusals too."""
    for i in range(times):
        assert guest.loop_open(0, "sub/g", 1) == 4
        assert guest.stat_at(0, FOLLOW, "f.txt") > 0
        assert guest.stat_at(0, FOLLOW, "none") < 0
        assert guest.open("../out") == DENIED
        assert guest.names(0)
        folder = guest.open("sub", O_DIRECTORY)
        handle = guest.open("new", O_CREATE, 3, base=folder)
        assert guest.write(handle, b"abc", 0) == 3
        assert guest.read(handle, 3, 0) == b"abc"
        assert guest.is_same(folder, handle) == 0
        assert guest.set_times(handle) == 0
        assert guest.symlink(folder, "new", "l") == 0
        assert guest.readlink(folder, "l") == b"new"
        assert guest.rename(folder, "l", 0, "l") == 0
        assert guest.unlink(0, "l") == guest.unlink(folder, "new") == 0
        guest.drop(handle)
        guest.drop(folder)
        if i % 500 == 499:
            renew(guest)  # the guest's own table of handles is full


def renew(guest: Guest) -> None:
    from wasmtime import WasiConfig

    guest.gates.close(guest.prepared)
    guest.prepared = guest.gates.instantiate(guest.component, WasiConfig())
    guest.preopens()


def one_store(start: Start, work: Path, times: int) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    assert guest.loop_open(0, "f.txt", 2000) == 10_000
    assert guest.loop_stat(0, "f.txt", 2000) == 10_000
    before, open_before = resident(), descriptors()
    assert guest.loop_open(0, "f.txt", times) == 5 * times
    assert guest.loop_stat(0, "f.txt", times) == 5 * times
    assert guest.loop_stat(0, "../x", 1) == DENIED
    assert resident() - before < 2048
    assert descriptors() == open_before


def many_stores(start: Start, work: Path, stores: int) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    for _ in range(50):
        renew(guest)
        everything(guest, 1)
    before, open_before = resident(), descriptors()
    for _ in range(stores):
        renew(guest)
        everything(guest, 1)
        guest.open("f.txt")  # left open: the store closes it
        guest.open("sub", O_DIRECTORY)
        guest.read_directory(0)
    renew(guest)
    assert resident() - before < 2048 + stores // 2  # half a KiB a store would be a leak
    assert descriptors() <= open_before + 1


def test_two_thousand_calls_in_one_store(start: Start, work: Path) -> None:
    one_store(start, work, 2000)


def test_two_hundred_stores(start: Start, work: Path) -> None:
    many_stores(start, work, 200)


def test_every_operation_again_and_again(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    everything(guest, 100)
    before, open_before = resident(), descriptors()
    everything(guest, 200)
    assert resident() - before < 1024
    assert descriptors() <= open_before


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_twenty_thousand_calls_in_one_store(start: Start, work: Path) -> None:
    one_store(start, work, 20_000)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_thousand_stores_three_times(start: Start, work: Path) -> None:
    for _ in range(3):
        many_stores(start, work, 1000)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_every_operation_ten_thousand_times(start: Start, work: Path) -> None:
    guest = start({"/w": work}, allow(f"{work}/**"))
    everything(guest, 500)
    before = resident()
    everything(guest, 10_000)
    assert resident() - before < 4096
