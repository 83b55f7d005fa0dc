"""Where an attack is staged: a real `Sandbox` with the hostile guest in it, and a neighbour who must notice nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.api import Sandbox
from sandbox.host.outcome import Ending
from sandbox.policy.load import load_policy
from sandbox.result import CallResult
from tests.support.components import files_component
from tests.support.guests import guest

NEIGHBOUR = "traps__fine"
NOTHING = 'version: "2.0"\n'
CANARY = "CANARY-6f1c0d"
WARM = tempfile.TemporaryDirectory(prefix="sandbox-tests-cache-")
"""The compiled guests of this run: a home begins with a copy, so that each guest is compiled once and not by every test."""

SLACK = 24 << 20
"""Bytes that the second half of the repeats may add: the allocator's and the kernel's noise, not a leak of each call."""


def policy(storage: str = "", network: str = "", environment: str = "", limits: str = "") -> str:
    """A document with these entries: flow mappings, one a line, as `allow` unless a line begins with `ask ` or `deny `."""
    lines = ['version: "2.0"', "permissions:"]
    for section, text in (("storage", storage), ("network", network), ("environment", environment)):
        entries = [line.strip() for line in text.strip().splitlines()]
        allow = [line for line in entries if not line.startswith(("ask ", "deny "))]
        ask = [line.removeprefix("ask ") for line in entries if line.startswith("ask ")]
        deny = [line.removeprefix("deny ") for line in entries if line.startswith("deny ")]
        if entries:
            lines.append(f"  {section}:")
        for effect, chosen in (("allow", allow), ("ask", ask), ("deny", deny)):
            lines += [f"    {effect}:", *(f"      - {{{line}}}" for line in chosen)] if chosen else []
    if limits:
        lines += ["  resources:", f"    limits: {{{limits}}}"]
    return "\n".join(lines) + "\n" if len(lines) > 2 else NOTHING


def value(result: CallResult) -> Any:
    """What the guest returned; it must have returned something that is no `err`."""
    assert result.outcome.ok, f"{result.outcome.ending}: {result.outcome.message} {result.outcome.value} {result.body}"
    return result.outcome.value


def attempts(result: CallResult) -> dict[str, str]:
    """A guest's attempts as `what → outcome`."""
    return {each["what"]: each["outcome"] for each in value(result)}


@dataclass(frozen=True)
class Traces:
    """What this host holds: descriptors, processes, bytes of memory, files in the folder."""

    descriptors: int
    processes: int
    memory: int
    files: int


def children(pid: int) -> list[int]:
    """The processes below `pid`; what ends meanwhile has none."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in list(Path(f"/proc/{pid}/task").iterdir()):
            with contextlib.suppress(OSError):
                found += [int(each) for each in (task / "children").read_text().split()]
    return [*found, *(below for child in found for below in children(child))]


def memory(pid: int) -> int:
    """A process's own memory: what no other shares."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    return 0


class Stage:
    """The sandbox, the attacker's world, and what must hold after every attack."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.home = folder / "home"

    async def load(self, name: str, document: str = NOTHING) -> None:
        """Load the guest `name` under a policy text; one that an earlier attack loaded is put under this one, without grants."""
        policy = load_policy(document, file="policy.yaml")
        if any(tool.name.startswith(f"{name}__") for tool in self.sandbox.tools()):
            for grant in self.sandbox.grants(name):
                await self.sandbox.revoke(grant.id)
            await self.sandbox.update_component_policy(name, policy)
        else:
            await self.sandbox.load(guest(name), policy=policy)

    async def load_for_clients(self, *names: str) -> None:
        """Load guests, and the component `files`, none of which may touch anything: what a client is shown."""
        for name in names:
            await self.load(name)
        await self.sandbox.load(files_component(), policy="deny-all")

    async def call(self, tool: str, **arguments: Any) -> CallResult:
        """One call of the attacker, as any client makes it."""
        return await self.sandbox.call(tool, {name.replace("_", "-"): value for name, value in arguments.items()})

    def traces(self) -> Traces:
        """What is held now."""
        pids = [os.getpid(), *children(os.getpid())]
        files = sum(1 for path in self.folder.rglob("*") if "audit" not in path.parts)
        return Traces(len(os.listdir("/proc/self/fd")), len(pids), sum(memory(pid) for pid in pids), files)

    def records(self) -> list[dict[str, Any]]:
        """The whole record."""
        lines = [line for path in sorted((self.home / "audit").glob("*.jsonl")) for line in path.read_text().splitlines()]
        return [json.loads(line) for line in lines]

    async def contained(
        self,
        tool: str,
        check: Callable[[CallResult], None],
        *,
        within_s: float = 5.0,
        repeats: int = 20,
        secrets: tuple[str, ...] = (CANARY,),
        **arguments: Any,
    ) -> CallResult:
        """Attack, and assert the five things that every attack asserts; see `tests/attacks/README.md`."""
        began = time.monotonic()
        result = await self.call(tool, **arguments)
        took_s = time.monotonic() - began
        check(result)
        await self.neighbour_is_well()
        self.is_recorded(result, secrets)
        await self.leaves_nothing(tool, arguments, repeats)
        assert took_s < within_s, f"the attack took {took_s:.2f} s"
        return result

    async def neighbour_is_well(self) -> None:
        """Another component's call succeeds, right now."""
        assert value(await self.sandbox.call(NEIGHBOUR, {"number": 7})) == 7

    def is_recorded(self, result: CallResult, secrets: tuple[str, ...]) -> None:
        """Attempt and outcome lie under one id, with the decision and every denial, and no secret in any record."""
        records = [record for record in self.records() if record["audit_id"] == result.request_id]
        kinds = [record["event"] for record in records]
        assert kinds[0] == "tool_invoke"
        assert kinds[-1] == ("tool_success" if result.outcome.ok else "tool_failure")
        assert records[0]["decision"] == "allow"
        recorded = [denial for record in records for denial in record["denials"]]
        assert bool(recorded) == bool(result.outcome.denials)
        text = "".join(path.read_text() for path in (self.home / "audit").glob("*.jsonl"))
        assert not [secret for secret in secrets if secret in text]

    async def leaves_nothing(self, tool: str, arguments: dict[str, Any], repeats: int) -> None:
        """The second half of the repeats adds no descriptor, process or file, and no memory beyond noise."""
        if repeats < 2:
            return
        for _ in range(repeats // 2):
            await self.call(tool, **arguments)
        await self.settled()
        before = self.traces()
        for _ in range(repeats - repeats // 2):
            await self.call(tool, **arguments)
        await self.settled()
        after = self.traces()
        assert after.descriptors <= before.descriptors
        assert after.files <= before.files
        assert after.processes <= before.processes
        assert after.memory <= before.memory + SLACK

    async def running(self) -> None:
        """Wait until a call is under way in a worker."""
        while not self.sandbox.metrics()["running"]:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)

    async def settled(self) -> None:
        """Wait until spares are replaced and the dead are reaped: two looks in a row that see the same."""
        last = None
        for _ in range(40):
            traces = self.traces()
            now = (traces.descriptors, traces.processes, traces.files)
            if now == last:
                return
            last = now
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def staged(folder: Path, **settings: Any) -> AsyncIterator[Stage]:
    """A sandbox with the neighbour in it."""
    cache = folder / "home" / "cache"
    cache.parent.mkdir(mode=0o700, exist_ok=True)
    if not cache.exists():
        shutil.copytree(WARM.name, cache)
    async with Sandbox(folder / "home", **settings) as sandbox:
        stage = Stage(sandbox, folder)
        await stage.load("traps")
        yield stage
    shutil.copytree(cache, WARM.name, dirs_exist_ok=True)


def ended(*endings: Ending) -> Callable[[CallResult], None]:
    """A check: the call ended in one of these ways."""

    def check(result: CallResult) -> None:
        assert result.outcome.ending in endings, f"{result.outcome.ending}: {result.outcome.message} {result.outcome.value}"

    return check


def limited(name: str) -> Callable[[CallResult], None]:
    """A check: the limit `name` ended the call, and the message says so."""

    def check(result: CallResult) -> None:
        assert result.outcome.ending is Ending.LIMIT, f"{result.outcome.ending}: {result.outcome.message}"
        assert result.outcome.limit == name
        assert f"`{name}`" in result.outcome.message
        assert result.body is not None
        assert result.body["code"] == "resource_limit_exceeded"

    return check
