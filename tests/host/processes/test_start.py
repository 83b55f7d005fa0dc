"""A host starts with its layers, or says which are missing; its processes inherit nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.host.layers import report
from tests.host.processes.driver import Caller, children, limits, processes, workers
from tests.host.processes.test_deaths import begun, sleeping

WITHOUT_NAMESPACES = """
import asyncio, ctypes, json, logging, os, sys
from pathlib import Path
from sandbox.host.layers import capabilities, libc
uid, gid = os.getuid(), os.getgid()
libc.unshare(0x10000000)
Path("/proc/self/setgroups").write_text("deny")
Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
Path("/proc/sys/user/max_user_namespaces").write_text("0")
capabilities.apply()
from sandbox.errors import HostUnavailable
from sandbox.host.host import Host
from sandbox.host.settings import HostSettings
from tests.host.processes.driver import Caller
said = []
class Keep(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())
logging.getLogger("sandbox").addHandler(Keep())
async def main():
    try:
        strict = Host(HostSettings(Path(sys.argv[1]), isolation="strict", spares=0))
        await strict.start()
    except HostUnavailable as error:
        refusal = error.message
    await strict.close()
    host = Host(HostSettings(Path(sys.argv[1]), spares=0))
    await host.start()
    outcome = await Caller(host)("traps", "fine", number=3)
    missing = [one.name for one in host.layers().missing]
    print(json.dumps({"refusal": refusal, "said": said, "value": outcome.value, "missing": missing}))
    await host.close()
asyncio.run(main())
"""
"""A server where `unshare` is refused, as in many containers."""


async def test_every_layer_holds_here(start: Any) -> None:
    """As a worker found them; then `strict` starts and serves."""
    call: Caller = await start(isolation="strict")
    layers = call.host.layers()
    assert [layer.name for layer in layers.layers] == list(report.NAMES)
    assert layers.missing == ()
    assert (await call("traps", "fine", number=1)).value == 1


def test_without_namespaces_strict_refuses_and_default_warns(shared_cache: Path) -> None:
    """The refusal and the warning name the layer; guests run under the others."""
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", WITHOUT_NAMESPACES, str(shared_cache)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "layers are missing: namespaces" in found["refusal"]
    assert found["missing"] == ["namespaces"]
    assert found["value"] == 3
    (warning,) = found["said"]
    assert warning.startswith("WARNING")
    assert "namespaces" in warning


async def test_a_worker_inherits_nothing(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """OS-03: its own sockets and pipes, no environment, no folder of ours; one thread before a guest runs."""
    monkeypatch.setenv("AWS_SECRET", "CANARY")
    task = sleeping(call, "looked-at")
    await begun(call)
    (zygote,) = processes("sandbox.host.zygote")
    assert Path(f"/proc/{zygote}/environ").read_bytes() == b""
    assert len(list(Path(f"/proc/{zygote}/task").iterdir())) == 1
    taken = [worker for worker in workers() if "Seccomp:\t2" in Path(f"/proc/{worker}/status").read_text()]
    assert taken, "one runs a call; the others may still be entering their namespaces"
    for worker in taken:
        files = [link.readlink() for link in Path(f"/proc/{worker}/fd").iterdir()]
        named = [file for file in files if file.is_absolute() and file.suffix != ".cwasm"]
        assert set(named) <= {Path("/dev/null"), Path(f"/proc/{worker}/statm")}
        assert Path(f"/proc/{worker}/cwd").readlink() == Path("/")
        assert Path(f"/proc/{worker}/environ").read_bytes() == b""
    await call.host.stop(["looked-at"])
    await task


async def test_layers_are_taken_by_a_single_thread(call: Caller) -> None:
    """OS-03: a spare has one thread."""
    await call("traps", "fine", number=1)
    assert call.host._forkers
    assert all(forker.threads in (0, 1) for forker in call.host._forkers.values())
    for worker in workers():
        assert len(list(Path(f"/proc/{worker}/task").iterdir())) == 1


async def test_a_worker_holds_no_capability_and_a_filter(call: Caller) -> None:
    """As the kernel shows it from outside."""
    task = sleeping(call, "looked-at")
    await begun(call)
    locked = 0
    for worker in workers():
        lines = dict(line.split(":\t", 1) for line in Path(f"/proc/{worker}/status").read_text().splitlines() if ":\t" in line)
        if lines["Seccomp"] != "2":
            continue
        locked += 1
        assert lines["CapEff"] == lines["CapPrm"] == lines["CapBnd"] == "0" * 16
        assert lines["NoNewPrivs"] == "1"
    assert locked == 1
    await call.host.stop(["looked-at"])
    await task


async def test_ctrl_c_is_the_servers_alone(call: Caller) -> None:
    """It reaches the whole process group; a worker in a gate would die of it, a zygote take all workers with it."""
    import signal

    task = sleeping(call, "goes-on")
    await begun(call)
    (zygote,) = processes("sandbox.host.zygote")
    for pid in [zygote, *children(zygote)]:
        os.kill(pid, signal.SIGINT)
    short = await call("exhaust_sleep", "sleep", limits=limits(wall_time_ms=5_000), milliseconds=1)
    assert short.ok
    assert not task.done()
    await call.host.stop(["goes-on"])
    await task
