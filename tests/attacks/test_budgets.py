"""Ways to use more than one's budget has: all at once, by another server, by the clock, by going away, by dying."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox import CallResult, NotAdmitted, Sandbox
from sandbox.admission.spending.costs import CostTracker
from sandbox.config.spending import Budget, Period
from sandbox.errors import Code
from sandbox.host.settings import HostSettings
from sandbox.state.clock import Clock
from tests.api.conftest import KeptHost
from tests.attacks.stage import NEIGHBOUR, Stage, policy, staged
from tests.support.guests import guest

pytestmark = pytest.mark.asyncio(loop_scope="module")

MALLORY = "mallory"
SPIN = "exhaust_cpu__spin"


@pytest_asyncio.fixture(loop_scope="module")
async def own(tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage of this test's own: what it counts does not stay."""
    async with staged(tmp_path) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def kept(tmp_path: Path) -> AsyncIterator[KeptHost]:
    """A host that the end of a sandbox does not end."""
    host = KeptHost(HostSettings(cache_folder=tmp_path / "cache", spares=1))
    yield host
    await host.end()


async def tried(sandbox: Sandbox) -> CallResult | NotAdmitted:
    """One call of the attacker, or why it was not admitted."""
    try:
        return await sandbox.call(NEIGHBOUR, {"number": 1}, subject=MALLORY)
    except NotAdmitted as refused:
        return refused


def is_recorded(stage: Stage, refused: int, ran: int) -> None:
    """Every refusal and every call that ran lies in the record, each with what was decided."""
    records = [record for record in stage.records() if record["subject"] == MALLORY]
    denied = [record for record in records if record["event"] == "budget_exceeded"]
    assert [record["decision"] for record in denied] == ["deny"] * refused
    began = {record["audit_id"] for record in records if record["event"] == "tool_invoke"}
    assert len(began) == ran
    assert began == {record["audit_id"] for record in records if record["event"] in ("tool_success", "tool_failure")}
    assert not began & {record["audit_id"] for record in denied}


async def test_a_hundred_calls_at_once_against_one_credit_are_one_call(own: Stage) -> None:
    """ADM-03: however often it is tried, nothing that a hundred calls hold stays."""
    await own.sandbox.set_budget(f"users/{MALLORY}", Budget(max_requests=1, period=Period.DAY))
    began = time.monotonic()
    ended = await asyncio.gather(*(tried(own.sandbox) for _ in range(100)))
    assert time.monotonic() - began < 60
    ran = [one for one in ended if isinstance(one, CallResult)]
    refused = [one for one in ended if isinstance(one, NotAdmitted)]
    assert (len(ran), len(refused)) == (1, 99)
    assert {one.code for one in refused} == {Code.BUDGET_EXCEEDED}
    assert all(0 < (one.retry_after_s or 0) <= 86_400 for one in refused)
    await own.neighbour_is_well()
    is_recorded(own, refused=99, ran=1)
    await own.settled()
    before = own.traces()
    for _ in range(20):
        assert isinstance(await tried(own.sandbox), NotAdmitted)
    await own.settled()
    after = own.traces()
    assert (after.descriptors, after.files, after.processes) <= (before.descriptors, before.files, before.processes)


@pytest.mark.soak
async def test_two_servers_of_one_home_share_the_last_credit(own: Stage) -> None:
    """ADM-03: the other server is another process, and both are asked at once."""
    await own.sandbox.set_budget(f"users/{MALLORY}", Budget(max_requests=5, period=Period.DAY))
    program = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom sandbox import NotAdmitted, Sandbox\n"
        "async def main():\n"
        "  async with Sandbox(Path(sys.argv[1])) as sandbox:\n"
        "    await sandbox.load(Path(sys.argv[2]))\n"
        "    print('ready', flush=True)\n    sys.stdin.readline()\n"
        "    calls = [sandbox.call('traps__fine', {'number': 1}, subject='mallory') for _ in range(20)]\n"
        "    ended = await asyncio.gather(*calls, return_exceptions=True)\n"
        "    assert all(isinstance(one, NotAdmitted) or one.outcome.ok for one in ended), ended\n"
        "    print(sum(not isinstance(one, NotAdmitted) for one in ended))\n"
        "asyncio.run(main())\n"
    )
    words = [sys.executable, "-c", program, str(own.home), str(guest("traps"))]
    other = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert other.stdout is not None
    assert other.stdin is not None
    assert await asyncio.to_thread(other.stdout.readline) == "ready\n"
    other.stdin.write("go\n")
    other.stdin.flush()
    here = await asyncio.gather(*(tried(own.sandbox) for _ in range(20)))
    there, _ = await asyncio.to_thread(other.communicate)
    assert other.returncode == 0
    assert sum(isinstance(one, CallResult) for one in here) + int(there) == 5
    await own.neighbour_is_well()


async def test_going_away_in_time_is_not_for_nothing(own: Stage) -> None:
    """ADM-03: calls that are cancelled before they end have used what they used."""
    await own.load("exhaust_cpu", policy(limits="cpu_time: 20s, wall_time: 20s"))
    await own.sandbox.set_budget(f"users/{MALLORY}", Budget(max_cpu_seconds=Decimal("0.2")))
    for round_ in range(40):
        call = asyncio.create_task(own.sandbox.call(SPIN, {}, subject=MALLORY, call_id=str(round_)))
        await asyncio.wait([call], timeout=0.05 if round_ else 0.3)
        call.cancel()
        ended = (await asyncio.gather(call, return_exceptions=True))[0]
        if isinstance(ended, NotAdmitted):
            break
    assert isinstance(ended, NotAdmitted)
    spent = CostTracker(own.sandbox._metering.counts).by("tool", user=MALLORY)[SPIN]
    assert spent.cpu_ms >= 200
    await own.neighbour_is_well()


async def test_a_call_that_spins_beyond_its_budget_dies_of_it(own: Stage) -> None:
    """ADM-03: admitted with a little left, it takes that little and a look's time."""
    await own.load("exhaust_cpu", policy(limits="cpu_time: 20s, wall_time: 20s"))
    await own.sandbox.set_budget(f"users/{MALLORY}", Budget(max_cpu_seconds=Decimal("0.3")))
    began = time.monotonic()
    ended = await own.sandbox.call(SPIN, {}, subject=MALLORY)
    assert (ended.outcome.limit, ended.body is not None and ended.body["code"]) == ("budget", Code.BUDGET_EXCEEDED.value)
    assert time.monotonic() - began < 15
    await own.neighbour_is_well()


@pytest.mark.soak
async def test_a_server_that_is_killed_forgets_nothing_that_it_admitted(tmp_path: Path) -> None:
    """ADM-03: SIGKILL while a call runs, and the server after it knows of it."""
    program = (
        "import asyncio, os, signal, sys\nfrom pathlib import Path\nfrom sandbox import Sandbox\n"
        "from sandbox.config.spending import Budget\n"
        "async def main():\n"
        "  async with Sandbox(Path(sys.argv[1])) as sandbox:\n"
        "    await sandbox.load(Path(sys.argv[2]))\n"
        "    await sandbox.set_budget('users/mallory', Budget(max_requests=1))\n"
        "    asyncio.ensure_future(sandbox.call('exhaust_sleep__sleep', {'milliseconds': '20000'}, subject='mallory'))\n"
        "    while not sandbox.metrics().get('running'): await asyncio.sleep(0.01)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "home"), str(guest("exhaust_sleep"))]
    done = await asyncio.to_thread(subprocess.run, words, capture_output=True, cwd=Path(__file__).parents[2])
    assert done.returncode == -9, done.stderr.decode()
    async with staged(tmp_path) as stage:
        assert isinstance(await tried(stage.sandbox), NotAdmitted)
        await stage.neighbour_is_well()


async def test_a_clock_that_jumps_opens_no_budget_that_is_used_up(
    own: Stage, kept: KeptHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ADM-05: over restarts. Back, nothing opens; forward, a new day is given once, and not again on the way back."""
    jump, real = [0.0], time.time
    monkeypatch.setattr("sandbox.api.Clock", lambda seen: Clock(seen, wall=lambda: real() + jump[0]))
    monkeypatch.setattr("sandbox.api.Host", lambda settings: kept)
    await own.sandbox.set_budget(f"users/{MALLORY}", Budget(max_requests=1, period=Period.DAY))
    await own.sandbox.close()
    days = 86_400
    for seconds, admitted in (
        (0, True),
        (-60, False),
        (-days, False),
        (-40 * days, False),
        (days, True),
        (0, False),
        (-days, False),
    ):
        jump[0] = seconds
        async with Sandbox(own.home) as sandbox:
            await sandbox.load(guest("traps"))
            first, second = await tried(sandbox), await tried(sandbox)
            assert isinstance(first, CallResult) == admitted, seconds
            assert isinstance(second, NotAdmitted)
            assert 0 < (second.retry_after_s or 0) <= days
            assert (await sandbox.call(NEIGHBOUR, {"number": 7})).outcome.ok
