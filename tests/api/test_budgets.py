"""Budgets, rates and caps of real calls: what is refused before a worker runs, stopped while it does, settled at every end."""

from __future__ import annotations

import asyncio
import contextlib
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sandbox import Sandbox
from sandbox.admission.document.models import AdmissionDocument
from sandbox.admission.signal import Signal
from sandbox.admission.spending.budgets import Whose
from sandbox.admission.spending.costs import CostTracker
from sandbox.config.spending import Budget
from sandbox.errors import Code, HostUnavailable, NotAdmitted
from sandbox.host.outcome import Ending
from sandbox.state.budgets import SetBudget
from tests.api.conftest import policy, recorded, until
from tests.support.guests import guest
from tests.support.redis_server import redis_server

pytestmark = pytest.mark.asyncio(loop_scope="package")

DAY = {"period": "day"}
PRICES = {"per_call": {"*": "0.001"}, "cpu_second": "0.001"}


def spinning(folder: Path) -> Path:
    """A policy under which a call may spin for long."""
    return policy(folder, "{resources: {limits: {cpu_time: 20s, wall_time: 20s}}}", name="long.yaml")


def admission(**sections: Any) -> AdmissionDocument:
    return AdmissionDocument.model_validate({"version": "1.0", "template": "permissive", "prices": PRICES, **sections})


async def spent(sandbox: Sandbox) -> dict[str, Any]:
    """What the calls of each tool cost and used, by the tracker."""
    return dict(CostTracker(sandbox._metering.counts).by("tool"))


async def test_a_call_beyond_its_budget_is_refused_before_a_worker_runs(home: Path) -> None:
    budgets = {"users": {"alice": {"max_cost": "0.0029", **DAY}}}
    async with Sandbox(home, admission=admission(budgets=budgets)) as sandbox:
        await sandbox.load(guest("traps"))
        for _ in range(2):
            assert (await sandbox.call("traps__fine", {"number": 1}, subject="alice")).outcome.ok
        with pytest.raises(NotAdmitted) as refused:
            await sandbox.call("traps__fine", {"number": 1}, subject="alice")
        assert (refused.value.code, refused.value.rules) == (Code.BUDGET_EXCEEDED, ("budgets.users.alice.max_cost",))
        assert 0 < (refused.value.to_json()["retry_after_s"] or 0) <= 86_400
        assert (await sandbox.call("traps__fine", {"number": 1}, subject="bob")).outcome.ok
    (denied,) = recorded(home, "budget_exceeded")
    assert (denied["subject"], denied["decision"], denied["rules"]) == ("alice", "deny", ["budgets.users.alice.max_cost"])
    assert len(recorded(home, "tool_invoke")) == 3
    for used in (record["usage"] for record in recorded(home, "tool_success")):
        assert used["cost_micros"] == 1_000 + math.ceil(used["cpu_ms"])


async def test_of_a_hundred_calls_at_once_against_one_credit_exactly_one_runs(home: Path) -> None:
    budgets = {"users": {"alice": {"max_cost": "0.001", **DAY}}}
    document = admission(budgets=budgets, prices={"per_call": {"*": "0.001"}})
    async with Sandbox(home, admission=document) as sandbox:
        await sandbox.load(guest("traps"))
        calls = (sandbox.call("traps__fine", {"number": 1}, subject="alice") for _ in range(100))
        ended = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(one, NotAdmitted) for one in ended) == 99
    assert len(recorded(home, "tool_success")) == 1


async def test_a_running_call_that_passes_its_budget_is_stopped(home: Path, tmp_path: Path) -> None:
    document = admission(budgets={"default_user": {"max_cpu_seconds": "0.3", **DAY}})
    async with Sandbox(home, admission=document) as sandbox:
        await sandbox.load(guest("exhaust_cpu"), policy=spinning(tmp_path))
        ended = await sandbox.call("exhaust_cpu__spin", {})
        assert (ended.outcome.ending, ended.outcome.limit) == (Ending.LIMIT, "budget")
        assert ended.body is not None
        assert ended.body["code"] == Code.BUDGET_EXCEEDED.value
        assert "cpu_seconds of 0.3 each day for the user `local`" in ended.body["message"]
        assert 300 < ended.outcome.usage.cpu_ms < 1_000
        with pytest.raises(NotAdmitted):
            await sandbox.call("exhaust_cpu__work", {"rounds": "1"})
        assert (await spent(sandbox))["exhaust_cpu__spin"].cpu_ms >= 300
    assert recorded(home, "budget_exceeded")[0]["reason"] == ended.body["message"]
    assert recorded(home, "worker_killed")


async def test_a_call_that_sends_more_than_its_budget_has_is_stopped_while_it_sends(home: Path, tmp_path: Path) -> None:
    """One connection that would go on: what has left is asked for while it is on the way."""
    network = "network: {allow: [{cidr: 127.0.0.0/8, ports: any, protocols: [tcp]}]}"
    rules = f"{{{network}, resources: {{limits: {{wall_time: 60s, cpu_time: 60s}}}}}}"
    document = admission(budgets={"default_user": {"max_egress_bytes": "1Mi", **DAY}})
    received = 0

    async def sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                received += len(data)
                await asyncio.sleep(0.002)
        writer.close()

    async with await asyncio.start_server(sink, "127.0.0.1", 0) as server, Sandbox(home, admission=document) as sandbox:
        await sandbox.load(guest("dials"), policy=policy(tmp_path, rules))
        port = server.sockets[0].getsockname()[1]
        ended = await sandbox.call("dials__carry", {"address": [127, 0, 0, 1], "port": port, "up": str(1 << 30), "down": "0"})
        assert (ended.outcome.ending, ended.outcome.limit) == (Ending.LIMIT, "budget"), ended.outcome.message
        assert "egress_bytes of 1048576 each day" in ended.outcome.message
        with pytest.raises(NotAdmitted):
            await sandbox.call("dials__look-up", {"name": "a.test"})
    assert 1 << 20 <= received < 256 << 20


async def test_a_call_that_costs_more_than_one_call_may_is_stopped(home: Path, tmp_path: Path) -> None:
    """Its CPU time is what makes it dear."""
    dear = {"per_call": {"*": "0.01"}, "cpu_second": "0.5"}
    document = admission(budgets={"runs": {"default": {"max_cost_per_call": "0.1"}}}, prices=dear)
    async with Sandbox(home, admission=document) as sandbox:
        await sandbox.load(guest("exhaust_cpu"), policy=spinning(tmp_path))
        ended = await sandbox.call("exhaust_cpu__spin", {}, session="s")
        assert (ended.outcome.limit, 180 <= ended.outcome.usage.cpu_ms < 900) == ("budget", True)
        assert (await sandbox.call("exhaust_cpu__work", {"rounds": "1"}, session="s")).outcome.ok


@pytest.mark.parametrize("end", ["success", "trap", "guest limit", "kill", "cancel"])
async def test_every_end_is_settled(home: Path, tmp_path: Path, end: str) -> None:
    """What was reserved is replaced by what was used, whatever became of the call: nothing stays taken, nothing is free."""
    document = admission(budgets={"default_user": {"max_cost": 10, "max_cpu_seconds": 60, **DAY}})
    limits = policy(tmp_path, "{resources: {limits: {cpu_time: 100ms, wall_time: 20s}}}")
    async with Sandbox(home, admission=document) as sandbox:
        await sandbox.load(guest("traps"), policy=limits)
        await sandbox.load(guest("exhaust_cpu"), policy=limits if end == "guest limit" else spinning(tmp_path))
        if end in ("success", "trap"):
            await sandbox.call(
                "traps__fine" if end == "success" else "traps__unreachable", {"number": 1} if end == "success" else {}
            )
        elif end == "guest limit":
            assert (await sandbox.call("exhaust_cpu__spin", {})).outcome.limit == "cpu_time"
        else:
            await _ended_from_outside(sandbox, end)
        (used,) = (await spent(sandbox)).values()
        budgets = sandbox._metering.budgets
        assert budgets is not None
        standing = dict(
            zip(("cost", "cpu"), (held for _, held in budgets.standing([Whose("users", "local")], sandbox._clock())), strict=True)
        )
        assert standing == {"cost": used.cost_micros, "cpu": used.cpu_ms}
        assert used.cpu_ms >= (60 if end in ("kill", "cancel", "guest limit") else 0)
        assert used.cost_micros >= 1_000


async def _ended_from_outside(sandbox: Sandbox, end: str) -> None:
    """A call that spins, and is killed or cancelled once it has used a little."""
    call = asyncio.create_task(sandbox.call("exhaust_cpu__spin", {}, call_id="c"))
    await until(lambda: sandbox._host is not None and (used := sandbox._host.used("c")) and used.cpu_ms >= 60)
    if end == "kill":
        await sandbox.signal("c", Signal.SIGKILL)
    else:
        call.cancel()
    await asyncio.gather(call, return_exceptions=True)


async def test_a_call_is_settled_also_where_nothing_is_counted_any_more(sandbox: Sandbox) -> None:
    """The only budget is dropped while a call runs that it bounds."""
    await sandbox.load(guest("exhaust_sleep"))
    await sandbox.set_budget("users/local", Budget(max_seconds=Decimal(100)))
    call = asyncio.create_task(sandbox.call("exhaust_sleep__sleep", {"milliseconds": "300"}))
    await until(lambda: sandbox._components.running)
    await sandbox.drop_budget("users/local")
    assert (await call).outcome.ok
    await sandbox.set_budget("users/local", Budget(max_seconds=Decimal(100)))
    (standing,) = sandbox.budgets("users/local")
    assert standing.spent >= 300


async def test_a_soft_limit_warns_in_the_result_and_once_on_record(home: Path) -> None:
    document = admission(budgets={"default_user": {"max_requests": 3, "soft_limit_percent": 60, **DAY}})
    async with Sandbox(home, admission=document) as sandbox:
        await sandbox.load(guest("traps"))
        told = [(await sandbox.call("traps__fine", {"number": 1})).warnings for _ in range(3)]
    assert told == [
        (),
        ("66% of a budget is used: requests of 3 each day for the user `local`, of which 2 is taken",),
        ("100% of a budget is used: requests of 3 each day for the user `local`, of which 3 is taken",),
    ]
    (warning,) = recorded(home, "budget_warning")
    assert warning["rules"] == ["budgets.default_user.max_requests"]


async def test_a_rate_refuses_with_its_own_code_and_event(home: Path) -> None:
    document = admission(rates=[{"tool": "traps__*", "per": "user", "limit": "2/min"}])
    async with Sandbox(home, admission=document) as sandbox:
        await sandbox.load(guest("traps"))
        for _ in range(2):
            await sandbox.call("traps__fine", {"number": 1})
        with pytest.raises(NotAdmitted) as refused:
            await sandbox.call("traps__fine", {"number": 1})
        assert refused.value.code is Code.RATE_LIMIT_EXCEEDED
        assert 58 < (refused.value.retry_after_s or 0) <= 61
    (denied,) = recorded(home, "rate_limit_exceeded")
    assert denied["reason"] == "too many calls: 2/min of tools `traps__*` per user"


async def test_a_budget_that_is_set_holds_from_the_next_call_on(sandbox: Sandbox, home: Path) -> None:
    """Also where nothing was counted before; and what is dropped holds no more."""
    await sandbox.load(guest("traps"))
    await sandbox.call("traps__fine", {"number": 1})
    assert not (home / "state" / "usage.sqlite").exists()
    sandbox._store.set_budget(SetBudget("users/local", '{"max_requests": 1}', "root", 1.0))
    await sandbox.call("traps__fine", {"number": 1})
    with pytest.raises(NotAdmitted):
        await sandbox.call("traps__fine", {"number": 1})
    sandbox._store.drop_budget("users/local", 2.0)
    await sandbox.call("traps__fine", {"number": 1})


async def test_a_call_that_is_not_on_record_has_taken_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = admission(budgets={"default_user": {"max_requests": 1, **DAY}})
    async with Sandbox(home, admission=document) as sandbox:
        await sandbox.load(guest("traps"))
        append = sandbox._log.append
        monkeypatch.setattr(sandbox._log, "append", lambda *_, **__: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            await sandbox.call("traps__fine", {"number": 1})
        monkeypatch.setattr(sandbox._log, "append", append)
        assert (await sandbox.call("traps__fine", {"number": 1})).outcome.ok


async def test_a_tool_that_keeps_failing_is_not_called_for_a_while(home: Path) -> None:
    document = admission(budgets={"circuit_breaker": {"failures": 2, "within": "1m", "pause": "30s"}})
    async with Sandbox(home, admission=document) as sandbox:
        await sandbox.load(guest("traps"))
        for _ in range(2):
            assert (await sandbox.call("traps__unreachable", {})).outcome.ending is Ending.TRAPPED
        with pytest.raises(NotAdmitted) as refused:
            await sandbox.call("traps__unreachable", {})
        assert refused.value.rules == ("budgets.circuit_breaker",)
        assert (await sandbox.call("traps__fine", {"number": 1})).outcome.ok


async def test_a_condition_sees_what_was_used(home: Path) -> None:
    rule = {"name": "at-most-two", "effect": "deny", "when": {"usage.requests_today": {"ge": 2}}}
    async with Sandbox(home, admission=admission(rules=[rule])) as sandbox:
        await sandbox.load(guest("traps"))
        for _ in range(2):
            await sandbox.call("traps__fine", {"number": 1})
        with pytest.raises(NotAdmitted) as refused:
            await sandbox.call("traps__fine", {"number": 1})
        assert "at-most-two" in refused.value.rules[0]


async def test_labels_that_must_not_meet_do_not_even_at_once(home: Path) -> None:
    session = {
        "labels": {"reads": {"tools": ["traps__fine"]}, "talks": {"tools": ["prints__*"]}},
        "never_together": [["reads", "talks"]],
    }
    async with Sandbox(home, admission=admission(session=session)) as sandbox:
        await sandbox.load(guest("traps"))
        await sandbox.load(guest("prints"))
        await sandbox.call("traps__fine", {"number": 1}, session="one")
        tool = next(tool for tool in sandbox.tools() if tool.component == "prints")
        with pytest.raises(NotAdmitted) as refused:
            await sandbox.call(tool.name, {}, session="one")
        assert refused.value.rules == ("session.never_together",)


async def test_two_servers_on_one_redis_share_budgets_rates_and_what_is_set(tmp_path: Path) -> None:
    """Each with a home of its own: what one used, and what an operator sets at one, holds at the other."""
    document = admission(budgets={"users": {"alice": {"max_requests": 2, **DAY}}}, rates=[{"tool": "*", "limit": "3/min"}])
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    with redis_server() as server:
        settings: dict[str, Any] = {"state": server.url, "admission": document, "environment": environment}
        async with Sandbox(tmp_path / "one", **settings) as one, Sandbox(tmp_path / "two", **settings) as two:
            for each in (one, two):
                await each.load(guest("traps"))
                assert (await each.call("traps__fine", {"number": 1}, subject="alice")).outcome.ok
            for each in (one, two):
                with pytest.raises(NotAdmitted):
                    await each.call("traps__fine", {"number": 1}, subject="alice")
            await one.set_budget("users/alice", Budget(max_requests=100))
            assert (await two.call("traps__fine", {"number": 1}, subject="alice")).outcome.ok
            with pytest.raises(NotAdmitted) as refused:
                await one.call("traps__fine", {"number": 1}, subject="alice")
            assert refused.value.code is Code.RATE_LIMIT_EXCEEDED


async def test_a_state_server_that_is_lost_denies_and_says_so(tmp_path: Path) -> None:
    document = admission(budgets={"default_user": {"max_requests": 100}})
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    with redis_server() as server:
        async with Sandbox(tmp_path / "home", state=server.url, admission=document, environment=environment) as sandbox:
            await sandbox.load(guest("traps"))
            await sandbox.call("traps__fine", {"number": 1})
            server.kill()
            with pytest.raises(HostUnavailable, match="does not answer"):
                await sandbox.call("traps__fine", {"number": 1})
            server.start()
