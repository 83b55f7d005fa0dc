"""Who may do what over HTTP: grants, approvals, the record; and what one subject sees of another."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox import Sandbox
from tests.server.api.conftest import Caller, Callers
from tests.support.http import served

pytestmark = pytest.mark.asyncio(loop_scope="package")

GRANT = {"component": "traps", "kind": "network", "entry": {"host": "more.example.com"}}
UNKNOWN = "a-" + "0" * 32


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def anybody(sandbox: Sandbox) -> AsyncIterator[Caller]:
    """A server on this machine alone that asks nobody for a token."""
    async with served(sandbox) as front:
        yield Caller(front, sandbox, "nobody")


@pytest.mark.parametrize("who", ["ann", "reader", "eve"])
async def test_who_is_no_admin_gives_and_takes_nothing(callers: Callers, who: str) -> None:
    """The tokens of agents have `resources:write`, and that is not enough: an agent gives nothing in its own name."""
    caller = getattr(callers, who)
    given = await callers.operator.done("POST", "grants", GRANT, status=201)
    before = callers.sandbox.grants()
    problem = await caller.refused(403, "POST", "grants", {**GRANT, "entry": {"host": "other.example.com"}})
    assert "scope:admin" in problem["rules"]
    await caller.refused(403, "DELETE", f"grants/{given['id']}")
    assert callers.sandbox.grants() == before
    await callers.operator.done("DELETE", f"grants/{given['id']}")


async def test_where_nobody_is_asked_for_a_token_nothing_is_given_and_nothing_approved(anybody: Caller, callers: Callers) -> None:
    approval = await callers.ann.asks_for_an_approval(dividend="1", divisor="7")
    given = await callers.operator.done("POST", "grants", GRANT, status=201)
    for method, path, body in (
        ("POST", "grants", GRANT),
        ("DELETE", f"grants/{given['id']}", b""),
        ("POST", f"approvals/{approval}/approve", {}),
        ("POST", f"approvals/{approval}/deny", {}),
        ("POST", f"approvals/{approval}/withdraw", {}),
    ):
        problem = await anybody.refused(403, method, path, body, Authorization=None)
        assert "--token-file" in problem["help"]
    assert callers.sandbox.approval(approval).state == "pending"
    assert await anybody.done("GET", "approvals", Authorization=None) == {"approvals": [], "next": None}
    # What gives nothing is there.
    await anybody.done("POST", "safety/budget/create", {"run_id": "local-run", "limit": 1}, Authorization=None)
    await callers.operator.done("DELETE", f"grants/{given['id']}")


async def test_a_grant_is_given_listed_and_revoked(callers: Callers) -> None:
    secret = {"component": "traps", "kind": "environment", "entry": {"key": "API_KEY", "value": "not-for-others"}}
    given = await callers.operator.done("POST", "grants", {**secret, "reason": "a test", "expires_in_s": 60}, status=201)
    assert (given["who"], given["entry"], given["why"]) == ("operator", {"key": "API_KEY", "value": "…"}, "a test")
    assert await callers.ann.done("GET", f"grants/{given['id']}") == given
    listed = await callers.ann.done("GET", "grants?component=traps")
    assert given in listed["grants"]
    assert any(
        rule["origin"] == f"grant {given['id']}" for rule in (await callers.ann.done("GET", "components/traps/policy"))["rules"]
    )
    assert (await callers.operator.done("DELETE", f"grants/{given['id']}"))["grant"] == given["id"]
    for method in ("GET", "DELETE"):
        assert (await callers.operator.refused(404, method, f"grants/{given['id']}"))["code"] == "grant_not_found"
    recorded = callers.sandbox.recent(50, lambda record: record["subject"] == "operator")
    assert "not-for-others" not in str(recorded)


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"component": "nobody"}, 404, "no component `nobody`"),
        ({"entry": {"host": "api.example.com:443"}}, 422, "port"),
        ({"entry": {}}, 422, "names no target"),
        ({"kind": "files"}, 422, "kind"),
        ({"expires_in_s": -1}, 422, "greater than 0"),
        ({"lifetime": "session"}, 422, "lifetime"),
    ],
)
async def test_a_grant_that_cannot_be_is_refused_with_its_place(
    callers: Callers, change: dict[str, object], status: int, said: str
) -> None:
    problem = await callers.operator.refused(status, "POST", "grants", {**GRANT, **change})
    assert said in problem["detail"]


async def test_lists_come_in_pages_that_neither_repeat_nor_skip(callers: Callers) -> None:
    given = [
        (await callers.operator.done("POST", "grants", {**GRANT, "entry": {"host": f"h{number}.example.com"}}, status=201))["id"]
        for number in range(3)
    ]
    seen, after = [], ""
    while True:
        page = await callers.ann.done("GET", f"grants?limit=1{after}")
        seen += [one["id"] for one in page["grants"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert set(given) <= set(seen)
    assert len(seen) == len(set(seen))
    for grant in given:
        await callers.operator.done("DELETE", f"grants/{grant}")


async def test_an_approval_is_answered_by_who_may(callers: Callers) -> None:
    approval = await callers.ann.asks_for_an_approval(dividend="1", divisor="2")
    for verb in ("approve", "deny"):
        assert (await callers.ann.refused(403, "POST", f"approvals/{approval}/{verb}", {}))["rules"] == ["scope:admin"]
    shown = await callers.operator.done("GET", f"approvals/{approval}")
    assert (shown["state"], shown["subject"], shown["arguments"]) == ("pending", "ann", '{"dividend":"1","divisor":"2"}')
    assert "ann" in shown["question"]
    done = await callers.operator.done("POST", f"approvals/{approval}/approve", {"note": "go ahead"})
    assert (done["state"], done["closed_by"], done["note"], done["yeses"][0]["by_way_of"]) == (
        "approved",
        "operator",
        "go ahead",
        "http",
    )
    problem = await callers.operator.refused(409, "POST", f"approvals/{approval}/deny", {})
    assert problem["code"] == "no_longer_pending"


async def test_nobody_answers_what_he_asked_for(callers: Callers) -> None:
    approval = await callers.operator.asks_for_an_approval(dividend="1", divisor="3")
    problem = await callers.operator.refused(403, "POST", f"approvals/{approval}/approve", {})
    assert problem["code"] == "not_yours_to_answer"
    assert (await callers.operator.done("POST", f"approvals/{approval}/withdraw", {}))["state"] == "withdrawn"


async def test_nobody_sees_another_s_approvals(callers: Callers) -> None:
    anns = await callers.ann.asks_for_an_approval(dividend="1", divisor="4")
    eves = await callers.eve.asks_for_an_approval("other", dividend="1", divisor="4")
    for caller, others in ((callers.ann, eves), (callers.bob, anns), (callers.eve, anns), (callers.chief, anns)):
        await caller.refused(404, "GET", f"approvals/{others}")
        await caller.refused(404, "POST", f"approvals/{others}/withdraw", {})
        listed = await caller.done("GET", "approvals?status=pending")
        assert others not in str(listed)
    assert eves in str(await callers.chief.done("GET", "approvals"))
    assert (await callers.eve.done("POST", f"approvals/{eves}/withdraw", {"note": "not now"}))["state"] == "withdrawn"
    await callers.operator.refused(404, "POST", f"approvals/{UNKNOWN}/approve", {})


async def test_nobody_sees_another_s_records(callers: Callers) -> None:
    for caller in (callers.ann, callers.bob, callers.eve):
        await caller.done("POST", "safety/budget/create", {"run_id": f"recorded-{caller.name}", "limit": 1})
    # Another tenant's subject of the same name.
    await callers.ann.asks_for_an_approval("third", dividend="1", divisor="9")
    for caller in (callers.ann, callers.bob, callers.eve):
        records = (await caller.done("GET", "audit?limit=100"))["records"]
        assert {record["subject"] for record in records} == {caller.name}
        assert {record["tenant"] for record in records} == {"other" if caller.name == "eve" else None}
        assert (await caller.done("GET", "audit?subject=operator"))["records"] == []
    assert {"ann", "bob", "eve"} <= {one["subject"] for one in (await callers.operator.done("GET", "audit"))["records"]}
    tenants = (await callers.chief.done("GET", "audit"))["records"]
    assert {record["tenant"] for record in tenants} == {"other"}
    await callers.reader.refused(403, "GET", "audit")


async def test_the_record_is_asked_by_what_happened(callers: Callers) -> None:
    await callers.ann.done("POST", "safety/budget/create", {"run_id": "told", "limit": 1})
    found = await callers.ann.done("GET", "audit?type=budget_set&since=2020-01-01T00:00:00Z&limit=1&order=newest")
    assert found["records"][0]["detail"]["whose"] == "runs/told"
    more = await callers.ann.done("GET", f"audit?type=budget_set&after={found['next']}")
    assert "runs/told" not in str(more)
    assert (await callers.ann.done("GET", "audit?until=2020-01-01T00:00:00Z"))["records"] == []
    # In UTC it is a year of five digits.
    assert (await callers.ann.done("GET", "audit?since=9999-12-31T23:59:59-23:59"))["records"] == []
    day, _, offset = found["next"].partition(".")
    await callers.ann.refused(404, "GET", f"audit?after={day}.{int(offset) - 1}")
    for query in ("type=nothing", "since=yesterday", "since=2020-01-01T00:00:00", "min_cost=-1", "min_cost=nan", "order=up"):
        await callers.ann.refused(422, "GET", f"audit?{query}")


async def test_what_is_asked_and_what_is_refused_is_on_record_with_who_asked(callers: Callers) -> None:
    problem = await callers.ann.refused(403, "POST", "grants", GRANT, User_Agent="a test")
    (refused,) = (await callers.ann.done("GET", f"audit?audit_id={problem['audit_id']}"))["records"]
    assert (refused["event"], refused["subject"], refused["user_agent"]) == ("request_error", "ann", "a test")
    assert refused["detail"] == {"operation": "giveGrant", "target": "/api/v1/grants", "status": 403}
    await callers.ann.done("POST", "safety/budget/create", {"run_id": "on-record", "limit": 1})
    done = (await callers.ann.done("GET", "audit?limit=3"))["records"]
    assert [record["event"] for record in done] == ["request_end", "budget_set", "request_start"]
    assert done[2]["arguments"] == {"limit": 1.0, "run_id": "on-record"}


async def test_components_and_their_tools_are_shown_as_mcp_shows_them(callers: Callers) -> None:
    (component,) = (await callers.ann.done("GET", "components"))["components"]
    assert component["name"] == "traps"
    assert "traps__fine" in [tool["name"] for tool in component["tools"]]
    assert await callers.ann.done("GET", "components/traps") == component
    policy = await callers.ann.done("GET", "components/traps/policy")
    assert "allow https api.example.com, port 443" in [rule["line"] for rule in policy["rules"]]
    assert (await callers.ann.refused(404, "GET", "components/trap"))["help"] == "did you mean `traps`?"
    assert (await callers.ann.done("GET", "components?after=traps")) == {"components": [], "next": None}


async def test_who_is_left_no_tool_of_a_component_is_not_told_of_it(callers: Callers) -> None:
    """As over MCP. Who gives grants is told, whatever his roles leave him."""
    assert await callers.looker.done("GET", "components") == {"components": [], "next": None}
    for path in ("components/traps", "components/traps/policy"):
        assert "traps`?" not in str(await callers.looker.refused(404, "GET", path))
        await callers.operator.done("GET", path)
    given = await callers.operator.done("POST", "grants", GRANT, status=201)
    assert await callers.looker.done("GET", "grants") == {"grants": [], "next": None}
    await callers.looker.refused(404, "GET", f"grants/{given['id']}")
    await callers.operator.done("DELETE", f"grants/{given['id']}")
