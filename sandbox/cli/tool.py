"""`sandbox tool`: list and call tools without an MCP client, through the same host and under the same policy."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox.api import Sandbox
from sandbox.cli.exits import Exit
from sandbox.cli.hosting import hosting
from sandbox.cli.terminal import Terminal
from sandbox.cli.values import arguments_from
from sandbox.errors import Code, SandboxError
from sandbox.host.outcome import Ending
from sandbox.result import CallResult
from sandbox.wit.tools import Tool

_WIDTH = 100
"""Of a description in a table; `--json` has it whole."""


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run `tool list` or `tool call`."""
    work = _list if arguments.action == "list" else _call
    return asyncio.run(work(arguments, terminal))


async def _list(arguments: Namespace, terminal: Terminal) -> int:
    async with hosting(arguments, arguments.words) as sandbox:
        tools = sorted(sandbox.tools(), key=lambda tool: tool.name)
    if arguments.json:
        terminal.data([_described(tool) for tool in tools])
    else:
        rows = [(tool.name, _signature(tool), _first_line(tool.description)) for tool in tools]
        terminal.table(("TOOL", "ARGUMENTS", "DESCRIPTION"), rows, none="no tools: the components export no functions")
    return Exit.OK


async def _call(arguments: Namespace, terminal: Terminal) -> int:
    files, name, words = _split(arguments.words)
    async with hosting(arguments, files) as sandbox:
        tool = _tool(sandbox, name)
        called = await sandbox.call(tool.name, arguments_from(words, tool.input_schema))
    _show(called, terminal)
    if called.outcome.ending is Ending.INVALID_ARGUMENTS:
        return Exit.USAGE
    return Exit.OK if called.outcome.ok else Exit.REFUSED


def _split(words: Sequence[str]) -> tuple[list[str], str, list[str]]:
    """The components, the tool and its arguments: the tool is the first word that is no file."""
    for index, word in enumerate(words):
        if not (word.endswith(".wasm") or ("/" in word and Path(word).exists())):
            return list(words[:index]), word, list(words[index + 1 :])
    raise SandboxError(
        "no tool is named", help="write `sandbox tool call [FILE.wasm …] TOOL [KEY=VALUE …]`", code=Code.INVALID_ARGUMENTS
    )


def _tool(sandbox: Sandbox, name: str) -> Tool:
    tools = {tool.name: tool for tool in sandbox.tools()}
    if name in tools:
        return tools[name]
    # `list` is enough where one tool alone ends in `__list`.
    ending = [tool for tool in tools.values() if tool.name.endswith(f"__{name}")]
    if len(ending) == 1:
        return ending[0]
    raise SandboxError(
        f"there is no tool `{name}`", help=f"the tools are {', '.join(f'`{tool}`' for tool in tools)}", code=Code.TOOL_NOT_FOUND
    )


def _show(called: CallResult, terminal: Terminal) -> None:
    outcome = called.outcome
    if terminal.json:
        body: dict[str, Any] = {"ok": outcome.ok, "request_id": called.request_id, "ending": outcome.ending.value}
        body |= {"result": outcome.value} if called.body is None else {"error": called.body}
        body |= {"stdout": outcome.stdout, "stderr": outcome.stderr, "usage": {"wall_ms": outcome.usage.wall_ms}}
        terminal.data(body)
        return
    for printed in (outcome.stdout, outcome.stderr):
        if printed:
            terminal.note(printed.rstrip("\n"))
    if called.body is None:
        terminal.data(outcome.value)
    else:
        terminal.denied(called.body)


def _described(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "input_schema": tool.input_schema,
        "output_schema": tool.output_schema,
        "wit": tool.wit_id,
    }


def _signature(tool: Tool) -> str:
    required = tool.input_schema.get("required", ())
    return " ".join(name if name in required else f"[{name}]" for name in tool.input_schema.get("properties", {}))


def _first_line(text: str | None) -> str:
    line = (text or "").strip().partition("\n")[0]
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"
