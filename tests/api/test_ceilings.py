"""A grant made where one ceiling holds, and servers where another does: what cannot hold is left out, told, or withdrawn."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox import CallResult, GrantError, Sandbox
from tests.api.conftest import policy, reads, recorded
from tests.support.components import files_component

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A folder that no ceiling here allows."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "b.txt").write_text("beta")
    return folder


@pytest.fixture
def ceiling(tmp_path: Path, folder: Path) -> Path:
    return policy(tmp_path, reads(folder, mount=None), "ceiling.yaml")


@pytest_asyncio.fixture(loop_scope="package")
async def narrow(home: Path, folder: Path, tmp_path: Path, ceiling: Path) -> AsyncIterator[Sandbox]:
    """A running server under a ceiling."""
    async with Sandbox(home, ceiling=ceiling) as server:
        await server.load(files_component(), policy=policy(tmp_path, reads(folder)))
        yield server


@pytest_asyncio.fixture(loop_scope="package")
async def terminal(narrow: Sandbox, home: Path) -> AsyncIterator[Sandbox]:
    """Another process's hand on the same home: no ceiling, no components."""
    async with Sandbox(home, source="terminal") as terminal:
        yield terminal


async def read(sandbox: Sandbox, path: str) -> CallResult:
    return await sandbox.call("files__read", {"path": path})


@pytest.mark.parametrize("access", [["read"], ["read", "write"]])
async def test_a_grant_that_no_running_server_gives_is_withdrawn_and_refused(
    narrow: Sandbox, terminal: Sandbox, home: Path, folder: Path, other: Path, access: list[str]
) -> None:
    """Above its ceiling altogether; or in part, since a grant holds whole or not at all."""
    for uri in [f"fs://{other}/**"] if access == ["read"] else [f"fs://{folder}/sub/**", f"fs://{other}/**"]:
        with pytest.raises(GrantError, match="no running server gives what it says") as refused:
            await terminal.grant_storage_permission("files", uri, access)
        assert "ceiling" in refused.value.message
    assert terminal.grants() == narrow.grants() == ()
    assert (await read(narrow, "/data/a.txt")).outcome.ok, "what held goes on"
    assert not (await read(narrow, f"{other}/b.txt")).outcome.ok
    events = recorded(home, "permission_granted", "permission_revoked")
    assert [one["event"] for one in events[:2]] == ["permission_granted", "permission_revoked"]
    assert events[1]["reason"] == "no running server gives it"


async def test_a_denial_suggests_no_grant_that_this_host_would_refuse(
    narrow: Sandbox, other: Path, home: Path, folder: Path
) -> None:
    """Above the ceiling, and on the host's own folder: what is missing is told, no command that would end in an error."""
    for path, said in [(f"{other}/b.txt", "what this host allows at most"), (f"{home}/audit/x", "the host's own")]:
        body = (await read(narrow, path)).body
        assert body is not None
        assert body["missing"] == {"kind": "storage", "path": path, "access": ["read"]}
        assert "command" not in body
        assert "grant" not in body
        assert said in body["help"]
        with pytest.raises(GrantError):
            await narrow.grant_from_denial(body["denial_id"])
        assert str(folder) not in json.dumps(body), "what the ceiling gives is nobody's business"


async def test_a_denial_inside_the_ceiling_suggests_the_grant_that_is_made(narrow: Sandbox, folder: Path) -> None:
    body = (await read(narrow, f"{folder}/a.txt")).body
    assert body is not None
    assert body["command"].endswith(body["denial_id"])
    assert "help" not in body
    await narrow.grant_from_denial(body["denial_id"])
    assert (await read(narrow, f"{folder}/a.txt")).outcome.ok


async def test_where_the_policy_does_not_hold_a_denial_says_that_first(home: Path, folder: Path, tmp_path: Path) -> None:
    needs = policy(tmp_path, "{storage: {allow: [{uri: 'fs://${PLACE}/**', access: [read]}]}}")
    async with Sandbox(home, environment={}) as server:
        await server.load(files_component(), policy=needs, lenient=True)
        body = (await read(server, f"{folder}/a.txt")).body
    assert body is not None
    assert "command" not in body
    assert "`sandbox policy get files`" in body["help"]


async def test_a_grant_that_one_of_two_servers_gives_stays_and_the_other_says_why_not(
    narrow: Sandbox, terminal: Sandbox, home: Path, folder: Path, other: Path
) -> None:
    async with Sandbox(home) as wide:
        await wide.load(files_component())
        grant = await terminal.grant_storage_permission("files", f"fs://{other}/**", ["read"])
        assert (await read(wide, f"{other}/b.txt")).outcome.ok
        assert not (await read(narrow, f"{other}/b.txt")).outcome.ok
        told = {server.left_out for server in await terminal.servers()}
        ((_, why),) = next(filter(None, told))
        assert told == {(), ((grant.id, why),)}
        assert "outside the ceiling" in why
    called = await read(narrow, "/data/a.txt")
    assert called.outcome.ok
    assert called.grant_ids == ()
    view = json.loads(json.dumps(narrow.get_policy("files").to_json()))
    assert (view["grants"], view["problems"]) == ([], [])
    assert [(one["grant"]["id"], one["why"]) for one in view["left_out"]] == [(grant.id, why)]


async def test_a_server_that_gives_it_itself_keeps_it(narrow: Sandbox, home: Path, other: Path) -> None:
    async with Sandbox(home) as wide:
        await wide.load(files_component())
        grant = await wide.grant_storage_permission("files", f"fs://{other}/**", ["read"])
        assert (await read(wide, f"{other}/b.txt")).grant_ids == (grant.id,)
        assert narrow.grants() == (grant,)


async def test_a_grant_that_was_stored_while_nobody_ran_is_left_out_with_a_warning(
    home: Path, folder: Path, other: Path, tmp_path: Path, ceiling: Path
) -> None:
    async with Sandbox(home) as before:
        await before.load(files_component(), policy=policy(tmp_path, reads(folder)))
        bad = await before.grant_storage_permission("files", f"fs://{other}/**", ["read"], max_uses=1)
        good = await before.grant_storage_permission("files", f"fs://{folder}/**", ["read"])
    async with Sandbox(home, ceiling=ceiling) as narrow:
        loaded = await narrow.load(files_component())
        assert any(bad.id in warning for warning in loaded.warnings)
        assert (await read(narrow, f"{folder}/a.txt")).grant_ids == (good.id,)
        assert narrow.get_policy("files").left_out[0].grant.id == bad.id
        assert {grant.id: grant.uses for grant in narrow.grants()} == {bad.id: 0, good.id: 0}, "what gives nothing is not used"


async def test_where_a_deny_cannot_hold_nothing_is_granted_and_it_stays(home: Path, folder: Path, tmp_path: Path) -> None:
    """Its uri names a variable that only the terminal has. Left out, it would give more than somebody wanted."""
    async with Sandbox(home, environment={}) as server:
        await server.load(files_component(), policy=policy(tmp_path, reads(folder)))
        assert (await read(server, "/data/a.txt")).outcome.ok
        async with Sandbox(home, environment={"PLACE": str(folder)}) as terminal:
            deny = await terminal.grant_storage_permission("files", "fs://${PLACE}/a.txt", ["read"], effect="deny")
            assert terminal.grants() == (deny,)
            assert not (await read(server, "/data/a.txt")).outcome.ok
            assert server.get_policy("files").problems
            with pytest.raises(GrantError, match="nothing is granted here"):
                await terminal.grant_storage_permission("files", f"fs://{tmp_path}/x.txt", ["read"])
            await terminal.revoke(deny.id)
        assert (await read(server, "/data/a.txt")).outcome.ok


async def test_a_grant_that_would_undo_another_one_is_refused(sandbox: Sandbox, folder: Path, other: Path) -> None:
    """Who may create in a folder may have made the link in it, through which the other grant leads."""
    (folder / "link").symlink_to(other)
    await sandbox.load(files_component())
    first = await sandbox.grant_storage_permission("files", f"fs://{folder}/link/**", ["read"])
    with pytest.raises(GrantError, match=f"beside the grant `{first.id}`"):
        await sandbox.grant_storage_permission("files", f"fs://{folder}/**", ["read", "create"])
    assert sandbox.grants() == (first,)
    assert (await read(sandbox, f"{folder}/link/b.txt")).outcome.ok


async def test_a_limit_above_the_ceiling_is_left_out_and_the_documents_holds(home: Path, folder: Path, tmp_path: Path) -> None:
    limits = "{resources: {limits: {memory: 32Mi}}}"
    async with Sandbox(home, ceiling=policy(tmp_path, limits, "ceiling.yaml")) as narrow, Sandbox(home) as wide:
        await wide.load(files_component())
        await narrow.load(files_component())
        grant = await wide.grant_resource_permission("files", memory="64Mi")
        await narrow.sync()
        assert [one.grant.id for one in narrow.get_policy("files").left_out] == [grant.id]
        effective = narrow._components.loaded["files"].effective
        assert effective.template.limits.memory_bytes == 32 << 20
