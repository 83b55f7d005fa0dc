"""`sandbox run`: serve components as MCP tools on standard input and output.

Rules: the protocol's descriptors are taken before anything else starts, so that nothing else can write there. The SDK takes a
second to import; that happens while the host starts. A client is answered while the components are still being compiled.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
from argparse import Namespace

from sandbox.cli.exits import Exit
from sandbox.cli.hosting import load_all, open_sandbox
from sandbox.cli.own import most, own_tools
from sandbox.cli.terminal import Terminal
from sandbox.server.descriptors import Wire, claim


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Serve until the client goes or a signal comes."""
    if os.isatty(0):
        terminal.note("waiting for an MCP client on standard input; `sandbox tool list` and `tool call` try tools without one")
    return asyncio.run(_serve(arguments, claim()))


async def _serve(arguments: Namespace, wire: Wire) -> int:
    importing = asyncio.create_task(asyncio.to_thread(importlib.import_module, "sandbox.server.serve"))
    ended = _Signals(asyncio.current_task())
    try:
        async with open_sandbox(arguments, source="mcp") as sandbox:
            loading = asyncio.create_task(load_all(sandbox, arguments.words, arguments.policy, arguments.waive, serving=True))
            try:
                serving = await importing
                await serving.serve(sandbox, wire, loading, own_tools(arguments, sandbox), most=most(arguments))
            finally:
                loading.cancel()
                await asyncio.gather(loading, return_exceptions=True)
    except asyncio.CancelledError:
        if ended.by is None:
            raise
    return Exit.INTERRUPTED if ended.by is signal.SIGINT else Exit.OK


class _Signals:
    """SIGINT and SIGTERM end the task once; a second one has its default effect, for who will not wait."""

    def __init__(self, task: asyncio.Task[int] | None) -> None:
        assert task is not None
        self.by: signal.Signals | None = None
        self._task = task
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._end, number)

    def _end(self, number: signal.Signals) -> None:
        self.by = number
        for each in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        self._task.cancel()
