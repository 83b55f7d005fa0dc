"""Grants, descriptions and records that somebody prepared. Documents: `test_policy_files.py`."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import pytest

from sandbox.api import Sandbox
from sandbox.audit import verify
from sandbox.errors import HostUnavailable
from sandbox.host.outcome import Ending
from tests.attacks.stage import CANARY, Stage, policy, value
from tests.support.guests import guest

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_granted_folder_swapped_for_a_link_is_not_followed(stage: Stage, tmp_path: Path) -> None:
    """GRT-01: between the grant and the call somebody puts a link in its place."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text(CANARY)
    (tmp_path / "d").mkdir()
    await stage.load("escape_traversal", policy())
    await stage.sandbox.grant_storage_permission("escape_traversal", f"fs://{tmp_path}/d/**", ["read"], mount="/d")
    assert "/d" in value(await stage.call("escape_traversal__mounts"))
    (tmp_path / "d").rename(tmp_path / "was")
    (tmp_path / "d").symlink_to("outside")
    result = await stage.call("escape_traversal__open-each", mount="/d", paths=["secret"])
    assert CANARY not in str(result.outcome.value)
    await stage.neighbour_is_well()


async def test_a_revoke_ends_the_running_call(stage: Stage, tmp_path: Path) -> None:
    """GRT-02: within a second, and the receipt says which call it was."""
    (tmp_path / "d").mkdir()
    await stage.load("exhaust_sleep", policy(limits="wall_time: 20s"))
    grant = await stage.sandbox.grant_storage_permission("exhaust_sleep", f"fs://{tmp_path}/d/**", ["read"])
    call = asyncio.create_task(
        stage.sandbox.call("exhaust_sleep__sleep", {"milliseconds": "15000"}, call_id="the one that held it")
    )
    await stage.running()
    began = time.monotonic()
    receipt = await stage.sandbox.revoke(grant.id)
    result = await call
    assert time.monotonic() - began < 8
    assert result.outcome.ending is Ending.REVOKED
    assert [stopped.call_id for stopped in receipt.every_stop] == ["the one that held it"]


async def test_another_component_under_the_same_name_has_no_grant(tmp_path: Path) -> None:
    """TOOL-03: a grant stays with the component's digest, and what was accepted for it does too."""
    (tmp_path / "d").mkdir()
    changed = tmp_path / "changed.wasm"
    changed.write_bytes(guest("escape_traversal").read_bytes() + b"\x00\x03\x01xy")
    async with Sandbox(tmp_path / "home") as sandbox:
        await sandbox.load(guest("escape_traversal"), policy="deny-all", name="tool")
        await sandbox.grant_storage_permission("tool", f"fs://{tmp_path}/d/**", ["read"], mount="/d")
        assert "/d" in value(await sandbox.call("tool__mounts", {}))
    async with Sandbox(tmp_path / "home") as sandbox:
        await sandbox.load(changed, name="tool")
        assert "/d" not in value(await sandbox.call("tool__mounts", {}))


async def test_a_description_is_cleaned_and_cut(stage: Stage) -> None:
    """TOOL-01, TOOL-02: no control, colour, direction or hidden character, and no hundred kilobytes."""
    loaded = await stage.sandbox.load(guest("hostile_docs"))
    for tool in loaded.tools:
        text = tool.description + str(tool.input_schema) + str(tool.output_schema)
        assert len(text) < 20_000
        hidden = [c for c in text if (ord(c) < 32 and c != "\n") or c in "\x7f\u202e\u202c\u200b\u2060" or ord(c) >= 0xE0000]
        assert not hidden


async def test_a_changed_record_is_named(stage: Stage) -> None:
    """AUD-01: one letter, a line less, two lines exchanged."""
    await stage.neighbour_is_well()
    path = max((stage.home / "audit").glob("*.jsonl"))
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    assert verify(stage.home / "audit").ok
    for changed in (whole.replace(b"traps", b"trapz", 1), b"".join(lines[1:]), b"".join([lines[1], lines[0], *lines[2:]])):
        path.write_bytes(changed)
        assert not verify(stage.home / "audit").ok
    path.write_bytes(whole)
    assert verify(stage.home / "audit").ok


async def test_without_a_record_there_is_no_call(tmp_path: Path) -> None:
    """AUD-06: the folder of the record is gone; the call is not made."""
    async with Sandbox(tmp_path / "home") as sandbox:
        await sandbox.load(guest("traps"))
        shutil.rmtree(tmp_path / "home" / "audit")
        (tmp_path / "home" / "audit").write_text("in the way")
        with pytest.raises(HostUnavailable):
            await sandbox.call("traps__fine", {"number": 1})
