"""`sandbox serve`: serve components as MCP tools over HTTP, to any number of clients.

Rules: this machine alone, unless told otherwise, and then only with a token (`sandbox.cli.bearer`). What is printed on standard
output is data; the URL goes to standard error.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
from argparse import Namespace
from typing import Any

from sandbox.cli.asking import person_at
from sandbox.cli.bearer import asked_for
from sandbox.cli.exits import Exit
from sandbox.cli.hosting import load_all, open_sandbox
from sandbox.cli.own import most, own_tools
from sandbox.cli.terminal import Terminal
from sandbox.errors import Code, SandboxError


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Serve until a signal comes."""
    return asyncio.run(_serve(arguments, terminal))


async def _serve(arguments: Namespace, terminal: Terminal) -> int:
    stop = asyncio.Event()
    by = _stopped_by_signals(stop)
    # What is wrong with the words is said before the SDK is imported, which takes a second.
    path, hosts, origins = _path(arguments.path), map(_host, arguments.allow_host), map(_origin, arguments.allow_origin)
    where = {"path": path, "hosts": frozenset(hosts), "origins": frozenset(origins)}
    http = importlib.import_module("sandbox.server.http.serve")
    asked = asked_for(arguments, terminal)
    tokens = {"verifier": asked.verifier, "resource": asked.resource}
    listening = http.Listening(host=arguments.host, port=arguments.port, **tokens, **where)
    async with open_sandbox(arguments, source="http", person=person_at(terminal)) as sandbox:
        loading = asyncio.create_task(load_all(sandbox, arguments.words, arguments.policy, arguments.waive, serving=True))
        server = http.SandboxServer(sandbox, loading, own_tools(arguments, sandbox), most=most(arguments))
        try:
            await http.serve_http(server, listening, ready=_telling(terminal), stop=stop)
        finally:
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
    return Exit.INTERRUPTED if by == [signal.SIGINT] else Exit.OK


def _telling(terminal: Terminal) -> Any:
    def tell(url: str) -> None:
        if terminal.json:
            terminal.data({"url": url, "pid": os.getpid()})
        else:
            terminal.note(f"serving at {url}")

    return tell


def _stopped_by_signals(stop: asyncio.Event) -> list[signal.Signals]:
    """Have SIGINT and SIGTERM stop the server once; a second one has its default effect. Which it was, once it came."""
    came: list[signal.Signals] = []
    loop = asyncio.get_running_loop()

    def end(number: signal.Signals) -> None:
        came.append(number)
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, number)
    return came


def _path(path: str) -> str:
    names = importlib.import_module("sandbox.server.http.names")
    taken = ", ".join(f"`{each}`" for each in (*names.OWN_PATHS, names.API))
    plain = path.startswith("/") and not path.startswith("//") and path.isascii() and not set(path) & set("?#% \\")
    if not plain or path in names.OWN_PATHS or names.is_api(path):
        raise _usage(f"`{path}` is no path for MCP", f"write one like `/mcp`; {taken} are taken")
    return path


def _host(host: str) -> str:
    found: str | None = importlib.import_module("sandbox.server.http.names").named(host)
    if found is None:
        raise _usage(f"`--allow-host {host}` is no host", "write a name as clients will: `box.example.com`, or with its port")
    return found


def _origin(origin: str) -> str:
    scheme, separator, rest = origin.partition("://")
    if scheme not in {"http", "https"} or not separator or not rest or set(rest) & set("/?#*@ "):
        raise _usage(f"`--allow-origin {origin}` is no origin", "write scheme, host and port: `https://app.example.com`")
    return origin.lower()


def _usage(message: str, help: str) -> SandboxError:  # noqa: A002 - the word of the error style
    return SandboxError(message, help=help, code=Code.INVALID_ARGUMENTS)
