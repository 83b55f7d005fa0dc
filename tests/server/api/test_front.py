"""What a request must be before anything is done, and how it is told that it is not: strict bodies, problems, browsers, paths."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from sandbox import Sandbox
from sandbox.errors import HostUnavailable
from sandbox.server.http.tokens import tokens_of
from tests.server.api.conftest import TOKENS, WORD, Caller, Callers
from tests.support.http import served

pytestmark = pytest.mark.asyncio(loop_scope="package")

CHECK, SPEND = "safety/check", "safety/budget/spend"
APP = "https://app.example.com"


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def named(sandbox: Sandbox) -> AsyncIterator[Caller]:
    """Ann, at a server that speaks with a page of one origin."""
    async with served(sandbox, verifier=tokens_of(TOKENS, "tokens"), origins=frozenset({APP})) as front:
        yield Caller(front, sandbox, "ann")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b'{"action": "a", "action": "b"}', 400, "occurs twice"),
        (b'{"action": "a", "context": {"x": NaN}}', 400, "`NaN` is not JSON"),
        (b'{"action": "a", "context": {"x": 1e999}}', 400, "too large"),
        (b'{"action": "a", "context": {"x": ' + b"9" * 5000 + b"}}", 400, "too many digits"),
        (b'{"action": "\\ud800"}', 400, "surrogate"),
        (b'{"action": "\xff"}', 400, "not UTF-8"),
        (b'{"action": "a", "context": ' + b'{"x": ' * 300 + b"1" + b"}" * 300 + b"}", 400, "nested"),
        (b"[]", 422, "no object"),
        (b'{"action": 7}', 422, "body.action"),
        (b'{"context": {}}', 422, "body.action: it is missing"),
        (b'{"action": ""}', 422, "body.action"),
        (b'{"action": "a", "contxt": {}}', 422, "unknown key `contxt`"),
        (b'{"action": "a", "context": {"component": 7}}', 422, "body.context.component"),
    ],
)
async def test_a_body_is_strict(callers: Callers, body: bytes, status: int, said: str) -> None:
    problem = await callers.ann.refused(status, "POST", CHECK, body)
    assert said in problem["detail"], problem
    assert problem["type"] == f"urn:sandbox:{problem['code']}"


async def test_what_is_wrong_is_told_with_its_place_and_what_to_write_instead(callers: Callers) -> None:
    problem = await callers.ann.refused(422, "POST", "safety/budget/create", {"run": "a", "limit": "10"})
    wrong = {one["where"]: one for one in problem["problems"]}
    assert wrong.keys() == {"body.run", "body.run_id", "body.limit"}
    assert wrong["body.run"]["help"] == "did you mean `run_id`?"


@pytest.mark.parametrize("amount", [0, -1, 1_000_000_001, True, "0.1", None, [1]])
async def test_an_amount_is_a_number_of_money(callers: Callers, amount: object) -> None:
    problem = await callers.ann.refused(422, "POST", SPEND, {"run_id": "any", "amount": amount})
    assert problem["problems"][0]["where"] == "body.amount"


@pytest.mark.parametrize("run", ["", "a b", "../x", "create", "é", "x" * 129, "a\n"])
async def test_a_run_has_a_plain_name(callers: Callers, run: str) -> None:
    await callers.ann.refused(422, "POST", "safety/budget/create", {"run_id": run, "limit": 1})


@pytest.mark.parametrize(
    "path",
    [
        "",
        "nothing",
        "grants/",
        "/grants",
        "Grants",
        "./grants",
        "safety/../grants",
        "%67rants",
        "grants;a=b",
        "safety//check",
        "safety/budget",
        "safety/budget/a/b",
        "components/a/policy/",
    ],
)
async def test_a_path_is_one_of_those_that_there_are(callers: Callers, path: str) -> None:
    await callers.operator.refused(404, "GET", path)


@pytest.mark.parametrize("path", ["safety/budget/a%2Fb", "safety/budget/%2e%2e", "components/%00", "grants/g-1"])
async def test_a_parameter_is_what_its_schema_says(callers: Callers, path: str) -> None:
    await callers.operator.refused(422, "GET", path)


async def test_a_query_is_strict(callers: Callers) -> None:
    for query in ("limit=0", "limit=101", "limit=1&limit=2", "page=2", "limit=", "limit=%2B5", "limit=%EF%BC%95"):
        await callers.ann.refused(422, "GET", f"grants?{query}")
    for query in ("limit", "limit=%ff", "&"):
        await callers.ann.refused(400, "GET", f"grants?{query}")
    await callers.ann.refused(422, "GET", "components/traps?limit=1")


async def test_another_method_is_told_which_there_are(callers: Callers) -> None:
    for method, path, allowed in (
        ("PUT", "grants", "GET, HEAD, POST"),
        ("GET", CHECK, "POST"),
        ("POST", "safety/budget/a", "DELETE, GET, HEAD"),
        ("OPTIONS", "openapi.json", "GET, HEAD"),
        ("POST", "safety/budget/create/", None),
    ):
        answer = await callers.ann.ask(method, path, {})
        assert (answer.status, answer.headers.get("allow")) == (404 if allowed is None else 405, allowed)
    answer = await callers.ann.ask("POST", CHECK, {"action": "a"}, X_HTTP_Method_Override="DELETE")
    assert answer.status == 200


async def test_only_bare_json_is_read(callers: Callers) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/problem+json", None):
        await callers.ann.refused(415, "POST", CHECK, {"action": "a"}, Content_Type=kind)
    await callers.ann.refused(415, "POST", CHECK, {"action": "a"}, Content_Encoding="gzip")
    problem = await callers.ann.refused(413, "POST", CHECK, b"{}", Content_Length=str(5 << 20))
    assert problem["code"] == "invalid_arguments"


@pytest.mark.parametrize("token", [None, "", "Bearer", f"Basic ann{WORD}", "Bearer wrong", f"Bearer ann{WORD} more"])
async def test_nothing_is_told_without_a_token(callers: Callers, token: str | None) -> None:
    for path in ("openapi.json", "grants", "nothing", "safety/budget/a"):
        answer = await callers.ann.ask("GET", path, Authorization=token)
        assert answer.status == 401
        assert answer.json()["title"] == "Unauthorized"
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_scope_that_is_missing_is_asked_for(callers: Callers) -> None:
    answer = await callers.reader.ask("GET", "grants")
    assert answer.status == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


async def test_a_page_of_somebody_elses_is_not_listened_to(callers: Callers, named: Caller) -> None:
    amount = {"run_id": "csrf", "amount": 0.1}
    await named.done("POST", "safety/budget/create", {"run_id": "csrf", "limit": 1})
    for origin in ("https://evil.test", "null", "https://app.example.com.evil.test"):
        problem = await named.refused(403, "POST", SPEND, amount, Origin=origin)
        assert problem["code"] == "access_denied"
    await named.refused(415, "POST", SPEND, amount, Origin=APP, Content_Type="text/plain")
    assert (await named.done("GET", "safety/budget/csrf"))["spent"] == 0
    await named.refused(421, "GET", "grants", Host="evil.test")


async def test_a_page_of_an_origin_that_is_named_may_ask(named: Caller) -> None:
    asked = {"Origin": APP, "Access_Control_Request_Method": "POST", "Authorization": None}
    preflight = await named.ask("OPTIONS", SPEND, **asked)
    assert preflight.status == 204
    assert "idempotency-key" in preflight.headers["access-control-allow-headers"]
    for status, path in ((200, "grants"), (404, "nothing")):
        answer = await named.ask("GET", path, Origin=APP)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, APP)


async def test_a_head_has_no_body(callers: Callers) -> None:
    async with callers.front.connected() as (reader, writer):
        fields = {**callers.front.head("GET"), "Authorization": f"Bearer ann{WORD}", "Connection": "close"}
        lines = "\r\n".join(f"{name}: {value}" for name, value in fields.items())
        writer.write(f"HEAD /api/v1/grants HTTP/1.1\r\n{lines}\r\n\r\n".encode())
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\n")


async def test_what_the_host_cannot_do_now_says_no_more_than_that(
    callers: Callers, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise HostUnavailable("/srv/secret/place cannot be read")

    async def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("/srv/secret/place")

    for failing, status in ((fails, 503), (breaks, 500)):
        monkeypatch.setattr(callers.sandbox, "run_budget", failing, raising=False)
        problem = await callers.ann.refused(status, "GET", "safety/budget/any")
        assert "/srv" not in str(problem)
    assert "/srv/secret/place" in caplog.text


async def test_where_the_record_cannot_be_written_nothing_is_changed(callers: Callers, monkeypatch: pytest.MonkeyPatch) -> None:
    def unwritable(*_: object, **__: object) -> None:
        raise HostUnavailable("the record cannot be written")

    with monkeypatch.context() as broken:
        broken.setattr(callers.sandbox._log, "append", unwritable)
        await callers.ann.refused(503, "POST", "safety/budget/create", {"run_id": "unrecorded", "limit": 1})
    await callers.ann.refused(404, "GET", "safety/budget/unrecorded")


async def test_while_everything_is_stopped_nothing_is_spent_and_nothing_allowed(callers: Callers) -> None:
    await callers.ann.done("POST", "safety/budget/create", {"run_id": "stopped", "limit": 1})
    amount = {"run_id": "stopped", "amount": 0.1}
    await callers.sandbox.stop_calls(who="test", reason="a test")
    try:
        assert not (await callers.ann.done("POST", CHECK, {"action": "read"}))["allowed"]
        assert not (await callers.ann.done("POST", "safety/budget/can-spend", amount))["can_spend"]
        assert (await callers.ann.refused(503, "POST", SPEND, amount))["code"] == "stopped"
    finally:
        await callers.sandbox.resume_calls(who="test")
    await callers.ann.done("POST", SPEND, amount)
