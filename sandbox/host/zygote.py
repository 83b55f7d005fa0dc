"""The preloaded parent of workers: holds the engine and the gates, forks on request, reports who died and how.

Run as `python -I -m sandbox.host.zygote FD`, FD a stream socket to the server, with an empty environment. Decides
nothing: it loads no guest but the gates' own probe, makes no `WasiConfig` (one made before the fork gives every worker the
same `wasi:random`), starts no thread, and holds no secret.

Frames in:  {"start", "fuel"} + passthrough, tunnel, probe · {"spawn": id} + control, egress, stdout, stderr, notes
Frames out: {"ready", "threads"} · {"spawned": id, "pid"} + pidfd · {"failed": id, "error"} · {"exited": id, "status", …}

Rules: when the server is gone, so are the zygote and (PDEATHSIG) every worker; a dead child is reaped as its pidfd tells,
never by a signal handler; SIGINT is for the server alone, Ctrl-C reaches the whole process group.
"""

from __future__ import annotations

import gc
import os
import runpy
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

from wasmtime.component import Component

from sandbox.host import wire
from sandbox.host.engine import make_engine
from sandbox.host.gates import Gates
from sandbox.host.layers import descriptors as descriptors_layer
from sandbox.host.layers import namespaces, pdeathsig
from sandbox.host.worker import worker
from sandbox.host.worker.confine import Surroundings

_SPAWN_DESCRIPTORS = 5
_PROBE_FUEL = 1_000_000


class Zygote:
    """The loop: one control socket, and one pidfd for each living child."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, tuple[int, int]] = {}
        """id and pid by pidfd."""
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._preloaded: worker.Preloaded | None = None

    def run(self) -> NoReturn:
        """Serve until the server closes the socket."""
        while True:
            for fd, _ in self._poll.poll():
                if fd == self._control.fileno():
                    self._frame()
                else:
                    self._reap(fd)

    def _frame(self) -> None:
        received = wire.receive(self._control)
        if received is None:
            os._exit(0)
        message, descriptors = received
        if "start" in message:
            self._start(message, descriptors)
        elif "spawn" in message and len(descriptors) == _SPAWN_DESCRIPTORS:
            self._spawn(message["spawn"], descriptors)
        for fd in descriptors:
            os.close(fd)

    def _start(self, message: dict[str, Any], descriptors: list[int]) -> None:
        """Load what every worker shares. Frozen, so that a worker's first collection does not copy every page of it."""
        engine = make_engine(fuel=message["fuel"])
        passthrough, tunnel = (Component.deserialize_file(engine, f"/proc/self/fd/{fd}") for fd in descriptors[:2])
        held = self._engine_descriptors(descriptors)
        surroundings = Surroundings(os.getpid(), namespaces.find(), namespaces.identities(), held)
        gates = Gates(engine, passthrough, tunnel)
        probe = Component.deserialize_file(engine, f"/proc/self/fd/{descriptors[2]}")
        gates.self_test(probe, fuel=_PROBE_FUEL if message["fuel"] else None)
        self._preloaded = worker.Preloaded(engine, gates, surroundings)
        if message["unsafe_run"] is not None:
            runpy.run_path(message["unsafe_run"])
        gc.collect()
        gc.freeze()
        threads = sum(1 for _ in Path("/proc/self/task").iterdir())
        self._send({"ready": True, "threads": threads})

    def _engine_descriptors(self, received: list[int]) -> tuple[int, ...]:
        """Every descriptor that is neither standard, ours, nor received: what loading has opened."""
        ours = {0, 1, 2, self._control.fileno(), *received}
        listed = {int(path.name) for path in Path("/proc/self/fd").iterdir()} - ours
        return tuple(sorted(fd for fd in listed if descriptors_layer.is_open(fd)))

    def _spawn(self, worker_id: int, descriptors: list[int]) -> None:
        assert self._preloaded is not None
        try:
            pid = os.fork()
        except OSError as error:
            self._send({"failed": worker_id, "error": error.strerror or "fork"})
            return
        if pid == 0:
            worker.main(self._preloaded, descriptors)
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = (worker_id, pid)
        self._poll.register(pidfd, select.POLLIN)
        self._send({"spawned": worker_id, "pid": pid, "fds": 1}, pidfd)

    def _reap(self, pidfd: int) -> None:
        worker_id, pid = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, status, used = os.wait4(pid, 0)
        cpu_ms = round((used.ru_utime + used.ru_stime) * 1000, 3)
        self._send({"exited": worker_id, "status": os.waitstatus_to_exitcode(status), "cpu_ms": cpu_ms})

    def _send(self, message: dict[str, Any], *descriptors: int) -> None:
        try:
            wire.send(self._control, wire.encode(message), descriptors)
        except OSError:
            os._exit(0)


def main() -> NoReturn:
    """Take the control socket from the command line and serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pdeathsig.apply()
    Zygote(socket.socket(fileno=int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
