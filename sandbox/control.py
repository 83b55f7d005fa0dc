"""One socket for each running server: how a change made elsewhere takes effect at once, and comes back with its receipt.

Decides nothing about permissions: `sync` makes a server read the store again, where alone grants are. So the worst that
somebody at the socket could do is to make a server look.

Rules: the socket lies in a 0700 folder, is 0600, and both ends look at the other's user id (SO_PEERCRED); one JSON line asks,
one answers, both bounded; a socket that nobody listens on any more is removed. Linux.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError
from sandbox.receipt import Held, ServerReceipt, StoppedCall

MAX_LINE = 1 << 20
ANSWER_WITHIN_S = 5.0
SUFFIX = ".sock"

MAX_LEFT_OUT, MAX_WHY = 256, 500
"""How many grants that do not hold a server names in its status, and how many characters of each reason."""

Sync = Callable[[int], Awaitable[tuple[StoppedCall, ...]]]
"""Read the store again; the calls stopped by changes newer than a generation."""

Holds = Callable[[str], Held]
"""Whether a grant holds in this server, by its id."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a server says of itself."""

    server: str
    pid: int
    components: tuple[str, ...]
    generation: int
    left_out: tuple[tuple[str, str], ...] = ()
    """Stored grants that give nothing there, each with the reason."""


class ControlSocket:
    """A server's ear. `start` makes the socket, `close` removes it; `name` tells this server's from the others'."""

    def __init__(self, run: Path, *, sync: Sync, holds: Holds, status: Callable[[], dict[str, Any]]) -> None:
        self._run, self._sync, self._holds, self._status = run, sync, holds, status
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen from now on."""
        listener = _listener(self._run, self.name)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=MAX_LINE)

    async def close(self) -> None:
        """Remove the socket and hear nobody any more."""
        if self._server is not None:
            (self._run / f"{self.name}{SUFFIX}").unlink(missing_ok=True)
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _same_user(writer.get_extra_info("socket")):
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    answer = await self._answer(await reader.readline())
                writer.write(json.dumps(answer).encode("ascii") + b"\n")
                await writer.drain()
        except (OSError, ValueError, TimeoutError):
            pass  # whoever asked went away, said nothing, or too much: there is nobody to tell
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(line)
            do, since, grant = asked["do"], int(asked.get("since", 0)), str(asked.get("grant", ""))
        except (ValueError, TypeError, KeyError, AttributeError):
            return {"error": "not understood"}
        if do == "sync":
            try:
                stopped = [call.to_json() for call in await self._sync(since)]
                held = self._holds(grant) if grant else Held()
            except SandboxError as error:
                return {"error": error.message}
            return {"stopped": stopped, "holds": held.holds, "why": None if held.why is None else held.why[:MAX_WHY]}
        return self._status() if do == "status" else {"error": "not understood"}


async def notify_all(run: Path, *, since: int, besides: str = "", grant: str = "") -> tuple[ServerReceipt, ...]:
    """Have every running server of a home apply the store now; one receipt each. `besides` names one to leave out.

    With `grant` each says whether that new grant holds there.
    """
    question = {"do": "sync", "since": since, "grant": grant}
    answers = await asyncio.gather(*(_notify(run, name, question) for name in _servers(run) if name != besides))
    return tuple(answer for answer in answers if answer is not None)


async def status_all(run: Path, *, besides: str = "") -> tuple[Status, ...]:
    """The running servers of a home; one that does not answer is left out."""
    found = []
    for name in (name for name in _servers(run) if name != besides):
        with suppress(OSError, ValueError, KeyError, TypeError, TimeoutError):
            told = await _ask(run, name, {"do": "status"})
            left_out = tuple((str(grant), str(why)) for grant, why in dict(told.get("left_out", {})).items())
            found.append(Status(name, int(told["pid"]), tuple(told["components"]), int(told["generation"]), left_out))
    return tuple(found)


async def _notify(run: Path, name: str, question: dict[str, Any]) -> ServerReceipt | None:
    try:
        told = await _ask(run, name, question)
        if "error" in told:
            return ServerReceipt(name, error=str(told["error"]))
        return ServerReceipt(name, tuple(map(StoppedCall.from_json, told["stopped"])), held=Held.from_json(told))
    except FileNotFoundError:
        return None  # it ended in the meantime: nothing runs there
    except ConnectionRefusedError:
        (run / f"{name}{SUFFIX}").unlink(missing_ok=True)  # left behind by one that was killed
        return None
    except (OSError, ValueError, KeyError, TypeError, TimeoutError) as error:
        return ServerReceipt(name, error=f"no answer ({type(error).__name__})")


async def _ask(run: Path, name: str, question: dict[str, Any]) -> dict[str, Any]:
    async with asyncio.timeout(ANSWER_WITHIN_S):
        with _folder(run) as folder:
            reader, writer = await asyncio.open_unix_connection(f"{folder}/{name}{SUFFIX}", limit=MAX_LINE)
        try:
            if not _same_user(writer.get_extra_info("socket")):
                raise PermissionError("the socket is another user's")
            writer.write(json.dumps(question).encode("ascii") + b"\n")
            answer = json.loads(await reader.readline())
        finally:
            writer.close()
    if not isinstance(answer, dict):
        raise TypeError("not an answer")
    return answer


def _listener(run: Path, name: str) -> socket.socket:
    """A listening socket. It gets its name when it listens already, so nobody takes it for one left behind."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _folder(run) as folder:
        hidden = Path(f"{folder}/.{name}")
        listener.bind(str(hidden))
        hidden.chmod(0o600)
        listener.listen(16)
        hidden.rename(f"{folder}/{name}{SUFFIX}")
    listener.setblocking(False)
    return listener


def _servers(run: Path) -> list[str]:
    return [path.name.removesuffix(SUFFIX) for path in sorted(run.glob(f"*{SUFFIX}"))]


@contextmanager
def _folder(run: Path) -> Iterator[str]:
    """A short name of the folder: a socket's path may have 107 bytes, a home's may be longer."""
    descriptor = os.open(run, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _same_user(connection: Any) -> bool:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return bool(struct.unpack("3i", credentials)[1] == os.geteuid())
