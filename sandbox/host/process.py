"""The server's end of one worker: its frames, its output, its life and its death.

Decides nothing: it says what happened, `sandbox.host.host` what that means. Runs on the event loop's thread.

Rules: a worker is killed through its pidfd, never by number; it is dead when the pidfd says so, and its exit status comes
from the zygote that reaps it; what a worker sends is bounded: frames by the output limit, denials by number, output by
`stdio_bytes`, and beyond that it is drained.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.host.channel import Channel
from sandbox.host.output import Notes, Output, heard_here
from sandbox.host.suspension import WallTime

MAX_DENIALS = 100
DENIAL_BYTES = 128 << 10
"""The longest denial that is kept: they outlive the call. A gate's are far below it."""
_FRAME_SLACK = 256 << 10
KEPT_BYTES = 2 << 20
"""The longest frame about what a component keeps: a value as base64, and its key."""
_LONG_REST_MS = 1.0
"""A shorter one is not worth a second worker."""
_EXPANSION = 6
"""A byte of output may take six in JSON (`\\u0000`); the worker counts the JSON, this is for what it may not."""


@dataclass(slots=True)
class Ended:
    """How one call left its worker: with a `done`, by a kill that we ordered, or by its death."""

    done: dict[str, Any] | None = None
    value: Any = None
    status: int | None = None
    """The exit status of a worker that died: negative for a signal, None where nobody saw it."""
    killed_for: str | None = None
    stale: bool = False
    failed_allocation: int | None = None
    """Of a worker that died because the host's side of the call got no more memory: the bytes it asked for."""
    preparing: bool = False
    """Whether it died before it could have begun the call: preparing an instance."""
    because: str = ""
    """Of a worker that was killed: the sentence about it, where whoever ordered it said one."""
    denials: list[dict[str, Any] | None] = field(default_factory=list)
    stdout: str = ""
    stderr: str = ""
    wall_ms: float = 0.0
    cpu_ms: float | None = None
    """Of a call that its worker did not survive, as the zygote saw it."""


class Worker:
    """One forked worker. `on_dead(worker)` is called once, when its pidfd and its zygote have said so."""

    def __init__(self, worker_id: int, spare: Wires, on_dead: Callable[[Worker], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self.id = worker_id
        self.key: object = None
        """What it was taken for."""
        self.preparing = False
        self.spent = False
        """Whether it may run no call after the one that it runs."""
        self.dead_at: float | None = None
        self.status: int | None = None
        self.killed_for: str | None = None
        self.ready: asyncio.Future[dict[str, str | None] | None] = self._loop.create_future()
        """What each layer's probe said, by name; None where it died before it was ready."""
        self.dead: asyncio.Future[float] = self._loop.create_future()
        self.on_stored: Callable[[Any], str | None] = lambda _stored: None
        """Told what the call that runs has stored; the sentence about a limit where that ends it."""
        self.on_ask: Callable[[Any], None] = lambda _wanted: self.kill_quietly()
        """Told what the call that runs waits for somebody's yes about; `answer` is due."""
        self.on_keep: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
        """Answers what the call that runs asks of its component's values; None where it has none."""
        self._on_dead = on_dead
        self._pidfd: int | None = None
        self._unwanted = False
        self._cpu_clock: int | None = None
        self._cpu_ms: float | None = None
        self._cpu_known_ms = 0.0
        self._reported = False
        self._call: asyncio.Future[Ended] | None = None
        self._ended = Ended()
        self._stopped = self._standing = False
        self._rested_at = 0.0
        self._egress: socket.socket | None = spare.egress
        self._stdout, self._stderr = Output(spare.stdout, self._loop), Output(spare.stderr, self._loop)
        self._notes = Notes(spare.notes, f"worker {worker_id}", self._loop)
        self._channel = Channel(spare.control, self._frame, self.kill_quietly)

    @property
    def alive(self) -> bool:
        """Whether it has not been seen to die, nor been ordered to."""
        return self.dead_at is None and self.killed_for is None and not self._unwanted

    @property
    def rested(self) -> bool:
        """Whether it has had the time that it last needed to clean up after a call and prepare the next."""
        return self._loop.time() >= self._rested_at

    def egress(self) -> socket.socket | None:
        """The gateway's end of its way out; once."""
        egress, self._egress = self._egress, None
        return egress

    def take(self, key: object, order: dict[str, Any], compiled: int) -> None:
        """Give it a component and a template; `ready` tells when it has them."""
        self.key = key
        self._channel.send({"take": order}, (compiled,))

    def probe(self) -> None:
        """Have it take every layer, for the report alone."""
        self._channel.send({"probe": True})

    def begin(self, frame: bytes, *, wall_ms: int, stdio_bytes: int, output_bytes: int) -> asyncio.Future[Ended]:
        """Send a call; what it ended in."""
        assert self._call is None, "one call at a time"
        call: asyncio.Future[Ended] = self._loop.create_future()
        if self.dead.done():
            call.set_result(Ended(status=self.status, killed_for=self.killed_for, preparing=self.preparing))
            return call
        self._call = call
        self._ended = Ended()
        self._stdout.begin(stdio_bytes)
        hearer = heard_here()
        self._stderr.begin(stdio_bytes, None if hearer is None else hearer.take)
        self._channel.set_limit(max(_EXPANSION * output_bytes + _FRAME_SLACK, KEPT_BYTES))
        self._wall_time = WallTime(self._loop, wall_ms / 1000, self.kill, "wall_time")
        if self._standing:
            self._wall_time.stand()
        self._channel.send_encoded(frame)
        return call

    def answer(self, why_not: str | None) -> None:
        """Answer what the call asked: None for a yes."""
        self._channel.send({"answer": why_not})

    def so_far(self) -> Ended:
        """What the call that runs has done, as far as it is known; after it was ordered to end."""
        self._channel.drain()
        self._finish()
        return self._ended

    def hold(self, *, stopped: bool, standing: bool) -> None:
        """Have its process stopped or going, and the wall time of its call standing or counting; as `Suspension` says."""
        self._standing = standing
        if self._call is not None:
            (self._wall_time.stand if standing else self._wall_time.go)()
        if stopped is not self._stopped:
            self._stopped = stopped
            self._send(signal.SIGSTOP if stopped else signal.SIGCONT)

    def cpu_s(self) -> float | None:
        """The CPU time that it has used, in seconds; None once it is dead, or before it is forked."""
        if self._pidfd is None or self.dead_at is not None:
            return None
        try:
            if self._cpu_clock is None:
                self._cpu_clock = _cpu_clock_of(self._pidfd)
            return time.clock_gettime(self._cpu_clock)
        except OSError:
            return None

    def used(self) -> tuple[float, float]:
        """The milliseconds of wall time and of CPU time that the call which runs has had; none where none does."""
        if self._call is None:
            return 0.0, 0.0
        cpu_s = self.cpu_s()
        return self._wall_time.used * 1000, 0.0 if cpu_s is None else max(0.0, cpu_s * 1000 - self._cpu_known_ms)

    def tell(self, denial: dict[str, Any]) -> None:
        """Add the supervisor's own denial to those of the call that runs."""
        self._ended.denials.append(denial)

    def kill(self, reason: str, because: str = "") -> None:
        """End it now; the first reason is the one that counts, with its sentence."""
        if self.killed_for is None:
            self.killed_for, self._ended.because = reason, because
            # The exact number comes when it is reaped, which whoever cancels a call does not wait for.
            _, self._ended.cpu_ms = self.used()
        self._send(signal.SIGKILL)

    def kill_quietly(self) -> None:
        """End a worker that has nothing to say any more: it closed its socket, broke the framing, or is not needed."""
        self._unwanted = True
        self._send(signal.SIGKILL)

    def spawned(self, pidfd: int) -> None:
        """The zygote has forked it: on a busy machine it may have served a call by the time that this is heard."""
        self._pidfd = pidfd
        self._loop.add_reader(pidfd, self._died)
        if self.killed_for is not None or self._unwanted:
            self._send(signal.SIGKILL)
        elif self._stopped:
            self._send(signal.SIGSTOP)

    def exited(self, status: int | None, cpu_ms: float | None) -> None:
        """The zygote has reaped it, or is gone, or could not fork it."""
        self.status, self._cpu_ms, self._reported = status, cpu_ms, True
        if self._pidfd is None and self.dead_at is None:
            self.dead_at = self._loop.time()
        self._settle()

    def _send(self, number: signal.Signals) -> None:
        if self._pidfd is not None and self.dead_at is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def _died(self) -> None:
        assert self._pidfd is not None
        self.dead_at = self._loop.time()
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = None
        self._settle()

    def _settle(self) -> None:
        """Close everything once it is dead and its status is known."""
        if self.dead_at is None or not self._reported or self.dead.done():
            return
        self._channel.drain()
        self._notes.close()
        self._finish()
        self._channel.close()
        self._stdout.close()
        self._stderr.close()
        if self._egress is not None:
            self._egress.close()
        if not self.ready.done():
            self.ready.set_result(None)
        self.dead.set_result(self.dead_at)
        self._on_dead(self)

    def _frame(self, message: dict[str, Any], descriptors: list[int]) -> None:
        for fd in descriptors:
            os.close(fd)
        try:
            self._heard(message)
        except (LookupError, TypeError, ValueError):
            # What no worker of ours says: it has been taken over.
            self.kill_quietly()

    def _heard(self, message: dict[str, Any]) -> None:
        if "ready" in message and not self.ready.done():
            self._cpu_known_ms = float(message["cpu_ms"])
            self.ready.set_result(message["ready"])
        elif "prepared" in message:
            self.preparing = False
        elif self._call is None:
            self.kill_quietly()
        elif "denial" in message:
            if len(self._ended.denials) < MAX_DENIALS:
                self._ended.denials.append(_bounded(message["denial"]))
        elif "stored" in message:
            said = self.on_stored(message["stored"])
            if said is not None:
                self.kill("max_total_size", said)
        elif "ask" in message:
            self.on_ask(_bounded(message["ask"]))
        elif "keep" in message and self.on_keep is not None:
            self._channel.send({"kept": self.on_keep(message["keep"])})
        elif "stale" in message:
            self._ended.stale = True
            self._finish()
        elif "done" in message:
            self._done(message)

    def _done(self, message: dict[str, Any]) -> None:
        done = message["done"]
        if self.killed_for is not None:
            # What was ordered counts, also where the result was on its way.
            return
        if not isinstance(done, dict):
            self.kill_quietly()
            return
        self._ended.done, self._ended.value = done, message.get("value")
        self._cpu_known_ms = float(done["life_cpu_ms"])
        self.preparing = bool(done.get("preparing"))
        rest_ms = float(done.get("rest_ms", 0))
        self._rested_at = self._loop.time() + rest_ms / 1000 if rest_ms > _LONG_REST_MS else 0.0
        self._finish()

    def _finish(self) -> None:
        """Settle the call that runs, if one does."""
        if self._call is None:
            return
        call, self._call = self._call, None
        ended = self._ended
        ended.wall_ms = self._wall_time.end() * 1000
        ended.stdout, ended.stderr = self._stdout.end(), self._stderr.end()
        if ended.done is None and not ended.stale:
            ended.status, ended.killed_for = self.status, self.killed_for
            if self._cpu_ms is not None:
                ended.cpu_ms = max(0.0, self._cpu_ms - self._cpu_known_ms)
            ended.preparing = self.preparing and self.killed_for is None
            ended.failed_allocation = self._notes.failed_allocation
        if not call.done():
            call.set_result(ended)


def _cpu_clock_of(pidfd: int) -> int:
    """The clock of a process's CPU time, as clock_getcpuclockid(3) makes it from the number. Raises OSError where it is gone."""
    lines = Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines()
    pid = next((int(line.split()[1]) for line in lines if line.startswith("Pid:")), -1)
    if pid <= 0:
        raise ProcessLookupError("the process is reaped")
    return (~pid << 3) | 2


@dataclass(frozen=True, slots=True)
class Wires:
    """The server's ends of a worker's sockets and pipes."""

    control: socket.socket
    egress: socket.socket
    stdout: int
    stderr: int
    notes: int


def _bounded(denial: dict[str, Any]) -> dict[str, Any] | None:
    """A worker's denial, None where it is longer than any gate makes it: that something was refused is still told."""
    return denial if len(json.dumps(denial)) <= DENIAL_BYTES else None


def wires() -> tuple[Wires, tuple[int, ...]]:
    """New sockets and pipes: our ends, and the worker's five descriptors, which the caller closes once they are sent."""
    control, control_of_worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    egress, egress_of_worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stdout, stdout_of_worker = os.pipe2(os.O_CLOEXEC)
    stderr, stderr_of_worker = os.pipe2(os.O_CLOEXEC)
    notes, notes_of_worker = os.pipe2(os.O_CLOEXEC)
    theirs = (control_of_worker.detach(), egress_of_worker.detach(), stdout_of_worker, stderr_of_worker, notes_of_worker)
    return Wires(control, egress, stdout, stderr, notes), theirs
