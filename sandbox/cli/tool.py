"""`sandbox tool`: list and call tools without an MCP client, through the same host and under the same policy.

Decides whose tools those are: of the files that are named, in a host of their own; else of every running server, called there;
else of what is installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import shlex
from argparse import Namespace
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.api import Sandbox
from sandbox.cli.asking import person_at
from sandbox.cli.exits import Exit
from sandbox.cli.home import refuse_no_home
from sandbox.cli.hosting import NOTHING_INSTALLED, hosting, load_all, open_sandbox, tell
from sandbox.cli.terminal import Terminal
from sandbox.cli.values import arguments_from
from sandbox.errors import Code, SandboxError
from sandbox.host.outcome import Ending
from sandbox.registry.inspection import tool_json
from sandbox.remote import ServedTool, call_through, result_json, served

_WIDTH = 100
"""Of a description in a table; `--json` has it whole."""

_NAMED = 20
"""Tools that an error lists."""

Found = Mapping[str, tuple[ServedTool | None, dict[str, Any]]]
"""By name: the running server's tool where one has it, and the tool as `tool_json` gives it."""


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run `tool list` or `tool call`."""
    work = _list if arguments.action == "list" else _call
    return asyncio.run(work(arguments, terminal))


async def _list(arguments: Namespace, terminal: Terminal) -> int:
    async with _reachable(arguments, arguments.words, terminal) as (sandbox, found):
        if not arguments.words:
            tell(sandbox, sandbox.loaded())
        installed = bool(arguments.words or sandbox.loaded())
        tools = [(None if there is None else there.server, tool) for _, (there, tool) in sorted(found.items())]
    if arguments.json:
        terminal.data([{**tool, "server": server} for server, tool in tools])
        return Exit.OK
    rows = [(tool["name"], _signature(tool), _first_line(tool["description"])) for _, tool in tools]
    none = "no tools: the components export no functions" if installed else NOTHING_INSTALLED
    terminal.table(("TOOL", "ARGUMENTS", "DESCRIPTION"), rows, none=none)
    return Exit.OK


async def _call(arguments: Namespace, terminal: Terminal) -> int:
    files, name, words = _split(arguments.words)
    if files and not name:
        raise _unnamed(f"`{shlex.join(('sandbox', 'tool', 'list', *files))}` lists the tools")
    async with _reachable(arguments, files, terminal) as (sandbox, found):
        if not files and name not in found:
            tell(sandbox, sandbox.loaded())  # it may be why the tool is not there
        there, tool = found[_name_of(name, found)]
        given = arguments_from(words, tool["input_schema"])
        if there is None:
            body = result_json(await sandbox.call(tool["name"], given))
        else:
            body = await call_through(sandbox.home / "run", there, given)
    _show({**body, "server": None if there is None else there.server}, terminal)
    if body["ending"] == Ending.INVALID_ARGUMENTS.value:
        if not terminal.json:
            terminal.note(f"  help: `{tool['name']}` takes `{_signature(tool)}`")
        return Exit.USAGE
    return Exit.OK if body["ok"] else Exit.REFUSED


@contextlib.asynccontextmanager
async def _reachable(arguments: Namespace, files: Sequence[str], terminal: Terminal) -> AsyncIterator[tuple[Sandbox, Found]]:
    """A host of this command's own, and every tool that can be called, there or in a running server."""
    if not files:
        refuse_no_home(arguments)
    async with contextlib.AsyncExitStack() as stack:
        found: dict[str, tuple[ServedTool | None, dict[str, Any]]] = {}
        with terminal.working("loading components"):
            if _says_of_a_host(arguments, files):
                sandbox = await stack.enter_async_context(hosting(arguments, files, person=person_at(terminal)))
            else:
                sandbox = await stack.enter_async_context(open_sandbox(arguments, source="terminal", person=person_at(terminal)))
                found = {tool.name: (tool, tool.tool) for tool in await served(sandbox.home / "run")}
                # Where servers have tools, nothing need be installed.
                if not found or any(view.installed for view in sandbox.components()):
                    await load_all(sandbox, (), ())
        yield sandbox, {**{tool.name: (None, tool_json(tool)) for tool in sandbox.tools()}, **found}


def _says_of_a_host(arguments: Namespace, files: Sequence[str]) -> bool:
    """Whether the command line says something of a host, which a running one may have otherwise."""
    said = (arguments.policy, arguments.waive, arguments.ceiling, arguments.isolation, arguments.nameserver)
    return bool(files or any(said))


def _split(words: Sequence[str]) -> tuple[list[str], str, list[str]]:
    """The components, the tool and its arguments: the tool is the first word that is no file; empty where there is none."""
    for index, word in enumerate(words):
        if not (word.endswith(".wasm") or ("/" in word and Path(word).exists())):
            return list(words[:index]), word, list(words[index + 1 :])
    return list(words), "", []


def _name_of(name: str, names: Iterable[str]) -> str:
    """The tool of that name; `list` is enough where one tool alone ends in `__list`."""
    known = sorted(names)
    ending = [each for each in known if each.endswith(f"__{name}")]
    if name in known or len(ending) == 1:
        return name if name in known else ending[0]
    near = difflib.get_close_matches(name, [*known, *(each.partition("__")[2] for each in known)], n=1)
    listed = ", ".join(f"`{each}`" for each in known[:_NAMED]) + (", …" if len(known) > _NAMED else "")
    others = f"the tools are {listed}" if listed else "`sandbox component load FILE.wasm` installs a component with tools"
    meant = f"did you mean `{near[0]}`?" if near else others
    if not name:
        raise _unnamed(others)
    raise SandboxError(f"there is no tool `{name}`", help=meant, code=Code.TOOL_NOT_FOUND)


def _unnamed(instead: str) -> SandboxError:
    usage = "`sandbox tool call --help` shows what may be written"
    return SandboxError("no tool is named", help=f"{instead}; {usage}", code=Code.INVALID_ARGUMENTS)


def _show(body: dict[str, Any], terminal: Terminal) -> None:
    if terminal.json:
        terminal.data(body)
        return
    for printed in (body["stdout"], body["stderr"]):
        if printed:
            terminal.note(printed.rstrip("\n"))
    if "error" in body:
        terminal.denied(body["error"])
    else:
        terminal.data(body["result"])


def _signature(tool: Mapping[str, Any]) -> str:
    required = tool["input_schema"].get("required", ())
    return " ".join(name if name in required else f"[{name}]" for name in tool["input_schema"].get("properties", {}))


def _first_line(text: str | None) -> str:
    line = (text or "").strip().partition("\n")[0]
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"
