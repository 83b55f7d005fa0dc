"""What takes away is done without a question; what would give something is not done by it. And what is shown to whom."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sandbox.host.outcome import Ending
from sandbox.policy.load import load_policy
from sandbox.server.builtin import work
from tests.server.builtin.conftest import YES, Mode, Person, Scene, modes

pytestmark = pytest.mark.asyncio(loop_scope="module")


def reading(scene: Scene) -> Any:
    text = f'version: "2.0"\npermissions: {{storage: {{allow: [{{uri: "fs://{scene.folder}/**", access: [read]}}]}}}}\n'
    return load_policy(text, file="policy.yaml")


@modes
async def test_what_nobody_has_cannot_be_revoked(scene: Scene, mode: Mode) -> None:
    async with scene.agent(mode) as agent:
        for tool, named in (("storage", {"uri": "fs:///srv/x"}), ("network", {"host": "a.example"}), ("resource", {})):
            told = await agent.refused(f"revoke_{tool}_permission", component_id="files", **named)
            assert told["code"] == "grant_not_found"
        for tool in ("get_policy", "reset_permission", "list_grants", "unload_component"):
            assert (await agent.refused(tool, component_id="nobody"))["code"] == "component_not_found"
    assert scene.sandbox.grants() == ()


@modes
async def test_a_permission_is_taken_back_without_a_question(scene: Scene, mode: Mode) -> None:
    person = Person(YES)
    async with scene.agent(mode, person) as agent:
        granted = await agent.call("grant_storage_permission", **scene.all_of_it)
        lasting = await scene.sandbox.grant_storage_permission("files", f"fs://{scene.folder}/**", ["read"])
        done = await agent.call("revoke_storage_permission", component_id="files", uri=f"fs://{scene.folder}/**")
        assert not await agent.reads(scene.file)
    assert done["revoked"] == [lasting.id, granted["grant"]["id"]] or done["revoked"] == [granted["grant"]["id"], lasting.id]
    assert "denied" not in done
    assert len(person.seen) == 1


@modes
async def test_what_the_policy_gives_is_denied_for_the_session(scene: Scene, mode: Mode) -> None:
    await scene.sandbox.update_component_policy("files", reading(scene))
    async with scene.agent(mode) as agent, scene.agent(mode) as other:
        assert await agent.reads(scene.file)
        done = await agent.call("revoke_storage_permission", component_id="files", uri=f"fs://{scene.file}")
        assert not await agent.reads(scene.file)
        assert await other.reads(scene.file)
        assert (done["revoked"], done["denied"]["lifetime"]) == ([], "session")
        again = await agent.refused("revoke_storage_permission", component_id="files", uri=f"fs://{scene.file}")
        assert again["code"] == "grant_not_found"
        assert [one["id"] for one in (await agent.call("list_grants"))["grants"]] == [done["denied"]["id"]]
        assert (await other.call("list_grants", component_id="files"))["grants"] == []


async def test_a_revoke_stops_the_call_that_held_it(scene: Scene) -> None:
    given = {"component_id": "exhaust_sleep", "uri": f"fs://{scene.folder}/**"}
    async with scene.agent("legacy", Person(YES)) as agent:
        await agent.call("grant_storage_permission", **given, access=["read"])
        before = scene.sandbox.metrics()["calls"]
        sleeping = asyncio.create_task(agent.refused("exhaust_sleep__sleep", milliseconds="20000"))
        async with asyncio.timeout(10):
            while scene.sandbox.metrics()["calls"] == before or not scene.sandbox.metrics()["running"]:
                await asyncio.sleep(0.01)
        done = await agent.call("revoke_storage_permission", **given)
        assert (await sleeping)["code"] == Ending.REVOKED.value
    assert [call["tool"] for call in done["stopped"]] == ["exhaust_sleep__sleep"]


@modes
async def test_who_may_only_take_away_undoes_no_deny(scene: Scene, mode: Mode) -> None:
    await scene.sandbox.update_component_policy("files", reading(scene))
    every = ["read", "write", "create", "delete"]
    deny = await scene.sandbox.grant_storage_permission("files", f"fs://{scene.file}", every, effect="deny")
    lower = await scene.sandbox.grant_resource_permission("files", memory="8Mi")
    async with scene.agent(mode) as agent:
        told = await agent.refused("revoke_storage_permission", component_id="files", uri=f"fs://{scene.file}")
        assert told["code"] == "grant_not_found"
        kept = await agent.call("revoke_resource_permission", component_id="files", limit="memory")
        assert ([one["id"] for one in kept["kept"]], kept["revoked"]) == ([lower.id], [])
        reset = await agent.call("reset_permission", component_id="files")
        assert {one["id"] for one in reset["kept"]} == {deny.id, lower.id}
        assert not await agent.reads(scene.file)
    assert scene.sandbox.grants() == (deny, lower)


@modes
async def test_a_reset_takes_back_what_was_given_to_this_session_and_to_all(scene: Scene, mode: Mode) -> None:
    async with scene.agent(mode, Person(YES)) as agent, scene.agent(mode, Person(YES)) as other:
        mine = await agent.call("grant_environment_permission", component_id="files", key="MODE", value="x")
        theirs = await other.call("grant_environment_permission", component_id="files", key="MODE", value="y")
        lasting = await scene.sandbox.grant_network_permission("files", "a.example.com")
        done = await agent.call("reset_permission", component_id="files")
        assert set(done["revoked"]) == {mine["grant"]["id"], lasting.id}
        assert [one.id for one in scene.sandbox.grants()] == [theirs["grant"]["id"]]


@modes
async def test_the_policy_shows_each_rule_with_the_line_it_comes_from(scene: Scene, mode: Mode) -> None:
    await scene.sandbox.update_component_policy("files", reading(scene))
    async with scene.agent(mode, Person(YES)) as agent:
        granted = await agent.call("grant_network_permission", component_id="files", host="api.example.com", methods=["GET"])
        shown = await agent.call("get_policy", component_id="files")
    origins = {rule["line"]: rule["origin"] for rule in shown["rules"]}
    assert origins[f"allow read on {scene.folder}/**"].startswith("policy:")
    assert origins["allow https api.example.com, port 443, GET"] == f"grant {granted['grant']['id']}"
    assert origins["memory 256Mi"] == "default"
    assert all(rule["enforced_by"] for rule in shown["rules"])


@modes
async def test_a_value_that_a_grant_gives_is_told_to_no_client_and_is_on_no_record(scene: Scene, mode: Mode) -> None:
    await scene.sandbox.grant_environment_permission("files", "API_KEY", value="hunter2-hunter2")
    async with scene.agent(mode, Person(YES)) as agent:
        await agent.call("grant_environment_permission", component_id="files", key="OTHER_KEY", value="hunter3-hunter3")
        told = str([await agent.call("list_grants"), await agent.call("get_policy", component_id="files")])
    assert "hunter" not in told
    audit = "".join(path.read_text() for path in (scene.sandbox.home / "audit").glob("*.jsonl"))
    assert "hunter" not in audit


@modes
async def test_every_kind_of_permission_can_be_asked_for(scene: Scene, mode: Mode) -> None:
    person = Person(YES)
    async with scene.agent(mode, person) as agent:
        about: dict[str, Any] = {"component_id": "files", "expires_in": "10m", "max_uses": 3, "reason": "a test"}
        asked: dict[str, dict[str, Any]] = {
            "network": {"host": "*.example.com", "ports": [8443], "paths": ["/v1/**"]},
            "environment": {"key": "LANG"},
            "resource": {"limit": "wall_time", "value": "60s"},
        }
        for kind, entry in asked.items():
            done = (await agent.call(f"grant_{kind}_permission", **about, **entry))["grant"]
            assert (done["kind"], done["max_uses"], done["reason"]) == (kind, 3, "a test")
            assert done["expires_at"].endswith("Z")
        connection = {"host": "db.example.com", "ports": [5432], "protocols": ["tcp"]}
        done = (await agent.call("grant_network_permission", component_id="files", **connection))["grant"]
        assert done["entry"] == connection
        assert "db.example.com" in person.seen[3]
        assert len((await agent.call("revoke_network_permission", component_id="files", host="db.example.com"))["revoked"]) == 1
        assert "- wall_time 30s" in person.seen[2]
        assert "+ wall_time 1m" in person.seen[2]
        assert "at most 600 seconds, at most 3 calls" in person.seen[0]
        for kind, named in (("network", {"host": "*.example.com"}), ("environment", {"key": "LANG"}), ("resource", {})):
            assert len((await agent.call(f"revoke_{kind}_permission", component_id="files", **named))["revoked"]) == 1
    assert scene.sandbox.grants() == ()


@modes
async def test_the_existing_ecosystems_calls_mean_what_they_mean_there(scene: Scene, mode: Mode) -> None:
    """A folder is its tree, `write` is create and delete too, a host takes any port; and the person is shown that."""
    person = Person(YES)
    folder = {"component_id": "files", "details": {"uri": f"fs://{scene.folder}", "access": ["read", "write"]}}
    async with scene.agent(mode, person) as agent:
        done = await agent.call("grant-storage-permission", **folder)
        assert done["grant"]["entry"] == {
            "uri": f"fs://{scene.folder}/**",
            "access": ["read", "write", "create", "delete"],
        }
        assert await agent.reads(scene.file)
        await agent.call("grant-network-permission", component_id="files", details={"host": "a.example"})
        await agent.call("grant-environment-variable-permission", component_id="files", details={"key": "LANG"})
        assert "any port" in person.seen[1]
        for tool, details in (
            ("revoke-storage-permission", {"uri": f"fs://{scene.folder}"}),
            ("revoke-network-permission", {"host": "a.example"}),
            ("revoke-environment-variable-permission", {"key": "LANG"}),
        ):
            assert len((await agent.call(tool, component_id="files", details=details))["revoked"]) == 1
        assert not await agent.reads(scene.file)
        told = await agent.refused(
            "grant-storage-permission", component_id="files", details={"uri": "fs:///x", "access": ["delete"]}
        )
        assert "is no access of version" in told["message"]
        assert (await agent.call("reset-permission", component_id="files"))["revoked"] == []
    assert len(person.seen) == 3
    assert scene.sandbox.grants() == ()


async def test_a_client_cannot_pile_up_denies_and_grants(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MAX_OF_CLIENTS", 3)
    await scene.sandbox.update_component_policy("files", reading(scene))
    async with scene.agent("legacy", Person(YES)) as agent:
        for number in range(2):
            await agent.call("revoke_storage_permission", component_id="files", uri=f"fs://{scene.folder}/{number}")
        deny = {"component_id": "files", "uri": f"fs://{scene.folder}/x"}
        assert "denied" in await agent.call("revoke_storage_permission", **deny, lifetime="lasting")
        for tool, more in (("revoke_storage_permission", {}), ("grant_storage_permission", {"access": ["read"]})):
            told = await agent.refused(tool, component_id="files", uri=f"fs://{scene.folder}/y", **more)
            assert "3 permissions were changed" in told["message"]
    assert len(scene.sandbox.grants()) == 1, "the lasting one"


@modes
async def test_components_are_listed_with_their_tools(scene: Scene, mode: Mode) -> None:
    async with scene.agent(mode) as agent:
        shown = {one["component_id"]: one for one in (await agent.call("list_components"))["components"]}
    assert "files__read" in shown["files"]["tools"]
    assert shown["files"]["digest"].startswith("sha256:")
