"""How long a grant holds: for one call, for the calls of a session, until it is ended; and what a session's end takes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox import CallResult, GrantError, Sandbox
from sandbox.host.outcome import Ending
from sandbox.in_force.sessions import MAX_KEPT, lives, new_keeper
from tests.api.conftest import begun, policy, reads, recorded, until
from tests.support.components import files_component
from tests.support.guests import guest

pytestmark = pytest.mark.asyncio(loop_scope="package")

SLEEP = "exhaust_sleep__sleep"
GRANTING = """
import asyncio, sys, time
from pathlib import Path
from sandbox import Sandbox

async def main():
    async with Sandbox(Path(sys.argv[1])) as sandbox:
        entry = (f"fs://{sys.argv[2]}/**", ["read"])
        await sandbox.grant_storage_permission("files", *entry, lifetime="session", session="ann")
        print("granted", flush=True)
        time.sleep(60)

asyncio.run(main())
"""


async def read(sandbox: Sandbox, path: Path, session: str | None = None) -> bool:
    return (await sandbox.call("files__read", {"path": str(path)}, session=session)).outcome.ok


@pytest.mark.parametrize(
    "about",
    [
        {"lifetime": "session"},
        {"lifetime": "session", "session": ""},
        {"lifetime": "lasting", "session": "s"},
        {"lifetime": "once", "max_uses": 2},
        {"lifetime": "for ever"},
    ],
)
async def test_a_lifetime_that_says_nothing_is_refused(sandbox: Sandbox, about: dict[str, Any]) -> None:
    await sandbox.load(files_component())
    with pytest.raises(GrantError):
        await sandbox.grant_storage_permission("files", "fs:///srv/x", ["read"], **about)
    assert sandbox.grants() == ()


async def test_a_grant_for_a_session_is_no_other_calls(sandbox: Sandbox, folder: Path) -> None:
    await sandbox.load(files_component())
    grant = await sandbox.grant_storage_permission("files", f"fs://{folder}/**", ["read"], lifetime="session", session="ann")
    file = folder / "a.txt"
    assert not await read(sandbox, file)
    assert not await read(sandbox, file, "bob")
    assert await read(sandbox, file, "ann")
    assert sandbox.grants() == (grant,)
    assert (grant.lifetime, grant.session) == ("session", "ann")
    assert sandbox.get_policy("files").grants == ()
    assert sandbox.get_policy("files", session="ann").grants == (grant,)


async def test_a_session_ends_with_what_was_granted_for_it_and_the_calls_that_held_it(
    sandbox: Sandbox, folder: Path, home: Path
) -> None:
    await sandbox.load(guest("exhaust_sleep"))
    given = {"lifetime": "session", "session": "ann"}
    grant = await sandbox.grant_storage_permission("exhaust_sleep", f"fs://{folder}/**", ["read"], **given)  # type: ignore[arg-type]
    calls = [_sleeping(sandbox, session) for session in ("ann", "bob")]
    await until(lambda: sandbox.metrics()["running"] == 2 and begun(sandbox))
    assert await sandbox.end_session("bob") == ()
    assert await sandbox.end_session("ann") == (grant,)
    assert (await calls[0]).outcome.ending is Ending.REVOKED
    assert not calls[1].done(), "it never held the grant"
    calls[1].cancel()
    await asyncio.gather(calls[1], return_exceptions=True)
    assert sandbox.grants() == ()
    assert await sandbox.end_session("ann") == ()
    (ended,) = recorded(home, "permission_revoked")
    assert (ended["reason"], ended["grants"]) == ("its session ended", [grant.id])
    assert len(ended["detail"]["receipt"]["stopped"]) == 1


async def test_a_grant_for_once_is_good_for_one_call(sandbox: Sandbox, folder: Path) -> None:
    await sandbox.load(files_component())
    grant = await sandbox.grant_storage_permission("files", f"fs://{folder}/**", ["read"], lifetime="once")
    assert (grant.max_uses, grant.session) == (1, None)
    assert [await read(sandbox, folder / "a.txt") for _ in range(2)] == [True, False]


async def test_a_grant_for_once_in_a_session_waits_for_that_session(sandbox: Sandbox, folder: Path) -> None:
    await sandbox.load(files_component())
    await sandbox.grant_storage_permission("files", f"fs://{folder}/**", ["read"], lifetime="once", session="ann")
    assert not await read(sandbox, folder / "a.txt", "bob")
    assert [await read(sandbox, folder / "a.txt", "ann") for _ in range(2)] == [True, False]


async def test_a_deny_for_a_session_takes_from_that_session_alone(sandbox: Sandbox, folder: Path, tmp_path: Path) -> None:
    await sandbox.load(files_component(), policy=policy(tmp_path, reads(folder, mount=None)))
    await sandbox.grant_storage_permission(
        "files", f"fs://{folder}/a.txt", ["read"], effect="deny", lifetime="session", session="ann"
    )
    assert not await read(sandbox, folder / "a.txt", "ann")
    assert await read(sandbox, folder / "a.txt", "bob")


async def test_what_is_lasting_and_what_is_for_the_session_hold_together(sandbox: Sandbox, folder: Path) -> None:
    (folder / "b.txt").write_text("beta")
    await sandbox.load(files_component())
    await sandbox.grant_storage_permission("files", f"fs://{folder}/a.txt", ["read"], lifetime="session", session="ann")
    lasting = await sandbox.grant_storage_permission("files", f"fs://{folder}/b.txt", ["read"])
    assert [await read(sandbox, folder / name, "ann") for name in ("a.txt", "b.txt")] == [True, True]
    await sandbox.revoke(lasting.id)
    assert [await read(sandbox, folder / name, "ann") for name in ("a.txt", "b.txt")] == [True, False]


async def test_a_grant_of_a_session_can_be_revoked_by_another_process(sandbox: Sandbox, folder: Path, home: Path) -> None:
    await sandbox.load(files_component())
    grant = await sandbox.grant_storage_permission("files", f"fs://{folder}/**", ["read"], lifetime="session", session="ann")
    assert await read(sandbox, folder / "a.txt", "ann")
    async with Sandbox(home) as terminal:
        assert terminal.grants() == (grant,), "a session that lives is not ended by another process that looks"
        await terminal.revoke(grant.id)
    assert not await read(sandbox, folder / "a.txt", "ann")


async def test_what_was_granted_for_a_session_does_not_outlive_its_host(home: Path, folder: Path) -> None:
    async with Sandbox(home) as first:
        await first.load(files_component())
        await first.grant_storage_permission("files", f"fs://{folder}/**", ["read"], lifetime="session", session="ann")
    async with Sandbox(home) as second:
        assert second.grants() == ()
        assert [one["reason"] for one in recorded(home, "permission_revoked")] == ["its session ended"]


async def test_a_session_whose_process_was_killed_is_over_when_the_next_one_looks(home: Path, folder: Path) -> None:
    async with Sandbox(home) as first:
        await first.load(files_component())
        child = subprocess.Popen([sys.executable, "-c", GRANTING, str(home), str(folder)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert await asyncio.to_thread(child.stdout.readline) == b"granted\n"
        assert len(first.grants()) == 1
        async with Sandbox(home) as second:
            assert len(second.grants()) == 1, "its process lives"
        child.kill()
        child.wait()
        async with Sandbox(home) as third:
            assert third.grants() == ()


async def test_a_keeper_lives_as_long_as_its_process_and_not_with_another_of_its_number() -> None:
    mine = new_keeper()
    assert lives(mine)
    pid, _, rest = mine.partition("@")
    assert int(pid) == os.getpid()
    assert not lives(f"{pid}@1{rest}"), "another process had the number before"
    assert lives("4194304@1#a@another-machine"), "nobody here can say that it is gone"
    assert not any(lives(none) for none in ("", "@", "4194304@1#a", f"{pid}@", f"{pid}@#a", "x@1#a"))


async def test_more_sessions_than_are_kept_compiled_have_their_grants(sandbox: Sandbox, folder: Path) -> None:
    await sandbox.load(files_component())
    for number in range(MAX_KEPT + 2):
        await sandbox.grant_environment_permission("files", f"S{number}", value="x", lifetime="session", session=str(number))
    seen = [sandbox.get_policy("files", session=str(number)).grants for number in (0, 1, MAX_KEPT, MAX_KEPT + 1)]
    assert [grants[0].entry["key"] for grants in seen] == ["S0", "S1", f"S{MAX_KEPT}", f"S{MAX_KEPT + 1}"]
    for number in range(MAX_KEPT + 2):
        sandbox.get_policy("files", session=str(number))
    assert len(sandbox._components.loaded["files"].bound.made()) == MAX_KEPT


async def test_a_reset_ends_every_grant_of_a_component_and_no_others(sandbox: Sandbox, folder: Path) -> None:
    await sandbox.load(files_component())
    await sandbox.load(guest("exhaust_sleep"))
    for lifetime in ({}, {"lifetime": "once"}, {"lifetime": "session", "session": "ann"}, {"effect": "deny"}):
        await sandbox.grant_storage_permission("files", f"fs://{folder}/**", ["read"], **lifetime)  # type: ignore[arg-type]
    other = await sandbox.grant_environment_permission("exhaust_sleep", "MODE", value="x")
    assert len(await sandbox.reset_permissions("files")) == 4
    assert sandbox.grants() == (other,)


def _sleeping(sandbox: Sandbox, session: str) -> asyncio.Task[CallResult]:
    return asyncio.create_task(sandbox.call(SLEEP, {"milliseconds": "20000"}, session=session))
