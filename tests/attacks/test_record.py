"""The record under attack, through a whole host: forged anew, without a disk, flooded. It tells, or there is no call."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest

from sandbox import HostUnavailable, NotAdmitted, Sandbox
from sandbox.admission.document.load import load_admission
from sandbox.audit import AuditLog, Event, EventType, Redactor, records, verify
from sandbox.audit.flood import BURST
from sandbox.state import Home
from sandbox.state.recorded import record_keys
from tests.support.guests import guest

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENCRYPTED = load_admission('version: "1.0"\ntemplate: permissive\naudit: {encrypt: true, retention: 30d}\n', file="a.yaml")
DENIED = load_admission('version: "1.0"\ntemplate: permissive\nblocked_actions: [divide]\n', file="a.yaml")


def home_of(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home", os.environ)


async def test_a_record_made_anew_without_the_key_is_found(tmp_path: Path) -> None:
    """AUD-01: whoever may write the folder, and not read the key, cannot make a chain that holds."""
    async with Sandbox(tmp_path / "home") as sandbox:
        await sandbox.load(guest("traps"))
        assert (await sandbox.call("traps__fine", {"number": 1})).outcome.ok
    folder = home_of(tmp_path).audit
    keys = record_keys(home_of(tmp_path), os.environ)
    assert verify(folder, keys).fault is None
    for path in folder.iterdir():
        path.unlink()
    forged = AuditLog(folder, clock=lambda: 1_800_000_000.0, source="terminal")
    forged.append(Event(EventType.TOOL_SUCCESS, "0" * 32, tool="traps__fine"), Redactor())
    forged.close()
    fault = verify(folder, keys).fault
    assert fault is not None
    assert "not written with this host's key" in fault.message
    async with Sandbox(tmp_path / "home") as sandbox:
        await sandbox.load(guest("traps"))
    assert verify(folder, keys).fault is not None, "nor is it washed by going on"
    assert "security_alert" in [record["event"] for record in records(folder, keys)]


async def test_without_room_for_an_encrypted_record_there_is_no_call(tmp_path: Path) -> None:
    """AUD-06: a disk that is full; nothing half is left, and with room again calls are made and the chain holds."""
    async with Sandbox(tmp_path / "home", admission=ENCRYPTED) as sandbox:
        await sandbox.load(guest("traps"))
        assert (await sandbox.call("traps__fine", {"number": 1})).outcome.ok
        (file,) = home_of(tmp_path).audit.glob("*.jsonl")
        size = file.stat().st_size
        limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, limits[1]))
            with pytest.raises(HostUnavailable, match="the record cannot be written"):
                await sandbox.call("traps__fine", {"number": 2})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert file.stat().st_size == size
        assert (await sandbox.call("traps__fine", {"number": 3})).outcome.ok
    keys = record_keys(home_of(tmp_path), os.environ)
    assert verify(home_of(tmp_path).audit, keys).fault is None
    assert b"traps__fine" not in file.read_bytes()
    assert [record["arguments"] for record in records(home_of(tmp_path).audit, keys) if record["event"] == "tool_invoke"] == [
        {"number": 1},
        {"number": 3},
    ]


async def test_a_flood_of_denied_calls_loses_no_call_that_was_allowed(tmp_path: Path) -> None:
    """AUD-07: 1,500 denied calls become summaries; each is counted, and those that were allowed stand for themselves."""
    async with Sandbox(tmp_path / "home", admission=DENIED) as sandbox:
        await sandbox.load(guest("traps"))
        for number in range(1_500):
            with pytest.raises(NotAdmitted):
                await sandbox.call("traps__divide", {"by": number}, subject="mallory")
            if number % 500 == 0:
                assert (await sandbox.call("traps__fine", {"number": 1}, subject="ann")).outcome.ok
    folder, keys = home_of(tmp_path).audit, record_keys(home_of(tmp_path), os.environ)
    found = list(records(folder, keys))
    refused = [one for one in found if one["event"] == "access_denied"]
    counted = [one["detail"]["flood"]["refusals"] for one in refused if "flood" in one["detail"]]
    assert len(refused) - len(counted) + sum(counted) == 1_500
    assert len(refused) < BURST + 100
    assert [one["subject"] for one in found if one["event"] == "tool_success"] == ["ann"] * 3
    assert verify(folder, keys).fault is None
