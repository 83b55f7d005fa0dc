"""A process that the server starts, talks to, and is told of the end of: zygote, compiler, gateway.

Decides nothing about what it does. It is `python -I -m MODULE FD` with the environment that is named
(mostly none), no standard streams but a standard error that goes to the debug log, and one socket.

Rules: runs on the event loop's thread; no thread and no signal handler waits for the process, its pidfd does; closing the
socket asks it to end, SIGKILL makes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.host import wire
from sandbox.host.channel import Channel

_DEBUG = logging.getLogger("sandbox.debug")
_LINE_BYTES = 1 << 12
_END_SECONDS = 2.0


class Child:
    """One running process. `exited` gives its exit status (negative: the signal that killed it)."""

    def __init__(
        self,
        module: str,
        on_frame: Callable[[dict[str, Any], list[int]], None],
        on_exit: Callable[[int], None],
        *,
        arguments: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
        limit: int = wire.SMALL_FRAME,
    ) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        reading, writing = os.pipe2(os.O_CLOEXEC)
        with theirs:
            command = [sys.executable, "-I", "-m", module, str(theirs.fileno()), *arguments]
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
                command,
                env=dict(environment or {}),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=writing,
                pass_fds=(theirs.fileno(),),
            )
        os.close(writing)
        self._module = module
        self._on_exit = on_exit
        self._pidfd = os.pidfd_open(self._process.pid)
        self._errors = _ErrorLines(module, reading, loop)
        self.exited: asyncio.Future[int] = loop.create_future()
        loop.add_reader(self._pidfd, self._ended)
        self.channel = Channel(ours, on_frame, self.kill, limit=limit)

    @property
    def alive(self) -> bool:
        """Whether the process has not ended yet."""
        return not self.exited.done()

    def kill(self) -> None:
        """End it now. It may have ended: then nothing happens."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def close(self) -> None:
        """Ask it to end, insist after two seconds, and wait until it has."""
        self.channel.close()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await asyncio.shield(self.exited)
        except TimeoutError:
            self.kill()
            await self.exited

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        status = self._process.wait()
        os.close(self._pidfd)
        self.channel.close()
        self._errors.close()
        self.exited.set_result(status)
        self._on_exit(status)


class _ErrorLines:
    """Standard error of a process and of all that it forks, into the debug log, in pieces of bounded length."""

    def __init__(self, module: str, fd: int, loop: asyncio.AbstractEventLoop) -> None:
        os.set_blocking(fd, False)
        self._module, self._fd, self._loop = module, fd, loop
        loop.add_reader(fd, self._readable)

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _LINE_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._fd)
            return
        for line in data.decode(errors="replace").splitlines():
            _DEBUG.debug("%s: %s", self._module, line)

    def close(self) -> None:
        """Read what is left, as far as it is there already, and stop."""
        self._readable()
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
