"""Files that claim to be components, and compiled code that somebody changed."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import time
import zipfile
from pathlib import Path

import pytest

from sandbox.api import Sandbox
from sandbox.cli.sections import leb128
from sandbox.errors import ComponentError, HostUnavailable
from sandbox.host.outcome import Ending
from tests.attacks.stage import Stage, ended, policy, staged, value
from tests.support.guests import guest

pytestmark = pytest.mark.asyncio(loop_scope="module")

COMPONENT = guest("traps").read_bytes()


def zipped() -> bytes:
    """A component in an archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("traps.wasm", COMPONENT)
    return buffer.getvalue()


NO_COMPONENT = {
    "empty": b"",
    "text": b"(component)",
    "byte order mark": b"\xef\xbb\xbf" + COMPONENT,
    "elf": b"\x7fELF" + bytes(60),
    "zip": zipped(),
    "gzip": gzip.compress(COMPONENT),
    "core module": b"\0asm\x01\0\0\0",
    "an older layer": b"\0asm\x0c\0\x01\0",
}


@pytest.mark.parametrize("kind", NO_COMPONENT)
async def test_what_is_no_component_is_refused_with_help(stage: Stage, tmp_path: Path, kind: str) -> None:
    """WASM-01: by its first bytes, before the engine sees it."""
    path = tmp_path / "thing.wasm"
    path.write_bytes(NO_COMPONENT[kind])
    with pytest.raises(ComponentError) as refused:
        await stage.sandbox.load(path)
    assert refused.value.help
    await stage.neighbour_is_well()


async def test_a_component_cut_anywhere_is_refused(stage: Stage, tmp_path: Path) -> None:
    """WASM-01: at every hundredth of its length."""
    path = tmp_path / "cut.wasm"
    for hundredth in range(5, 100, 5):
        path.write_bytes(COMPONENT[: len(COMPONENT) * hundredth // 100])
        with pytest.raises(ComponentError):
            await stage.sandbox.load(path)
    await stage.neighbour_is_well()


async def test_a_huge_file_is_refused_by_its_size(stage: Stage, tmp_path: Path) -> None:
    """WASM-03: a file of two gigabytes that has no content, and 65 MiB of custom section."""
    sparse, padded = tmp_path / "sparse.wasm", tmp_path / "padded.wasm"
    sparse.write_bytes(COMPONENT)
    os.truncate(sparse, 2 << 30)
    padded.write_bytes(COMPONENT)
    os.truncate(padded, 65 << 20)
    for path in (sparse, padded):
        with pytest.raises(ComponentError, match="larger than 67108864 bytes"):
            await stage.sandbox.load(path)


async def test_devices_and_pipes_are_no_components(stage: Stage, tmp_path: Path) -> None:
    """WASM-03: opening a pipe waits for its writer, reading /dev/zero never ends."""
    os.mkfifo(tmp_path / "pipe.wasm")
    (tmp_path / "zero.wasm").symlink_to("/dev/zero")
    for name in ("pipe.wasm", "zero.wasm"):
        with pytest.raises(ComponentError):
            await asyncio.wait_for(stage.sandbox.load(tmp_path / name), 2)
    await stage.neighbour_is_well()


async def test_an_interface_that_nobody_implements_is_named(stage: Stage) -> None:
    """WASM-08: both are listed."""
    with pytest.raises(ComponentError) as refused:
        await stage.sandbox.load(guest("imports_unknown"))
    assert "acme:x/y" in str(refused.value)
    assert "wasi:nn/inference" in str(refused.value)


async def test_known_wasi_without_a_rule_is_no_reason_to_refuse(stage: Stage) -> None:
    """WASM-08, PY-06: toolchains import all of it."""
    loaded = await stage.sandbox.load(guest("escape_network"))
    assert "escape_network__sockets" in {tool.name for tool in loaded.tools}


async def test_a_start_function_that_loops_does_not_hold_up_loading(stage: Stage) -> None:
    """WASM-09: looking at a component runs none of it; the call meets the deadline."""
    began = time.monotonic()
    await stage.load("start_loops", policy(limits="cpu_time: 300ms, wall_time: 2s"))
    assert time.monotonic() - began < 60
    await stage.contained("start_loops__fine", ended(Ending.LIMIT, Ending.CRASHED, Ending.UNAVAILABLE), repeats=0)


async def test_a_start_function_that_traps_is_a_trap(stage: Stage) -> None:
    """WASM-09."""
    await stage.load("start_traps")
    await stage.contained("start_traps__fine", ended(Ending.TRAPPED), repeats=4)


async def test_a_start_function_takes_no_more_than_the_limit(stage: Stage) -> None:
    """WASM-09: memory that it takes is the call's memory."""
    await stage.load("start_allocates", policy(limits="memory: 64Mi"))
    assert value(await stage.call("start_allocates__pages")) == 1
    await stage.neighbour_is_well()


def tampered(cache: Path, how: str) -> None:
    """Change the compiled code in a cache as somebody with access to the folder could."""
    compiled = sorted(cache.glob("*.cwasm"), key=lambda path: path.stat().st_size)
    if how == "flipped":
        for path in compiled:
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 0xFF
            path.write_bytes(data)
    elif how == "swapped":
        first, last = compiled[0].read_bytes(), compiled[-1].read_bytes()
        compiled[0].write_bytes(last)
        compiled[-1].write_bytes(first)
    elif how == "linked":
        for path in compiled:
            path.rename(path.with_suffix(".moved"))
            path.symlink_to(path.with_suffix(".moved"))
    elif how == "sealed anew":
        (cache / "key").write_bytes(os.urandom(32))
    else:
        for path in compiled:
            path.chmod(0o666)


@pytest.mark.parametrize("how", ["flipped", "swapped", "linked", "sealed anew", "writable"])
async def test_changed_compiled_code_is_compiled_again(tmp_path: Path, how: str) -> None:
    """WASM-06: it is machine code; what this installation has not sealed is never loaded."""
    async with staged(tmp_path) as stage:
        await stage.load("exhaust_cpu")
    tampered(tmp_path / "home" / "cache", how)
    async with Sandbox(tmp_path / "home") as sandbox:
        await sandbox.load(guest("traps"))
        assert value(await sandbox.call("traps__fine", {"number": 3})) == 3


async def test_a_cache_that_others_may_write_is_not_used(tmp_path: Path) -> None:
    """WASM-06: whoever may write there could have put compiled code there."""
    async with staged(tmp_path):
        pass
    (tmp_path / "home" / "cache").chmod(0o777)
    with pytest.raises(HostUnavailable, match="can be written by others"):
        await Sandbox(tmp_path / "home").__aenter__()


def bomb(functions: int) -> bytes:
    """A component around a core module of that many empty functions: small to store, long to compile."""

    def section(kind: int, body: bytes) -> bytes:
        return bytes([kind]) + leb128(len(body)) + body

    types = section(1, b"\x01\x60\x00\x00")
    declared = section(3, leb128(functions) + b"\x00" * functions)
    bodies = section(10, leb128(functions) + b"\x02\x00\x0b" * functions)
    module = b"\0asm\x01\0\0\0" + types + declared + bodies
    return b"\0asm\x0d\0\x01\0" + section(1, module)


@pytest.mark.soak
async def test_a_compile_bomb_is_stopped_and_not_tried_again(stage: Stage, tmp_path: Path) -> None:
    """WASM-04: the server answers meanwhile; the second time it is refused at once."""
    path = tmp_path / "bomb.wasm"
    path.write_bytes(bomb(990_000))
    loading = asyncio.create_task(stage.sandbox.load(path))
    while not loading.done():
        await stage.neighbour_is_well()
        await asyncio.sleep(0.5)
    if loading.exception() is None:
        return  # a machine fast enough to compile it within the limits
    began = time.monotonic()
    with pytest.raises(ComponentError):
        await stage.sandbox.load(path)
    assert time.monotonic() - began < 20
