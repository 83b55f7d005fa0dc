"""Nothing is loaded that this installation did not compile; nothing is compiled that is no component or had to be stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import ComponentError
from sandbox.host.cache import CompileCache, Variant
from sandbox.host.compiling import CompileLimits
from sandbox.host.outcome import Ending
from sandbox.wit.types import Digest
from tests.host.processes.driver import Caller, processes
from tests.support.guests import guest

ONE, OTHER = Digest("1" * 64), Digest("2" * 64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def opened(folder: Path, settings: str = "engine/1", max_bytes: int = 1 << 30) -> CompileCache:
    cache = CompileCache(folder, settings, max_bytes=max_bytes)
    cache.open()
    return cache


def stored(cache: CompileCache, digest: Digest = ONE, content: bytes = b"compiled " * 1000) -> None:
    fd, path = cache.scratch()
    os.write(fd, content)
    cache.store(digest, Variant.PLAIN, (fd, path), {"exports": [digest]}).close()


def there(cache: CompileCache, digest: Digest = ONE) -> bool:
    found = cache.find(digest, Variant.PLAIN)
    if found is not None:
        found.close()
    return found is not None


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def the(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def swap_seals(folder: Path) -> None:
    one, other, aside = folder / f"{ONE}.plain.seal", folder / f"{OTHER}.plain.seal", folder / "aside"
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def link_away(folder: Path) -> None:
    artefact = the(folder, "*.cwasm")
    artefact.rename(folder.parent / "elsewhere")
    artefact.symlink_to(folder.parent / "elsewhere")


TAMPERING: list[tuple[str, Callable[[Path], Any]]] = [
    ("a byte of the code", lambda folder: flip(the(folder, "*.cwasm"), 500)),
    ("a byte of the seal", lambda folder: flip(the(folder, "*.seal"), 20)),
    ("a byte of the key", lambda folder: flip(folder / "key", 3)),
    ("a key that others may read", lambda folder: (folder / "key").chmod(0o640)),
    ("code that others may write", lambda folder: the(folder, "*.cwasm").chmod(0o602)),
    ("a seal that others may write", lambda folder: the(folder, "*.seal").chmod(0o620)),
    ("a link instead of the code", link_away),
    ("a second name for the code", lambda folder: os.link(the(folder, "*.cwasm"), folder.parent / "second")),
    ("a folder that others may write", lambda folder: folder.chmod(0o777)),
    ("code that is gone", lambda folder: the(folder, "*.cwasm").unlink()),
    ("a seal that is no JSON", lambda folder: the(folder, "*.seal").write_bytes(b"\xff{")),
    ("a seal that is a FIFO", lambda folder: (the(folder, "*.seal").unlink(), os.mkfifo(folder / f"{ONE}.plain.seal", 0o600))),
]


@pytest.mark.parametrize(("what", "tamper"), TAMPERING, ids=[what for what, _ in TAMPERING])
def test_what_was_tampered_with_is_not_loaded(folder: Path, what: str, tamper: Callable[[Path], Any]) -> None:
    """WASM-06: it is as if it were not there, and can be compiled again."""
    stored(opened(folder))
    assert there(opened(folder))
    tamper(folder)
    again = opened(folder)
    assert not there(again), what
    for path in folder.glob(f"{ONE}.*"):
        path.unlink()
    for path in folder.glob("*.cwasm"):
        path.unlink()
    stored(again)
    assert there(again)


def test_two_entries_cannot_be_swapped(folder: Path) -> None:
    """WASM-06: a seal is good for its own component alone."""
    cache = opened(folder)
    stored(cache, ONE, b"one" * 999)
    stored(cache, OTHER, b"other" * 999)
    swap_seals(folder)
    assert not there(cache, ONE)
    assert not there(cache, OTHER)


def test_other_engine_settings_find_nothing(folder: Path) -> None:
    """Compiled code loads only where the settings are the same."""
    stored(opened(folder, "engine/1"))
    assert not there(opened(folder, "engine/2"))
    assert there(opened(folder, "engine/1"))


def test_a_folder_of_ours_that_was_open_to_others_is_closed_again(folder: Path) -> None:
    """And trusted no more: they could have written a key of theirs."""
    stored(opened(folder))
    folder.chmod(0o777)
    opened(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_link_for_a_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    folder.symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match="no folder of this user"):
        opened(folder)


def test_a_file_that_changes_while_it_is_held_is_noticed(folder: Path) -> None:
    """It is hashed again before it is handed to another worker."""
    cache = opened(folder)
    stored(cache)
    held = cache.find(ONE, Variant.PLAIN)
    assert held is not None
    assert held.unchanged
    artefact = the(folder, "*.cwasm")
    os.utime(artefact, (time.time() + 5, time.time() + 5))
    assert not held.unchanged
    held.close()


def test_the_oldest_artefacts_go_where_there_are_too_many_bytes(folder: Path) -> None:
    cache = opened(folder)
    stored(cache, ONE, b"a" * 1000)
    stored(cache, OTHER, b"b" * 1000)
    first, second = sorted(folder.glob("*.cwasm"), key=lambda path: path.read_bytes()[:1])
    os.utime(first, (1, 1))
    opened(folder, max_bytes=1500)
    assert not first.exists()
    assert second.exists()


async def test_a_tampered_cache_is_compiled_again_end_to_end(start: Any, folder: Path) -> None:
    """WASM-06 through the host: the call succeeds, from code that this host compiled."""
    call: Caller = await start(cache_folder=folder)
    assert (await call("traps", "fine", number=1)).value == 1
    await call.host.close()
    for path in folder.glob("*.cwasm"):
        flip(path, path.stat().st_size // 2)
    call = await start(cache_folder=folder)
    assert (await call("traps", "fine", number=2)).value == 2


async def test_an_artefact_that_is_lost_while_the_host_runs_is_made_again(start: Any, folder: Path) -> None:
    """The host keeps the component's bytes for that."""
    call: Caller = await start(cache_folder=folder, max_workers=1)
    assert (await call("traps", "fine", number=1)).value == 1
    component = await call.host.load(guest("traps"))
    for path in folder.glob("*.cwasm"):
        flip(path, path.stat().st_size // 2)
    await call.host.retire(component.digest)
    assert (await call("traps", "fine", number=2)).value == 2


async def test_a_host_that_sees_many_components_keeps_few_files_open(start: Any, folder: Path, monkeypatch: Any) -> None:
    """What was not used for longest is closed, and found in the cache again."""
    monkeypatch.setattr("sandbox.host.artefacts.MAX_HELD", 2)
    call: Caller = await start(cache_folder=folder, max_workers=1)
    before = kept_open(folder)
    for name in ("traps", "exits", "prints", "every_type"):
        await call.host.load(guest(name))
    assert kept_open(folder) == before + 2
    assert (await call("traps", "fine", number=1)).value == 1
    assert kept_open(folder) == before + 2


def kept_open(folder: Path) -> int:
    """How many compiled artefacts this process has open."""
    links = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return sum(1 for link in links if link.startswith(str(folder)) and link.endswith(".cwasm"))


def truncated() -> list[bytes]:
    """A component cut at every percent of its length."""
    data = guest("traps").read_bytes()
    return [data[: len(data) * percent // 100] for percent in range(100)]


async def test_what_is_no_component_is_refused_before_the_engine(call: Caller, tmp_path: Path) -> None:
    """WASM-01: by its bytes; a truncated one at the latest by the compiler. Nothing of it runs."""
    core = b"\0asm\1\0\0\0"
    for data in [b"", b"(component)", b"\xef\xbb\xbf(component)", b"\x7fELF\2\1\1", b"PK\3\4", b"\x1f\x8b\x08\0", core]:
        with pytest.raises(ComponentError):
            await call.host.load(data)
        assert not processes("sandbox.host.compiler")
    whole = await call.host.load(guest("traps"))
    refused = 0
    for data in truncated():
        try:
            loaded = await call.host.load(data)
        except ComponentError:
            refused += 1
        else:
            # Cut exactly between two sections it is a component, with fewer exports.
            assert set(loaded.world.exports) < set(whole.world.exports)
    assert refused >= 95


async def test_a_huge_or_endless_file_is_refused_unread(call: Caller, tmp_path: Path) -> None:
    """WASM-03: sparse, a device, a pipe, a folder."""
    sparse = tmp_path / "sparse.wasm"
    with sparse.open("wb") as file:
        file.truncate(2 << 30)
    os.mkfifo(tmp_path / "pipe.wasm")
    for path in [sparse, Path("/dev/zero"), tmp_path / "pipe.wasm", tmp_path, tmp_path / "missing"]:
        with pytest.raises(ComponentError):
            await call.host.load(path)


async def test_unknown_imports_are_listed(call: Caller) -> None:
    """WASM-08."""
    with pytest.raises(ComponentError, match="acme:x/y"):
        await call.host.load(guest("imports_unknown"))


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (CompileLimits(cpu_ms=1_000), "it used more than 1s of CPU time"),
        (CompileLimits(memory_bytes=256 << 20), "it used more than 256Mi of memory"),
        (CompileLimits(wall_ms=500), "it took longer than 0.5s"),
    ],
)
async def test_a_compile_bomb_is_stopped_and_not_tried_again(start: Any, folder: Path, limits: CompileLimits, said: str) -> None:
    """WASM-04: 300,000 tiny functions; meanwhile and afterwards calls are served; another server does not try either."""
    await (await start(cache_folder=folder)).host.close()  # the host's own components are compiled without such limits
    call: Caller = await start(cache_folder=folder, compile_limits=limits)
    bomb = many_functions(300_000)
    began = time.monotonic()
    with pytest.raises(ComponentError, match=said):
        await call.host.load(bomb)
    first = time.monotonic() - began
    call = await start(cache_folder=folder, compile_limits=limits)
    began = time.monotonic()
    with pytest.raises(ComponentError, match=said):
        await call.host.load(bomb)
    assert time.monotonic() - began < first / 2
    assert not processes("sandbox.host.compiler")


async def test_loading_runs_nothing(call: Caller) -> None:
    """WASM-09: a start function that loops, or takes half a gigabyte, is only run by a call."""
    for name in ("start_loops", "start_traps", "start_allocates"):
        component = await call.host.load(guest(name))
        assert component.world.exports
    assert (await call("start_allocates", "pages")).ending is Ending.RETURNED


def leb(number: int) -> bytes:
    out = b""
    while True:
        byte, number = number & 0x7F, number >> 7
        out += bytes([byte | (0x80 if number else 0)])
        if not number:
            return out


def section(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + leb(len(body)) + body


def many_functions(count: int) -> bytes:
    """A component whose core module has that many functions of nothing, and exports the first."""
    body = leb(2) + b"\0\x0b"
    module = b"\0asm\1\0\0\0" + section(1, leb(1) + b"\x60\0\0") + section(3, leb(count) + b"\0" * count)
    module += section(7, leb(1) + b"\1f\0\0") + section(10, leb(count) + body * count)
    outer = b"\0asm\x0d\0\1\0" + section(1, module) + section(2, leb(1) + b"\0\0" + leb(0))
    outer += section(6, leb(1) + b"\0\0\1\0\1f") + section(7, leb(1) + b"\x40\0\1\0")
    return outer + section(8, leb(1) + b"\0\0\0\0\0") + section(11, leb(1) + b"\0\1f\1\0\0")
