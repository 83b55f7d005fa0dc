"""Ways to a permission that nobody gave: by the store, by the clock, by a swapped folder, by granting it to oneself."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sandbox.api import Sandbox
from sandbox.changes.granting import About
from sandbox.errors import GrantError, HostUnavailable, SandboxError
from sandbox.host.outcome import Ending
from sandbox.policy.grants import make_entry
from sandbox.state import grants, sqlite_store
from tests.attacks.stage import CANARY, NEIGHBOUR, Stage, policy, staged, value
from tests.support.guests import guest
from tests.support.serving import ENVELOPE, Lines, Serving, lines

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLEEP = "exhaust_sleep__sleep"
GRANT = "grant_storage_permission"


@pytest_asyncio.fixture(loop_scope="module")
async def own(tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage of this test's own: its store does not stay as it was."""
    async with staged(tmp_path) as stage:
        yield stage


def edit(stage: Stage, *statements: str) -> None:
    db = sqlite3.connect(stage.home / "state" / "state.sqlite")
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


async def test_what_is_swapped_for_a_link_after_the_question_is_not_granted(stage: Stage, tmp_path: Path) -> None:
    """GRT-01: the person is shown a folder; what the yes would grant is another one by then."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text(CANARY)
    (tmp_path / "d").mkdir()
    await stage.load("escape_traversal", policy())
    entry = make_entry("storage", {"uri": f"fs://{tmp_path}/d/**", "access": ["read"], "mount": "/d"})
    proposal = stage.sandbox.propose("escape_traversal", "storage", entry, about=About("ann", lifetime="once"))
    (tmp_path / "d").rmdir()
    (tmp_path / "d").symlink_to("outside")
    with pytest.raises(GrantError):
        await stage.sandbox.grant_proposed(proposal)
    result = await stage.call("escape_traversal__open-each", mount="/d", paths=["secret"])
    assert CANARY not in str(result.outcome.value)
    assert stage.sandbox.grants("escape_traversal") == ()
    await stage.neighbour_is_well()


async def test_a_session_that_ends_ends_its_running_call(stage: Stage, tmp_path: Path) -> None:
    """GRT-02: what was granted for a session is gone with it, within a second, and from no other session's call."""
    (tmp_path / "d").mkdir()
    await stage.load("exhaust_sleep", policy(limits="wall_time: 20s"))
    given = {"lifetime": "session", "session": "mallory"}
    await stage.sandbox.grant_storage_permission("exhaust_sleep", f"fs://{tmp_path}/d/**", ["read"], **given)  # type: ignore[arg-type]
    arguments = {"milliseconds": "15000"}
    mine = asyncio.create_task(stage.sandbox.call(SLEEP, arguments, session="mallory"))
    other = asyncio.create_task(stage.sandbox.call(SLEEP, {"milliseconds": "1500"}, session="bob"))
    await stage.running()
    began = time.monotonic()
    await stage.sandbox.end_session("mallory")
    assert (await mine).outcome.ending is Ending.REVOKED
    assert time.monotonic() - began < 8
    assert (await other).outcome.ok
    await stage.neighbour_is_well()


async def test_a_store_that_was_edited_takes_everything_away_at_once(own: Stage, tmp_path: Path) -> None:
    """GRT-04: running calls too, denies included; the record says so; a person starts anew."""
    (tmp_path / "d").mkdir()
    await own.load("exhaust_sleep", policy(limits="wall_time: 20s"))
    await own.sandbox.grant_storage_permission("exhaust_sleep", f"fs://{tmp_path}/d/**", ["read"], max_uses=100)
    call = asyncio.create_task(own.sandbox.call(SLEEP, {"milliseconds": "15000"}))
    await own.running()
    edit(own, "UPDATE grants SET max_uses = NULL", "UPDATE numbers SET value = value + 1 WHERE name = 'generation'")
    await own.sandbox.sync()
    assert (await call).outcome.ending is Ending.REVOKED
    with pytest.raises(HostUnavailable, match="changed by something else"):
        await own.sandbox.grant_storage_permission("exhaust_sleep", f"fs://{tmp_path}/d/**", ["read"])
    with pytest.raises(HostUnavailable, match="changed by something else"):
        own.sandbox.grants()
    assert value(await own.sandbox.call(NEIGHBOUR, {"number": 7})) == 7, "what was granted nothing goes on"
    (alert,) = [one for one in own.records() if one["event"] == "security_alert"]
    assert alert["severity"] == "critical"
    _, forgotten = await own.sandbox.reset_everything()
    assert forgotten == ("grants",)
    assert own.sandbox.grants() == ()
    await own.sandbox.grant_storage_permission("exhaust_sleep", f"fs://{tmp_path}/d/**", ["read"])


async def test_a_server_that_begins_with_an_edited_store_calls_nothing(own: Stage) -> None:
    """GRT-04: everything was stopped; whoever takes the stop out of the store has no call run by it."""
    await own.sandbox.install(guest("exhaust_sleep"), policy="deny-all")
    await own.sandbox.stop_calls(reason="it runs wild")
    await own.sandbox.close()
    edit(own, "DELETE FROM stops", "UPDATE numbers SET value = value + 1 WHERE name = 'generation'")
    async with Sandbox(own.home) as later:
        await later.restore()
        with pytest.raises(HostUnavailable, match="changed by something else"):
            await later.load(guest("traps"))
        with pytest.raises(SandboxError):
            await later.call(SLEEP, {"milliseconds": "1"})
        _, forgotten = await later.reset_everything()
        assert forgotten == ("stops",)


async def test_a_store_put_back_from_a_copy_brings_no_grant_back(own: Stage, tmp_path: Path) -> None:
    """GRT-04: the grant was revoked; a copy of the store that still has it is noticed as one."""
    await own.load("exhaust_sleep", policy())
    grant = await own.sandbox.grant_storage_permission("exhaust_sleep", f"fs://{tmp_path}/d/**", ["read"])
    await own.sandbox.close()
    shutil.copytree(own.home / "state", tmp_path / "copy")
    async with Sandbox(own.home) as later:
        await later.revoke(grant.id)
    shutil.rmtree(own.home / "state")
    shutil.copytree(tmp_path / "copy", own.home / "state")
    async with Sandbox(own.home) as later:
        with pytest.raises(HostUnavailable, match="an old copy"):
            later.grants()


async def test_a_clock_that_is_set_back_revives_no_grant(own: Stage, tmp_path: Path) -> None:
    """GRT-04: on the wall and in the store; time goes on from the latest moment that was ever reached."""
    await own.load("exhaust_sleep", policy())
    await own.sandbox.grant_storage_permission("exhaust_sleep", f"fs://{tmp_path}/d/**", ["read"], expires_in=3600)
    await own.sandbox.close()
    two_hours_on = sqlite_store(own.home / "state")
    two_hours_on.advance(time.time() + 7200)
    two_hours_on.close()
    edit(own, "UPDATE numbers SET value = 0 WHERE name = 'latest'")
    async with Sandbox(own.home) as later:
        assert later.grants() == ()
    assert [one["severity"] for one in own.records() if one["event"] == "security_alert"] == ["critical"]


class Agent:
    """A client in lines of the era without sessions, that answers for its person, or tries to."""

    def __init__(self, client: Lines) -> None:
        self.client, self.count = client, 0

    def call(self, tool: str, capable: bool = True, **params: Any) -> dict[str, Any]:
        """The whole answer."""
        self.count += 1
        capabilities: dict[str, Any] = {"elicitation": {"form": {}}} if capable else {}
        meta = {**ENVELOPE, "io.modelcontextprotocol/clientCapabilities": capabilities}
        return self.client.ask(self.count, "tools/call", {"_meta": meta, "name": tool, **params})

    def asked(self, tool: str, arguments: dict[str, Any]) -> str:
        """The state of the question that a call ends with."""
        result = self.call(tool, arguments=arguments)["result"]
        assert result["resultType"] == "input_required", result
        return str(result["requestState"])

    def answered(self, tool: str, arguments: dict[str, Any], state: str, **answer: Any) -> dict[str, Any]:
        """What a call comes back with that brings an answer."""
        said = {"action": "accept", "content": {"approve": True}, **answer}
        return self.call(tool, arguments=arguments, inputResponses={"approval": said}, requestState=state)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[tuple[Agent, Serving]]:
    serving = Serving(tmp_path)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "secret").write_text(CANARY)
    with lines(serving) as client:
        yield Agent(client), serving


def no(answer: dict[str, Any]) -> dict[str, Any]:
    """What says no in an answer: an error of the protocol, or of the tool."""
    if "error" in answer:
        return dict(answer["error"])
    assert answer["result"]["isError"] is True, answer
    return dict(json.loads(answer["result"]["content"][0]["text"]))


async def test_a_model_cannot_grant_to_itself(agent: tuple[Agent, Serving], tmp_path: Path) -> None:
    """GRT-05: not without a person, not with an answer it makes up, not with one that was given to something else or before."""
    model, serving = agent
    wanted = {"component_id": "files", "uri": f"fs://{tmp_path}/d/**", "access": ["read"]}
    other = {**wanted, "access": ["read", "write", "create", "delete"]}
    approve = {"approval": {"action": "accept", "content": {"approve": True}}}

    def nothing_is_granted() -> None:
        read = model.call("files__read", arguments={"path": f"{tmp_path}/d/secret"})
        assert read["result"]["isError"] is True
        assert CANARY not in str(read)
        assert serving.json("permission", "list") == []

    assert no(model.call(GRANT, capable=False, arguments=wanted))["command"].startswith("sandbox permission grant files")
    assert model.call(GRANT, arguments=wanted, inputResponses=approve)["result"]["resultType"] == "input_required"
    for forged in ("", "x", "v1.AAAA", "A" * 10_000):
        assert no(model.call(GRANT, arguments=wanted, inputResponses=approve, requestState=forged))
    for more in ({"who": "root"}, {"session": "other"}, {"lifetime": "lasting"}, {"approve": True}):
        assert no(model.call(GRANT, arguments={**wanted, **more}))
    state = model.asked(GRANT, wanted)
    assert no(model.answered(GRANT, other, state)), "an answer about something less"
    assert no(model.answered("revoke_storage_permission", wanted, state)), "an answer about another tool"
    nothing_is_granted()
    state = model.asked(GRANT, wanted)
    assert no(model.answered(GRANT, wanted, state, action="decline"))
    assert no(model.answered(GRANT, wanted, state)), "a no that is turned into a yes"
    nothing_is_granted()
    assert no(model.call(GRANT, arguments=wanted)), "who said no is not asked again"


async def test_an_answer_is_good_once(agent: tuple[Agent, Serving], tmp_path: Path) -> None:
    """GRT-05: what a person allowed for one call is not had for a second one by bringing the answer again."""
    model, serving = agent
    wanted = {"component_id": "files", "uri": f"fs://{tmp_path}/d/**", "access": ["read"], "lifetime": "once"}
    state = model.asked(GRANT, wanted)
    done = model.answered(GRANT, wanted, state)["result"]
    assert done["structuredContent"]["granted"] is True
    assert no(model.answered(GRANT, wanted, state))
    read = {"path": f"{tmp_path}/d/secret"}
    assert model.call("files__read", arguments=read)["result"]["structuredContent"] == {"result": CANARY}
    assert model.call("files__read", arguments=read)["result"]["isError"] is True
    assert serving.json("permission", "list") == []
    told = serving.json("audit", "list", "--limit", "1000")
    answers = [one["decision"] for one in told if one["event"] == "permission_answered"]
    assert answers == ["allow"]
    assert serving.json("audit", "verify")["ok"] is True


async def test_a_wider_grant_is_shown_as_one_and_grants_are_bounded(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GRT-07: `/a/b` and then `/a`, a host and then `*`; and not without end."""
    await stage.load("escape_traversal", policy())
    component, about = "escape_traversal", About("ann")
    narrow = [
        await stage.sandbox.grant_storage_permission(component, f"fs://{tmp_path}/a/b/**", ["read"]),
        await stage.sandbox.grant_network_permission(component, "api.example.com"),
    ]
    wide = [
        ("storage", {"uri": f"fs://{tmp_path}/a/**", "access": ["read"]}, f"allow read on {tmp_path}/a/b/**"),
        ("network", {"host": "*"}, "allow https api.example.com, port 443"),
    ]
    for (kind, entry, line), before in zip(wide, narrow, strict=True):
        change = stage.sandbox.propose(component, kind, make_entry(kind, entry), about=about).change  # type: ignore[arg-type]
        assert change.gives
        assert (line, f"grant {before.id}") in {(one.line, one.origin) for one in change.wider_than}
    monkeypatch.setattr(grants, "MAX_GRANTS", 5)
    for number in range(3):
        await stage.sandbox.grant_environment_permission(component, f"KEY{number}", value="x")
    with pytest.raises(GrantError, match="has 5 grants"):
        await stage.sandbox.grant_environment_permission(component, "ONE_MORE", value="x")
    assert len(stage.sandbox.grants(component)) == 5
    await stage.neighbour_is_well()
