"""Signals to real workers, who is told of them, and the switch that stops everything."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from sandbox import HostUnavailable, NotAdmitted, NotFound, Sandbox
from sandbox.admission.document.load import load_admission
from sandbox.admission.signal import Signal, SignalContext, SignalledCall
from sandbox.changes import signals
from sandbox.errors import Code
from sandbox.host.outcome import Ending
from tests.api.conftest import begun, policy, recorded, until
from tests.support.guests import guest

pytestmark = pytest.mark.asyncio(loop_scope="package")
SLEEP = "exhaust_sleep__sleep"


def under(sandbox: Sandbox, text: str) -> None:
    """Have another admission document decide, which allows what it does not speak of."""
    document = load_admission(f'version: "1.0"\ntemplate: permissive\n{text}\n', file="admission.yaml")
    sandbox._dispatch.authorizer.replace(document)


async def sleeping(sandbox: Sandbox, home: Path, *, call_id: str = "c", session: str | None = None, ms: int = 60_000) -> Any:
    """A call that sleeps, begun."""
    if "exhaust_sleep" not in {one.name for one in sandbox.loaded()}:
        await sandbox.load(guest("exhaust_sleep"), policy=policy(home.parent, "{resources: {limits: {wall_time: 60s}}}"))
    before = len(sandbox._running_host()._running)
    call = asyncio.create_task(sandbox.call(SLEEP, {"milliseconds": str(ms)}, call_id=call_id, session=session))
    await until(lambda: sum(one.worker is not None for one in sandbox._running_host()._running.values()) > before or call.done())
    assert begun(sandbox)
    return call


async def test_a_signal_to_a_call_that_does_not_run_is_refused(sandbox: Sandbox, home: Path) -> None:
    """Each of them, and one to go on for a call that is not suspended."""
    for signal in Signal:
        with pytest.raises(NotFound, match="no call `nothing` runs"):
            await sandbox.signal("nothing", signal)
    call = await sleeping(sandbox, home)
    with pytest.raises(NotFound, match="the call `c` is not suspended"):
        await sandbox.signal("c", Signal.SIGCONT)
    await sandbox.signal("c", Signal.SIGKILL, reason="it is enough")
    outcome = (await call).outcome
    assert (outcome.ending, outcome.message) == (Ending.KILLED, "the call was killed: it is enough")


async def test_a_suspended_call_goes_on(sandbox: Sandbox, home: Path) -> None:
    """SIGSTOP and SIGCONT are on record with who sent them; the call ends well."""
    call = await sleeping(sandbox, home, ms=50)
    await sandbox.signal("c", Signal.SIGSTOP, reason="let me look", who="ann")
    assert list(sandbox.suspended()) == ["c"]
    await asyncio.sleep(0.2)
    assert not call.done()
    await sandbox.signal("c", Signal.SIGCONT, who="ann")
    assert (await call).outcome.ok
    (stopped,), (went_on,) = recorded(home, "signal_stop"), recorded(home, "signal_cont")
    assert (stopped["subject"], stopped["reason"], stopped["tool"]) == ("ann", "let me look", SLEEP)
    assert went_on["detail"] == {"action": "signal", "call_id": "c"}


async def test_a_call_stays_suspended_for_no_longer_than_is_allowed(
    sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the admission document does not say how long that is."""
    monkeypatch.setattr(signals, "SUSPEND_S", 0.1)
    call = await sleeping(sandbox, home)
    await sandbox.signal("c", Signal.SIGSTOP)
    outcome = (await call).outcome
    assert (outcome.ending, outcome.limit) == (Ending.LIMIT, "suspend_timeout")


async def test_handlers_are_told_and_change_nothing(sandbox: Sandbox, home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One that raises, one that takes too long, one that blocks its thread: the call is killed, the others are told."""
    told: list[tuple[SignalledCall, SignalContext]] = []

    @sandbox.on_signal(Signal.SIGKILL)
    def fails(call: SignalledCall, context: SignalContext) -> None:
        raise RuntimeError("no")

    @sandbox.on_signal(Signal.SIGKILL)
    def blocks(call: SignalledCall, context: SignalContext) -> None:
        time.sleep(3)

    @sandbox.on_signal(Signal.SIGKILL)
    async def lasts(call: SignalledCall, context: SignalContext) -> None:
        await asyncio.sleep(60)

    @sandbox.on_signal(Signal.SIGKILL)
    async def hears(call: SignalledCall, context: SignalContext) -> None:
        told.append((call, context))

    @sandbox.on_signal(Signal.SIGSTOP)
    async def hears_of_others(call: SignalledCall, context: SignalContext) -> None:
        raise AssertionError("it was no SIGSTOP")

    call = await sleeping(sandbox, home, session="s")
    began = time.monotonic()
    with caplog.at_level(logging.ERROR, "sandbox"):
        await sandbox.signal("c", Signal.SIGKILL, reason="enough", who="ann")
        assert (await call).outcome.ending is Ending.KILLED
        assert time.monotonic() - began < 2.5, "nobody waited for a handler"
        await sandbox._signals.close()
    assert told == [
        (SignalledCall(SLEEP, "exhaust_sleep", "c", "s"), SignalContext("enough", "signal", approved_by="ann")),
    ]
    said = sorted(record.getMessage().split("<locals>.")[1] for record in caplog.records)
    assert said == [
        "blocks` took longer than 1 s and is not waited for",
        "fails` failed",
        "lasts` took longer than 1 s and is not waited for",
    ]


async def test_a_document_says_how_long_a_call_may_stay_suspended(sandbox: Sandbox, home: Path) -> None:
    under(sandbox, "signals: {suspend_timeout: 1s}")
    call = await sleeping(sandbox, home)
    await sandbox.signal("c", Signal.SIGSTOP)
    assert (await call).outcome.limit == "suspend_timeout"


async def test_a_rule_that_is_broken_kills_the_calls_of_its_session(sandbox: Sandbox, home: Path) -> None:
    """The refusal says why, handlers are told; the calls of other sessions go on."""
    told: list[tuple[SignalledCall, SignalContext]] = []

    @sandbox.on_signal(Signal.SIGKILL)
    async def hears(call: SignalledCall, context: SignalContext) -> None:
        told.append((call, context))

    line = "{name: never, effect: deny, when: {tool: traps__fine}, on_violation: SIGKILL, message: not that one}"
    under(sandbox, f"rules: [{line}]")
    await sandbox.load(guest("traps"))
    mine = await sleeping(sandbox, home, call_id="mine", session="mine")
    other = await sleeping(sandbox, home, call_id="other", session="other", ms=300)
    with pytest.raises(NotAdmitted, match="not that one"):
        await sandbox.call("traps__fine", {"number": 1}, session="mine")
    outcome = (await mine).outcome
    assert (outcome.ending, outcome.message) == (Ending.KILLED, "another call of this session broke a rule: not that one")
    assert (await other).outcome.ok
    await sandbox._signals.close()
    ((call, context),) = told
    assert (call.tool, call.call_id, call.session) == ("traps__fine", None, "mine")
    assert (context.action, context.approved_by) == ("violation", None)


async def test_a_rule_that_suspends_has_the_call_wait_for_an_approval(sandbox: Sandbox, home: Path) -> None:
    """Until somebody can be asked it is refused, and says so; nothing of it runs."""
    under(sandbox, "rules: [{name: ask, effect: require_approval, when: {tool: traps__fine}, on_violation: SIGSTOP}]")
    await sandbox.load(guest("traps"))
    with pytest.raises(NotAdmitted) as refused:
        await sandbox.call("traps__fine", {"number": 1}, session="s")
    assert refused.value.code is Code.APPROVAL_REQUIRED
    assert recorded(home, "signal_stop")[0]["detail"] == {"action": "violation"}
    assert not recorded(home, "tool_invoke")


async def test_what_is_stopped_is_refused_until_it_is_resumed(sandbox: Sandbox, home: Path) -> None:
    """The running call is dead when the stop returns; a new one is refused, with who stopped it and why, and on record."""
    await sandbox.load(guest("traps"))
    await sandbox.call("traps__fine", {"number": 3})
    call = await sleeping(sandbox, home)
    assert sandbox.metrics()["idle"] >= 1  # others may have left some
    _, receipt = await sandbox.stop_calls(reason="something is wrong", who="ann")
    outcome = (await call).outcome
    assert (outcome.ending, outcome.message) == (Ending.KILLED, "every call is stopped (by ann: something is wrong)")
    assert [one.call_id for one in receipt.stopped] == ["c"]
    assert sandbox.metrics()["idle"] == 0
    with pytest.raises(NotAdmitted, match=r"every call is stopped \(by ann: something is wrong\)"):
        await sandbox.call(SLEEP, {"milliseconds": "1"})
    assert recorded(home, "access_denied")[-1]["rules"] == ["stopped"]
    await sandbox.resume_calls(who="ben")
    assert (await sandbox.call(SLEEP, {"milliseconds": "1"})).outcome.ok
    (stopped,), (resumed,) = recorded(home, "calls_stopped"), recorded(home, "calls_resumed")
    assert (stopped["severity"], stopped["subject"], resumed["subject"]) == ("critical", "ann", "ben")


async def test_the_host_s_own_tools_are_stopped_too(sandbox: Sandbox) -> None:
    """A client that could still load and grant would not be stopped."""
    await sandbox.stop_calls()
    with pytest.raises(NotAdmitted, match="every call is stopped"):
        sandbox.attempt("load-component", {}, subject="local", session="s")


async def test_a_stopped_session_leaves_the_others_alone(sandbox: Sandbox, home: Path) -> None:
    mine = await sleeping(sandbox, home, call_id="mine", session="mine")
    other = await sleeping(sandbox, home, call_id="other", session="other", ms=300)
    await sandbox.stop_calls("mine")
    assert (await mine).outcome.ending is Ending.KILLED
    with pytest.raises(NotAdmitted, match="the calls of this session are stopped"):
        await sandbox.call(SLEEP, {"milliseconds": "1"}, session="mine")
    assert (await other).outcome.ok
    with pytest.raises(NotFound, match="everything is not stopped"):
        await sandbox.resume_calls()


async def test_a_stop_holds_over_a_restart_and_in_every_process(sandbox: Sandbox, home: Path) -> None:
    """One that starts afterwards refuses; a resume by it is heard here."""
    await sandbox.load(guest("exhaust_sleep"), policy=policy(home.parent))
    async with Sandbox(home) as other:
        await other.stop_calls(reason="over there")
    async with Sandbox(home) as started_later:
        assert [stop.why for stop in started_later.stops()] == ["over there"]
        with pytest.raises(NotAdmitted, match="every call is stopped"):
            await sandbox.call(SLEEP, {"milliseconds": "1"})
        await started_later.resume_calls()
    assert (await sandbox.call(SLEEP, {"milliseconds": "1"})).outcome.ok


async def test_a_suspended_call_is_killed_by_a_stop(sandbox: Sandbox, home: Path) -> None:
    call = await sleeping(sandbox, home)
    await sandbox.signal("c", Signal.SIGSTOP)
    await sandbox.stop_calls()
    assert (await call).outcome.ending is Ending.KILLED
    assert sandbox.suspended() == {}


async def test_a_warning_and_a_rate_send_the_signal_that_the_document_names(sandbox: Sandbox, home: Path) -> None:
    """A warning keeps the call from running; what passes a rate kills what else runs in its session."""
    await sandbox.load(guest("traps"))
    warned = "content: [{pattern: 'three', where: [arguments], action: warn}]\nsignals: {on_warning: SIGSTOP}"
    under(sandbox, warned)
    with pytest.raises(NotAdmitted) as refused:
        await sandbox.call("traps__fine", {"number": 3, "three": 1}, session="s")
    assert refused.value.code is Code.APPROVAL_REQUIRED
    under(sandbox, "rates: [{tool: traps__fine, per: user, limit: 1/min}]\nsignals: {on_rate_limit: SIGKILL}")
    running = await sleeping(sandbox, home, session="s")
    assert (await sandbox.call("traps__fine", {"number": 3}, session="s")).outcome.ok
    with pytest.raises(NotAdmitted) as refused:
        await sandbox.call("traps__fine", {"number": 3}, session="s")
    assert (refused.value.code, refused.value.retry_after_s is not None) == (Code.RATE_LIMIT_EXCEEDED, True)
    assert (await running).outcome.ending is Ending.KILLED
    assert [record["event"] for record in recorded(home, "signal_stop", "signal_kill")] == ["signal_stop", "signal_kill"]


async def test_a_stop_that_somebody_takes_out_of_the_store_is_no_stop_less(sandbox: Sandbox, home: Path) -> None:
    """Who knew of it goes on refusing; who starts then can tell nothing, and has nothing to call."""
    await sandbox.load(guest("traps"))
    await sandbox.stop_calls()
    with sqlite3.connect(home / "state" / "state.sqlite") as db:
        db.execute("DELETE FROM stops")
        db.execute("UPDATE numbers SET value = value + 1 WHERE name = 'generation'")
    with pytest.raises(NotAdmitted, match="every call is stopped"):
        await sandbox.call("traps__fine", {"number": 3})
    async with Sandbox(home) as later:
        with pytest.raises(HostUnavailable, match="changed by something else"):
            await later.load(guest("traps"))
