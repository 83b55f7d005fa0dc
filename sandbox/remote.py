"""What a terminal asks a running server through its control socket: its components, tools, the policy in force; and a call.

Decides what is said on the way. A call goes the way of every call of that server, under its policies and into its record; who
asks is the same user, who could start a server as well. Who stops waiting cancels the call.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.control import MAX_LINE, ask, servers_in, status_all
from sandbox.errors import Code, HostUnavailable, NotFound, SandboxError
from sandbox.in_force.views import PolicyView
from sandbox.registry.inspection import ComponentView, tool_json
from sandbox.result import CallResult
from sandbox.wit.tools import Tool

MAX_PRINTED = 1 << 20
"""Characters that are told of each stream that a guest printed to."""
MAX_ANSWER = 64 << 20
"""Bytes of a result on the way; the limit of a call's output is far below."""

ANSWERED_WITHIN_S = 5.0

Asked = Mapping[str, Any]
Answer = Callable[[Asked], Awaitable[dict[str, Any]]]
Caller = Callable[[str, Mapping[str, Any]], Awaitable[CallResult]]


def answers(
    *,
    components: Callable[[], tuple[ComponentView, ...]],
    tools: Callable[[], tuple[Tool, ...]],
    call: Caller,
    policy: Callable[[str], PolicyView],
) -> dict[str, Answer]:
    """What a server says to each question, by the question's name."""

    async def loaded(_: Asked) -> dict[str, Any]:
        return {"components": [view.to_json() for view in components()]}

    async def listed(_: Asked) -> dict[str, Any]:
        return {"tools": [tool_json(tool) for tool in tools()]}

    async def called(asked: Asked) -> dict[str, Any]:
        try:
            return {"called": result_json(await call(str(asked["tool"]), dict(asked["arguments"])))}
        except SandboxError as error:
            return {"refused": error.to_json()}

    async def viewed(asked: Asked) -> dict[str, Any]:
        try:
            return {"policy": policy(str(asked.get("component"))).to_json()}
        except SandboxError as error:
            return {"refused": error.to_json()}

    return {"components": loaded, "tools": listed, "call": called, "policy": viewed}


def result_json(called: CallResult) -> dict[str, Any]:
    """A call's result as a JSON object; `error` where it returned no value."""
    outcome = called.outcome
    body: dict[str, Any] = {"ok": outcome.ok, "request_id": called.request_id, "ending": outcome.ending.value}
    body |= {"result": outcome.value} if called.body is None else {"error": called.body}
    printed = called.printed(MAX_PRINTED)
    return {**body, "stdout": printed.stdout, "stderr": printed.stderr, "usage": {"wall_ms": outcome.usage.wall_ms}}


@dataclass(frozen=True, slots=True)
class ServedTool:
    """A tool of a running server, as `tool_json` gives it, and the server's name."""

    server: str
    tool: dict[str, Any]

    @property
    def name(self) -> str:
        """What the tool is called by."""
        return str(self.tool["name"])


async def served(run: Path) -> tuple[ServedTool, ...]:
    """The tools of every running server of a home; a server that does not answer has none."""
    names = servers_in(run)
    found = await asyncio.gather(*(_listed(run, name) for name in names))
    return tuple(ServedTool(name, tool) for name, tools in zip(names, found, strict=True) for tool in tools)


async def components_loaded(run: Path) -> dict[str, dict[str, Any]]:
    """The components of every running server, as `ComponentView.to_json`, by name; `servers` are those that have each."""
    found: dict[str, dict[str, Any]] = {}
    names = servers_in(run)
    for name, told in zip(names, await asyncio.gather(*(_told(run, name, {"do": "components"}) for name in names)), strict=True):
        for view in told.get("components", ()):
            found.setdefault(view["name"], {**view, "servers": []})["servers"].append(name)
    return found


async def policies_in_force(run: Path, component: str) -> dict[str, dict[str, Any]]:
    """What holds for a component in each running server that has loaded it, as `PolicyView.to_json`, by the server's name."""
    statuses = [each for each in await status_all(run) if component in each.components]
    question = {"do": "policy", "component": component}
    found = await asyncio.gather(*(_told(run, each.server, question) for each in statuses))
    return {each.server: told["policy"] for each, told in zip(statuses, found, strict=True) if "policy" in told}


async def _listed(run: Path, server: str) -> list[dict[str, Any]]:
    return list((await _told(run, server, {"do": "tools"})).get("tools", ()))


async def _told(run: Path, server: str, question: Asked) -> dict[str, Any]:
    """A server's answer; empty where there is none soon."""
    try:
        async with asyncio.timeout(ANSWERED_WITHIN_S):
            return await ask(run, server, question, limit=MAX_ANSWER)
    except (OSError, ValueError, TypeError, TimeoutError):
        return {}


async def calls_running(run: Path) -> list[dict[str, Any]]:
    """The calls that run in every running server of a home, each with the `server`."""
    names = servers_in(run)
    told = await asyncio.gather(*(_told(run, name, {"do": "calls"}) for name in names))
    return [{**call, "server": name} for name, one in zip(names, told, strict=True) for call in one.get("calls", ())]


async def signal_call(run: Path, call_id: str, signal: str, *, reason: str, who: str) -> dict[str, Any]:
    """Send a signal to a call in the server that runs it; that call. Raises NotFound where none does."""
    running = await calls_running(run)
    call = next((one for one in running if one["call_id"] == call_id), None)
    if call is None:
        raise NotFound(f"no call `{call_id}` runs", help="`sandbox signal list` lists those that run")
    question = {"do": "signal", "call_id": call_id, "signal": signal, "reason": reason, "who": who}
    answer = await _told(run, call["server"], question)
    if "sent" not in answer:
        refused = answer.get("refused", {"message": f"the server {call['server']} does not answer", "code": Code.UNAVAILABLE})
        raise SandboxError(str(refused["message"]), help=refused.get("help"), code=Code(refused["code"]))
    return call


async def call_through(run: Path, tool: ServedTool, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Call a tool in the server that has it; the result as `result_json`. Raises SandboxError as that server does."""
    question = {"do": "call", "tool": tool.name, "arguments": dict(arguments)}
    if len(json.dumps(question)) >= MAX_LINE:
        raise SandboxError(f"the arguments are larger than {MAX_LINE} bytes", code=Code.INVALID_ARGUMENTS)
    try:
        answer = await ask(run, tool.server, question, limit=MAX_ANSWER)
    except (OSError, ValueError, TypeError) as error:
        raise HostUnavailable(
            f"the server {tool.server} went away during the call ({type(error).__name__})",
            help="`sandbox audit list` says whether the call ended",
        ) from error
    if (refused := answer.get("refused")) is not None:
        raise SandboxError(str(refused["message"]), help=refused.get("help"), code=Code(refused["code"]))
    return dict(answer["called"])
