"""`Sandbox(state=…)`: where what was granted is kept, and for how long."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import Sandbox
from sandbox.errors import GrantError, HostUnavailable, SandboxError
from sandbox.policy.load import load_policy
from tests.support.components import files_component
from tests.support.guests import guest
from tests.support.redis_server import free_port

pytestmark = pytest.mark.asyncio(loop_scope="package")

NOTHING = load_policy('version: "2.0"\n', file="policy.yaml")


async def granted(sandbox: Sandbox, folder: Path) -> str:
    await sandbox.load(files_component(), policy=NOTHING)
    return (await sandbox.grant_storage_permission("files", f"fs://{folder}/**", ["read"])).id


@pytest.mark.parametrize("text", ["postgres://h", "redis://me:canary@h", "sqlite://x"])
async def test_what_is_no_place_is_refused_before_anything_is_made(home: Path, text: str) -> None:
    with pytest.raises(SandboxError) as refused:
        Sandbox(home, state=text)
    assert "canary" not in str(refused.value)
    assert not home.exists()


async def test_without_its_server_it_does_not_open(home: Path) -> None:
    with pytest.raises(HostUnavailable, match="does not answer"):
        async with Sandbox(home, state=f"redis://127.0.0.1:{free_port()}"):
            pass


async def test_what_is_in_memory_is_gone_with_it(home: Path, folder: Path) -> None:
    async with Sandbox(home, state="memory") as sandbox:
        given = await granted(sandbox, folder)
        assert [one.id for one in sandbox.grants()] == [given]
    assert list((home / "state").iterdir()) == []
    async with Sandbox(home, state="memory") as sandbox:
        assert sandbox.grants() == ()


async def test_a_file_elsewhere_is_shared_by_homes_and_named_by_no_policy(home: Path, tmp_path: Path, folder: Path) -> None:
    state = f"sqlite://{tmp_path}/shared/state.sqlite"
    async with Sandbox(home, state=state) as sandbox:
        given = await granted(sandbox, folder)
        with pytest.raises(GrantError, match="cannot hold"):
            await sandbox.grant_storage_permission("files", f"fs://{tmp_path}/shared/**", ["read"])
    assert not (home / "state" / "state.sqlite").exists()
    async with Sandbox(tmp_path / "other", state=state) as sandbox:
        assert [one.id for one in sandbox.grants()] == [given]


async def test_what_one_home_installed_another_runs_once_it_has_the_bytes(home: Path, tmp_path: Path) -> None:
    """Homes that share a store share what is installed and accepted, and no files."""
    state = f"sqlite://{tmp_path}/shared/state.sqlite"
    async with Sandbox(home, state=state) as sandbox:
        await sandbox.install(guest("traps"), policy="deny-all")
    async with Sandbox(tmp_path / "other", state=state) as other:
        await other.restore()
        with pytest.raises(SandboxError, match="its bytes are not in this home"):
            await other.call("traps__fine", {"number": 7})
        await other.install(guest("traps"))
        assert (await other.call("traps__fine", {"number": 7})).outcome.value == 7
