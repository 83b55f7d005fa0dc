"""A host in use for minutes: calls of all kinds, 32 in flight, while some are killed, cancelled or lose what they were granted.

`make soak` runs it: three minutes at least, 20,000 calls at least, 200 kills and 200 revokes. `SANDBOX_SOAK_SECONDS` and
`SANDBOX_SOAK_CALLS` make it longer or shorter. Every call has an id of ours, told as its session, which the record keeps. It is
accounted for once: by one answer or one cancellation, one record that it began, one that it ended.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import json
import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandbox.admission.signal import Signal
from sandbox.audit.verify import verify
from sandbox.policy.load import load_policy
from tests.attacks.stage import SLACK, Stage, Traces, policy, staged
from tests.attacks.test_network import greet
from tests.host.gateway import upstream
from tests.support.guests import guest

SECONDS = float(os.environ.get("SANDBOX_SOAK_SECONDS", "190"))
CALLS = int(os.environ.get("SANDBOX_SOAK_CALLS", "20000"))
IN_FLIGHT = 32
ENDED_EARLY = 200
ROUNDS = 5
TRAPS = frozenset({"unreachable", "divide"})

W = 'uri: "fs://{folder}/w/**", access: [read, write, create, delete], mount: /w'
NET = "cidr: 127.0.0.1/32, ports: [{port}], protocols: [http]"
GUESTS = {
    "traps": policy(limits="concurrency: 8"),
    "escape_traversal": policy(W, limits="concurrency: 8"),
    "exhaust_files": policy(W + ", max_total_size: 10Mi", limits="concurrency: 8"),
    "escape_network": policy(network=NET, limits="concurrency: 8"),
    "exhaust_cpu": policy(limits="cpu_time: 1s, cpu: 900m"),
    "exhaust_output": policy(limits="output: 64Ki"),
    "exhaust_sleep": policy(limits="concurrency: 8, wall_time: 120s"),
}
SLEEP = "exhaust_sleep__sleep"
FOR_LONG = {"milliseconds": "100000"}


@dataclass
class Accounts:
    """What was asked and what came of it, by the call's id."""

    answered: collections.Counter[str] = field(default_factory=collections.Counter)
    cancelled: set[str] = field(default_factory=set)
    endings: collections.Counter[str] = field(default_factory=collections.Counter)
    killed: int = 0
    revoked: int = 0
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def new_id(self) -> str:
        return f"soak-{next(self.numbers)}"

    @property
    def calls(self) -> int:
        return self.answered.total() + len(self.cancelled)


class Load:
    """The calls that come on, of every kind."""

    def __init__(self, stage: Stage, port: int) -> None:
        self.stage, self.accounts = stage, Accounts()
        self._chance = random.Random(7)
        asked = {"method": "GET", "scheme": "http", "authority": f"127.0.0.1:{port}", "path": "/", "headers": [], "body": ""}
        self._kinds: tuple[tuple[str, dict[str, Any]], ...] = (
            ("traps__fine", {"number": 7}),
            ("traps__fine", {"number": 8}),
            ("traps__unreachable", {}),
            ("traps__divide", {"by": 0}),
            ("escape_traversal__open-each", {"mount": "/w", "paths": ["x", "../x", "denied"]}),
            ("exhaust_files__fill", {"mount": "/w", "path": "filled", "bytes": "4096"}),
            ("escape_network__request", asked),
            ("escape_network__request", {**asked, "authority": "127.0.0.1:9"}),
            ("exhaust_cpu__work", {"rounds": "1000"}),
            ("exhaust_output__text", {"bytes": 2000}),
            ("exhaust_output__text", {"bytes": 90_000}),
            (SLEEP, {"milliseconds": "5"}),
        )

    async def call(self, tool: str, arguments: dict[str, Any], call_id: str) -> str:
        """One call; how it ended."""
        result = await self.stage.sandbox.call(tool, arguments, call_id=call_id, session=call_id)
        self.accounts.answered[call_id] += 1
        self.accounts.endings[str(result.outcome.ending)] += 1
        return str(result.outcome.ending)

    async def any_kind(self, until: float, calls: int) -> None:
        """One caller: one call after the other, until the time and the number are reached."""
        while time.monotonic() < until or self.accounts.calls < calls:
            tool, arguments = self._chance.choice(self._kinds)
            await self.call(tool, arguments, self.accounts.new_id())

    async def killed(self, count: int) -> None:
        """Calls that are killed while they run: by a signal, or by their caller who goes away."""
        for number in range(count):
            call_id = self.accounts.new_id()
            task = asyncio.create_task(self.call(SLEEP, FOR_LONG, call_id))
            await self._under_way(call_id)
            if number % 2:
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                self.accounts.cancelled.add(call_id)
            else:
                await self.stage.sandbox.signal(call_id, Signal.SIGKILL, reason="soak")
                assert await task == "killed"
            self.accounts.killed += 1

    async def revoked(self, count: int) -> None:
        """Calls that run under a grant that is taken from them."""
        sandbox, place = self.stage.sandbox, f"fs://{self.stage.folder}/w/x"
        for _ in range(count):
            grant = await sandbox.grant_storage_permission("sleeper", place, ["read"], mount="/w/x")
            call_id = self.accounts.new_id()
            task = asyncio.create_task(self.call("sleeper__sleep", FOR_LONG, call_id))
            await self._under_way(call_id)
            receipt = await sandbox.revoke(grant.id)
            assert [stopped.call_id for stopped in receipt.every_stop] == [call_id]
            assert await task == "revoked"
            self.accounts.revoked += 1

    async def _under_way(self, call_id: str) -> None:
        while call_id not in {one.call_id for one in self.stage.sandbox._running_host().running()}:
            await asyncio.sleep(0.005)

    async def round(self, seconds: float, calls: int) -> None:
        """A share of everything, at once."""
        until = time.monotonic() + seconds
        each = ENDED_EARLY // ROUNDS // 2
        async with asyncio.TaskGroup() as tasks:
            for _ in range(2):
                tasks.create_task(self.killed(each))
            tasks.create_task(self.revoked(2 * each))
            for _ in range(IN_FLIGHT - 3):
                tasks.create_task(self.any_kind(until, calls))


@contextlib.asynccontextmanager
async def loaded(folder: Path) -> AsyncIterator[Load]:
    """A host with every guest, a folder, and a web server."""
    (folder / "w").mkdir()
    (folder / "w/x").write_text("content")
    server = upstream.start(greet)
    async with staged(folder, max_workers=32) as stage:
        for name, text in GUESTS.items():
            await stage.load(name, text.replace("{folder}", str(folder)).replace("{port}", str(server.port)))
        alone = load_policy(policy(limits="concurrency: 8, wall_time: 120s"), file="policy.yaml")
        await stage.sandbox.load(guest("exhaust_sleep"), policy=alone, name="sleeper")
        yield Load(stage, server.port)
    server.close()


@pytest.mark.soak
@pytest.mark.asyncio
async def test_a_host_in_use_for_minutes_accounts_for_every_call_and_does_not_grow(tmp_path: Path) -> None:
    traces: list[Traces] = []
    async with loaded(tmp_path) as load:
        for number in range(1, ROUNDS + 1):
            await load.round(SECONDS / ROUNDS, number * CALLS // ROUNDS)
            # Idle workers come and go: what is held without them is compared.
            await load.stage.sandbox._running_host().retire()
            await load.stage.settled()
            traces.append(load.stage.traces())
            print(number, load.accounts.calls, traces[-1], load.stage.sandbox.metrics())
        metrics = load.stage.sandbox.metrics()
        await load.stage.neighbour_is_well()
    accounts = load.accounts
    print(dict(accounts.endings), f"{accounts.calls} calls, {accounts.killed} killed, {accounts.revoked} revoked")
    assert accounts.calls >= CALLS
    assert (accounts.killed, accounts.revoked) == (ENDED_EARLY, ENDED_EARLY)
    assert set(accounts.answered.values()) == {1}
    assert not accounts.cancelled & set(accounts.answered)
    assert_all_recorded_once(tmp_path / "home" / "audit", set(accounts.answered) | accounts.cancelled)
    assert metrics["running"] == metrics["waiting"] == metrics["crashes"] == 0
    warm, last = traces[1], traces[-1]
    assert last.descriptors <= warm.descriptors
    assert last.processes <= warm.processes
    assert last.files <= warm.files + 2, "the store's own files beside"
    assert last.memory <= warm.memory + SLACK


def assert_all_recorded_once(audit: Path, asked: set[str]) -> None:
    """Each call's id has one record of its beginning and one of its end; nothing else has run; the chain holds."""
    began: collections.Counter[str] = collections.Counter()
    ended: collections.Counter[str] = collections.Counter()
    for path in sorted(audit.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if str(record["session"]).startswith("soak-"):
                began[record["session"]] += record["event"] == "tool_invoke"
                ended[record["session"]] += record["event"] in ("tool_success", "tool_failure")
    assert set(began) == set(ended) == asked
    assert set(began.values()) == set(ended.values()) == {1}
    assert verify(audit).fault is None
