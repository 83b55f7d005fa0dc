"""`sandbox serve`: serve components as MCP tools over HTTP, to any number of clients.

Rules: this machine alone, unless told otherwise, and then only with a token; a token is read from a file or a variable and never
from the command line; what a token may do is held to, or nothing is served. What is printed on standard output is data; the URL
goes to standard error.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
from argparse import Namespace
from pathlib import Path
from typing import Any

from sandbox.cli.asking import person_at
from sandbox.cli.configured import configuration_of
from sandbox.cli.exits import Exit
from sandbox.cli.hosting import load_all, open_sandbox
from sandbox.cli.own import most, own_tools
from sandbox.cli.terminal import Terminal
from sandbox.config.configuration import Configuration
from sandbox.errors import Code, SandboxError

TOKEN_VARIABLE = "SANDBOX_TOKEN"  # noqa: S105 - the name of a variable

_DOCUMENTS = ("roles", "scopes")
"""What a token's line may say that is an admission document's to hold it to."""


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
    listening = http.Listening(host=arguments.host, port=arguments.port, verifier=_verifier(arguments, terminal), **where)
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


def _verifier(arguments: Namespace, terminal: Terminal) -> Any:
    """The tokens that are asked for, None where none are. Raises SandboxError where what one may do would not be held to."""
    configuration = configuration_of(arguments)
    verifier = _asked_for(arguments, configuration, terminal)
    if verifier is None or configuration.admission is not None:
        return verifier
    for name, claims in verifier.claims.items():
        if said := [each for each in _DOCUMENTS if each in claims]:
            told = f"the token `{name}` has `{said[0]}=`, which nothing holds it to without an admission document"
            raise SandboxError(told, help=f"configure one, `admission: /path/admission.yaml`, or take `{said[0]}=` away")
    return verifier


def _asked_for(arguments: Namespace, configuration: Configuration, terminal: Terminal) -> Any:
    """The tokens by the option, else by `$SANDBOX_TOKEN`, else as it is configured."""
    tokens = importlib.import_module("sandbox.server.http.tokens")
    variable = TOKEN_VARIABLE if TOKEN_VARIABLE in os.environ else configuration.token_variable
    if arguments.token_file is not None and TOKEN_VARIABLE in os.environ:
        raise _usage(f"both {TOKEN_VARIABLE} and `--token-file` are given", "give one of them")
    file = configuration.token_file if arguments.token_file is None else Path(arguments.token_file)
    if file is None or (arguments.token_file is None and TOKEN_VARIABLE in os.environ):
        return None if variable is None else _in_variable(tokens, variable)
    verifier, made = tokens.tokens_in_file(file)
    if made:
        terminal.note(f"a token was made, and is in {file}")
    return verifier


def _in_variable(tokens: Any, variable: str) -> Any:
    if variable not in os.environ:
        raise SandboxError(f"the configuration takes tokens from `{variable}`, which is not set", code=Code.UNAVAILABLE)
    return tokens.tokens_of(os.environ[variable], variable)


def _path(path: str) -> str:
    taken = importlib.import_module("sandbox.server.http.names").OWN_PATHS
    if path in taken or not path.startswith("/") or path.startswith("//") or not path.isascii() or set(path) & set("?#% \\"):
        raise _usage(
            f"`{path}` is no path for MCP", f"write one like `/mcp`; {', '.join(f'`{each}`' for each in taken)} are taken"
        )
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
