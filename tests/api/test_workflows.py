"""A policy for several components: each that it names is given what it shares, and no other may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.api import Sandbox
from sandbox.errors import GrantError, NotFound, PolicyError
from sandbox.policy.load import load_policy
from sandbox.result import CallResult
from tests.support.guests import guest

pytestmark = pytest.mark.asyncio(loop_scope="package")
NOTHING = load_policy('version: "2.0"\n', file="policy.yaml")


class Home:
    """A folder to share, a host with two components, and the words to use them."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder, self.sandbox = folder, sandbox
        self.place = folder / "shared"
        self.place.mkdir()
        (self.place / "x").write_text("content")

    def document(self, *components: str, access: str = "read", place: Path | None = None) -> Path:
        line = f'{{uri: "fs://{place or self.place}/**", access: [{access}], mount: /w}}'
        head = f'version: "2.0"\nscope: workflow\ncomponents: [{", ".join(components)}]\n'
        text = f"{head}shared_permissions:\n  storage:\n    - {line}\n"
        file = self.folder / "team.yaml"
        file.write_text(text)
        file.chmod(0o600)
        return file

    async def read(self, component: str) -> CallResult:
        return await self.sandbox.call(f"{component}__open-each", {"mount": "/w", "paths": ["x"]})

    async def reads(self, component: str) -> bool:
        return "read: content" in str((await self.read(component)).outcome.value)


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def _home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Home]:
    folder = tmp_path_factory.mktemp("workflows")
    ceiling = load_policy(
        f'version: "2.0"\npermissions: {{storage: {{allow: [{{uri: "fs://{folder}/**", access: [read, write, create]}}]}}}}\n',
        file="ceiling.yaml",
    )
    async with Sandbox(folder / "home", ceiling=ceiling, spares=0) as sandbox:
        made = Home(folder, sandbox)
        for name in ("one", "two", "other"):
            await sandbox.load(guest("escape_traversal"), policy=NOTHING, name=name)
        yield made


@pytest_asyncio.fixture(loop_scope="package")
async def home(_home: Home) -> AsyncIterator[Home]:
    """The home, with nothing shared or granted."""
    yield _home
    for held in _home.sandbox.workflows():
        await _home.sandbox.unload_workflow(held.stored.name)
    for name in ("one", "two", "other"):
        await _home.sandbox.update_component_policy(name, NOTHING)
        for grant in _home.sandbox.grants(name):
            await _home.sandbox.revoke(grant.id)


async def test_what_is_shared_is_given_to_those_it_names_until_it_is_unloaded(home: Home) -> None:
    """Beside their own policies, from the next call; unloading takes it back."""
    assert not await home.reads("one")
    workflow, _ = await home.sandbox.load_workflow(home.document("one", "two"))
    assert workflow.components == ("one", "two")
    assert [await home.reads(name) for name in ("one", "two", "other")] == [True, True, False]
    assert [(one.stored.name, one.workflow.components) for one in home.sandbox.workflows()] == [("team", ("one", "two"))]
    await home.sandbox.unload_workflow("team")
    assert [await home.reads(name) for name in ("one", "two")] == [False, False]
    with pytest.raises(NotFound, match="no workflow `team`"):
        await home.sandbox.unload_workflow("team")


async def test_no_other_component_is_given_what_is_shared(home: Home) -> None:
    """Neither by its document nor by a grant: of the folder, of a file in it, of what holds it."""
    await home.sandbox.load_workflow(home.document("one", "two"))
    for uri in (home.place, home.place / "x", f"{home.folder}/*/x", f"{home.folder}/sha*/**"):
        with pytest.raises((GrantError, PolicyError), match="what other components share"):
            await home.sandbox.grant_storage_permission("other", f"fs://{uri}", ["read"], mount=None)
        text = f'version: "2.0"\npermissions: {{storage: {{allow: [{{uri: "fs://{uri}", access: [read]}}]}}}}\n'
        with pytest.raises(PolicyError, match="what other components share"):
            await home.sandbox.update_component_policy("other", load_policy(text, file="policy.yaml"))
    assert not await home.reads("other")
    await home.sandbox.grant_storage_permission("one", f"fs://{home.place}/x", ["read"], mount="/again/x")


async def test_a_document_that_would_take_a_policy_away_is_not_loaded(home: Home) -> None:
    """Somebody accepted that policy: who loads the document is told whose it is."""
    text = f'version: "2.0"\npermissions: {{storage: {{allow: [{{uri: "fs://{home.place}/**", access: [read], mount: /w}}]}}}}\n'
    await home.sandbox.update_component_policy("other", load_policy(text, file="policy.yaml"))
    with pytest.raises(PolicyError, match="`other`, which is not among `components`, would lose its whole policy"):
        await home.sandbox.load_workflow(home.document("one", "two"))
    assert home.sandbox.workflows() == ()
    assert await home.reads("other")
    await home.sandbox.load_workflow(home.document("one", "other"))
    assert await home.reads("one")


async def test_a_grant_of_another_component_gives_nothing_while_it_is_shared(home: Home) -> None:
    """The grant stays, says why it gives nothing, and holds again afterwards."""
    await home.sandbox.grant_storage_permission("other", f"fs://{home.place}/**", ["read"], mount="/w")
    assert await home.reads("other")
    await home.sandbox.load_workflow(home.document("one"))
    assert not await home.reads("other")
    await home.sandbox.unload_workflow("team")
    assert await home.reads("other")


async def test_what_is_shared_stays_inside_the_ceiling(home: Home) -> None:
    outside = home.document("one", access="read, delete")
    with pytest.raises(PolicyError, match="for `one`: the ceiling narrows"):
        await home.sandbox.load_workflow(outside)
    with pytest.raises(PolicyError, match=r"for `one`: .*is outside the ceiling"):
        await home.sandbox.load_workflow(home.document("one", place=Path("/srv/elsewhere")))
    assert home.sandbox.workflows() == ()


async def test_it_is_there_for_who_comes_later_and_after_a_restart(home: Home) -> None:
    """A component may be named before it is loaded; the store remembers, and another process goes by it."""
    await home.sandbox.load_workflow(home.document("late"))
    await home.sandbox.load(guest("escape_traversal"), policy=NOTHING, name="late")
    assert await home.reads("late")
    async with Sandbox(home.folder / "home", spares=0) as second:
        await second.load(guest("escape_traversal"), policy=NOTHING, name="late")
        assert "read: content" in str((await second.call("late__open-each", {"mount": "/w", "paths": ["x"]})).outcome.value)
        await second.unload_workflow("team")
        assert not await home.reads("late"), "the other process has looked"


async def test_unloading_stops_the_calls_that_run_under_it(home: Home) -> None:
    await home.sandbox.load(guest("exhaust_sleep"), policy=NOTHING, name="sleeper")
    await home.sandbox.load_workflow(home.document("sleeper"))
    running = asyncio.create_task(home.sandbox.call("sleeper__sleep", {"milliseconds": "60000"}))
    while home.sandbox.metrics()["running"] == 0:
        await asyncio.sleep(0.01)
    receipt = await home.sandbox.unload_workflow("team")
    assert [call.component for call in receipt.every_stop] == ["sleeper"]
    assert (await running).outcome.ending == "revoked"
