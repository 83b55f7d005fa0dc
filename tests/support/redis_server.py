"""A Redis or Valkey server for a test: a real one in a folder of its own, ended by its process id.

Without the program the tests that need it are skipped, and say how to install it. CI refuses skips: `.ci/run` installs it.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

PROGRAMS = ("redis-server", "valkey-server")
INSTALL = "apt-get install -y --no-install-recommends redis-server"
SECONDS = 10
PASSWORD = "canary-redis-password"
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
"""What a server has to promise before grants are kept in it: every write is on the disk before it is answered."""


def program() -> str:
    """The first server program that is installed; without one the test is skipped."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        pytest.skip(f"no Redis or Valkey server is installed: {INSTALL}")
    return found


@dataclass
class RedisServer:
    """A server in `folder`, where its socket, its data and its output lie. `start` it as often as you like: the data stay."""

    folder: Path
    options: tuple[str, ...] = DURABLE
    port: int = 0
    """0: no TCP, only the Unix socket. `free_port` gives one of the loopback's."""
    password: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def socket(self) -> Path:
        return self.folder / "redis.sock"

    @property
    def url(self) -> str:
        """How a store names it, without the password: by TCP where it has a port."""
        return f"redis://127.0.0.1:{self.port}" if self.port else f"unix://{self.socket}"

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    def start(self) -> RedisServer:
        """Run until it answers."""
        words = [
            program(),
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--unixsocket",
            str(self.socket),
            "--dir",
            str(self.folder),
        ]
        words += [
            "--unixsocketperm",
            "700",
            "--save",
            "",
            *(("--requirepass", self.password) if self.password else ()),
            *self.options,
        ]
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        until = time.monotonic() + SECONDS
        while not self._answers():
            assert self.process.poll() is None, f"the server ended: {self.output}"
            assert time.monotonic() < until, f"the server does not answer: {self.output}"
            time.sleep(0.01)
        return self

    def empty(self) -> None:
        """Forget everything that is in it."""
        with self.client() as client:
            client.flushall()

    def client(self) -> redis.Redis:
        """A client without the store's rules."""
        return redis.Redis(unix_socket_path=str(self.socket), password=self.password or None)

    def kill(self) -> None:
        """SIGKILL, and gone when this returns: what was not on the disk by now is lost."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(SECONDS)

    def stop(self) -> None:
        """End it, however it is."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def pause(self) -> None:
        """It is there and answers nothing, as behind a broken network."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
            client.settimeout(1)
            client.connect(str(self.socket))
            client.sendall(b"PING\r\n")
            # While it reads its data it says LOADING; where a password is needed, that it is.
            return client.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False


@contextlib.contextmanager
def redis_server(*, options: tuple[str, ...] = DURABLE, tcp: bool = False, password: str = "") -> Iterator[RedisServer]:
    """A started server in a temporary folder of its own, with a short path as sockets need it; ended and removed afterwards."""
    program()
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = RedisServer(Path(folder), options, free_port() if tcp else 0, password)
        try:
            yield server.start()
        finally:
            server.stop()


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
