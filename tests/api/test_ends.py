"""However a call ends, its end is on record, with what was refused to it."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from sandbox import Sandbox
from sandbox.errors import HostUnavailable, SandboxError
from tests.api.conftest import recorded
from tests.support.guests import guest

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_a_caller_who_goes_away_takes_no_denial_with_him(sandbox: Sandbox, home: Path) -> None:
    """A request is refused, the guest goes on, its caller gives up: the record says what was refused."""
    await sandbox.load(guest("escape_answer"))
    task = asyncio.create_task(sandbox.call("escape_answer__loop-after", {"authority": "evil.test"}))
    async with asyncio.timeout(10):
        while not any(one.worker and one.worker._ended.denials for one in sandbox._running_host()._running.values()):
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    (denied,) = recorded(home, "access_denied")
    assert denied["denials"][0]["host"] == "evil.test"
    (ended,) = recorded(home, "tool_failure")
    assert (ended["ending"], ended["usage"]["denials"], ended["audit_id"]) == ("cancelled", 1, denied["audit_id"])


async def test_a_call_whose_denials_cannot_be_kept_has_its_end_on_record(
    sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has the store locked; the caller is told, and the record is whole."""
    await sandbox.load(guest("escape_answer"))
    sandbox._store._tables.current().execute("PRAGMA busy_timeout=50")
    other = sqlite3.connect(home / "state" / "state.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(HostUnavailable):
            await sandbox.call("escape_answer__trap-after", {"authority": "evil.test"})
    finally:
        other.execute("ROLLBACK")
        other.close()
    (ended,) = recorded(home, "tool_failure")
    assert (ended["ending"], ended["code"]) == ("trapped", "network_access_denied")
    assert [record["audit_id"] for record in recorded(home, "access_denied")] == [ended["audit_id"]]


async def test_two_calls_of_one_id_are_never_two_calls(sandbox: Sandbox) -> None:
    """Also where both ask while a change is being applied: the second would make the first unknown to a revoke."""
    await sandbox.load(guest("exhaust_sleep"))
    async with sandbox._changes.lock:
        sandbox._changes.seen = -1
        calls = [
            asyncio.create_task(sandbox.call("exhaust_sleep__sleep", {"milliseconds": "200"}, call_id="one")) for _ in range(2)
        ]
        await asyncio.sleep(0)
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["CallResult", "SandboxError"]
    assert sandbox._components.running == {}
    assert all(not isinstance(result, BaseException) or isinstance(result, SandboxError) for result in results)
