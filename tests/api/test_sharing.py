"""Several processes on one home: a change made in one holds in the others at once, and survives its maker."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sandbox import Sandbox, control
from sandbox.audit import verify
from sandbox.host.outcome import Ending
from sandbox.state import sqlite_store
from tests.api.conftest import begun, policy, reads, recorded, until
from tests.support.components import files_component
from tests.support.guests import guest

pytestmark = pytest.mark.asyncio(loop_scope="package")

DO = """
import asyncio, json, os, signal, sys
from pathlib import Path
from sandbox import Sandbox
async def main():
    async with Sandbox(Path(sys.argv[1]), source="cli") as sandbox:
        {do}
asyncio.run(main())
"""
GRANT = "print((await sandbox.grant_storage_permission(sys.argv[2], sys.argv[3], ['read'])).id, flush=True)"
REVOKE = "print(json.dumps((await sandbox.revoke(sys.argv[2])).to_json()), flush=True)"
UPDATE = "print(json.dumps((await sandbox.update_component_policy(sys.argv[2], Path(sys.argv[3]))).to_json()), flush=True)"
DIE = "os.kill(os.getpid(), signal.SIGKILL)"


async def elsewhere(home: Path, do: str, *arguments: object, status: int = 0) -> str:
    """Run something in a process of its own that never starts a host; what it printed."""
    command = [sys.executable, "-c", DO.format(do=do), str(home), *map(str, arguments)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == status
    return out.decode().strip()


async def test_kill_9_right_after_an_acknowledged_grant_loses_nothing(sandbox: Sandbox, home: Path, folder: Path) -> None:
    await sandbox.load(files_component())
    grant = await elsewhere(home, f"{GRANT}; {DIE}", "files", f"fs://{folder}/**", status=-signal.SIGKILL)
    assert [one.id for one in sandbox.grants("files")] == [grant]
    assert (await sandbox.call("files__read", {"path": f"{folder}/a.txt"})).grant_ids == (grant,)
    assert [one["grants"] for one in recorded(home, "permission_granted")] == [[grant]]


async def test_a_revoke_elsewhere_stops_the_call_here_and_brings_its_receipt(sandbox: Sandbox, home: Path, folder: Path) -> None:
    await sandbox.load(guest("exhaust_sleep"))
    grant = await elsewhere(home, GRANT, "exhaust_sleep", f"fs://{folder}/**")
    call = asyncio.create_task(sandbox.call("exhaust_sleep__sleep", {"milliseconds": "20000"}, call_id="the call"))
    await until(lambda: begun(sandbox))
    receipt: dict[str, Any] = json.loads(await elsewhere(home, REVOKE, grant))
    result = await call
    assert result.outcome.ending is Ending.REVOKED
    (server,) = receipt["servers"]
    assert server["error"] is None
    assert [(one["call_id"], one["tool"]) for one in server["stopped"]] == [("the call", "exhaust_sleep__sleep")]
    assert server["stopped"][0]["ms"] < 2_000
    revoked = recorded(home, "permission_revoked")[0]
    assert revoked["source"] == "cli"
    assert revoked["detail"]["receipt"]["servers"][0]["stopped"][0]["call_id"] == "the call"


@pytest.mark.parametrize("turns", range(4))
async def test_a_client_that_gives_up_does_not_hold_a_revoke_up(sandbox: Sandbox, home: Path, folder: Path, turns: int) -> None:
    """GRT-02: the call that first hears of it is cancelled at once; who held the grant is stopped all the same."""
    await sandbox.load(guest("exhaust_sleep"))
    await sandbox.load(files_component())
    grant = await sandbox.grant_storage_permission("exhaust_sleep", f"fs://{folder}/**", ["read"])
    held = asyncio.create_task(sandbox.call("exhaust_sleep__sleep", {"milliseconds": "20000"}))
    await until(lambda: begun(sandbox))
    store = sqlite_store(home / "state")
    store.end_grant(grant.id, time.time(), "revoked")
    store.close()
    given_up = asyncio.create_task(sandbox.call("files__info", {"path": "/"}))
    for _ in range(turns):
        await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    await sandbox.sync()
    assert (await held).outcome.ending is Ending.REVOKED


async def test_an_update_elsewhere_holds_here(sandbox: Sandbox, home: Path, folder: Path, tmp_path: Path) -> None:
    await sandbox.load(files_component())
    changes: list[int] = []
    sandbox.on_change(lambda: changes.append(1))
    await elsewhere(home, UPDATE, "files", policy(tmp_path, reads(folder)))
    assert changes, "it was told, it did not wait for the next call"
    assert (await sandbox.call("files__read", {"path": "/data/a.txt"})).outcome.ok


async def test_a_server_that_nobody_can_tell_looks_before_its_next_call(
    sandbox: Sandbox, home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sandbox.load(files_component())
    assert sandbox._control is not None
    await sandbox._control.close()
    grant = await elsewhere(home, GRANT, "files", f"fs://{folder}/**")
    assert (await sandbox.call("files__read", {"path": f"{folder}/a.txt"})).outcome.ok
    await elsewhere(home, REVOKE, grant)
    assert not (await sandbox.call("files__read", {"path": f"{folder}/a.txt"})).outcome.ok


async def test_two_servers_that_change_something_at_once_do_not_wait_for_each_other(home: Path, folder: Path) -> None:
    async with Sandbox(home) as one, Sandbox(home) as two:
        await one.load(files_component(), name="left")
        await two.load(files_component(), name="right")
        for _ in range(3):
            async with asyncio.timeout(control.ANSWER_WITHIN_S - 1):
                left, right = await asyncio.gather(
                    one.grant_storage_permission("left", f"fs://{folder}/**", ["read"]),
                    two.grant_storage_permission("right", f"fs://{folder}/**", ["read"]),
                )
                receipts = await asyncio.gather(one.revoke(left.id), two.revoke(right.id))
            assert [receipt.unconfirmed for receipt in receipts] == [(), ()]
            assert [len(receipt.servers) for receipt in receipts] == [1, 1]
    assert verify(home / "audit").ok


async def test_an_expiry_is_recorded_once_however_many_servers_run(home: Path, folder: Path) -> None:
    async with Sandbox(home) as one, Sandbox(home) as two:
        for server in (one, two):
            await server.load(files_component(), name="left" if server is one else "right")
        await one.grant_storage_permission("left", f"fs://{folder}/**", ["read"], expires_in=0.3)
        await until(lambda: recorded(home, "permission_revoked"))
        await asyncio.gather(one.sync(), two.sync())
    assert len(recorded(home, "permission_revoked")) == 1


async def test_a_status_says_which_servers_run(sandbox: Sandbox, home: Path) -> None:
    assert await control.status_all(home / "run") == ()
    await sandbox.load(files_component())
    (status,) = await control.status_all(home / "run")
    assert status.components == ("files",)
