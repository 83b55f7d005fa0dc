"""Figures over HTTP: docs/metrics.md names them all, and each counts what happened."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from sandbox.admission.signal import Signal
from sandbox.audit import Event, EventType
from sandbox.audit.tally import Tally
from sandbox.config.spending import Budget
from sandbox.errors import NotFound
from sandbox.server.http.tokens import tokens_of
from tests.attacks.stage import Stage, policy, staged
from tests.support.http import Served, served

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
TOKEN = "a-token-of-at-least-twenty"
Figures = dict[tuple[str, frozenset[str]], float]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A host."""
    async with staged(tmp_path_factory.mktemp("figures")) as stage:
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(stage: Stage) -> AsyncIterator[Served]:
    """A server with a token."""
    await stage.load_for_clients("exhaust_sleep")
    verifier = tokens_of(f"scraper {TOKEN}\n", "tokens")
    async with served(stage.sandbox, token=TOKEN, verifier=verifier) as front:
        yield front


async def figures(front: Served) -> Figures:
    """What is scraped, by name and label values, which no two labels share."""
    answer = await front.ask("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = text_string_to_metric_families(answer.body.decode())
    return {(sample.name, frozenset(sample.labels.values())): sample.value for family in families for sample in family.samples}


async def moved(front: Served, before: Figures) -> Figures:
    """What has changed since."""
    return {name: value - before.get(name, 0) for name, value in (await figures(front)).items() if value != before.get(name)}


async def test_nobody_scrapes_without_the_token(front: Served) -> None:
    for path in ("/metrics", "/ready"):
        assert (await front.ask("GET", path, Authorization=None)).status == 401
        assert (await front.ask("POST", path, b"{}")).status == 405


async def test_a_refused_effect_is_counted_by_its_code_and_the_call_by_its_end(front: Served, stage: Stage) -> None:
    before = await figures(front)
    assert not (await stage.call("files__read", path="/etc/hostname")).outcome.ok
    now = await moved(front, before)
    assert now["sandbox_denials_total", frozenset({"files", "filesystem_access_denied"})] == 1
    assert now["sandbox_calls_total", frozenset({"files", "guest_error"})] == 1
    assert now["sandbox_decisions_total", frozenset({"allow"})] == 1
    assert now["sandbox_call_seconds_count", frozenset({"files"})] == 1
    assert now["sandbox_call_seconds_bucket", frozenset({"files", "+Inf"})] == 1


async def test_a_call_that_is_not_admitted_is_a_decision_and_no_call(front: Served, stage: Stage) -> None:
    before = await figures(front)
    with pytest.raises(NotFound):
        await stage.call("files__no_such_tool")
    now = await moved(front, before)
    assert now["sandbox_decisions_total", frozenset({"deny"})] == 1
    assert not any(name == "sandbox_calls_total" for name, _ in now)


async def test_a_kill_a_grant_and_a_revoke_are_counted(front: Served, stage: Stage) -> None:
    before = await figures(front)
    grant = await stage.sandbox.grant_storage_permission("files", f"fs://{stage.folder}/data/**", ["read"])
    await stage.sandbox.revoke(grant.id)
    call = asyncio.create_task(stage.call("exhaust_sleep__sleep", milliseconds=60_000))
    await stage.running()
    assert (await figures(front))["sandbox_workers", frozenset({"running"})] == 1
    (running,) = stage.sandbox.running_calls()
    await stage.sandbox.signal(running.call_id, Signal.SIGSTOP)
    assert (await figures(front))["sandbox_workers", frozenset({"suspended"})] == 1
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await stage.settled()
    now = await moved(front, before)
    assert now["sandbox_policy_changes_total", frozenset({"permission_granted"})] == 1
    assert now["sandbox_policy_changes_total", frozenset({"permission_revoked"})] == 1
    assert now["sandbox_worker_kills_total", frozenset()] == 1
    assert now["sandbox_calls_total", frozenset({"exhaust_sleep", "cancelled"})] == 1
    assert now["sandbox_cache_lookups_total", frozenset({"template", "miss"})] >= 1
    assert now["sandbox_cache_lookups_total", frozenset({"component", "hit"})] >= 1
    assert now["sandbox_policy_compile_seconds_count", frozenset({"template"})] >= 1


async def test_each_kind_of_permission_is_counted_where_the_gates_judge_it(front: Served, stage: Stage) -> None:
    folder = f'uri: "fs://{stage.folder}/data/**", access: [read]'
    document = policy(folder, environment="key: A_B, value: c")
    await stage.load("escape_network", document)
    before = await figures(front)
    parts = {"method": "GET", "scheme": "http", "authority": "192.0.2.1:80", "path": "/", "headers": [], "body": ""}
    for _ in range(2):
        await stage.sandbox.call("escape_network__request", parts)
    await stage.call("files__read", path="/etc/hostname")
    now = await moved(front, before)
    checks = {labels: value for (name, labels), value in now.items() if name == "policy_permission_checks"}
    assert checks[frozenset({"escape_network", "network", "false"})] == 2
    assert checks[frozenset({"escape_network", "environment", "true"})] == 2
    assert checks[frozenset({"files", "storage", "false"})] == 1
    assert checks[frozenset({"files", "storage", "true"})] >= 1
    assert not checks.get(frozenset({"escape_network", "network", "true"}))


async def test_decisions_records_waits_and_requests_are_timed_and_counted(front: Served, stage: Stage) -> None:
    before = await figures(front)
    assert (await stage.call("traps__fine", number=1)).outcome.ok
    assert (await front.ask("GET", "/health", Authorization="Bearer a-token-that-is-none")).status == 401
    now = await moved(front, before)
    nothing: frozenset[str] = frozenset()
    assert now["sandbox_decision_seconds_count", nothing] == now["sandbox_call_wait_seconds_count", nothing] == 1
    assert now["sandbox_record_seconds_count", nothing] >= 2
    assert now["sandbox_http_requests_total", frozenset({"401"})] == 1
    assert now["sandbox_authentications_total", frozenset({"failure"})] == 1
    assert now["sandbox_authentications_total", frozenset({"success"})] == 1
    assert not any(name.startswith("sandbox_telemetry") for name, _ in now)


async def test_budgets_and_approvals_are_told_as_they_stand(stage: Stage, front: Served) -> None:
    await stage.sandbox.set_budget("global", Budget(max_requests=5, period="day"))
    assert (await stage.call("traps__fine", number=1)).outcome.ok
    now = await figures(front)
    (spent,) = (value for (name, labels), value in now.items() if name == "sandbox_budget_spent")
    (limit,) = (value for (name, labels), value in now.items() if name == "sandbox_budget_limit")
    assert (spent, limit) == (1, 5)
    await stage.sandbox.drop_budget("global")
    assert now["sandbox_approvals_pending", frozenset()] == 0


async def test_every_figure_is_documented_and_every_documented_one_is_there(front: Served) -> None:
    named = set(re.findall(r"^\| `(\w+_\w+)`", DOCUMENT.read_text(), re.MULTILINE))
    scraped = set(re.findall(r"^# TYPE (\w+) ", (await front.ask("GET", "/metrics")).body.decode(), re.MULTILINE))
    assert scraped == named


async def test_no_clients_word_is_a_label(front: Served, stage: Stage) -> None:
    with pytest.raises(NotFound):
        await stage.sandbox.call("canary_of_a_tool", {}, subject="canary_of_a_subject")
    assert "canary" not in str(await figures(front))


async def test_a_duration_falls_into_the_bucket_whose_bound_it_reaches() -> None:
    tally = Tally()
    for milliseconds in (5.0, 5.1, 40_000.0):
        tally.count(Event(EventType.TOOL_SUCCESS, "a", component="c", ending="returned", duration_ms=milliseconds))
    took = tally.durations["c"]
    assert (took.buckets[0], took.buckets[1], took.buckets[-1]) == (1, 1, 1)
    assert took.seconds == pytest.approx(40.0101)
