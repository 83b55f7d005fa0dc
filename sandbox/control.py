"""One socket for each running server: how a change made elsewhere takes effect at once, and comes back with its receipt.

Decides nothing about permissions: `sync` makes a server read the store again, where alone grants are. So the worst that
somebody at the socket could do is to make a server look; `further` questions are their answerers' business (`sandbox.remote`).

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
from collections.abc import Awaitable, Callable, Iterator, Mapping
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

Further = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Answers another question, in its own time; cancelled when whoever asks goes away."""


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

    def __init__(
        self,
        run: Path,
        *,
        sync: Sync,
        holds: Holds,
        status: Callable[[], dict[str, Any]],
        further: Mapping[str, Further] | None = None,
    ) -> None:
        self._run, self._sync, self._holds, self._status = run, sync, holds, status
        self._further = dict(further or {})
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
                    asked = _understood(await reader.readline())
                    further = self._further.get(str(asked.get("do")))
                    answer = await self._answer(asked) if further is None else {}
                if further is not None:
                    answer = await _while_there(reader, further(asked))
                writer.write(json.dumps(answer).encode("ascii") + b"\n")
                await writer.drain()
        except (OSError, ValueError, TimeoutError):
            pass  # whoever asked went away, said nothing, or too much: there is nobody to tell
        finally:
            writer.close()

    async def _answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        try:
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


def _understood(line: bytes) -> dict[str, Any]:
    """The question; empty where it is none."""
    try:
        asked = json.loads(line)
    except ValueError:
        return {}
    return asked if isinstance(asked, dict) else {}


async def _while_there(reader: asyncio.StreamReader, answering: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """The answer, unless whoever asked goes away before it: then it is cancelled."""
    work, gone = asyncio.ensure_future(answering), asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ConnectionResetError
        return work.result()
    finally:
        for each in (work, gone):
            each.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


async def notify_all(run: Path, *, since: int, besides: str = "", grant: str = "") -> tuple[ServerReceipt, ...]:
    """Have every running server of a home apply the store now; one receipt each. `besides` names one to leave out.

    With `grant` each says whether that new grant holds there.
    """
    question = {"do": "sync", "since": since, "grant": grant}
    answers = await asyncio.gather(*(_notify(run, name, question) for name in servers_in(run) if name != besides))
    return tuple(answer for answer in answers if answer is not None)


async def status_all(run: Path, *, besides: str = "") -> tuple[Status, ...]:
    """The running servers of a home; one that does not answer is left out."""
    found = []
    for name in (name for name in servers_in(run) if name != besides):
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


async def ask(run: Path, name: str, question: Mapping[str, Any], *, limit: int = MAX_LINE) -> dict[str, Any]:
    """A server's answer, of at most `limit` bytes. Raises OSError, ValueError or TypeError where there is none."""
    with _folder(run) as folder:
        reader, writer = await asyncio.open_unix_connection(f"{folder}/{name}{SUFFIX}", limit=limit)
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


async def _ask(run: Path, name: str, question: dict[str, Any]) -> dict[str, Any]:
    async with asyncio.timeout(ANSWER_WITHIN_S):
        return await ask(run, name, question)


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


def servers_in(run: Path) -> list[str]:
    """The servers of a home, by name; one that was killed may be among them until somebody asks it."""
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
