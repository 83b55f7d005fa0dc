"""A grant that is used up goes on for the calls that used it, and for no other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sandbox import CallResult, Sandbox
from sandbox.host.outcome import Ending
from tests.support.guests import guest

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def sleeping(sandbox: Sandbox) -> asyncio.Task[CallResult]:
    """A call that has begun and takes twenty seconds."""
    before = len(sandbox._components.running)
    task = asyncio.create_task(sandbox.call("exhaust_sleep__sleep", {"milliseconds": "20000"}))
    async with asyncio.timeout(10):
        while len(sandbox._components.running) == before:
            await asyncio.sleep(0.01)
    return task


async def test_a_revoke_is_not_undone_by_a_like_grant_that_is_used_up(sandbox: Sandbox, folder: Path) -> None:
    """The call began under the second grant alone: the first had nothing left to give it."""
    await sandbox.load(guest("exhaust_sleep"))
    first = await sandbox.grant_storage_permission("exhaust_sleep", f"fs://{folder}/**", ["read"], max_uses=1)
    await sandbox.call("exhaust_sleep__sleep", {"milliseconds": "1"})
    assert sandbox.grants() == ()
    second = await sandbox.grant_storage_permission("exhaust_sleep", f"fs://{folder}/**", ["read"])
    running = await sleeping(sandbox)
    receipt = await sandbox.revoke(second.id)
    assert len(receipt.stopped) == 1
    result = await running
    assert result.outcome.ending is Ending.REVOKED
    assert result.grant_ids == (second.id,)
    assert first.id not in result.grant_ids


async def test_the_call_that_took_the_last_use_keeps_it_whatever_else_is_revoked(sandbox: Sandbox, folder: Path) -> None:
    """Until the used up grant itself is revoked."""
    await sandbox.load(guest("exhaust_sleep"))
    own = await sandbox.grant_storage_permission("exhaust_sleep", f"fs://{folder}/**", ["read"], max_uses=1)
    running = await sleeping(sandbox)
    like = await sandbox.grant_storage_permission("exhaust_sleep", f"fs://{folder}/**", ["read"])
    assert (await sandbox.revoke(like.id)).stopped == ()
    assert not running.done()
    assert len((await sandbox.revoke(own.id)).stopped) == 1
    assert (await running).outcome.ending is Ending.REVOKED
