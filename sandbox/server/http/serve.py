"""Listen, and serve every client that comes until told to stop.

Decides where it listens and how it ends. Leaves requests to `sandbox.server.http.front`, connections to
`sandbox.server.http.connections`.

Rules: beyond this machine only with a token. Sessions are kept and answers streamed, since without either a client hears no
progress and cannot cancel (MCP 2025-11-25). At the end no new connection is taken, what runs may finish within
`GRACE_SECONDS`, and streams without an end are closed at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from urllib.parse import urlsplit

import uvicorn
from starlette.types import Receive, Scope, Send

from sandbox.errors import Code, HostUnavailable, SandboxError
from sandbox.server.http.bearer import Bearer
from sandbox.server.http.connections import IDLE_SECONDS, MAX_HEAD_BYTES, GuardedProtocol
from sandbox.server.http.front import Front, Rules
from sandbox.server.http.identity import Verifier
from sandbox.server.http.metrics import Requests, exposition
from sandbox.server.http.names import LOOPBACK, Names, named
from sandbox.server.http.plain import PlainCalls
from sandbox.server.http.protected import ProtectedResource
from sandbox.server.http.sessions import Sessions
from sandbox.server.http.witness import Witness
from sandbox.server.serve import served
from sandbox.server.server import SandboxServer

GRACE_SECONDS = 5
BACKLOG = 128


@dataclass(frozen=True, slots=True)
class Listening:
    """Where and to whom a server answers; `verifier` None asks nobody for a token, which loopback alone may.

    `resource` is told to clients where an issuer gives tokens.
    """

    host: str = "127.0.0.1"
    port: int = 8787
    path: str = "/mcp"
    verifier: Verifier | None = None
    resource: ProtectedResource | None = None
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()


async def serve_http(server: SandboxServer, listening: Listening, *, ready: Callable[[str], None], stop: asyncio.Event) -> None:
    """Serve until `stop` is set; `ready` is told the URL. A failure of the server's loading ends it, and is raised.

    Raises SandboxError for a place where it may not listen without a token, HostUnavailable where it cannot.
    """
    with _socket(listening) as listener:
        front = _front(server, listening, listener)
        serving = asyncio.create_task(_serve(front, server, listener, stop))
        ready(_url(listening, listener))
        try:
            await served(serving, server.loading)
        finally:
            stop.set()
            await asyncio.gather(serving, return_exceptions=True)


async def _serve(front: _Application, server: SandboxServer, listener: socket.socket, stop: asyncio.Event) -> None:
    config = uvicorn.Config(
        front,
        http=GuardedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=BACKLOG,
    )
    serving = _Uvicorn(config)
    async with front.running():
        task = asyncio.create_task(serving.serve([listener]))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        serving.should_exit = True
        server.close_listeners()
        front.front.close()
        await task


class _Uvicorn(uvicorn.Server):
    """uvicorn without a hand on this process's signals: the command decides what they do."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield


class _Application:
    """The front, and the SDK's sessions behind it."""

    def __init__(self, server: SandboxServer, rules: Rules) -> None:
        self._sessions, self._requests = Sessions(server), Requests()
        figures, unready = partial(exposition, server.sandbox.figures, self._requests), partial(_unready, server)
        plain = PlainCalls(server)
        self.front = Front(self._sessions.handle_request, plain, rules, unready, figures, self._requests)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sessions can be opened; at the end they are closed, and what still runs in them is cancelled."""
        async with self._sessions.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.front(scope, receive, self._requests.counted(send))


def _front(server: SandboxServer, listening: Listening, listener: socket.socket) -> _Application:
    bound = named(listener.getsockname()[0])
    resource = listening.resource
    known = None if resource is None else named(urlsplit(resource.url).netloc)
    hosts = LOOPBACK | listening.hosts | {name for name in (bound, known) if name is not None}
    witness = Witness(server.sandbox)
    bearer = None if listening.verifier is None else Bearer(listening.verifier, resource, witness)
    rules = Rules(listening.path, Names(hosts, listening.origins), bearer)
    return _Application(server, rules)


def _unready(server: SandboxServer) -> str | None:
    """Why tools cannot be called now."""
    return server.sandbox.unready() if server.loading.done() else "starting"


def _socket(listening: Listening) -> socket.socket:
    """A listening socket, on the first address of the host."""
    try:
        found = socket.getaddrinfo(listening.host, listening.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        if listening.verifier is None and not ip_address(str(address[0]).partition("%")[0]).is_loopback:
            raise SandboxError(
                f"`{listening.host}` can be reached from other machines, and no token is asked for",
                help="give `--token-file FILE`, which makes a token where there is none, or set SANDBOX_TOKEN",
                code=Code.INVALID_ARGUMENTS,
            )
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        where = f"{listening.host}:{listening.port}"
        taken = error.errno == errno.EADDRINUSE
        told = "address already in use" if taken else (error.strerror or str(error)).lower()
        help_ = "`--port 0` takes a free port" if taken else None
        raise HostUnavailable(f"cannot listen on {where}: {told}", help=help_) from error


def _url(listening: Listening, listener: socket.socket) -> str:
    address, port = listener.getsockname()[:2]
    return f"http://{named(address)}:{port}{listening.path}"
