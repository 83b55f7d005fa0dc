"""A component is loaded after a person has seen what it is, with nothing granted."""

from __future__ import annotations

import json
from pathlib import Path

import mcp.types as t
import pytest

from sandbox.errors import NotFound
from sandbox.policy.load import load_policy
from tests.server.builtin.conftest import NOES, YES, Mode, Person, Scene, modes
from tests.support.components import files_component
from tests.support.guests import guest

pytestmark = pytest.mark.asyncio(loop_scope="module")


@modes
@pytest.mark.parametrize("file", ["/etc/passwd", "/nowhere/at/all.wasm", "/dev/zero", "/", "/proc/self/mem"])
async def test_of_what_is_no_component_a_client_learns_no_more_than_that(scene: Scene, mode: Mode, file: str) -> None:
    person = Person(YES)
    async with scene.agent(mode, person) as agent:
        told = await agent.refused("load_component", path=file)
    assert told == {
        "code": "component_refused",
        "message": "there is no component that can be loaded",
        "help": "the server's log says more",
    }
    assert person.seen == []


@modes
@pytest.mark.parametrize("path", ["relative.wasm", "--policy=all.yaml", "../x.wasm", "~/x.wasm", ""])
async def test_a_path_that_depends_on_who_reads_it_is_refused(scene: Scene, mode: Mode, path: str) -> None:
    person = Person(YES)
    async with scene.agent(mode, person) as agent:
        told = await agent.refused("load_component", path=path)
    assert told["code"] in {"grant_refused", "invalid_arguments"}
    assert person.seen == []


@modes
async def test_a_url_needs_a_digest_and_is_not_fetched_before_a_yes(scene: Scene, mode: Mode) -> None:
    person = Person(NOES["decline"])
    url = "https://nowhere.invalid/tool.wasm"
    async with scene.agent(mode, person) as agent:
        assert "digest" in (await agent.refused("load_component", path=url))["message"]
        assert person.seen == []
        told = await agent.refused("load_component", path=url, digest="sha256:" + "0" * 64)
    assert "did not allow it" in told["message"]
    assert url in person.seen[0]
    assert "0" * 64 in person.seen[0]


@modes
async def test_without_a_yes_nothing_is_loaded(scene: Scene, mode: Mode) -> None:
    for person in (Person(NOES["decline"]), Person(NOES["cancel"]), None):
        async with scene.agent(mode, person) as agent:
            told = await agent.refused("load_component", path=str(guest("traps")))
            assert told["code"] == "grant_refused"
    assert told["command"] == f"sandbox component load {guest('traps')}"
    with pytest.raises(NotFound):
        scene.sandbox.get_policy("traps")


@modes
async def test_a_loaded_component_has_tools_and_no_permission_and_can_be_unloaded(
    scene: Scene, mode: Mode, tmp_path: Path
) -> None:
    component = tmp_path / "notes.wasm"
    component.write_bytes(files_component().read_bytes())
    (tmp_path / "notes.policy.yaml").write_text(
        f'version: "2.0"\npermissions: {{storage: {{allow: [{{uri: "fs://{scene.folder}/**", access: [read]}}]}}}}\n'
    )
    person = Person(YES)
    async with scene.agent(mode, person) as agent:
        done = await agent.call("load-component", path=str(component))
        assert done["component_id"] == "notes"
        assert "notes__read" in {tool.name for tool in (await agent.client.list_tools()).tools}
        denied = await agent.refused("notes__read", path=str(scene.file))
        assert denied["code"] == "filesystem_access_denied"
        assert done["note"].endswith(" --accept`")
        await agent.call("unload-component", id="notes")
        assert "notes__read" not in {tool.name for tool in (await agent.client.list_tools()).tools}
    shown, unloaded = person.seen
    assert "An agent asks to unload a component." in unloaded
    assert done["digest"] in unloaded
    assert "notes__read" in unloaded
    assert done["digest"] in shown
    assert "notes__read" in shown
    assert f"allow read on {scene.folder}/** (within the ceiling)" in shown
    assert "is granted nothing of it now" in shown


@modes
async def test_without_a_yes_nothing_is_unloaded(scene: Scene, mode: Mode) -> None:
    """It would be gone for everybody."""
    for person in (Person(NOES["decline"]), Person(NOES["cancel"]), None):
        async with scene.agent(mode, person) as agent:
            told = await agent.refused("unload_component", component_id="exhaust_sleep")
            assert await agent.call("get_policy", component_id="exhaust_sleep")
    assert told["command"] == "sandbox component unload exhaust_sleep"
    assert "exhaust_sleep" in {one.name for one in scene.sandbox.loaded()}


@modes
async def test_a_default_that_holds_for_what_is_loaded_is_said(
    scene: Scene, mode: Mode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    component, policy = tmp_path / f"usual-{mode}.wasm", tmp_path / "usual.yaml"
    component.write_bytes(files_component().read_bytes())
    policy.write_text(
        f'version: "2.0"\npermissions: {{storage: {{allow: [{{uri: "fs://{scene.folder}/**", access: [read]}}]}}}}\n'
    )
    policy.chmod(0o600)
    monkeypatch.setitem(scene.sandbox._documents._defaults, "usual-*", policy)
    person = Person(YES)
    async with scene.agent(mode, person) as agent:
        done = await agent.call("load_component", path=str(component))
        assert not (await agent.client.call_tool(f"{done['component_id']}__read", {"path": str(scene.file)})).is_error
    assert "nothing is granted" not in done["note"]
    for said in (done["note"], person.seen[0]):
        assert "it goes by usual.yaml, the default for its name here" in said.replace("It", "it")
    await scene.sandbox.unload(done["component_id"])


@modes
async def test_what_was_given_to_these_bytes_before_is_said(scene: Scene, mode: Mode, tmp_path: Path) -> None:
    """A workflow and a grant hold at once for the bytes that they were given to; a workflow gives to no others."""
    name = f"shared-{mode}"
    component, workflow = tmp_path / f"{name}.wasm", tmp_path / "team.yaml"
    component.write_bytes(files_component().read_bytes())
    head = f'version: "2.0"\nscope: workflow\ncomponents: [{name}]\nshared_permissions:\n'
    workflow.write_text(f'{head}  storage:\n    - {{uri: "fs://{scene.folder}/**", access: [read], mount: /team}}\n')
    workflow.chmod(0o600)
    given = f"allow storage uri=fs://{scene.folder}/** access=read mount=/team (grant of the workflow team:6:7)"
    person = Person(YES)
    async with scene.agent(mode, person) as agent:
        await scene.sandbox.load_workflow(workflow)
        try:
            done = await agent.call("load_component", path=str(component))
            assert done["note"].startswith("list the tools again; nothing is granted to it")
            (warning,) = (await agent.call("get_policy", component_id=name))["warnings"]
            assert warning.startswith("the grant `of the workflow team:6:7` gives nothing here: when the workflow was loaded")
            await scene.sandbox.load_workflow(workflow)
            await scene.sandbox.unload(name)
            done = await agent.call("load_component", path=str(component))
            assert done["note"].startswith("list the tools again; what was granted to it before holds again, 1 in all")
        finally:
            await scene.sandbox.unload_workflow("team")
            await scene.sandbox.unload(name)
    before, after = person.seen
    assert "holds at once" not in before
    assert "this holds at once, inside the ceiling:" in after
    assert given in after


@modes
async def test_the_file_that_was_shown_is_the_one_that_is_loaded(scene: Scene, mode: Mode, tmp_path: Path) -> None:
    component = tmp_path / "swapped.wasm"
    component.write_bytes(guest("traps").read_bytes())

    async def answer():  # type: ignore[no-untyped-def] # a result of the SDK's
        component.write_bytes(guest("exits").read_bytes())
        return YES

    async with scene.agent(mode, Person(answer)) as agent:
        await agent.refused("load_component", path=str(component))
    with pytest.raises(NotFound):
        scene.sandbox.get_policy("swapped")


@modes
@pytest.mark.parametrize("same_tools", [True, False])
async def test_other_bytes_under_a_name_do_not_get_what_was_accepted_for_those_before(
    scene: Scene, mode: Mode, same_tools: bool, tmp_path: Path
) -> None:
    name = f"heir-{same_tools}-{mode}".lower()
    first, second = tmp_path / "first.wasm", tmp_path / "second.wasm"
    first.write_bytes((files_component() if same_tools else guest("traps")).read_bytes())
    second.write_bytes(files_component().read_bytes() + b"\x00\x02\x01x")  # a custom section `x`: the same tools, another digest
    policy = load_policy(
        f'version: "2.0"\npermissions: {{storage: {{allow: [{{uri: "fs://{scene.folder}/**", access: [read]}}]}}}}\n',
        file="p.yaml",
    )
    await scene.sandbox.install(first, name=name, policy=policy)
    async with scene.agent(mode, Person(YES)) as agent:
        await agent.call("load_component", path=str(second), name=name)
        denied = await agent.refused(f"{name}__read", path=str(scene.file))
    assert denied["code"] == "filesystem_access_denied"
    await scene.sandbox.unload(name)


@modes
async def test_the_record_does_not_tell_a_client_where_a_component_and_its_policy_lie(
    scene: Scene, mode: Mode, tmp_path: Path
) -> None:
    component, policy = tmp_path / f"placed-{mode}.wasm", tmp_path / "policy.yaml"
    component.write_bytes(guest("traps").read_bytes())
    policy.write_text('version: "2.0"\n')
    made = await scene.sandbox.install(component, policy=policy)
    async with scene.agent(mode) as agent:
        told = (await agent.client.read_resource(f"sandbox://components/{made.name}/record")).contents[0]
    await scene.sandbox.unload(made.name)
    assert isinstance(told, t.TextResourceContents)
    assert [record["event"] for record in json.loads(told.text)] == ["component_loaded", "policy_loaded"]
    assert str(tmp_path) not in told.text
    assert '"file": "policy.yaml"' in told.text
