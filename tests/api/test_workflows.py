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
from sandbox.state.workflows import StoredWorkflow
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


async def test_a_name_alone_gives_nothing(home: Home, tmp_path: Path) -> None:
    """What is shared is given to the bytes that carried the name when it was loaded; what is denied, to whatever carries it."""
    await home.sandbox.load_workflow(home.document("one"))
    assert await home.reads("one")
    await home.sandbox.unload("one")
    try:
        await home.sandbox.load(_other_bytes(tmp_path), policy=NOTHING, name="one")
        assert not await home.reads("one")
        view = home.sandbox.get_policy("one")
        assert view.rules == home.sandbox.get_policy("other").rules
        (left,) = view.left_out
        assert (left.grant.id, left.why) == (
            "of the workflow team:6:7",
            "when the workflow was loaded, this component was not the one of that name",
        )
        await home.sandbox.load_workflow(home.document("one"))
        assert await home.reads("one")
        assert home.sandbox.get_policy("one").left_out == ()
    finally:
        await home.sandbox.unload("one")
        await home.sandbox.load(guest("escape_traversal"), policy=NOTHING, name="one")
    assert not await home.reads("one"), "the first bytes carry it no more"


async def test_what_is_denied_is_denied_to_whatever_carries_the_name(home: Home) -> None:
    file = home.document("later")
    text = 'version: "2.0"\nscope: workflow\ncomponents: [later]\nshared_permissions:\n  network:\n'
    file.write_text(f"{text}    deny:\n      - {{host: a.example.com}}\n")
    await home.sandbox.load_workflow(file)
    await home.sandbox.load(guest("escape_traversal"), policy=NOTHING, name="later")
    view = home.sandbox.get_policy("later")
    assert [grant.id for grant in view.grants] == ["of the workflow team:7:9"]
    await home.sandbox.unload("later")


async def test_a_workflow_that_no_longer_reads_keeps_its_folders_closed(home: Home) -> None:
    """It gives nothing; nobody else is given them either, and where they are not known, nothing of the host."""
    store = home.sandbox._opened().store
    for uris, closed in (((f"fs://{home.place}/**",), home.place), (("of another version",), home.folder / "elsewhere")):
        store.put_workflow(StoredWorkflow("old", "old.yaml", "version: later", "somebody", 1.0, uris=uris))
        try:
            assert home.sandbox.workflows() == ()
            with pytest.raises((GrantError, PolicyError), match="what other components share"):
                await home.sandbox.grant_storage_permission("other", f"fs://{closed}/**", ["read"], mount="/w")
        finally:
            await home.sandbox.unload_workflow("old")
    await home.sandbox.grant_storage_permission("other", f"fs://{home.place}/**", ["read"], mount="/w")


def _other_bytes(folder: Path) -> Path:
    """The same component with an empty custom section more: another digest."""
    made = folder / "other.wasm"
    made.write_bytes(guest("escape_traversal").read_bytes() + bytes((0, 2, 1, 0x78)))
    return made


async def test_who_comes_later_waits_for_it_to_be_loaded_again_and_a_restart_changes_nothing(home: Home) -> None:
    """A component may be named before it is loaded; the store remembers, and another process goes by it."""
    await home.sandbox.load_workflow(home.document("late"))
    await home.sandbox.load(guest("escape_traversal"), policy=NOTHING, name="late")
    assert not await home.reads("late")
    await home.sandbox.load_workflow(home.document("late"))
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
